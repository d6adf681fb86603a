from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from contracts.chain import Pool
from contracts.testing import address, hash_of, source
from eventlog.testing import given
from rewards.domain import (
    LISTENING_RULE,
    CastVote,
    ClaimPaid,
    ConflictingClaim,
    ListenNotRewarded,
    ListenRewarded,
    RecordListen,
    VoteCast,
    claim,
    listening,
    vote,
)

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


def listen(number: int = 1, seconds: int = 200, track: str = "t1", at: datetime = NOON) -> RecordListen:
    return RecordListen(f"l{number}", "ada", track, seconds, 300, ended_at=at, reported_at=at)


def rewarded(number: int = 1, seconds: int = 200, track: str = "t1", at: datetime = NOON) -> ListenRewarded:
    return ListenRewarded(f"l{number}", "ada", track, seconds, at, LISTENING_RULE.amount, 1)


def refused(reason: str, number: int = 1, seconds: int = 200, at: datetime = NOON) -> ListenNotRewarded:
    return ListenNotRewarded(f"l{number}", "ada", "t1", seconds, at, reason, 1)


def test_a_listen_counts_after_half_the_track() -> None:
    given(listening).when(listen(seconds=150)).then(rewarded(seconds=150))
    given(listening).when(listen(seconds=149)).then(refused("too-short", seconds=149))


def test_a_long_track_counts_after_four_minutes_and_a_short_one_after_thirty_seconds() -> None:
    assert LISTENING_RULE.needed_seconds(3_000) == 240
    assert LISTENING_RULE.needed_seconds(40) == 30


def test_a_listen_reported_twice_counts_once() -> None:
    given(listening, rewarded()).when(listen()).then_nothing()
    given(listening, refused("too-short")).when(listen(seconds=300)).then_nothing()


def test_one_track_counts_four_times_an_hour() -> None:
    four = [rewarded(n, at=NOON + timedelta(minutes=10 * n)) for n in range(4)]
    soon, later = NOON + timedelta(minutes=45), NOON + timedelta(minutes=75)
    given(listening, *four).when(listen(9, at=soon)).then(refused("track-limit", 9, at=soon))
    given(listening, *four).when(listen(9, track="t2", at=soon)).then(rewarded(9, track="t2", at=soon))
    given(listening, *four).when(listen(9, at=later)).then(rewarded(9, at=later))


def test_the_daily_limit_is_counted_on_utc_days() -> None:
    most = LISTENING_RULE.daily_limit // LISTENING_RULE.amount
    day = [rewarded(n, track=f"t{n}", at=NOON) for n in range(most)]
    given(listening, *day).when(listen(999)).then(refused("daily-limit", 999))
    tomorrow = datetime(2026, 5, 2, tzinfo=UTC)
    given(listening, *day).when(listen(999, at=tomorrow)).then(rewarded(999, at=tomorrow))


def test_a_listen_from_the_future_or_reported_days_later_earns_nothing() -> None:
    given(listening).when(replace(listen(), reported_at=NOON - timedelta(hours=1))).then(refused("from-the-future"))
    given(listening).when(replace(listen(), reported_at=NOON + timedelta(hours=49))).then(refused("too-late"))


def test_what_can_no_longer_matter_is_forgotten() -> None:
    state = listening.fold([rewarded(1), rewarded(2, at=NOON + timedelta(days=30))])
    assert list(state.known) == ["l2"]
    assert len(state.rewarded) == 1


def test_a_vote_can_be_changed_and_repeating_it_changes_nothing() -> None:
    given(vote).when(CastVote("ada", "t1", True)).then(VoteCast("ada", "t1", True, replaces=None))
    liked = VoteCast("ada", "t1", True, replaces=None)
    given(vote, liked).when(CastVote("ada", "t1", True)).then_nothing()
    given(vote, liked).when(CastVote("ada", "t1", False)).then(VoteCast("ada", "t1", False, replaces=True))


def test_a_claim_is_recorded_once_and_a_contradiction_is_refused() -> None:
    paid = ClaimPaid(hash_of("claim"), Pool.LISTENING, address(1), 10**18, 20_000, source(5))
    given(claim).when(paid).then(paid)
    given(claim, paid).when(paid).then_nothing()
    given(claim, paid).when(replace(paid, amount=1)).then_refused(ConflictingClaim, paid.claim_id)
