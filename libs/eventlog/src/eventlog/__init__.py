"""An append-only event log in PostgreSQL. The README of this library explains the mechanism."""

from eventlog.append import ANY, NO_STREAM, Appended, Metadata, NewEvent
from eventlog.decider import Decider, Execution, Executor, Intent
from eventlog.errors import (
    BrokenLog,
    DuplicateEvent,
    EventLogError,
    InvalidEvent,
    UnknownEventType,
    WrongExpectedVersion,
)
from eventlog.ids import derived_id, uuid7
from eventlog.log import EventLog, RecordedEvent, Share, install_sql
from eventlog.operations import OPERATIONS, DeadLetterDiscarded, MessageDiscarded, dead_letters_stream
from eventlog.types import MAX_EVENT_BYTES, EventTypes
from eventlog.watermark import Watermark

__all__ = [
    "ANY",
    "MAX_EVENT_BYTES",
    "NO_STREAM",
    "OPERATIONS",
    "Appended",
    "BrokenLog",
    "DeadLetterDiscarded",
    "Decider",
    "DuplicateEvent",
    "EventLog",
    "EventLogError",
    "EventTypes",
    "Execution",
    "Executor",
    "Intent",
    "InvalidEvent",
    "MessageDiscarded",
    "Metadata",
    "NewEvent",
    "RecordedEvent",
    "Share",
    "UnknownEventType",
    "Watermark",
    "WrongExpectedVersion",
    "dead_letters_stream",
    "derived_id",
    "install_sql",
    "uuid7",
]
