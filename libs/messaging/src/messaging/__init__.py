"""CloudEvents over Kafka, exactly once from one service's log to another's. The README explains the mechanism."""

from messaging import orders, wallets
from messaging.audit import TopicReport, audit
from messaging.consumer import Consumer
from messaging.documents import asyncapi
from messaging.errors import (
    EventTooLarge,
    Fenced,
    LogBehindTopics,
    LogForked,
    LogResealed,
    Malformed,
    MissingPrerequisite,
    OffsetLost,
    TopicMismatch,
    TopicRecreated,
    Transient,
    UnknownType,
)
from messaging.handling import Committed, Handle
from messaging.inbox import inbox
from messaging.parking import Blocked, Parked, discard, list_behind, list_blocked, list_parked, retry, show
from messaging.received import Received
from messaging.recover import Recovered, recover
from messaging.relay import Publication, Relay
from messaging.schema import install_sql
from messaging.topics import TopicSpec, ensure

__all__ = [
    "Blocked",
    "Committed",
    "Consumer",
    "EventTooLarge",
    "Fenced",
    "Handle",
    "LogBehindTopics",
    "LogForked",
    "LogResealed",
    "Malformed",
    "MissingPrerequisite",
    "OffsetLost",
    "Parked",
    "Publication",
    "Received",
    "Recovered",
    "Relay",
    "TopicMismatch",
    "TopicRecreated",
    "TopicReport",
    "TopicSpec",
    "Transient",
    "UnknownType",
    "asyncapi",
    "audit",
    "discard",
    "ensure",
    "inbox",
    "install_sql",
    "list_behind",
    "list_blocked",
    "list_parked",
    "orders",
    "recover",
    "retry",
    "show",
    "wallets",
]
