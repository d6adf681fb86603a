from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from eventlog import EventLog, EventTypes, NewEvent, RecordedEvent, Watermark
from eventlog.testing import NOW, at_work, eventually
from privacy import EVENTS, KeyStore, Orders, SubjectErased, orders


@dataclass(frozen=True, slots=True)
class Noted:
    text: str


async def test_a_log_that_grows_without_orders_is_looked_through_and_noted_now_and_then(
    pool: asyncpg.Pool, keys: KeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orders, "LOOK_SECONDS", 0.2)
    monkeypatch.setattr(orders, "STORE_SECONDS", 3_600.0)
    log = EventLog(pool, EventTypes({"Noted.v1": Noted, **EVENTS}))
    identity, watermark = await log.identity(), Watermark(pool, poll_seconds=0.01)
    followed = Orders("task", log, watermark, keys, [SubjectErased], 10)
    found: list[RecordedEvent] = []
    looks: list[int] = []
    read = log.read

    async def looking(*args: Any, **named: Any) -> list[RecordedEvent]:
        looks.append(followed.read)
        return await read(*args, **named)

    async def follow() -> None:
        await followed.begin()
        while True:
            found.extend(await followed.next(5.0))
            await followed.carried_out(followed.read)

    monkeypatch.setattr(log, "read", looking)
    async with at_work(watermark.run(), follow()):
        for _ in range(50):
            await log.append([NewEvent("noise", Noted("x"), NOW)])
            await asyncio.sleep(0.02)
        assert 1 <= len(looks) <= 10, "once in 0.2 s, not once an append"
        assert await keys.done("task", identity) < 50, "only the first is stored at once"
        await log.append([NewEvent("erasure/request-1/u-1", SubjectErased("request-1", "u-1", NOW), NOW)])
        await eventually(lambda: _is_done(keys, identity, 51))
    assert [one.position for one in found] == [51]


async def _is_done(keys: KeyStore, log_id: UUID, position: int) -> bool:
    return await keys.done("task", log_id) >= position
