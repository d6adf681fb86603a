"""Parts of pages that follow what happens: Server-Sent Events of HTML, one for each look that shows something else."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass

from fastapi.sse import format_sse_event

from console.observer import Look, Observer
from console.sessions import Operator
from service import EventStream


@dataclass(frozen=True, slots=True)
class Html:
    """A part of a page, told as the event `look`."""

    text: str

    def encode(self) -> bytes:
        """As it is on the wire."""
        return format_sse_event(data_str=self.text, event="look")


def live(observer: Observer, operator: Operator, drawn: Callable[[Look], Awaitable[str]]) -> EventStream:
    """Tells `drawn` of each look, if it is not what was told before."""

    async def changes() -> AsyncGenerator[Html, None]:
        told = ""
        async with aclosing(observer.looks()) as looks:
            async for look in looks:
                if (text := await drawn(look)) != told:
                    told = text
                    yield Html(text)

    return EventStream(changes(), operator.caller)
