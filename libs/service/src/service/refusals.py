"""What callers were refused, on record in the service's own log: who, where and why.

Bounded, so that nobody can fill the log: beyond MOST of one actor in a minute they are counted, and the count is put on
record when somebody is refused after that minute.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from time import monotonic

from starlette.requests import Request
from starlette.types import Scope

from eventlog import EventLog, Metadata, NewEvent, RequestRefused
from service.commands import office_of
from service.database import is_transient
from service.logs import get_logger
from service.trace import current_traceparent

MOST = 30
MINUTE = 60.0
NOBODY = "anonymous"
"""The actor of requests without a valid token."""
READING = frozenset({"GET", "HEAD", "OPTIONS"})
DENIED = frozenset({401, 403})
BY_THE_RULES = frozenset({404, 409, 410, 422})
MALFORMED = "invalid-request"
"""The problem of requests that are no commands at all."""
log = get_logger("service.refusals")


def is_on_record(method: str, status: int, reason: str) -> bool:
    """Whether a refusal is one of access, or of a command by the rules of the domain."""
    return status in DENIED or (method not in READING and status in BY_THE_RULES and reason != MALFORMED)


def unnamed(request: Request) -> None:
    """Dependency: callers who are refused are not named on record, for what they bring is to be of nobody."""
    request.scope["annals.unnamed"] = True


class Refusals:
    """Puts refusals on record. A process that is killed forgets what it had only counted in the last minute."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._since = monotonic()
        self._refused: Counter[str] = Counter()  # in this minute, by actor

    async def record(self, scope: Scope, status: int, reason: str) -> None:
        """Puts it on record, or logs that it could not: the refusal stands."""
        caller = None if "annals.unnamed" in scope else scope.get("annals.caller")
        route = getattr(scope.get("route"), "path", None) or "unmatched"
        actor = NOBODY if caller is None else caller.subject
        events = self._counted()
        self._refused[actor] += 1
        if self._refused[actor] <= MOST:
            office = None if caller is None else office_of(caller)
            refused = RequestRefused(f"{scope['method']} {route}", status, reason)
            events.append(_event(actor, office, refused))
        try:
            if events:
                await self._log.append(events)
        except Exception as error:  # whatever is wrong with the log, nobody gets what is refused
            write = log.warning if is_transient(error) else log.error
            write("a refusal is not on record", actor=actor, route=route, reason=reason, exc_info=error)

    def _counted(self) -> list[NewEvent]:
        """What was only counted in a minute that is over."""
        if monotonic() - self._since < MINUTE:
            return []
        beyond = [(actor, times - MOST) for actor, times in self._refused.items() if times > MOST]
        self._since, self._refused = monotonic(), Counter()
        return [_event(actor, None, RequestRefused("any", 429, "more-refusals", times)) for actor, times in beyond]


def _event(actor: str, office: str | None, refused: RequestRefused) -> NewEvent:
    metadata = Metadata(actor=actor, role=office, traceparent=current_traceparent())
    return NewEvent(f"refusals/{actor}", refused, datetime.now(UTC), metadata=metadata)
