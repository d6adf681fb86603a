"""Subscriptions to some types and to streams whose names begin so, and the index that makes rare ones cheap."""

from __future__ import annotations

import json

import asyncpg
import pytest

from eventlog import EventLog, NewEvent, index_sql
from eventlog.selection import where
from eventlog.testing import NOW, Credited, Debited

EVENTS = 1_000_000
RARE = 2_000  # one event in so many is rare
POSITION = "position > $1 AND position <= $2"


async def test_events_are_selected_by_type_by_prefix_and_by_both(log: EventLog) -> None:
    events = [
        NewEvent(stream, cls(1), NOW)
        for stream in ("pool/a", "pool%", "pool'; --/", "POOL/a", "pool/b")
        for cls in (Credited, Debited)
    ]
    last = (await log.append(events)).position

    async def selected(**chosen: object) -> list[tuple[str, str]]:
        return [(e.stream, e.type) for e in await log.read(0, last, **chosen)]  # type: ignore[arg-type]

    assert await selected(streams="pool/") == [(s, t) for s in ("pool/a", "pool/b") for t in ("Credited", "Debited")]
    assert await selected(streams="pool/", types=["Debited"]) == [("pool/a", "Debited"), ("pool/b", "Debited")]
    assert await selected(streams="pool'; --", types=["Credited"]) == [("pool'; --/", "Credited")]
    assert await selected(streams="pool%", types=["Credited"]) == [("pool%", "Credited")]
    assert await selected(types=["' OR true --"]) == await selected(types=[]) == []
    assert len(await selected(streams="")) == len(events)


def test_an_index_of_everything_or_with_an_odd_name_is_refused() -> None:
    with pytest.raises(ValueError, match="expected types or a prefix"):
        index_sql("events_of_all")
    with pytest.raises(ValueError, match="expected types or a prefix"):
        index_sql("events_of_none", types=[])
    with pytest.raises(ValueError, match="expected lower-case letters"):
        index_sql("events; DROP TABLE events", types=["Credited"])


@pytest.fixture
async def million(log: EventLog) -> EventLog:
    """A log of a million events, of which one in 2,000 is a claim, and one in 2,000 a debit."""
    await log.pool.execute(
        f"""INSERT INTO events (stream, version, event_id, type, type_version, data, metadata, occurred_at)
            SELECT CASE WHEN n % {RARE} = 0 THEN 'claim/' || n ELSE 'account/' || n END, 1,
                   ('00000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid,
                   CASE WHEN n % {RARE} = 1 THEN 'Debited' ELSE 'Credited' END, 1, '{{"amount": 1}}', '{{}}', now()
            FROM generate_series(1, {EVENTS}) AS n""",
        timeout=300,
    )
    await log.pool.execute("ANALYZE events", timeout=300)
    return log


@pytest.mark.endurance
async def test_a_rare_selection_among_a_million_events_is_read_from_its_index_in_order_and_without_a_sort(
    million: EventLog, pool: asyncpg.Pool
) -> None:
    chosen = {"events_of_claims": {"streams": "claim/"}, "events_of_debits": {"types": ["Debited", "Vanished"]}}
    before = {name: await million.read(0, EVENTS, **selection) for name, selection in chosen.items()}
    assert [len(events) for events in before.values()] == [EVENTS // RARE] * 2

    for name, selection in chosen.items():
        await pool.execute(index_sql(name, **selection), timeout=300)  # type: ignore[arg-type]
    for name, selection in chosen.items():
        assert await plan(pool, where(**selection)) == ("Index Scan", name)  # type: ignore[arg-type]
        after = await million.read(0, EVENTS, **selection)
        assert [event.position for event in after] == [event.position for event in before[name]]
        pages = await pool.fetchval("SELECT relpages FROM pg_class WHERE relname = $1", name)
        assert pages * 8192 / EVENTS < 0.1, "bytes for each event of the log"
    assert await plan(pool, where(["Debited"])) == ("Index Scan", "events_of_debits"), "for some of its types, too"
    assert await plan(pool, where(["Credited"])) == ("Index Scan", "events_pkey"), "not rare: by position"


async def plan(pool: asyncpg.Pool, selected: str) -> tuple[str, str]:
    """The node below LIMIT, also of the plan for all values that a prepared statement settles on, and its index."""
    plans = []
    for mode in ("force_custom_plan", "force_generic_plan"):
        async with pool.acquire() as conn, conn.transaction():
            await conn.execute(f"SET LOCAL plan_cache_mode = {mode}")
            await conn.execute(
                "PREPARE reading (bigint, bigint, bigint) AS "
                f"SELECT * FROM events WHERE {POSITION} AND {selected} ORDER BY position LIMIT $3"
            )
            explained = await conn.fetchval(f"EXPLAIN (FORMAT JSON) EXECUTE reading (0, {EVENTS}, 5000)")
            await conn.execute("DEALLOCATE reading")
        [node] = json.loads(explained)[0]["Plan"]["Plans"]
        plans.append((node["Node Type"], node["Index Name"]))
    assert plans[0] == plans[1]
    return plans[0]
