"""Copies for subjects: all that a log tells of one, and nothing of others, sealed to a key of its own."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from pydantic import SecretStr

from eventlog import EventLog, EventTypes, Executor, Intent, NewEvent, Watermark
from eventlog.testing import NOW, at_work, eventually
from privacy import (
    EVENTS,
    BrokenBox,
    Copies,
    Copy,
    ExportAsked,
    Exports,
    KeyStore,
    Personal,
    Sealed,
    Vault,
    export,
    export_stream,
    open_with,
    seal_for,
)

KEY = X25519PrivateKey.generate()
PRIVATE = base64.b64encode(KEY.private_bytes_raw()).decode()
PUBLIC = base64.b64encode(KEY.public_key().public_bytes_raw()).decode()
OTHERS = base64.b64encode(X25519PrivateKey.generate().private_bytes_raw()).decode()


@dataclass(frozen=True, slots=True)
class Met:
    who: str
    whom: str
    said: tuple[Sealed, ...]
    answer: Sealed


@dataclass(frozen=True, slots=True)
class Share:
    user: str
    amount: int


@dataclass(frozen=True, slots=True)
class Shared:
    shares: tuple[Share, ...]
    totals: Mapping[str, int]


@pytest.fixture
def log(keys: KeyStore, pool: asyncpg.Pool) -> EventLog:
    return EventLog(pool, EventTypes({"Met.v1": Met, "Shared.v1": Shared, **EVENTS}))


@pytest.fixture
def copies(pool: asyncpg.Pool, keys: KeyStore) -> Copies:
    return Copies(pool)


async def order(log: EventLog, subject: str, request: str = "request-1", expires_at: datetime | None = None) -> None:
    fact = ExportAsked(request, subject, PUBLIC, NOW, expires_at or datetime.now(UTC) + timedelta(days=1))
    await Executor(log).execute([Intent(export_stream(request, subject), export, fact, NOW)])


async def gathered(log: EventLog) -> list[Any]:
    return [recorded.event for recorded in await log.read(0, 2**62, types=["ExportGathered"])]


@asynccontextmanager
async def working(log: EventLog, keys: KeyStore, vault: Vault, copies: Copies) -> AsyncIterator[None]:
    watermark = Watermark(log.pool, poll_seconds=0.01)
    exports = Exports("notes", log, watermark, keys, vault, copies)
    async with at_work(watermark.run(), exports.run()):
        yield


async def test_a_copy_tells_all_of_its_subject_and_nothing_of_others(
    log: EventLog, keys: KeyStore, vault: Vault, copies: Copies
) -> None:
    hers, his = await vault.seal(
        [Personal("ada", "words", SecretStr('{"greeting": "hello"}')), Personal("bob", "words", SecretStr("secret"))]
    )
    shares = (Share("ada", 7), Share("bob", 9), Share("adam", 11))
    events = [
        NewEvent("meetings", Met("ada", "bob", (hers, his), his), NOW),
        NewEvent("meetings", Met("bob", "adam", (his,), his), NOW),
        NewEvent("month", Shared(shares, {"ada": 7, "bob": 9, "adam": 11}), NOW),
        NewEvent("diary/ada", Shared((Share("eve", 1),), {}), NOW),
    ]
    await log.append(events)
    await order(log, "ada")
    async with working(log, keys, vault, copies):
        await eventually(lambda: gathered(log))
    [fact] = await gathered(log)
    [copy] = await copies.of("request-1")
    assert (fact.content_hash, fact.size, fact.events) == (copy.content_hash, len(copy.box), 3)
    document = json.loads(open_with(PRIVATE, copy))
    assert (document["service"], document["subject"], document["upto"]) == ("notes", "ada", 4)
    assert document["log"] == str(await log.identity())
    assert [(told["position"], told["type"], told["data"]) for told in document["events"]] == [
        (1, "Met", {"who": "ada", "whom": "bob", "said": [{"greeting": "hello"}], "answer": None}),
        (3, "Shared", {"shares": [{"user": "ada", "amount": 7}], "totals": {"ada": 7}}),
        (4, "Shared", {"shares": [{"user": "eve", "amount": 1}], "totals": {}}),
    ]


async def test_a_copy_is_made_once_and_again_only_after_it_was_lost(
    log: EventLog, keys: KeyStore, vault: Vault, copies: Copies
) -> None:
    await order(log, "ada")
    for times in (1, 1, 2):
        if times == 2:
            await log.pool.execute("DELETE FROM copies")
        await log.pool.execute("DELETE FROM carried_out")
        async with working(log, keys, vault, copies):
            await eventually(lambda: log.pool.fetchval("SELECT EXISTS (SELECT FROM carried_out WHERE position > 0)"))
        assert len(await gathered(log)) == times
        [copy] = await copies.of("request-1")
        assert copy.content_hash == (await gathered(log))[-1].content_hash


async def test_an_expired_copy_is_found_no_more_and_then_destroyed(
    log: EventLog, keys: KeyStore, vault: Vault, copies: Copies
) -> None:
    past = datetime.now(UTC) - timedelta(seconds=1)
    for number, expires_at in enumerate((past, datetime.now(UTC) + timedelta(days=1))):
        await copies.keep(Copy(f"request-{number}", "ada", "notes", b"box", expires_at))
    assert await copies.of("request-0") == []
    assert await copies.find("request-0", "ada", "notes") is None
    assert await copies.find("request-1", "ada", "notes") is not None
    assert await copies.destroy_expired() == 1
    await order(log, "bob", "request-2", past)
    await order(log, "bob", "request-3")
    async with working(log, keys, vault, copies):
        await eventually(lambda: gathered(log))
    assert [fact.request_id for fact in await gathered(log)] == ["request-3"]


async def test_an_erasure_destroys_the_copies_of_its_subject_for_good(keys: KeyStore, copies: Copies) -> None:
    later = datetime.now(UTC) + timedelta(days=1)
    made = [Copy("request-1", subject, "notes", b"box", later) for subject in ("ada", "bob")]
    for copy in made:
        await copies.keep(copy)
    await keys.erase(["ada"])
    await copies.keep(made[0])
    assert [copy.subject for copy in await copies.of("request-1")] == ["bob"]


async def test_erasing_and_keeping_at_once_leave_no_copy(keys: KeyStore, copies: Copies, pool: asyncpg.Pool) -> None:
    later = datetime.now(UTC) + timedelta(days=1)
    for number in range(20):
        kept = (copies.keep(Copy(f"request-{copy}", f"u-{number}", "notes", b"box", later)) for copy in range(4))
        await asyncio.gather(*kept, keys.erase([f"u-{number}"]))
    assert await pool.fetchval("SELECT count(*) FROM copies") == 0


def test_only_the_subjects_own_key_opens_its_copy_and_only_as_what_it_is() -> None:
    later = datetime.now(UTC)
    box = seal_for(PUBLIC, "request-1", "ada", b"hello")
    assert b"hello" not in box
    assert open_with(PRIVATE, Copy("request-1", "ada", "notes", box, later)) == b"hello"
    for key, copy in (
        (OTHERS, Copy("request-1", "ada", "notes", box, later)),
        (PRIVATE, Copy("request-2", "ada", "notes", box, later)),
        (PRIVATE, Copy("request-1", "bob", "notes", box, later)),
        (PRIVATE, Copy("request-1", "ada", "notes", box[:-1] + bytes([box[-1] ^ 1]), later)),
        ("no key", Copy("request-1", "ada", "notes", box, later)),
    ):
        with pytest.raises(BrokenBox):
            open_with(key, copy)
