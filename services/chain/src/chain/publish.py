"""What we tell the others: every event of a contract that has a public message, on the contract's topic."""

from __future__ import annotations

from chain.domain import CONTRACTS, ContractEvent
from chain.handlers import public_message
from eventlog import RecordedEvent
from messaging import Publication, TopicSpec

TOPICS = tuple(TopicSpec(f"chain.{contract}") for contract in CONTRACTS)


def publish(recorded: RecordedEvent) -> Publication | None:
    """The public message of a contract's event; None for administration, raw logs, transactions and the cursor."""
    event = recorded.event
    if not isinstance(event, ContractEvent):
        return None
    message = public_message(event)
    return Publication(message.topic, message) if message is not None else None
