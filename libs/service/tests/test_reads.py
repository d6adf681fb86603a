"""Pages, and reading one's own writes."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest

import projections
from eventlog import share_sql
from projections import Freshness, Projection
from service import PageRequest, Problem, Token, await_position
from service.paging import encode_cursor

Bearer = Callable[..., dict[str, str]]
TOKEN = Token(log="rewards", stream="pool/listening", position=7)


async def never_parked(_: Token) -> str | None:
    return None


async def test_a_list_is_read_page_by_page_without_gaps_or_repeats(served: httpx.AsyncClient, bearer: Bearer) -> None:
    for number in range(7):
        headers = {**bearer("writer"), "idempotency-key": str(number)}
        assert (await served.post("/notes", json={"text": str(number)}, headers=headers)).status_code == 201
    found, cursor, pages = [], None, 0
    while cursor or not pages:
        answer = (await served.get("/notes", params={"limit": 3} | ({"cursor": cursor} if cursor else {}))).json()
        found += answer["items"]
        cursor, pages = answer["next"], pages + 1
    assert (found, pages) == ([str(number) for number in range(7)], 3)


async def test_who_has_the_answer_already_is_told_so_until_it_changes(
    served: httpx.AsyncClient, bearer: Bearer
) -> None:
    first = await served.get("/notes")
    for tag in (first.headers["etag"], f'"other", W/{first.headers["etag"]}', "*"):
        same = await served.get("/notes", headers={"if-none-match": tag})
        assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", first.headers["etag"])
    headers = {**bearer("writer"), "idempotency-key": "1"}
    written = await served.post("/notes", json={"text": "news"}, headers=headers)
    assert "etag" not in written.headers
    again = await served.get("/notes", headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.json()["items"]) == (200, ["news"])
    assert again.headers["etag"] != first.headers["etag"]
    assert "etag" not in (await served.get("/teapot")).headers


async def test_a_cursor_of_another_list_is_refused(served: httpx.AsyncClient) -> None:
    for cursor in ("", "x", "e30=", encode_cursor(("a",)), encode_cursor((1, 2)), "%00", "é", "a" * 1025):
        answer = await served.get("/notes", params={"cursor": cursor})
        assert answer.status_code in (400, 422), cursor
        assert answer.headers["content-type"] == "application/problem+json"


def test_a_cursor_carries_numbers_texts_times_and_ids_exactly() -> None:
    key = (2**255, "a/ö", datetime(2024, 5, 6, 7, 8, 9, 123456, UTC), uuid4())
    assert PageRequest(10, encode_cursor(key)).after(int, str, datetime, UUID) == key


def test_a_full_last_page_has_no_next() -> None:
    request = PageRequest(2)
    assert request.page([1, 2], key=lambda n: (n,)).next is None
    assert request.page([1, 2, 3], key=lambda n: (n,)).items == [1, 2]
    assert request.page([], key=lambda n: (n,)).next is None


def test_a_token_survives_the_wire() -> None:
    assert Token.parse(TOKEN.encode()) == TOKEN


@pytest.mark.parametrize(
    "text", ["", "x", "é", "e30", "a" * 2000, base64.b64encode(b'{"log":"l","stream":"s","position":"7"}').decode()]
)
def test_what_is_no_token_is_400(text: str) -> None:
    with pytest.raises(Problem) as refused:
        Token.parse(text)
    assert refused.value.status == 400


async def test_reading_waits_until_the_projection_has_come_so_far() -> None:
    reached = 0

    async def checkpoint(_: Token) -> int:
        nonlocal reached
        reached += 3
        return reached

    async with asyncio.timeout(240):
        await await_position(TOKEN, log="rewards", checkpoint=checkpoint, parked=never_parked)
    assert reached == 9


async def test_reading_without_a_token_does_not_wait() -> None:
    async def unasked(_: Token) -> int:
        raise AssertionError("asked")

    await await_position(None, log="rewards", checkpoint=unasked, parked=never_parked)


async def test_reading_gives_up_with_503_and_says_when_to_come_back() -> None:
    async def behind(_: Token) -> int:
        return 6

    with pytest.raises(Problem) as late:
        await await_position(TOKEN, log="rewards", checkpoint=behind, parked=never_parked, seconds=0.05)
    assert (late.value.status, late.value.headers["retry-after"]) == (503, "1")
    assert "Position 7" in late.value.detail
    assert "at 6" in late.value.detail


async def test_reading_waits_for_the_partition_of_the_stream_and_for_no_other(pool: asyncpg.Pool) -> None:
    class Pools(Projection):
        name = "pools"

    await pool.execute(projections.install_sql())
    await pool.execute(
        """INSERT INTO checkpoints (subscription, position, fingerprint)
           VALUES ('pools_v1', NULL, ''), ('pools_v1#0/2', 9, ''), ('pools_v1#1/2', 6, '')"""
    )
    first = f"SELECT {share_sql('$1', '2')} = 0"
    fast, *_ = [f"pool/{n}" for n in range(9) if await pool.fetchval(first, f"pool/{n}")]
    slow, *_ = [f"pool/{n}" for n in range(9) if not await pool.fetchval(first, f"pool/{n}")]
    fresh = Freshness(pool, Pools)

    async def read(stream: str) -> None:
        token = Token(log="rewards", stream=stream, position=7)
        await await_position(token, log="rewards", checkpoint=fresh.position, parked=fresh.parked, seconds=0.05)

    await read(fast)
    with pytest.raises(Problem, match="the read model is at 6"):
        await read(slow)
    await pool.execute("UPDATE checkpoints SET position = 7 WHERE subscription = 'pools_v1#1/2'")
    await read(slow)


async def test_reading_what_is_paused_is_503_at_once_with_the_reason_unless_it_is_shown_already() -> None:
    reached = 6

    async def checkpoint(_: Token) -> int:
        return reached

    async def paused() -> str | None:
        return "pools_v1 is paused by ann: the disk is being moved"

    async def read() -> None:
        await await_position(
            TOKEN, log="rewards", checkpoint=checkpoint, parked=never_parked, paused=paused, seconds=60
        )

    async with asyncio.timeout(240):
        with pytest.raises(Problem) as refused:
            await read()
        assert (refused.value.status, refused.value.detail) == (503, await paused())
        assert refused.value.headers["retry-after"] == "30"
        reached = 7
        await read()


@pytest.mark.parametrize("checkpoint_at", [0, 7, 100])
async def test_reading_what_is_parked_is_409_with_the_reason_wherever_the_checkpoint_is(checkpoint_at: int) -> None:
    async def checkpoint(_: Token) -> int:
        return checkpoint_at

    async def parked(_: Token) -> str | None:
        return "pool/listening: amount is negative"

    with pytest.raises(Problem) as refused:
        await await_position(TOKEN, log="rewards", checkpoint=checkpoint, parked=parked)
    assert (refused.value.status, refused.value.detail) == (409, "pool/listening: amount is negative")


async def test_a_token_of_another_log_is_refused() -> None:
    async def unasked(_: Token) -> int:
        raise AssertionError("asked")

    with pytest.raises(Problem) as refused:
        await await_position(TOKEN, log="royalties", checkpoint=unasked, parked=never_parked)
    assert refused.value.status == 400


async def test_over_http_a_command_is_seen_by_the_query_that_brings_its_token(
    served: httpx.AsyncClient, bearer: Bearer
) -> None:
    headers = {**bearer("writer"), "idempotency-key": "k1"}
    token = (await served.post("/notes", json={"text": "mine"}, headers=headers)).json()["token"]
    answer = await served.get("/notes", headers={"annals-after": token})
    assert (answer.status_code, answer.json()["items"]) == (200, ["mine"])

    future = Token(log="tiny", stream="notes", position=10**6).encode()
    answer = await served.get("/notes", headers={"annals-after": future})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.json()["type"] == "urn:annals:problem:not-yet-visible"

    parked = Token(log="tiny", stream="parked", position=1).encode()
    answer = await served.get("/notes", headers={"annals-after": parked})
    assert (answer.status_code, answer.json()["detail"]) == (409, "the note cannot be read")
    assert (await served.get("/notes", headers={"annals-after": "nonsense"})).status_code == 400
