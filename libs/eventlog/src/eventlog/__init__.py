"""An append-only event log in PostgreSQL. The README of this library explains the mechanism."""

from eventlog.append import ANY, NO_STREAM, Appended
from eventlog.conflicts import retry_on_conflict
from eventlog.decider import AnyIntent, Decider, Execution, Executor, Intent, JointIntent
from eventlog.errors import (
    BrokenLog,
    BrokenSeal,
    DuplicateEvent,
    EventLogError,
    InvalidEvent,
    InvalidProof,
    UnknownEventType,
    WrongExpectedVersion,
    is_transient,
)
from eventlog.events import Metadata, NewEvent, RecordedEvent, decode_all
from eventlog.ids import derived_id, uuid7
from eventlog.log import EventLog, Share, install_sql
from eventlog.operations import (
    OPERATIONS,
    DeadLetterDiscarded,
    MessageDiscarded,
    PersonalDataRead,
    RequestRefused,
    dead_letters_stream,
)
from eventlog.pages import Events
from eventlog.proofs import Proof, prove, verify_proof
from eventlog.recent import RecentStates
from eventlog.seals import Seal, Sealer, last_seal
from eventlog.selection import index_sql, share_sql
from eventlog.sessions import reset_session, session
from eventlog.together import Decided, Together
from eventlog.turns import turn
from eventlog.types import MAX_EVENT_BYTES, EventTypes, has_nul
from eventlog.verification import Problem, Verification, explain, verify
from eventlog.watermark import Watermark

__all__ = [
    "ANY",
    "MAX_EVENT_BYTES",
    "NO_STREAM",
    "OPERATIONS",
    "AnyIntent",
    "Appended",
    "BrokenLog",
    "BrokenSeal",
    "DeadLetterDiscarded",
    "Decided",
    "Decider",
    "DuplicateEvent",
    "EventLog",
    "EventLogError",
    "EventTypes",
    "Events",
    "Execution",
    "Executor",
    "Intent",
    "InvalidEvent",
    "InvalidProof",
    "JointIntent",
    "MessageDiscarded",
    "Metadata",
    "NewEvent",
    "PersonalDataRead",
    "Problem",
    "Proof",
    "RecentStates",
    "RecordedEvent",
    "RequestRefused",
    "Seal",
    "Sealer",
    "Share",
    "Together",
    "UnknownEventType",
    "Verification",
    "Watermark",
    "WrongExpectedVersion",
    "dead_letters_stream",
    "decode_all",
    "derived_id",
    "explain",
    "has_nul",
    "index_sql",
    "install_sql",
    "is_transient",
    "last_seal",
    "prove",
    "reset_session",
    "retry_on_conflict",
    "session",
    "share_sql",
    "turn",
    "uuid7",
    "verify",
    "verify_proof",
]
