"""What can go wrong with a projection, and whose fault it is."""

from __future__ import annotations

import asyncpg


class ProjectionError(Exception):
    """Base of the errors of this library."""


class InvalidProjection(ProjectionError):
    """A projection or one of its tables is declared in a way that could not be replayed to the same rows."""


class InvalidChange(ProjectionError):
    """A handler described a change that the table cannot take: the event that caused it is parked."""


class EventFailed(ProjectionError):
    """One event of a batch failed; `index` is its place in the batch, `cause` what it raised."""

    def __init__(self, index: int, cause: Exception) -> None:
        super().__init__(f"event {index} of the batch: {cause!r}")
        self.index = index
        self.cause = cause


class Fenced(ProjectionError):
    """Another process moved the checkpoint; this one has to read it again."""


class SchemaChanged(ProjectionError):
    """The tables in the database are not those that the projection declares."""


class NoGeneration(ProjectionError):
    """A generation that the operation needs does not exist."""


class RebuildRunning(ProjectionError):
    """Another process is rebuilding the same projection."""


class WorkerFailed(ProjectionError):
    """A process that feeds a partition failed; what it had done is kept."""


class CannotRebuildKeys(ProjectionError):
    """The rows of single keys cannot be told from the others; the message says in which table and why."""


class InvalidPoint(ProjectionError):
    """No point of the log that a projection could be replayed to."""


class SwapBlocked(ProjectionError):
    """Running queries kept the tables locked for too long to swap them."""


# SQLSTATEs for which an event, not the world, is to blame: 21 cardinality violation, 22 data exception (also what
# asyncpg raises for a parameter it cannot encode), 23 integrity constraint violation, and of class 54 the one that
# depends on the values: a row or a key too large to be stored
# (https://www.postgresql.org/docs/current/errcodes-appendix.html).
_EVENT_CLASSES = ("21", "22", "23", "54000")


def blames_event(error: Exception) -> bool:
    """Whether applying the batch again would fail again because of one of its events.

    This is not the opposite of `eventlog.is_transient`: a missing table does not pass, yet no event is to blame for it.
    Everything else is the world's fault: the batch is tried again, and nothing is parked. So are a lost connection
    (class 08, 57, asyncpg's InterfaceError and InternalClientError, an OSError), a lost race (40, 55), a full disk or
    memory (53, 58), a limit of time (57014, 25P03, 25P04), a replica (25006), a plan that a migration made stale
    (0A000), a missing table or right (42), a broken index (XX).
    """
    if isinstance(error, asyncpg.PostgresError):
        return (error.sqlstate or "").startswith(_EVENT_CLASSES)
    return isinstance(error, InvalidChange)
