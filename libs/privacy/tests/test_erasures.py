from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncpg
import pytest
from pydantic import SecretStr

from eventlog import EventLog, EventTypes, Executor, Intent, NewEvent, RecordedEvent, Sealer, Watermark
from eventlog.testing import NOW, at_work, eventually
from privacy import (
    EVENTS,
    Cleared,
    ErasureCarriedOut,
    Erasures,
    KeyStore,
    Personal,
    SubjectErased,
    Vault,
    VaultLocked,
    erasure,
    erasure_stream,
    erasures,
)
from privacy.erasures import nothing_to_clear


@dataclass(frozen=True, slots=True)
class Noted:
    text: str


@pytest.fixture
def log(keys: KeyStore, pool: asyncpg.Pool) -> EventLog:
    return EventLog(pool, EventTypes({"Noted.v1": Noted, **EVENTS}))


async def erase(log: EventLog, *subjects: str) -> None:
    facts = [SubjectErased("request-1", subject, NOW) for subject in subjects]
    orders = [Intent(erasure_stream(fact.request_id, fact.subject), erasure, fact, NOW) for fact in facts]
    await log.append([NewEvent("noise", Noted("x"), NOW)])
    await Executor(log).execute(orders)


async def carried_out(log: EventLog) -> list[str]:
    return [recorded.event.subject for recorded in await log.read(0, 2**62, types=["ErasureCarriedOut"])]


@asynccontextmanager
async def working(
    log: EventLog, keys: KeyStore, vault: Vault, cleared: Cleared = nothing_to_clear
) -> AsyncIterator[None]:
    watermark = Watermark(log.pool, poll_seconds=0.01)
    erasures = Erasures(log, watermark, keys, vault, cleared)
    async with at_work(watermark.run(), erasures.run()):
        yield


async def test_the_log_says_who_is_erased_and_the_keys_follow(log: EventLog, keys: KeyStore, vault: Vault) -> None:
    sealed = await vault.seal([Personal(f"u-{number}", "email", SecretStr("x")) for number in range(4)])
    await erase(log, "u-0", "u-1")
    async with working(log, keys, vault):
        await erase(log, "u-2", "u-9")
        await eventually(lambda: _equals(carried_out(log), ["u-0", "u-1", "u-2", "u-9"]))
        opened = await vault.open(sealed)
        assert [value is None for value in opened] == [True, True, True, False], "told when nobody remembers them"


async def test_an_erasure_ends_when_the_read_models_have_cleared_their_rows(
    log: EventLog, keys: KeyStore, vault: Vault
) -> None:
    shown = asyncio.Event()

    async def cleared(erased: RecordedEvent) -> Mapping[str, int] | None:
        if not shown.is_set():
            shown.set()
            return None
        return {"contacts": 2}

    await erase(log, "u-1")
    [seal] = await Sealer(log.pool, Watermark(log.pool)).seal(await Watermark(log.pool).measure())
    async with working(log, keys, vault, cleared):
        await eventually(lambda: _equals(carried_out(log), ["u-1"]))
    [done] = [found.event for found in await log.read(0, 2**62, types=["ErasureCarriedOut"])]
    assert done == ErasureCarriedOut("request-1", "u-1", {"contacts": 2}, 1, seal.hash.hex())
    assert shown.is_set()


async def test_killed_at_any_step_each_erasure_is_told_once(
    log: EventLog, keys: KeyStore, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    await vault.seal([Personal("u-1", "email", SecretStr("x"))])
    await erase(log, "u-1")
    identity = await log.identity()

    async def dies(_: RecordedEvent) -> None:
        raise ConnectionError("before it is recorded")

    async with working(log, keys, vault, dies):
        await eventually(lambda: _equals(keys.erased(["u-1"]), {"u-1"}))
    assert await keys.done("erasures", identity) == 0, "not done, so it is taken up again"

    async def dies_after(*_: object) -> None:
        raise ConnectionError("after it is recorded")

    with monkeypatch.context() as killed:
        killed.setattr(keys, "advance", dies_after)
        async with working(log, keys, vault):
            await eventually(lambda: _equals(carried_out(log), ["u-1"]))
    assert await keys.done("erasures", identity) == 0
    async with working(log, keys, vault):
        await eventually(lambda: _at_least(keys.done("erasures", identity), 2))
    assert await carried_out(log) == ["u-1"]


async def test_with_keys_of_an_old_backup_nothing_is_opened_before_they_are_destroyed_again(
    log: EventLog, keys: KeyStore, vault: Vault, pool: asyncpg.Pool
) -> None:
    [sealed] = await vault.seal([Personal("u-1", "email", SecretStr("x"))])
    backup = await pool.fetch("SELECT * FROM subject_keys")
    await erase(log, "u-1")
    async with working(log, keys, vault):
        await eventually(lambda: _equals(carried_out(log), ["u-1"]))
    await pool.execute("TRUNCATE subject_keys, carried_out")
    await pool.copy_records_to_table("subject_keys", records=backup)
    assert await Vault(keys).open([sealed]) != [None], "the backup has it still"
    restored = Vault(keys, seconds=0.2, locked=True)
    with pytest.raises(VaultLocked):
        await restored.open([sealed])
    async with working(log, keys, restored):
        await eventually(lambda: _unlocked(restored))
        assert await restored.open([sealed]) == [None]


async def test_where_nothing_is_appended_the_vault_opens_without_waiting_for_it(
    log: EventLog, keys: KeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erasures, "WAIT_SECONDS", 3_600.0)
    await log.append([NewEvent("noise", Noted("x"), NOW)])
    identity = await log.identity()
    for _ in ("behind the log", "level with it"):
        restarted = Vault(keys, locked=True)
        async with working(log, keys, restarted):
            await eventually(lambda vault=restarted: _unlocked(vault))
            await eventually(lambda: _at_least(keys.done("erasures", identity), 1))


async def _unlocked(vault: Vault) -> bool:
    return not vault.locked


async def _equals(found: Awaitable[object], expected: object) -> bool:
    return await found == expected


async def _at_least(found: Awaitable[int], expected: int) -> bool:
    return await found >= expected
