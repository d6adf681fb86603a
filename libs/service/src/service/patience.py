"""A server that is away for a moment, as one that restarts, costs its callers that moment and not an error."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic

from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope, Send

from service.database import is_transient

PAUSE_SECONDS = 0.2
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


def may_be_repeated(scope: Scope, headers: Headers) -> bool:
    """Whether serving the request twice does what serving it once does: it is safe, or a command with a key."""
    return scope["method"] in _SAFE or "idempotency-key" in headers


async def patiently(
    serve: Callable[[Receive, Send], Awaitable[None]], receive: Receive, send: Send, seconds: float
) -> None:
    """Serves a request; again and again for `seconds` while it fails of a passing cause before anything is answered."""
    until, taken, answered = monotonic() + seconds, list[Message](), False

    async def sent(message: Message) -> None:
        nonlocal answered
        await send(message)
        answered = True

    while True:
        try:
            return await serve(_from_the_beginning(taken, receive), sent)
        except Exception as error:
            if answered or monotonic() + PAUSE_SECONDS > until or not is_transient(error):
                raise
        await asyncio.sleep(PAUSE_SECONDS)


def _from_the_beginning(taken: list[Message], receive: Receive) -> Receive:
    """Gives what was `taken` of the request already, then what comes, which is taken, too."""
    known = iter(tuple(taken))

    async def received() -> Message:
        if (message := next(known, None)) is None:
            message = await receive()
            taken.append(message)
        return message

    return received
