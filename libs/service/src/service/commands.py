"""From a POST to the log: execute what was asked, and return the token with which its effect can be awaited."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, Field

from eventlog import AnyIntent, Appended, Decider, Executor, Metadata, NewEvent, Together
from service.auth import Caller
from service.consistency import Token
from service.trace import current_traceparent

State = TypeVar("State")
OFFICES = ("admin", "officer")
"""The roles whose acts are acts of administration."""


class Recorded(BaseModel):
    """What a command led to. Pass `token` as the header `Annals-After` to a GET to see its effect there."""

    events: int = Field(description="Events recorded; 0 when nothing was new.")
    token: str | None = None


class Commands:
    """Executes the commands of one service."""

    def __init__(self, service: str, executor: Executor, together: Together | None = None) -> None:
        self._service = service
        self._executor = executor
        self._together = together or Together(executor)

    async def execute(self, intents: Sequence[AnyIntent]) -> Recorded:
        """All of them take effect, or none. What a decider raises passes through."""
        execution = await self._executor.execute(intents)
        return self._recorded([event for outcome in execution.events for event in outcome], execution.appended)

    async def execute_together(self, intent: AnyIntent, meeting: str) -> Recorded:
        """One of many that meet in the stream `meeting`, decided and appended with those that wait for it, too."""
        decided = await self._together.execute(intent, meeting)
        return self._recorded(decided.events, decided.appended)

    async def state(self, stream: str, decider: Decider[Any, State, Any]) -> State:
        """The state of a stream now, for an answer that no read model has."""
        return await self._executor.state(stream, decider)

    def _recorded(self, events: Sequence[NewEvent], appended: Appended | None) -> Recorded:
        if appended is None:
            return Recorded(events=0)
        token = Token(log=self._service, stream=events[-1].stream, position=appended.position)
        return Recorded(events=len(events), token=token.encode())


def metadata_of(caller: Caller, key: str) -> Metadata:
    """What the events of a command say of it: who asked, in which office, under which key, in which trace."""
    return Metadata(key, key, current_traceparent(), caller.subject, office_of(caller))


def office_of(caller: Caller) -> str | None:
    """The office in which somebody acts, None for whoever has none."""
    return next((office for office in OFFICES if office in caller.roles), None)
