"""A network that fails on demand: a proxy in front of a server, whose connections can be cut or fall silent."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Self

_CHUNK = 65_536


class Proxy:
    """Passes TCP connections to `port` of this machine on to `target`, until told otherwise.

    async with Proxy(port, target) as proxy:
        proxy.cut()
        async with proxy.silence():
            ...
    """

    def __init__(self, port: int, target: int) -> None:
        self.port, self._target = port, target
        self._passing = asyncio.Event()
        self._passing.set()
        self._ends: set[asyncio.WriteTransport] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> Self:
        """Accepts connections from now on. Raises OSError when the port is taken."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        return self

    async def stop(self) -> None:
        """Closes the port and cuts what is connected. May be repeated."""
        self.refuse()
        self.cut()
        self._passing.set()
        await asyncio.gather(*self._tasks)

    __aenter__ = start

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def cut(self) -> None:
        """Closes all connections at once: what was on its way in either direction is lost."""
        for end in self._ends:
            end.abort()

    def refuse(self) -> None:
        """Accepts no more connections, until `start`; those that stand go on."""
        if self._server is not None:
            self._server.close()
            self._server = None

    @contextlib.asynccontextmanager
    async def silence(self) -> AsyncIterator[None]:
        """While the block runs nothing passes, and nobody is told: packets vanish. What waited passes afterwards."""
        self._passing.clear()
        try:
            yield
        finally:
            self._passing.set()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        ends = {writer.transport}
        self._ends |= ends
        try:
            await self._passing.wait()
            back, forth = await asyncio.open_connection("127.0.0.1", self._target)
            ends.add(forth.transport)
            self._ends |= ends
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pass_on(reader, forth))
                both.create_task(self._pass_on(back, writer))
        except* OSError:
            pass  # one end is gone, so the other goes as well
        finally:
            self._ends -= ends
            for end in ends:
                end.abort()
            self._tasks.discard(task)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(_CHUNK):
            await self._passing.wait()
            writer.write(data)
            await writer.drain()
        raise ConnectionResetError("this end was closed")
