"""Every public message of Annals. Import this package and all types are known."""

from contracts import activity, audit, chain, compliance, head, operations, rewards, royalties, sales
from contracts.envelope import Message, message_class, message_types

__all__ = [
    "Message",
    "activity",
    "audit",
    "chain",
    "compliance",
    "head",
    "message_class",
    "message_types",
    "operations",
    "rewards",
    "royalties",
    "sales",
]
