"""Every way in which a superuser may forge a log, and the sentence that says so."""

from __future__ import annotations

from dataclasses import replace

import asyncpg
import pytest
from forgery import HOLE, fill, problems, seal_all, undone, verified

from eventlog import EventLog, explain
from eventlog.leaves import COLUMNS, SealedEvent, shown_time
from eventlog.seals import Seal
from eventlog.testing import as_superuser, credited, reseal_from
from eventlog.verification import verify


@pytest.fixture
async def seals(log: EventLog, pool: asyncpg.Pool) -> list[Seal]:
    await fill(log)
    return await seal_all(pool)


async def test_an_honest_log_has_no_problems(log: EventLog, pool: asyncpg.Pool, seals: list[Seal]) -> None:
    await log.append([credited("account/0")])  # not sealed yet
    result = await verified(pool, seals)
    assert result.problems == []
    assert result.ok
    assert (result.events, result.sealed_events, result.sealed_to) == (71, 70, 71)
    assert (result.seals, result.published, result.last_hash) == (5, 5, seals[-1].hash)


async def test_an_empty_log_has_no_problems(log: EventLog, pool: asyncpg.Pool) -> None:
    assert (await verified(pool)).problems == []


CHANGES = (
    """data = data::jsonb || '{"amount": 40}'""",
    """data = jsonb_set(data::jsonb, '{note}', '" "')""",
    """data = replace(data::text, '39', '39.0')::json""",
    """metadata = '{"actor": "somebody"}'""",
    "stream = 'account/x'",
    "version = version + 100",
    "event_id = gen_random_uuid()",
    "type = 'Debited'",
    "type_version = 1",
    "occurred_at = occurred_at + interval '1 microsecond'",
    "recorded_at = recorded_at - interval '1 microsecond'",
    "occurred_at = 'infinity'",
    "recorded_at = '4000-01-01 BC'",
)


async def test_one_changed_byte_of_any_column_is_found(pool: asyncpg.Pool, seals: list[Seal]) -> None:
    for change in CHANGES:
        async with undone(pool):
            await as_superuser(pool, f"UPDATE events SET {change} WHERE position = 41")
            found = [sentence for sentence in await problems(pool, seals) if sentence.endswith(" replaced or moved")]
        assert [sentence[:42] for sentence in found] == ["seal 3, positions 33 to 48: expected root "], change
    assert await problems(pool, seals) == []


async def test_copies_that_a_seal_vouches_for_show_what_was_forged(pool: asyncpg.Pool, seals: list[Seal]) -> None:
    copies = [SealedEvent(*row) for row in await pool.fetch(f"SELECT {COLUMNS} FROM events")]
    stored, kept, gone = (copies[number] for number in (40 - 2, 41 - 2, 60 - 2))
    await as_superuser(
        pool, "UPDATE events SET data = '{\"amount\": 1000}', recorded_at = 'infinity' WHERE position = 40"
    )
    await as_superuser(pool, "DELETE FROM events WHERE position = 60")
    await as_superuser(pool, f"UPDATE events SET position = {HOLE} WHERE position = 41")
    async with pool.acquire() as conn:
        broken = (await verify(conn)).broken
        assert [seal.number for seal in broken] == [2, 3, 4]
        assert [problem.sentence for problem in await explain(conn, broken, copies)] == [
            f"position {HOLE}: expected no event, as sealed, found event {kept.event_id} of stream account/4",
            f"position 40: data: expected {stored.data}, as sealed, found " + '{"amount": 1000}',
            f"position 40: recorded_at: expected {shown_time(stored.recorded_at)}, as sealed, found {2**63 - 1}",
            f"position 41: expected event {kept.event_id} of stream account/4, as sealed, found no event",
            f"position 60: expected event {gone.event_id} of stream account/3, as sealed, found no event",
        ]
        lies = [replace(copy, type="Debited") for copy in copies]
        assert await explain(conn, broken, lies) == [], "nothing vouches for such copies"


async def test_a_column_without_a_value_is_found(pool: asyncpg.Pool, seals: list[Seal]) -> None:
    await pool.execute("ALTER TABLE events ALTER type DROP NOT NULL")
    await as_superuser(pool, "UPDATE events SET type = NULL WHERE position = 41")
    assert [sentence[:42] for sentence in await problems(pool)] == ["seal 3, positions 33 to 48: expected root "]


async def test_a_deleted_row_is_found_and_its_stream_named(pool: asyncpg.Pool, seals: list[Seal]) -> None:
    await as_superuser(pool, "DELETE FROM events WHERE position = 41")
    assert await problems(pool) == [
        "seal 3, positions 33 to 48: expected 16 events, found 15: events were removed",
        "position 46: stream account/4: expected version 8, found 9",
    ]


async def test_two_rows_swapped_are_found(pool: asyncpg.Pool, seals: list[Seal]) -> None:
    await as_superuser(
        pool,
        """UPDATE events AS e SET position = -o.position FROM events AS o
           WHERE (e.position, o.position) IN ((41, 42), (42, 41))""",
    )
    await as_superuser(pool, "UPDATE events SET position = -position WHERE position < 0")
    found = await problems(pool)
    assert len(found) == 1
    assert "seal 3, positions 33 to 48: expected root" in found[0]


async def test_two_rows_of_a_stream_swapped_are_found_even_if_not_sealed(log: EventLog, pool: asyncpg.Pool) -> None:
    await fill(log)
    await as_superuser(
        pool,
        """UPDATE events AS e SET position = -o.position FROM events AS o
           WHERE (e.position, o.position) IN ((41, 46), (46, 41))""",
    )
    await as_superuser(pool, "UPDATE events SET position = -position WHERE position < 0")
    assert await problems(pool) == [
        "position 41: stream account/4: expected version 9 behind position 46, where the version before it stands",
    ]


async def test_a_row_put_into_a_sealed_hole_is_found(pool: asyncpg.Pool, seals: list[Seal]) -> None:
    await as_superuser(
        pool,
        f"""INSERT INTO events SELECT {HOLE}, 'new', 1, gen_random_uuid(), type, type_version, data, metadata,
            occurred_at, recorded_at FROM events WHERE position = 20""",
    )
    await as_superuser(pool, "INSERT INTO streams VALUES ('new', 1)")
    assert await problems(pool) == ["seal 2, positions 17 to 32: expected 15 events, found 16: events were put in"]


async def test_a_row_before_the_beginning_is_found(pool: asyncpg.Pool, seals: list[Seal]) -> None:
    await as_superuser(
        pool,
        """INSERT INTO events SELECT 0, 'new', 1, gen_random_uuid(), type, type_version, data, metadata,
           occurred_at, recorded_at FROM events WHERE position = 20""",
    )
    assert await problems(pool) == [
        "stream new: expected version 1 in `streams`, as its last event has, found no such stream",
        "position 0: expected 1 to 71, the last position drawn",
    ]


async def test_a_forged_tail_that_does_not_fit_its_streams_is_found(pool: asyncpg.Pool, seals: list[Seal]) -> None:
    forged = """INSERT INTO events SELECT nextval('events_position'), '{}', {}, {}, type, type_version, data, metadata,
                occurred_at, recorded_at FROM events WHERE position = 20"""
    await as_superuser(pool, forged.format("account/0", 16, "gen_random_uuid()"))  # version 15 is missing
    await as_superuser(pool, forged.format("unheard-of", 1, "gen_random_uuid()"))
    assert await problems(pool, seals) == [
        "position 72: stream account/0: expected version 15, found 16",
        "stream account/0: expected version 16 in `streams`, as its last event has, found 14",
        "stream unheard-of: expected version 1 in `streams`, as its last event has, found no such stream",
    ]


async def test_a_stream_without_its_events_is_found(pool: asyncpg.Pool, seals: list[Seal]) -> None:
    await as_superuser(pool, "INSERT INTO streams VALUES ('promised', 3)")
    assert await problems(pool) == ["stream promised: expected version 0 in `streams`, as its last event has, found 3"]


async def test_an_event_id_used_twice_is_found(pool: asyncpg.Pool, seals: list[Seal]) -> None:
    await pool.execute("ALTER TABLE events DROP CONSTRAINT events_event_id")
    await as_superuser(
        pool, "UPDATE events SET event_id = (SELECT event_id FROM events WHERE position = 3) WHERE position = 70"
    )
    event_id = await pool.fetchval("SELECT event_id FROM events WHERE position = 3")
    found = await problems(pool)
    assert "seal 5, positions 65 to 71: expected root" in found[0]
    assert found[1:] == [f"event {event_id}: expected one position, found [3, 70]"]


async def test_rows_doubled_after_the_keys_were_dropped_are_found(pool: asyncpg.Pool, seals: list[Seal]) -> None:
    await pool.execute(
        "ALTER TABLE events DROP CONSTRAINT events_event_id, DROP CONSTRAINT events_stream_version, "
        "DROP CONSTRAINT events_pkey"
    )
    await as_superuser(pool, "INSERT INTO events SELECT * FROM events WHERE position = 41")
    found = await problems(pool)
    assert "seal 3, positions 33 to 48: expected 16 events, found 17: events were put in" in found
    assert "position 41: stream account/4: expected version 9, found 8" in found


FORGED_SEALS = (
    ("root = sha256('x')", "seal 3: hash: expected "),
    ("events = 15", "seal 3: hash: expected "),
    ("sealed_at = sealed_at - interval '1 hour'", "seal 3: hash: expected "),
    ("previous = sha256('x')", "seal 3: previous: expected "),
    ("hash = sha256('x')", "seal 4: previous: expected "),
    ("number = 99", "seal 99: number: expected 6, found 99"),
    ("first_position = 34", "seal 3: first position: expected 33, found 34"),
    ("last_position = 49", "seal 4: first position: expected 50, found 49"),
    ("last_position = 98568", "seal 3: expected 1 to 65536 positions, found 98536"),
)


async def test_a_changed_seal_is_found_with_and_without_the_published_ones(
    pool: asyncpg.Pool, seals: list[Seal]
) -> None:
    await pool.execute("ALTER TABLE seals DROP CONSTRAINT seals_check")
    for change, sentence in FORGED_SEALS:
        async with undone(pool):
            await as_superuser(pool, f"UPDATE seals SET {change} WHERE number = 3")
            for published in (None, seals):
                found = await problems(pool, published)
                assert [one for one in found if one.startswith(sentence)], (change, found)


async def test_a_deleted_seal_is_found(pool: asyncpg.Pool, seals: list[Seal]) -> None:
    await as_superuser(pool, "DELETE FROM seals WHERE number = 3")
    found = await problems(pool, seals)
    assert "seal 4: number: expected 3, found 4" in found
    assert f"seal 3: expected hash {seals[2].hash.hex()}, as published, found no such seal" in found


async def test_the_last_seal_deleted_is_found_if_it_was_published(pool: asyncpg.Pool, seals: list[Seal]) -> None:
    await as_superuser(pool, "DELETE FROM seals WHERE number = 5")
    assert await problems(pool) == []
    assert await problems(pool, seals) == [
        f"seal 5: expected hash {seals[4].hash.hex()}, as published, found no such seal"
    ]


async def test_a_forged_seal_over_changed_events_is_found_by_the_seal_behind_it(
    pool: asyncpg.Pool, seals: list[Seal]
) -> None:
    await as_superuser(pool, "UPDATE events SET data = '{\"amount\": 1000}' WHERE position = 41")
    await reseal_from(pool, 3)
    kept = seals[3]
    await as_superuser(pool, "UPDATE seals SET previous = $1, hash = $2 WHERE number = 4", kept.previous, kept.hash)
    assert [sentence[:26] for sentence in await problems(pool)] == [
        "seal 4: previous: expected",
        "seal 5: previous: expected",
    ]


async def test_a_log_sealed_anew_is_consistent_in_itself_and_found_out_by_what_was_published(
    pool: asyncpg.Pool, seals: list[Seal]
) -> None:
    await as_superuser(
        pool, "UPDATE events SET event_id = gen_random_uuid(), data = '{\"amount\": 1000000}' WHERE position > 65"
    )
    await reseal_from(pool, 5)
    assert await problems(pool) == []
    [sentence] = await problems(pool, seals)
    assert sentence.startswith(f"seal 5: expected hash {seals[4].hash.hex()}, as published, found hash ")
    assert sentence.endswith(": the log was sealed anew")


async def test_published_seals_that_do_not_fit_each_other_are_named(pool: asyncpg.Pool, seals: list[Seal]) -> None:
    found = await problems(pool, [*seals[:2], *seals[3:]])
    assert "as published: seal 4: number: expected 3, found 4" in found


async def test_a_guard_that_was_taken_away_is_found(pool: asyncpg.Pool, seals: list[Seal]) -> None:
    await pool.execute("ALTER TABLE events DISABLE TRIGGER events_append_only; DROP TRIGGER seals_append_only ON seals")
    assert await problems(pool) == [
        "trigger events_append_only: expected enabled, found disabled",
        "trigger seals_append_only: expected enabled, found missing",
    ]


async def test_seals_are_append_only(pool: asyncpg.Pool, seals: list[Seal]) -> None:
    for statement in ("UPDATE seals SET events = 1", "DELETE FROM seals", "TRUNCATE seals"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="seals is append-only"):
            await pool.execute(statement)


async def test_verifying_says_how_far_it_is(pool: asyncpg.Pool, seals: list[Seal]) -> None:
    said: list[tuple[int, int]] = []
    async with pool.acquire() as conn:
        await verify(conn, on_progress=lambda done, total: said.append((done, total)))
    assert said[-1] == (71, 71)
