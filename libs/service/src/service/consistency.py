"""Reading one's own writes: a command returns a token, a query that is given the token waits for its projection."""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Annotated

from fastapi import Depends, Header
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from service.problems import Problem

WAIT_SECONDS = 5.0
_MAX_TOKEN = 2048  # of a stream of 500 characters that JSON escapes


class Token(BaseModel):
    """Where a command's last event was appended: which log, which stream, which position."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    log: str = Field(min_length=1, max_length=100)
    stream: str = Field(min_length=1, max_length=500)
    position: int = Field(ge=0, lt=2**63)

    def encode(self) -> str:
        """The token as a client carries it, URL-safe."""
        return base64.urlsafe_b64encode(self.model_dump_json().encode()).decode("ascii").rstrip("=")

    @classmethod
    def parse(cls, text: str) -> Token:
        """The token in `text`; raises Problem 400 if it is none."""
        try:
            if len(text) > _MAX_TOKEN:
                raise ValueError(f"expected at most {_MAX_TOKEN} characters")
            raw = base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
            return cls.model_validate_json(raw)
        except (binascii.Error, ValidationError, ValueError):
            raise Problem(400, "invalid-token", "Annals-After is not a token of a command.") from None


Checkpoint = Callable[[Token], Awaitable[int]]
Parked = Callable[[Token], Awaitable[str | None]]
Paused = Callable[[], Awaitable[str | None]]
RETRY_PAUSED_SECONDS = 30


async def _never() -> None:
    return None


async def await_position(
    token: Token | None,
    *,
    log: str,
    checkpoint: Checkpoint,
    parked: Parked,
    paused: Paused = _never,
    seconds: float = WAIT_SECONDS,
    poll_seconds: float = 0.02,
) -> None:
    """Returns once a projection has taken in the event that `token` names; at once without a token.

    `checkpoint(token)` is the position that the projection's partition of that stream has reached; `parked(token)` says
    why the stream's events are parked, if they are. Raises Problem: 400 for the token of another log, 409 with the
    reason if parked, 503 with Retry-After after `seconds`, or at once with the reason if an operator has paused it.
    """
    if token is None:
        return
    if token.log != log:
        detail = f"Expected a token of {log}, got one of {token.log}."
        raise Problem(400, "foreign-token", "The token comes from another service.", detail)
    deadline = monotonic() + seconds
    while True:
        # In this order: what is parked was parked in the transaction that moved the checkpoint past it.
        reached = await checkpoint(token)
        if reason := await parked(token):
            raise Problem(
                409, "parked", "The change could not be shown.", reason, stream=token.stream, position=token.position
            )
        if reached >= token.position:
            return
        if reason := await paused():
            headers = {"retry-after": str(RETRY_PAUSED_SECONDS)}
            raise Problem(503, "paused", "The read model is paused.", reason, headers, position=reached)
        if monotonic() >= deadline:
            detail = f"Position {token.position} is not shown yet; the read model is at {reached}."
            raise Problem(
                503, "not-yet-visible", "The change is not visible yet.", detail, {"retry-after": "1"}, position=reached
            )
        await asyncio.sleep(poll_seconds)


async def _after(
    annals_after: Annotated[
        str | None, Header(description="`token` of a command: wait until its effect is visible.")
    ] = None,
) -> Token | None:
    return None if annals_after is None else Token.parse(annals_after)


After = Annotated[Token | None, Depends(_after)]
