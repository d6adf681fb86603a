"""One request to a node: JSON goes out, JSON comes back, and everything that is no answer becomes a `NodeError`."""

from __future__ import annotations

import asyncio
import ssl
import zlib
from collections.abc import Callable
from contextlib import nullcontext
from functools import cache, lru_cache
from typing import Any

import httpx
import orjson

from tron.errors import NodeError, NodeRefused, NodeUnavailable, NotServed, RateLimited, TooMuch
from tron.pace import Budget, Pace

MOST_BYTES = 64 * 1024 * 1024
"""A longer answer is not read to its end: java-tron's JSON-RPC stops at 25 MB, so nothing honest comes near."""
MOST_SAID = 300
"""Characters of a node's complaint that are kept: it may say anything."""

_RATE_LIMIT_WORDS = (
    "rate limit",
    "frequency limit",
    "exceed the user",
    "lack of computing resources",
    "too many request",
    "request limit",
    "requests per",
)


def rate_limit(problem: object) -> bool:
    """Return whether a node's complaint, whatever status it came with, means that it was asked too often."""
    text = str(problem).lower()
    return any(word in text for word in _RATE_LIMIT_WORDS)


class Wire:
    """The connections to one node's origins, and how fast they may be used.

    `api_key` is sent as TRON-PRO-API-KEY. `timeout` is seconds for a whole request, once `budget` and `pace` let it go.
    """

    def __init__(
        self,
        *,
        api_key: str | None = None,
        timeout: float = 10.0,
        connections: int = 16,
        budget: Budget | None = None,
        pace: Pace | None = None,
    ) -> None:
        headers = {"Content-Type": "application/json", "Accept-Encoding": "gzip"}
        if api_key:
            headers["TRON-PRO-API-KEY"] = api_key
        limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
        # A handshake that our own limit cancels would leave its socket open: httpx must give it up before.
        patience = httpx.Timeout(timeout, connect=0.4 * timeout)
        self._http = httpx.AsyncClient(headers=headers, timeout=patience, limits=limits, verify=trusted())
        self._timeout = timeout
        self._budget = budget
        self._pace = pace

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def post(self, origin: str, path: str, body: Any, *, cost: int = 1) -> Any:
        """Return the JSON that answers; `cost` is how many requests the node counts. Raises `NodeError`."""
        if self._budget is not None:
            await self._budget.take(cost, origin, path)
        async with self._pace or nullcontext():
            return await self._exchange(origin, path, body)

    async def _exchange(self, origin: str, path: str, body: Any) -> Any:
        content = bytearray()
        try:
            async with (
                asyncio.timeout(self._timeout),  # httpx's own bounds each read, not a node that drips
                self._http.stream("POST", _url(origin, path), content=orjson.dumps(body)) as response,
            ):
                unpacked = _unpacker(response.headers.get("Content-Encoding", "identity"))
                async for part in response.aiter_raw():
                    content += unpacked(part, MOST_BYTES + 1 - len(content))
                    if len(content) > MOST_BYTES:
                        raise TooMuch(origin, path, f"more than {MOST_BYTES:,} bytes")
        except (httpx.HTTPError, httpx.InvalidURL, OSError, TimeoutError, ValueError, zlib.error) as error:
            raise NodeUnavailable(origin, path, f"{type(error).__name__} {error}".strip()) from error
        try:
            return _answer(origin, path, response, content)
        except RateLimited as error:
            if self._budget is not None:
                self._budget.close(error.retry_after)
            raise


def _answer(origin: str, path: str, response: httpx.Response, content: bytearray) -> Any:
    status = response.status_code
    if status in (404, 405):
        raise NotServed(origin, path, f"HTTP {status}")
    if status == 413:
        raise TooMuch(origin, path, f"HTTP {status}")
    try:
        answer = orjson.loads(content)
    except orjson.JSONDecodeError:
        answer = None
    problem = str(answer.get("Error") or "") if isinstance(answer, dict) else ""
    said = f"HTTP {status} {problem or '':.{MOST_SAID}}".strip()
    # TronGrid says 403 for a key that is used up or suspended.
    if status in (403, 429, 503) or (problem and rate_limit(problem)):
        raise RateLimited(origin, path, said, _retry_after(response))
    kind: type[NodeError] = NodeRefused
    if status >= 500 or (status == 200 and answer is None):
        kind, said = NodeUnavailable, f"HTTP {status}, {len(content)} bytes that are no answer"
    elif status == 200 and not problem:
        return answer
    raise kind(origin, path, said)


def _unpacker(encoding: str) -> Callable[[bytes, int], bytes]:
    """What takes the next part of a body, and returns at most so many bytes of what it holds.

    httpx would unpack whatever comes, in as many layers as the node says: 100 kB become gigabytes. Raises ValueError.
    """
    named = encoding.strip().lower()
    if named in ("", "identity"):
        return lambda part, most: part[:most]
    if named in ("gzip", "x-gzip"):
        return zlib.decompressobj(16 + zlib.MAX_WBITS).decompress
    raise ValueError(f"encoded as {encoding!r:.80}, expected gzip or nothing")


def _retry_after(response: httpx.Response) -> float | None:
    value = response.headers.get("Retry-After", "")
    return float(value) if value.isdecimal() else None


@lru_cache(maxsize=1_024)
def _url(origin: str, path: str) -> httpx.URL:
    return httpx.URL(f"{origin}/{path}")


@cache
def trusted() -> ssl.SSLContext:
    """Whom HTTP clients trust: read once for a process, since each would read it anew, for some 30 ms."""
    return httpx.create_ssl_context()
