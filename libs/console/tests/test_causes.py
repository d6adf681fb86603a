"""Events of a log, searched and followed; over a real PostgreSQL."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import asyncpg
from door import Door, Played, Shop

from console import causes, logs
from console.causes import Node
from console.logs import Stored, Wanted
from console.rendering import pretty
from eventlog import EventLog, Metadata, NewEvent

TRANSACTION = "ab" * 32
NOW = datetime(2026, 5, 1, tzinfo=UTC)


async def test_a_page_of_events_is_the_newest_that_fit_and_the_next_is_before_it(shop: Shop, log: EventLog) -> None:
    await log.append([played(f"play/{n % 2}", str(n)) for n in range(120)])
    first = await logs.search(shop, Wanted(stream="play/1"))
    second = await logs.search(shop, Wanted(stream="play/1", before=first[-1].position))
    assert [event.position for event in first] == list(range(120, 20, -2))
    assert [event.position for event in second] == list(range(20, 0, -2))


async def test_events_are_found_by_stream_beginning_type_time_and_what_led_to_them(shop: Shop, log: EventLog) -> None:
    await log.append([played("a/1", "x"), played("a/2", "y", cause=TRANSACTION), played("b", "z")])
    assert await streams(shop, Wanted(stream="a/")) == ["a/2", "a/1"]
    assert await streams(shop, Wanted(type="Played")) == ["b", "a/2", "a/1"]
    assert await streams(shop, Wanted(type="Paused")) == []
    assert await streams(shop, Wanted(correlation=TRANSACTION)) == ["a/2"]
    assert await streams(shop, Wanted(since=datetime(2100, 1, 1, tzinfo=UTC))) == []
    assert await streams(shop, Wanted(until=datetime(2100, 1, 1, tzinfo=UTC))) == ["b", "a/2", "a/1"]


async def test_an_event_is_followed_up_to_the_transaction_and_down_to_all_that_came_of_it(
    shop: Shop, log: EventLog
) -> None:
    sold = played("token/1", "sold", cause=TRANSACTION)
    paid = played("track/1", "paid", cause=str(sold.event_id))
    thanked = played("artist/1", "thanked", cause=str(paid.event_id))
    booked = played("books", "booked", cause=str(sold.event_id))
    await log.append([played("before", "x"), sold])
    await log.append([paid, booked, played("another", "y", cause="cd" * 32)])
    await log.append([thanked])

    asked = await logs.event(shop, thanked.event_id)
    assert asked is not None
    tree = await causes.tree_of(asked)
    assert drawn(tree.root) == (TRANSACTION, [("token/1", [("track/1", [("artist/1", [])]), ("books", [])])])
    assert tree.root.kind == "transaction"
    assert (tree.events, tree.cut) == (4, False)


async def test_a_tree_begins_with_the_event_that_nothing_caused(shop: Shop, log: EventLog) -> None:
    first = played("a", "first")
    await log.append([first, played("b", "second", cause=str(first.event_id))])
    found = await logs.event(shop, first.event_id)
    assert found is not None
    assert drawn((await causes.tree_of(found)).root) == ("a", [("b", [])])


def test_a_cause_is_a_transaction_a_message_or_a_command() -> None:
    kinds = [causes.kind_of(cause) for cause in (TRANSACTION, "01a2024d-1c96-73da-846f-35f2bcb14f52", "ada/claim-1")]
    assert kinds == ["transaction", "message", "command"]


def test_an_event_knows_its_place_on_the_chain() -> None:
    place = {"block_number": 7, "tx_id": TRANSACTION, "log_index": 0}
    assert stored({"source": {**place, "contract": "T"}}).place == place
    assert stored(place).place == place
    assert stored({"what": "x"}).place is None


async def test_the_list_of_events_tells_no_contents(door: Door, shop: Shop, log: EventLog) -> None:
    await log.append([played("u-17", "a song"), played("u-17", "another", cause=TRANSACTION)])
    async with door.visitor() as visitor:
        await door.let_in(visitor, "support")
        shown = (await visitor.get("/events", params={"service": "shop"})).text
    assert shown.count("u-17") == 2
    assert "a song" not in shown


async def test_what_an_event_says_is_shown_once_the_look_is_on_record(
    door: Door, shop: Shop, log: EventLog, pool: asyncpg.Pool
) -> None:
    event = played("u-17", "a song")
    await log.append([event])
    async with door.visitor() as visitor:
        await door.let_in(visitor, "auditor")
        shown = await visitor.get(f"/events/shop/{event.event_id}")
        assert "a song" in shown.text
    read = await pool.fetchrow("SELECT data, metadata FROM events WHERE type = 'PersonalDataRead'")
    assert json.loads(read["data"])["purpose"] == "review"
    assert json.loads(read["metadata"])["actor"] == "ada"


def test_a_value_under_a_persons_key_stays_sealed() -> None:
    sealed = {"subject": "u-17", "field": "email", "box": "A" * 44}
    assert json.loads(pretty(json.dumps({"user": "u-17", "emails": [sealed]}))) == {
        "user": "u-17",
        "emails": ["⟨sealed: email⟩"],
    }


def played(stream: str, what: str, cause: str | None = None) -> NewEvent:
    return NewEvent(stream, Played(what), NOW, metadata=Metadata(causation_id=cause))


async def streams(shop: Shop, wanted: Wanted) -> list[str]:
    return [event.stream for event in await logs.search(shop, wanted)]


def drawn(node: Node) -> tuple[str, list[object]]:
    return node.event.stream if node.event else node.id, [drawn(effect) for effect in node.effects]


def stored(data: object) -> Stored:
    return Stored("shop", 1, "a", 1, "id", "Played", 1, json.dumps(data), {}, NOW, NOW)
