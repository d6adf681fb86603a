"""What can go wrong with a log, and what of all that can go wrong will pass by itself.

Every error names the thing, the expected and the found.
"""

from __future__ import annotations

import asyncpg


class EventLogError(Exception):
    """Base of all errors of this library."""


class WrongExpectedVersion(EventLogError):
    """Somebody else appended to the stream first: load it again and decide again."""

    retriable = True

    def __init__(self, stream: str, expected: int, found: int) -> None:
        super().__init__(f"stream {stream}: expected version {expected}, found {found}")
        self.stream, self.expected, self.found = stream, expected, found


class DuplicateEvent(EventLogError):
    """An event id is in the log already, but not as part of this very append."""


class UnknownEventType(EventLogError):
    """The log holds, or was given, an event that the service's event types don't name."""


class InvalidEvent(EventLogError):
    """An event can't be written (wrong field values, too large) or read (stored data don't fit its class)."""


class BrokenLog(EventLogError):
    """The database isn't set up as the log needs it; starting would risk lost events."""


class BrokenSeal(EventLogError):
    """A seal does not fit the seal before it, itself, or the events it stands for."""


class InvalidProof(EventLogError):
    """A proof of inclusion proves nothing: a field is missing or wrong, or its hashes don't meet."""


class RestoreRefused(EventLogError):
    """What was to be written back doesn't fit the log, or somebody else is writing to it."""


# SQLSTATEs, whole or by their class (https://www.postgresql.org/docs/current/errcodes-appendix.html).
_PASSING = (
    "08",  # the connection
    "25006",  # the server became a standby
    "25P03",  # the transaction was idle for too long
    "25P04",  # or at work
    "40",  # a lost race: serialisation, deadlock
    "53",  # too many connections, no memory, a full disk
    "55006",  # an object in use
    "55P03",  # a lock not to be had
    "57",  # shutting down, starting, cancelled, a limit of time
    "58",  # a disk does not answer
)
# Of a connection that the server has cut, or the pool for its sake.
_CUT = ("connection is closed", "connection was closed", "pool is clos", "released back to the pool", "is cancelling")


def is_transient(error: BaseException) -> bool:
    """Whether the same work can succeed later: the network, a server that is away or overloaded, a lost race.

    Any OSError counts (an error of the world, not of the program), as does an error that says so itself with a true
    `retriable`, as aiokafka's do. A group is transient if all its members are.
    """
    if isinstance(error, BaseExceptionGroup):
        return all(is_transient(inner) for inner in error.exceptions)
    if isinstance(error, asyncpg.InterfaceError):  # also asyncpg's word for a wrong number of parameters
        return any(text in str(error) for text in _CUT)
    if isinstance(error, asyncpg.InvalidCachedStatementError):  # a migration changed a table under it
        return True
    if isinstance(error, asyncpg.PostgresError):
        return (error.sqlstate or "").startswith(_PASSING)
    # InternalClientError, "cannot switch to state": a server that shuts down has cut an idle connection in the moment
    # it was used (asyncpg issue 784).
    if isinstance(error, OSError | MemoryError | asyncpg.InternalClientError):
        return True
    return getattr(error, "retriable", False) is True
