"""The proxy does to connections what failing networks do."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator

import pytest

from local_stack.proxy import Proxy

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    """Before a server that echoes lines."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(line)
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with server, Proxy(0, server.sockets[0].getsockname()[1]) as proxy:
        yield proxy


async def connect(proxy: Proxy) -> Connection:
    return await asyncio.open_connection("127.0.0.1", proxy.port)


async def echoed(connection: Connection) -> bytes:
    reader, writer = connection
    writer.write(b"hello\n")
    return await reader.readline()


async def test_what_is_sent_arrives_in_both_directions(proxy: Proxy) -> None:
    one, other = await connect(proxy), await connect(proxy)
    assert await echoed(one) == await echoed(other) == await echoed(one) == b"hello\n"
    one[1].close()
    other[1].close()


async def test_a_cut_ends_the_connections_that_stand_and_new_ones_work(proxy: Proxy) -> None:
    connection = await connect(proxy)
    assert await echoed(connection) == b"hello\n"
    proxy.cut()
    assert await connection[0].read() == b""
    connection[1].close()
    again = await connect(proxy)
    assert await echoed(again) == b"hello\n"
    again[1].close()


async def test_in_silence_nothing_passes_on_old_or_new_connections_and_nobody_is_told(proxy: Proxy) -> None:
    old = await connect(proxy)
    assert await echoed(old) == b"hello\n"
    async with proxy.silence():
        new = await connect(proxy)
        waiting = [asyncio.create_task(echoed(connection)) for connection in (old, new)]
        await asyncio.sleep(0.1)
        assert not any(task.done() for task in waiting)
    assert await asyncio.gather(*waiting) == [b"hello\n", b"hello\n"]
    old[1].close()
    new[1].close()


async def test_a_closed_port_refuses_until_it_is_opened_again(proxy: Proxy) -> None:
    proxy.refuse()
    with pytest.raises(ConnectionRefusedError):
        await connect(proxy)
    await proxy.start()
    connection = await connect(proxy)
    assert await echoed(connection) == b"hello\n"
    connection[1].close()


@pytest.mark.parametrize("turns", range(6))
async def test_a_connection_that_comes_while_the_port_closes_is_served_or_refused_never_left_open(
    proxy: Proxy, turns: int
) -> None:
    waiting = asyncio.create_task(connect(proxy))
    for _ in range(turns):
        await asyncio.sleep(0)
    proxy.refuse()
    try:
        connection = await waiting
        assert await echoed(connection) in {b"hello\n", b""}
        connection[1].close()
    except ConnectionError:
        pass
    await proxy.stop()
    gc.collect()  # warns of what was left open
