"""What can go wrong with a log. Every error names the thing, the expected and the found."""

from __future__ import annotations


class EventLogError(Exception):
    """Base of all errors of this library."""


class WrongExpectedVersion(EventLogError):
    """Somebody else appended to the stream first: load it again and decide again."""

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
