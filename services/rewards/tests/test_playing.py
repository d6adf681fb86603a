"""Listens that are told in parts: what counts of them, and that each is decided once."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from itertools import pairwise
from typing import Any

import asyncpg
import hypothesis.strategies as st
import pytest
from hypothesis import given as for_all
from rewards_deeds import NOON, NOWHERE

import eventlog
from eventlog import EventLog, EventTypes, Executor, Intent
from eventlog.testing import given
from rewards import domain
from rewards.domain.playing import EndPlaying, HearPart, PlayingStarted, StartPlaying, joined, playing_stream
from service.testing import Running

pytestmark = pytest.mark.endurance
STARTED = PlayingStarted("l1", "ada", "t1", 300, NOWHERE, NOON)
KEY = {"idempotency-key": "k"}
SECOND = timedelta(seconds=1)


def heard(first: int, end: int, after: float) -> domain.PartHeard:
    """A part, told so many seconds after the start."""
    return domain.PartHeard("l1", first, end, NOON + after * SECOND)


def ended(seconds: int, after: float) -> domain.PlayingEnded:
    return domain.PlayingEnded(domain.Listen("l1", "ada", NOON + after * SECOND, NOWHERE, "t1", seconds, 300))


def test_overlapping_parts_count_once_and_no_faster_than_our_clock() -> None:
    end = EndPlaying("l1")
    given(domain.playing, STARTED, heard(0, 30, 30), heard(20, 60, 60)).when(end).then(ended(60, 60))
    given(domain.playing, STARTED, heard(0, 30, 30), heard(200, 230, 61)).when(end).then(ended(60, 61))
    given(domain.playing, STARTED, heard(0, 300, 9.9)).when(end).then(ended(9, 9.9))
    given(domain.playing, STARTED).when(end).then(ended(0, 0))
    again = HearPart("l1", 10, 40, NOON + 300 * SECOND)
    given(domain.playing, STARTED, heard(0, 30, 30), heard(30, 60, 60)).when(again).then_nothing()


@for_all(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 15)), max_size=12))
def test_seconds_are_joined_as_a_set_of_seconds_is(parts: list[tuple[int, int]]) -> None:
    spans: tuple[tuple[int, int], ...] = ()
    seconds: set[int] = set()
    for first, length in parts:
        spans = joined(spans, (first, first + length))
        seconds |= set(range(first, first + length))
    assert [second for first, end in spans for second in range(first, end)] == sorted(seconds)
    assert all(end < first for (_, end), (first, _) in pairwise(spans))


def test_one_track_plays_at_a_time_and_a_start_ends_what_nobody_ended() -> None:
    other = PlayingStarted("l2", "ada", "t2", 200, NOWHERE, NOON + 500 * SECOND)
    given(domain.playing, STARTED, heard(0, 90, 95)).when(StartPlaying(other)).then(ended(90, 95), other)
    late = HearPart("l1", 90, 120, NOON + 501 * SECOND)
    given(domain.playing, STARTED, ended(0, 0), other).when(late).then_refused(domain.RefusedPart, "now: l2")
    given(domain.playing, STARTED, ended(0, 0), other).when(EndPlaying("l1")).then_nothing()


def test_a_part_that_fits_nothing_is_refused_and_one_that_came_before_changes_nothing() -> None:
    given(domain.playing).when(EndPlaying("l1")).then_refused(domain.RefusedPart, "now: None")
    given(domain.playing, STARTED).when(StartPlaying(STARTED)).then_nothing()
    other = PlayingStarted("l1", "ada", "t2", 300, NOWHERE, NOON)
    given(domain.playing, STARTED).when(StartPlaying(other)).then_refused(domain.RefusedPart, "another track")
    given(domain.playing, STARTED, ended(0, 0)).when(StartPlaying(STARTED)).then_refused(domain.RefusedPart, "ended")
    for first, end in ((5, 5), (9, 3), (290, 301)):
        part = HearPart("l1", first, end, NOON)
        given(domain.playing, STARTED).when(part).then_refused(domain.RefusedPart, "<= 300")


async def begun_earlier(pool: asyncpg.Pool, user: str, seconds: int, **more: Any) -> None:
    """What the service would hold of a listen that began so long ago, and was told of in parts until now."""
    executor = Executor(EventLog(pool, EventTypes(domain.EVENTS)))
    now = await pool.fetchval("SELECT now()")
    began = now - seconds * SECOND
    start = StartPlaying(PlayingStarted("l1", user, "t1", 300, NOWHERE, began))
    parts = [start, HearPart("l1", 0, seconds // 2, now - SECOND), HearPart("l1", seconds // 3, seconds, now)]
    await executor.execute([Intent(playing_stream(user), domain.playing, part, now) for part in parts])


async def test_a_listen_in_parts_is_decided_once_when_it_ends(rewards: Running) -> None:
    pool = rewards.pool
    async with rewards.client("ada", "user") as ada, rewards.client("bob", "user") as bob:

        async def tell(kind: str, activity_id: str = "l1", **more: Any) -> Any:
            part = {"kind": kind, "activity_id": activity_id, **more}
            return (await ada.post("/users/ada/playing", json=part, headers=KEY)).json()

        track = {"track_id": "t1", "track_seconds": 300}
        assert (await tell("start", "l0", **track))["ended"] is None
        assert (await tell("progress", "l0", first_second=0, end_second=300))["heard_seconds"] < 200
        await begun_earlier(pool, "ada", 200)  # which ends l0, without a word about it
        assert (await tell("progress", "l0", first_second=0, end_second=9))["type"].endswith("not-playing")
        ends = await asyncio.gather(*(tell("end") for _ in range(5)))
        [result] = {tuple(end["ended"].items()) for end in ends}
        assert (dict(result)["activity_id"], dict(result)["outcome"]) == ("l1", "earned")
        assert sorted(end["events"] for end in ends)[:4] == [0, 0, 0, 0]
        await rewards.shown()
        [listen] = (await ada.get("/users/ada/listening-rewards")).json()["items"]
        assert (listen["listened_seconds"], listen["track_id"]) == (200, "t1")

        assert (await tell("start", "l2", **track))["ended"] is None
        given_up = (await tell("start", "l3", **track))["ended"]
        assert (given_up["activity_id"], given_up["reason"]) == ("l2", "too-short")
        part = {"kind": "end", "activity_id": "l3"}
        assert (await bob.post("/users/ada/playing", json=part, headers=KEY)).status_code == 403


async def test_rivals_who_end_and_start_listens_of_one_user_decide_each_once(pool: asyncpg.Pool) -> None:
    await pool.execute(eventlog.install_sql())
    executors = [Executor(EventLog(pool, EventTypes(domain.EVENTS))) for _ in range(3)]

    async def play(number: int) -> None:
        start = StartPlaying(PlayingStarted(f"l{number}", "ada", "t1", 300, NOWHERE, NOON))
        await executors[number % 3].execute([Intent(playing_stream("ada"), domain.playing, start, NOON)])

    await asyncio.gather(*(play(number) for number in range(9)))
    events = [recorded.event for recorded in await executors[0].log.read_stream(playing_stream("ada"))]
    assert [type(event).__name__ for event in events] == ["PlayingStarted"] + 8 * ["PlayingEnded", "PlayingStarted"]
