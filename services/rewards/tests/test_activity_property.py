"""Whatever users report, in whatever order: no limit is passed and nothing is rewarded twice.

What is expected is counted here from the list of all events, by other code than the decisions use.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rewards_deeds import NOON, World, listen, referral, share, transfer, vote

from contracts.chain import Pool
from rewards import domain
from rewards.domain.rules import BUILT_IN

pytestmark = pytest.mark.endurance

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
USERS = ("ada", "bob", "cleo")
ORIGINS = (domain.Origin(), domain.Origin("a" * 32, "d" * 32), domain.Origin("a" * 32, "e" * 32))
RULE = BUILT_IN[Pool.LISTENING].rule
STRICT = {"daily_limit": 4 * RULE.amount, "per_track_and_hour": 2, "per_address_track_and_hour": 3}

HOURS = (0, 0, 0, 1, 13)
DELAYS = (*[0] * 12, -10, 1, 5, 60, 600, 60 * 49, 60 * 24 * 10)  # minutes until it is reported
Told = list[tuple[domain.AnyActivity, timedelta]]


def told_of(draws: list[tuple[int, int, int, int, int]]) -> Told:
    """What a list of drawn numbers stands for: mostly listens, mostly of ada, some with an id that was used before."""
    told: Told = []
    for number, (kind, user_at, when, delay, other) in enumerate(draws):
        user = USERS[max(0, user_at - 2)]
        at = NOON + HOURS[when % len(HOURS)] * HOUR + when // len(HOURS) * MINUTE
        id = f"a{number if number % 5 else number // 10}"
        origin, track = ORIGINS[other % 3], f"t{other % 2}"
        activity: domain.AnyActivity
        match kind:
            case 0:
                activity = share(id, user, at=at)
            case 1:
                activity = vote(f"t{other}", other % 2 == 0, user, at, id)
            case 2:
                activity = referral(user, USERS[other % 3], at)
            case 3:
                activity = transfer(f"n{other}", "dora", other, user=user, at=at)
            case _:
                activity = listen(id, user, track, 20 if other == 7 else 200, at=at, origin=origin)
        told.append((activity, DELAYS[delay] * MINUTE))
    return told


numbers = st.tuples(
    st.integers(0, 11), st.integers(0, 4), st.integers(0, 299), st.integers(0, len(DELAYS) - 1), st.integers(0, 8)
)
reports = st.lists(numbers, min_size=20, max_size=60).map(told_of)


def play(told: Told) -> tuple[World, list[domain.ActivityRecorded]]:
    """Reports all; returns what was recorded, each once."""
    world = World().change(Pool.LISTENING, **STRICT)
    world.happened("standing/dora", domain.ClientKeyRegistered("dora", "aa" * 32))
    for activity, delay in told:
        with suppress(domain.ConflictingActivity):
            world.report(activity, activity.at + delay)
    recorded = [event for _, event in world.states.events if not isinstance(event, domain.Referred)]
    return world, recorded


@settings(max_examples=120)
@given(reports)
def test_no_sequence_passes_a_limit_or_is_rewarded_twice(told: Told) -> None:
    world, recorded = play(told)
    granted = [event for event in recorded if event.verdict.outcome in ("earned", "held")]
    heard = [event for event in granted if isinstance(event, domain.ListenRecorded)]

    per_day: dict[Any, int] = defaultdict(int)
    for event in heard:
        per_day[event.activity.user, event.activity.at.strftime("%Y-%m-%d")] += event.verdict.amount
    assert all(amount <= STRICT["daily_limit"] for amount in per_day.values())

    hours = Counter((e.activity.user, e.activity.track, e.activity.at.strftime("%Y-%m-%dT%H")) for e in heard)
    assert all(count <= STRICT["per_track_and_hour"] for count in hours.values())
    addresses = Counter(
        (e.activity.track, e.activity.at.strftime("%Y-%m-%dT%H"))
        for e in heard
        if e.activity.origin.address is not None
    )
    assert all(count <= STRICT["per_address_track_and_hour"] for count in addresses.values())

    names = Counter((event.activity.stream_kind, event.activity.user, event.activity.id) for event in granted)
    assert all(count == 1 for count in names.values())
    voted = Counter((e.activity.user, e.activity.track) for e in granted if isinstance(e, domain.VoteRecorded))
    assert all(count == 1 for count in voted.values())
    brought = Counter(e.activity.referred for e in granted if isinstance(e, domain.ReferralRecorded))
    assert all(count == 1 for count in brought.values())
    assert not ring({e.activity.referred: e.activity.user for e in granted if isinstance(e, domain.ReferralRecorded)})

    sums: dict[str, int] = defaultdict(int)
    for event in granted:
        sums[event.activity.stream] += event.verdict.amount
    for stream, amount in sums.items():
        assert world.account(stream).balance.earned == amount


def ring(by: dict[str, str]) -> bool:
    """Whether somebody was referred, by however many steps, by themselves."""
    for user in by:
        seen, up = {user}, by.get(user)
        while up is not None and up not in seen:
            seen.add(up)
            up = by.get(up)
        if up is not None:
            return True
    return False


@settings(max_examples=60)
@given(reports, st.data())
def test_reporting_again_changes_nothing(told: Told, data: st.DataObject) -> None:
    world, recorded = play(told)
    remembered = [one for one in recorded if world.account(one.activity.stream).known(one.activity.id) is one]
    before = dict(world.states.of)
    for event in data.draw(st.lists(st.sampled_from(remembered), max_size=10)) if remembered else []:
        elsewhere = replace(event.activity, origin=domain.Origin("f" * 32))
        assert world.report(elsewhere, event.reported_at + MINUTE) is event
    assert world.states.of == before


@settings(max_examples=60)
@given(reports)
def test_every_verdict_is_found_again_by_replaying_the_same_reports(
    told: Told,
) -> None:
    _, recorded = play(told)
    world = World().change(Pool.LISTENING, **STRICT)
    world.happened("standing/dora", domain.ClientKeyRegistered("dora", "aa" * 32))
    for event in recorded:
        assert world.report(event.activity, event.reported_at, flaw=event.flaw).verdict == event.verdict
