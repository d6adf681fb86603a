"""A node that answers what a test tells it, over a real socket, and the recordings of a real one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

FIXTURES = Path(__file__).parent / "fixtures"


def recording(prefix: str) -> dict[str, Any]:
    """Return one recorded exchange by the number its file name begins with."""
    (path,) = FIXTURES.glob(f"{prefix}_*.json")
    exchange: dict[str, Any] = json.loads(path.read_text())
    return exchange


@dataclass
class Answer:
    body: Any
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    hang_up: bool = False


@dataclass
class ScriptedNode:
    """Answers by path: a JSON value, an `Answer`, or a function from the request's body to either."""

    url: str = ""
    answers: dict[str, Any] = field(default_factory=dict)
    requests: list[tuple[str, Any, dict[str, str]]] = field(default_factory=list)
    answer = Answer

    def replay(self, *prefixes: str) -> None:
        """Answer as in the recordings, each at its own path."""
        for prefix in prefixes:
            exchange = recording(prefix)
            path = exchange["url"].split("/", 3)[3]
            self.answers[path] = Answer(exchange["response"], exchange["status"])

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._exchange(reader, writer):
                pass
        finally:
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n") if not reader.at_eof() else b"").decode()
        if not head:
            return False
        first, *lines = head.strip().split("\r\n")
        headers = {key.lower(): value for key, _, value in (line.partition(": ") for line in lines)}
        body = json.loads(await reader.readexactly(int(headers.get("content-length", 0))) or b"null")
        path = first.split(" ")[1].lstrip("/")
        self.requests.append((path, body, headers))
        answer = self.answers.get(path, Answer("<html>", 405))
        answer = answer(body) if callable(answer) else answer
        answer = answer if isinstance(answer, Answer) else Answer(answer)
        await asyncio.sleep(answer.delay)
        if answer.hang_up:
            return False
        content = answer.body.encode() if isinstance(answer.body, str) else json.dumps(answer.body).encode()
        extra = "".join(f"{key}: {value}\r\n" for key, value in answer.headers.items())
        writer.write(f"HTTP/1.1 {answer.status} X\r\nContent-Length: {len(content)}\r\n{extra}\r\n".encode() + content)
        await writer.drain()
        return True


@asynccontextmanager
async def serving(node: ScriptedNode) -> AsyncIterator[ScriptedNode]:
    async def connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await node.handle(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(connection, "127.0.0.1", 0)
    node.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield node
    finally:
        server.close()


@pytest.fixture
async def node() -> AsyncIterator[ScriptedNode]:
    async with serving(ScriptedNode()) as node:
        yield node


@pytest.fixture
def scripted() -> Callable[[], AbstractAsyncContextManager[ScriptedNode]]:
    """Return what makes one more scripted node."""
    return lambda: serving(ScriptedNode())


@pytest.fixture
def recorded() -> Callable[[str], Any]:
    """Return the recorded response whose file name begins with the given number."""
    return lambda prefix: recording(prefix)["response"]


@pytest.fixture
def recorded_request() -> Callable[[str], Any]:
    """Return the recorded request whose file name begins with the given number."""
    return lambda prefix: recording(prefix)["request"]
