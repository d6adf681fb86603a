"""From a POST to the log: execute what was asked, and return the token with which its effect can be awaited."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel, Field

from eventlog import Executor, Intent, Metadata
from service.auth import Caller
from service.consistency import Token
from service.trace import current_traceparent


class Recorded(BaseModel):
    """What a command led to. Pass `token` as the header `Annals-After` to a GET to see its effect there."""

    events: int = Field(description="Events recorded; 0 when nothing was new.")
    token: str | None = None


class Commands:
    """Executes the commands of one service."""

    def __init__(self, service: str, executor: Executor) -> None:
        self._service = service
        self._executor = executor

    async def execute(self, intents: Sequence[Intent]) -> Recorded:
        """All of them take effect, or none. What a decider raises passes through."""
        execution = await self._executor.execute(intents)
        events = [event for outcome in execution.events for event in outcome]
        if execution.appended is None:
            return Recorded(events=0)
        token = Token(log=self._service, stream=events[-1].stream, position=execution.appended.position)
        return Recorded(events=len(events), token=token.encode())


def metadata_of(caller: Caller, key: str) -> Metadata:
    """What the events of a command say of it: who asked, under which idempotency key, in which trace."""
    return Metadata(causation_id=key, correlation_id=key, traceparent=current_traceparent(), actor=caller.subject)
