"""A network that fails on demand: a proxy in front of a server, whose connections can be cut or fall silent."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Self

_HOST = "127.0.0.1"
_CHUNK = 65_536


class Proxy:
    """Passes TCP connections to `port` of this machine (0: any that is free) on to `target`, until told otherwise.

    async with Proxy(port, target) as proxy:
        proxy.cut()
        async with proxy.silence():
            ...

    It accepts by itself, because an asyncio server that is closed just after it accepted leaves that connection open.
    """

    def __init__(self, port: int, target: int) -> None:
        self.port, self.target = port, target
        self.received = 0
        """Bytes that came from the server."""
        self._passing = asyncio.Event()
        self._passing.set()
        self._ends: set[asyncio.WriteTransport] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._listener: socket.socket | None = None

    @property
    def address(self) -> str:
        return f"{_HOST}:{self.port}"

    async def start(self) -> Self:
        """Accepts connections from now on. Raises OSError when the port is taken."""
        listener = socket.create_server((_HOST, self.port))
        listener.setblocking(False)
        self.port = listener.getsockname()[1]
        asyncio.get_running_loop().add_reader(listener, self._accept, listener)
        self._listener = listener
        return self

    async def stop(self) -> None:
        """Closes the port and cuts what is connected. May be repeated."""
        self.refuse()
        self._passing.set()
        while self._tasks:  # a connection in the making is cut once it is made
            self.cut()
            await asyncio.wait(self._tasks, timeout=0.05)

    __aenter__ = start

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def cut(self) -> None:
        """Closes all connections at once: what was on its way in either direction is lost."""
        for end in self._ends:
            end.abort()

    def refuse(self) -> None:
        """Accepts no more connections, until `start`; those that stand go on."""
        if self._listener is not None:
            asyncio.get_running_loop().remove_reader(self._listener)
            self._listener.close()
            self._listener = None

    @contextlib.asynccontextmanager
    async def silence(self) -> AsyncIterator[None]:
        """While the block runs nothing passes, and nobody is told: packets vanish. What waited passes afterwards."""
        self._passing.clear()
        try:
            yield
        finally:
            self._passing.set()

    def answered(self, chunk: bytes) -> bytes:
        """What the client is given of `chunk`, which came from the server."""
        return chunk

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(BlockingIOError, ConnectionAbortedError):  # who called has hung up already
            caller, _ = listener.accept()
            task = asyncio.create_task(self._serve(caller))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _serve(self, caller: socket.socket) -> None:
        reader, writer = await asyncio.open_connection(sock=caller)
        ends = {writer.transport}
        self._ends |= ends
        try:
            await self._passing.wait()
            back, forth = await asyncio.open_connection(_HOST, self.target)
            ends.add(forth.transport)
            self._ends |= ends
            async with asyncio.TaskGroup() as both:
                both.create_task(self._ask(reader, forth))
                both.create_task(self._answer(back, writer))
        except* OSError:
            pass  # one end is gone, so the other goes as well
        finally:
            self._ends -= ends
            for end in ends:
                end.abort()

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(_CHUNK):
            await self._pass_on(data, writer)
        await self._hang_up()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(_CHUNK):
            self.received += len(data)
            await self._pass_on(self.answered(data), writer)
        await self._hang_up()

    async def _pass_on(self, data: bytes, writer: asyncio.StreamWriter) -> None:
        await self._passing.wait()
        writer.write(data)
        await writer.drain()

    async def _hang_up(self) -> None:
        await self._passing.wait()  # nobody hears in a silence that the other side has hung up
        raise ConnectionResetError("this end was closed")
