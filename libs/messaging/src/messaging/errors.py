"""The errors of this package; each names the thing, what was expected and what was found."""

from __future__ import annotations

from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    KafkaError,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
)

import eventlog
from messaging.received import Received


class Malformed(Exception):
    """A record that is no valid message: `rewards.events[2]@17: ce_time: expected RFC 3339, found 'soon'`."""


class UnknownType(Exception):
    """A well-formed message of a type that this process does not know (`ce_type`), for instance a newer version."""

    def __init__(self, where: str, ce_type: str) -> None:
        super().__init__(f"{where}: ce_type: expected a registered message type, found {ce_type!r}")
        self.ce_type = ce_type


class MissingPrerequisite(Exception):
    """Raised by a handler: something a message builds on has not arrived yet (topics are not ordered among each other).

    The message is parked and tried again by itself, when others arrive and at growing intervals. Where the error names
    it, the rest of its batch goes on at once; several in a batch are raised as an ExceptionGroup.
    """

    def __init__(self, reason: str, message: Received | None = None) -> None:
        super().__init__(reason)
        self.message = message


class Transient(Exception):
    """Raised by a handler: trying again later may succeed; the message is never taken for poison."""

    retriable = True


class Fenced(Exception):
    """Another instance has claimed a partition of this batch, or moved its offset: nothing of the batch was kept."""


class TopicMismatch(Exception):
    """An existing topic has other partitions or settings than the code expects."""


class TopicRecreated(Exception):
    """A topic was deleted and created again, so that stored offsets mean nothing in it."""


class OffsetLost(Exception):
    """The stored offset lies outside what the partition still holds: messages were deleted before they were read."""


class LogBehindTopics(Exception):
    """The topics hold events that the log does not: it was restored from a backup, or is another log."""


class LogForked(Exception):
    """The log has events that were never published where it has others: it went on by itself after a restore."""


class Led(Exception):
    """Somebody else holds the lock of a leader."""


class Recovering(Exception):
    """The log of this consumer group is being recovered, or its recovery was begun and not finished."""

    retriable = True


class AuditAborted(Exception):
    """So many records differ from the log that it is not worth going on."""


class LogResealed(Exception):
    """The log holds another seal than the one that was published: somebody changed it and sealed it anew."""


class EventTooLarge(Exception):
    """An event is larger than its topic accepts, so that the relay cannot go past it."""


_FORBIDDEN = (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
)

_NO_BROKER = "Did we not perform bootstrap?"


def is_transient(error: BaseException) -> bool:
    """Whether the same work can succeed later, so that an error says nothing against the messages it met.

    As `eventlog.is_transient`, and whatever Kafka refuses, but for a lack of rights.
    """
    if isinstance(error, BaseExceptionGroup):
        return all(is_transient(inner) for inner in error.exceptions)
    if isinstance(error, KafkaError):
        return not isinstance(error, _FORBIDDEN)
    if isinstance(error, AssertionError):  # of aiokafka's: a cluster that comes back may name no broker at first
        return _NO_BROKER in str(error)
    return eventlog.is_transient(error)
