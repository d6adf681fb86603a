"""Server-Sent Events: what becomes of something is told to a caller as it happens, and again from where they left off.

A route checks who asks and for what, and returns `EventStream(items, caller)`, where `items` is an async generator of
`StreamEvent`. The stream ends with its items, with the caller's token, after `http_stream_seconds`, or when the process
stops. A client then comes back with `Last-Event-ID`, which the route takes as `LastEventId`.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Annotated, Any, Protocol

from fastapi import Header
from fastapi.sse import format_sse_event
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from eventlog import EventLog, RecordedEvent, Watermark
from service.auth import Caller
from service.database import is_transient
from service.logs import get_logger
from service.metrics import HTTP_STREAMS
from service.problems import Problem, problem_response
from service.settings import ServiceSettings

MEDIA_TYPE = "text/event-stream"
HEARTBEAT = b":\n\n"
"""A comment, which clients pass over: proxies see life in the connection, and we see that nobody listens any more."""
RETRY_MS = (1_000, 5_000)
"""A client that lost its stream comes back after a time between these, so that a fleet of them doesn't come at once."""
STALLED_SECONDS = 30.0
"""Whoever takes nothing for so long is let go."""
LOOK_SECONDS = 0.25
QUIET_SECONDS = 60.0
log = get_logger("service.streams")

LastEventId = Annotated[
    int, Header(ge=0, lt=2**63, description="`id` of the last event that the caller has; 0: from the beginning.")
]
"""For a route's parameter `last_event_id: LastEventId = 0`."""


class Told(Protocol):
    """What a stream tells."""

    def encode(self) -> bytes:
        """As it is on the wire."""


@dataclass(frozen=True, slots=True)
class StreamEvent:
    """One event of a stream. `id` grows: after a lost connection the caller asks for what comes after it."""

    id: int
    name: str
    data: BaseModel

    def encode(self) -> bytes:
        """The event on the wire."""
        return format_sse_event(data_str=self.data.model_dump_json(), event=self.name, id=str(self.id))


class OpenStreams:
    """The streams that one process has open: so many in all, so many of each caller, and none once it stops."""

    def __init__(self, settings: ServiceSettings) -> None:
        self.heartbeat_seconds = settings.http_heartbeat_seconds
        self.longest_seconds = settings.http_stream_seconds
        self._most = settings.http_streams
        self._most_each = settings.http_streams_each
        self._open: Counter[str] = Counter()

    @cached_property
    def ending(self) -> asyncio.Future[None]:
        """Done once the process stops."""
        return asyncio.get_running_loop().create_future()

    def end(self) -> None:
        """Ends all, and lets no other begin: the process stops."""
        if not self.ending.done():
            self.ending.set_result(None)

    def refusal(self, subject: str) -> Problem | None:
        """Why this caller may not have another one, if so."""
        if self.ending.done() or self._open.total() >= self._most:
            title = "The service is stopping." if self.ending.done() else "Too many event streams are open."
            return Problem(503, "too-many-streams", title, headers={"retry-after": "5"})
        if self._open[subject] >= self._most_each:
            detail = f"At most {self._most_each} of one caller; close one first."
            return Problem(429, "too-many-streams", "The caller has too many event streams open.", detail)
        return None

    @contextmanager
    def one(self, subject: str) -> Iterator[None]:
        """One more is open meanwhile."""
        self._open[subject] += 1
        HTTP_STREAMS.inc()
        try:
            yield
        finally:
            HTTP_STREAMS.dec()
            self._open[subject] -= 1
            self._open += Counter()  # forgets who has none


class EventStream(StreamingResponse):
    """The response that tells `caller` each of `items` as it comes, and closes `items` in the end."""

    media_type = MEDIA_TYPE

    # FastAPI's OpenAPI document reads the status from this signature.
    def __init__(self, items: AsyncGenerator[Told, None], caller: Caller, status_code: int = 200) -> None:
        # No cache may keep it, and no proxy wait until there is enough of it.
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        super().__init__(self._frames(), status_code, headers)
        self._items = items
        self._caller = caller
        self._following: asyncio.Future[Told | None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._streams: OpenStreams = scope["app"].state.streams

        async def sent(message: Message) -> None:
            async with asyncio.timeout(STALLED_SECONDS):
                await send(message)

        try:
            if refusal := self._streams.refusal(self._caller.subject):
                await problem_response(Request(scope), refusal)(scope, receive, send)
            else:
                with self._streams.one(self._caller.subject):
                    await super().__call__(scope, receive, sent)
        finally:
            await self._close()

    async def _frames(self) -> AsyncIterator[bytes]:
        """The bytes, until something ends the stream. Whoever leaves it half-way calls `_close`."""
        loop = asyncio.get_running_loop()
        valid_seconds = (self._caller.expires_at - datetime.now(UTC)).total_seconds()
        end = loop.time() + min(self._streams.longest_seconds, valid_seconds)
        yield format_sse_event(retry=random.randint(*RETRY_MS))  # noqa: S311 - timing, not a secret
        while (left := end - loop.time()) > 0:
            if (frame := await self._frame(min(left, self._streams.heartbeat_seconds))) is None:
                return
            yield frame

    async def _frame(self, seconds: float) -> bytes | None:
        """The next item, or a heartbeat when there is none for so long; None when there will be no other."""
        following, ending = self._following or asyncio.ensure_future(anext(self._items, None)), self._streams.ending
        self._following = following
        either: set[asyncio.Future[Any]] = {following, ending}
        await asyncio.wait(either, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if ending.done():
            return None
        if not following.done():
            return HEARTBEAT
        self._following = None
        try:
            item = following.result()
        except Exception as error:
            if not is_transient(error):
                raise
            log.warning("an event stream ends early, its reader will be back", reason=repr(error))
            return None
        return item.encode() if item is not None else None

    async def _close(self) -> None:
        if self._following is not None:
            self._following.cancel()
            await asyncio.wait({self._following})
        await self._items.aclose()


async def followed(
    log: EventLog, watermark: Watermark, stream: str, after: int = 0
) -> AsyncGenerator[RecordedEvent, None]:
    """The events of a stream above version `after`, then each soon after it is appended; without end.

    Costs one short query each time the log has grown, four times a second at most.
    """
    horizon = watermark.position  # read first: what the query doesn't find yet will be above it
    while True:
        for event in await log.read_stream(stream, after):
            yield event
            after = event.version
        horizon = await grown(watermark, horizon)


async def grown(watermark: Watermark, horizon: int) -> int:
    """The horizon once there may be something above `horizon`: soon after it is appended, four times a second at most.

    For streams of their own making; what is above the horizon is not told yet.
    """
    await asyncio.sleep(LOOK_SECONDS)
    return await watermark.beyond(horizon, QUIET_SECONDS)
