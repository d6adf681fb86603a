"""Server-Sent Events: told as they come, resumed, kept alive, bounded, and ended with the process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from typing import Any

import httpx

from service.tokens import mint

Bearer = Callable[..., dict[str, str]]
Serve = Callable[..., AbstractAsyncContextManager[Any]]


@asynccontextmanager
async def listening(client: httpx.AsyncClient, headers: dict[str, str]) -> AsyncIterator[AsyncIterator[str]]:
    """The blocks of an event stream, one string each; the first is the time after which to come back."""
    async with client.stream("GET", "/notes/events", headers=headers) as response, asyncio.timeout(240):
        assert response.status_code == 200, await response.aread()
        assert response.headers["content-type"].startswith("text/event-stream")
        blocks = blocks_of(response)
        assert (await anext(blocks)).startswith("retry: ")
        yield blocks


async def blocks_of(response: httpx.Response) -> AsyncIterator[str]:
    block: list[str] = []
    async for line in response.aiter_lines():
        if line:
            block.append(line)
        else:
            yield "\n".join(block)
            block = []


async def write(client: httpx.AsyncClient, bearer: Bearer, text: str) -> str:
    headers = bearer("writer", subject="author") | {"idempotency-key": text}
    return str((await client.post("/notes", json={"text": text}, headers=headers)).json()["id"])


async def free_again(client: httpx.AsyncClient) -> None:
    async with asyncio.timeout(240):
        while "annals_http_streams 0.0" not in (await client.get("/metrics")).text:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.02)


async def test_a_stream_tells_what_comes_and_ends_with_it(served: httpx.AsyncClient, bearer: Bearer) -> None:
    async with listening(served, bearer()) as blocks:
        first = await write(served, bearer, "one")
        assert await anext(blocks) == f'event: note\ndata: {{"text":"one","amount":0}}\nid: {first}'
        last = await write(served, bearer, "end")
        assert [block async for block in blocks] == [f'event: note\ndata: {{"text":"end","amount":0}}\nid: {last}']


async def test_a_stream_goes_on_behind_the_last_event_that_the_caller_has(
    served: httpx.AsyncClient, bearer: Bearer
) -> None:
    first = await write(served, bearer, "one")
    last = await write(served, bearer, "end")
    async with listening(served, bearer() | {"last-event-id": first}) as blocks:
        assert [block.splitlines()[-1] async for block in blocks] == [f"id: {last}"]
    for wrong in ("-1", "x", str(2**63)):
        answer = await served.get("/notes/events", headers=bearer() | {"last-event-id": wrong})
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["field"] == "last-event-id"


async def test_a_stream_without_a_token_is_refused(served: httpx.AsyncClient) -> None:
    assert (await served.get("/notes/events")).status_code == 401


async def test_a_caller_has_so_many_streams_and_the_process_so_many_in_all(
    serve: Serve, database: str, bearer: Bearer
) -> None:
    alice, bob = bearer(subject="alice"), bearer(subject="bob")
    async with serve(database, http_streams=3, http_streams_each=2, http_requests=2) as here:
        async with listening(here.client, alice), listening(here.client, alice):
            refused = await here.client.get("/notes/events", headers=alice)
            assert (refused.status_code, refused.json()["type"]) == (429, "urn:annals:problem:too-many-streams")
            async with listening(here.client, bob):
                refused = await here.client.get("/notes/events", headers=bob)
                assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
                # Streams are no requests under way: of those two are allowed at once.
                assert (await here.client.get("/notes", headers=bob)).status_code == 200
        await free_again(here.client)  # whoever goes away makes room
        async with listening(here.client, alice):
            pass


async def test_silence_is_filled_with_signs_of_life(serve: Serve, database: str, bearer: Bearer) -> None:
    async with (
        serve(database, http_heartbeat_seconds=0.05) as here,
        listening(here.client, bearer()) as blocks,
    ):
        assert [await anext(blocks) for _ in range(3)] == [":", ":", ":"]


async def test_a_stream_ends_after_so_long_or_with_the_token_it_was_opened_with(
    serve: Serve, database: str, bearer: Bearer, keys: tuple[str, str]
) -> None:
    soon = mint(keys[0], "alice", ["guest"], lifetime=timedelta(seconds=-1))  # let in within the leeway
    async with serve(database, jwt_leeway_seconds=300) as here:
        async with listening(here.client, {"authorization": f"Bearer {soon}"}) as blocks:
            assert [block async for block in blocks] == []
        await free_again(here.client)
    async with serve(database, http_stream_seconds=0.2) as here, listening(here.client, bearer()) as blocks:
        assert {block async for block in blocks} <= {":"}


async def test_a_database_that_goes_away_ends_the_stream_and_the_client_comes_back(
    served: httpx.AsyncClient, bearer: Bearer
) -> None:
    async with listening(served, bearer()) as blocks:
        first = await write(served, bearer, "one")
        assert f"id: {first}" in await anext(blocks)
        await write(served, bearer, "break")
        assert [block async for block in blocks] == []


async def test_a_process_that_stops_ends_its_streams_at_once(serve: Serve, database: str, bearer: Bearer) -> None:
    async with serve(database, shutdown_seconds=300) as here, listening(here.client, bearer()) as blocks:
        await write(here.client, bearer, "one")
        await anext(blocks)
        stopping = asyncio.create_task(here.stopped())
        assert [block async for block in blocks] == []  # ended, not cut
        await stopping
