from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from rewards_deeds import NOON, World, listen, referral, share, transfer, vote

from contracts.chain import Pool
from contracts.testing import address, hash_of, source
from eventlog.testing import given
from rewards import domain
from rewards.domain.rules import BUILT_IN, NOTICE, book_of
from rewards.domain.standing import FAST_REWARDS

RULE = BUILT_IN[Pool.LISTENING].rule
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


# ---- listening ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "track_seconds", "outcome"),
    [
        (150, 300, "earned"),
        (149, 300, "too-short"),
        (240, 3_000, "earned"),
        (239, 3_000, "too-short"),
        (30, 40, "earned"),
        (29, 40, "too-short"),
    ],
)
def test_a_listen_counts_after_half_the_track_or_four_minutes_and_at_least_thirty_seconds(
    seconds: int, track_seconds: int, outcome: str
) -> None:
    assert World().outcome(listen(seconds=seconds, track_seconds=track_seconds)) == outcome


def test_an_activity_reported_twice_gives_the_first_result_and_with_other_contents_is_a_conflict() -> None:
    world = World()
    first = world.report(listen())
    assert world.report(listen()) is first
    assert world.report(listen(origin=domain.Origin("a" * 32))) is first  # a retry from elsewhere
    with pytest.raises(domain.ConflictingActivity, match="l1 of ada"):
        world.report(listen(seconds=300))
    assert world.account("listening/ada").balance.earned == RULE.amount


def test_a_conflict_that_nobody_waits_for_is_on_record_and_the_first_report_stands() -> None:
    world = World()
    world.report(vote(id="v1", like=True))
    assert world.outcome(vote(id="v1", like=False), is_answered=False) == "conflict"
    assert world.account("voting/ada").votes == {"t1": True}


def test_one_track_counts_four_times_in_an_hour_of_the_clock() -> None:
    world = World()
    for number in range(4):
        assert world.outcome(listen(f"l{number}", at=NOON + 10 * number * MINUTE)) == "earned"
    assert world.outcome(listen("l8", at=NOON + 59 * MINUTE)) == "track-limit"
    assert world.outcome(listen("l9", at=NOON + 59 * MINUTE, track="t2")) == "earned"
    assert world.outcome(listen("l10", at=NOON + HOUR)) == "earned"


def test_the_daily_limit_is_counted_on_utc_days_whatever_the_order() -> None:
    world = World().change(Pool.LISTENING, daily_limit=3 * RULE.amount)
    for number in range(3):
        assert world.outcome(listen(f"l{number}", track=f"t{number}")) == "earned"
    midnight = datetime(2026, 5, 2, tzinfo=UTC)
    assert world.outcome(listen("a", at=midnight)) == "earned"
    assert world.outcome(listen("b", track="t9", at=midnight - timedelta(seconds=1)), midnight) == "daily-limit"


def test_what_is_from_the_future_or_reported_late_earns_nothing() -> None:
    assert World().outcome(listen(), NOON - 6 * MINUTE) == "from-the-future"
    assert World().outcome(listen(), NOON + timedelta(hours=49)) == "too-late"
    assert World().outcome(listen(), NOON + timedelta(days=8)) == "too-late"


def test_what_is_forgotten_can_never_be_rewarded_again_even_if_it_claims_to_be_reported_then() -> None:
    world = World()
    world.report(listen("old"))
    world.report(listen("new", at=NOON + 30 * DAY))
    assert list(world.account("listening/ada").days) == [(NOON + 30 * DAY).date()]
    assert world.outcome(listen("old"), NOON) == "too-late"


def test_a_report_from_the_far_future_makes_nobody_forget_anything() -> None:
    world = World()
    world.report(listen("l1"))
    world.report(listen("evil", at=NOON + 3650 * DAY), NOON)
    assert world.account("listening/ada").known("l1") is not None


def test_a_streak_of_seven_days_earns_more() -> None:
    world = World()
    amounts = [world.report(listen(f"l{day}", at=NOON + day * DAY)).verdict.amount for day in range(9)]
    assert amounts == [RULE.amount] * 7 + [RULE.amount * 11 // 10] * 2
    assert world.report(listen("later", at=NOON + 10 * DAY)).verdict.amount == RULE.amount


# ---- the other kinds ------------------------------------------------------------------------------------------------


def test_shares_of_a_user_need_a_minute_between_them() -> None:
    world = World()
    assert world.outcome(share("s1")) == "earned"
    assert world.outcome(share("s2", track="t2", at=NOON + 59 * timedelta(seconds=1))) == "cool-down"
    assert world.outcome(share("s3", track="t2", at=NOON - 59 * timedelta(seconds=1)), NOON) == "cool-down"
    assert world.outcome(share("s4", track="t2", at=NOON + MINUTE)) == "earned"


def test_the_first_vote_on_a_track_earns_and_a_changed_one_counts_without() -> None:
    world = World()
    assert world.outcome(vote("t1", like=True)) == "earned"
    changed = world.report(vote("t1", like=False, at=NOON + MINUTE))
    assert isinstance(changed, domain.VoteRecorded)
    assert (changed.replaces, changed.verdict.reason) == (True, "changed-vote")
    assert world.account("voting/ada").votes == {"t1": False}


def test_a_skip_is_noted_and_earns_nothing() -> None:
    skip = domain.Skip("k1", "ada", NOON, domain.Origin("a" * 32), "t1", 7)
    world = World()
    assert world.outcome(skip) == "noted"
    assert world.states.places == {}


def test_nobody_refers_themselves_or_somebody_twice() -> None:
    world = World()
    assert world.outcome(referral("ada", "ada")) == "self-referral"
    assert world.outcome(referral("ada", "bob")) == "earned"
    assert world.outcome(referral("cleo", "bob")) == "already-referred"


def test_referrals_never_close_to_a_ring() -> None:
    world = World()
    for user, referred in [("ada", "bob"), ("bob", "cleo"), ("cleo", "dora")]:
        assert world.outcome(referral(user, referred)) == "earned"
    assert world.outcome(referral("dora", "ada")) == "referral-cycle"
    assert world.outcome(referral("bob", "ada")) == "referral-cycle"


def receipts() -> World:
    return World().happened("standing/cleo", domain.ClientKeyRegistered("cleo", "aa" * 32))


def test_a_receipt_earns_by_what_was_served_and_once() -> None:
    world = receipts()
    rule = BUILT_IN[Pool.BANDWIDTH].rule
    first = world.report(transfer(megabytes=5))
    assert first.verdict.amount == 5 * rule.amount
    assert world.report(transfer(megabytes=5), NOON + MINUTE) is first
    with pytest.raises(domain.ConflictingActivity):
        world.report(transfer(megabytes=6))


@pytest.mark.parametrize(
    ("receipt", "reason"),
    [
        (transfer(client="ada"), "self-served"),
        (transfer(client="dora"), "unknown-key"),
        (transfer(expires_at=NOON), "expired"),
        (transfer(expires_at=NOON + 2 * DAY), "valid-too-long"),
        (transfer(megabytes=0), "too-little"),
    ],
)
def test_a_receipt_that_proves_nothing_is_refused_with_the_reason(receipt: domain.Transfer, reason: str) -> None:
    assert receipts().outcome(receipt) == reason


def test_a_receipt_whose_signature_is_wrong_is_refused_first_of_all() -> None:
    assert receipts().outcome(transfer(), flaw="bad-signature") == "bad-signature"


# ---- where it came from, and who it is ------------------------------------------------------------------------------


def test_an_address_and_a_device_have_limits_that_all_their_users_share() -> None:
    world = World()
    home = domain.Origin("a" * 32, "d" * 32)
    outcomes = [world.outcome(listen(user=f"user{n}", origin=home)) for n in range(3)]
    assert outcomes == ["earned"] * 3
    world.change(Pool.LISTENING, per_address_track_and_hour=3)
    assert world.outcome(listen(user="user9", origin=home)) == "address-limit"
    world.change(Pool.LISTENING, since=NOON - DAY, per_address_track_and_hour=0, per_device_track_and_hour=3)
    assert world.outcome(listen("l2", user="user9", origin=home)) == "device-limit"
    assert world.outcome(listen("l3", user="user9", origin=replace(home, device="e" * 32))) == "earned"


def test_rewards_of_a_device_with_many_users_and_bad_karma_are_held_with_the_reasons() -> None:
    world = World().change(Pool.LISTENING, per_device_track_and_hour=0)
    home = domain.Origin(device="d" * 32)
    world.happened("standing/eve", domain.StandingReported("eve", NOON - DAY, karma=-5, followers=0))
    for number in range(4):
        world.report(listen(user=f"user{number}", origin=home))
    verdict = world.report(listen(user="eve", origin=home)).verdict
    assert (verdict.outcome, verdict.reason, verdict.score) == ("held", "under-review", 90)
    assert verdict.score_reasons == ("shared-device", "new-account", "bad-karma")
    balance = world.account("listening/eve").balance
    assert (balance.earned, balance.held, balance.available) == (RULE.amount, RULE.amount, 0)


def test_fast_rewards_after_the_sign_up_count_against_and_active_days_and_karma_for_a_user() -> None:
    world = World().happened("standing/ada", domain.StandingReported("ada", NOON - DAY, karma=0, followers=0))
    for number in range(FAST_REWARDS):
        world.report(listen(f"l{number}", track=f"t{number}"))
    assert world.report(listen("x", track="tx")).verdict.score_reasons == ("new-account", "fast-rewards")
    world.happened("standing/ada", domain.StandingReported("ada", NOON - 90 * DAY, karma=500, followers=50))
    for day in range(15):
        last = world.report(listen(f"d{day}", at=NOON + day * DAY))
    assert (last.verdict.score, last.verdict.score_reasons) == (0, ("good-karma", "followers", "active-days"))


# ---- reviews --------------------------------------------------------------------------------------------------------


def held() -> tuple[World, domain.ActivityRecorded]:
    world = World().change(Pool.LISTENING, hold_score=1)
    world.happened("standing/eve", domain.StandingReported("eve", NOON - DAY, karma=0, followers=0))
    return world, world.report(listen(user="eve"))


def test_a_held_reward_is_approved_or_rejected_once() -> None:
    _, reward = held()
    approve = domain.ReviewReward(reward, True, "looked at", "olga")
    about = (reward.reward_id, Pool.LISTENING, "eve", RULE.amount, 2, NOON.date())
    approved = domain.RewardApproved(*about, "looked at", "olga")
    rejected = domain.RewardRejected(*about, "a farm", "olga")
    given(domain.review, reward).when(approve).then(approved)
    given(domain.review, reward).when(replace(approve, approve=False, reason="a farm")).then(rejected)
    given(domain.review, reward, approved).when(approve).then_refused(domain.RefusedReview, "not held")
    assert domain.review.fold([reward, approved]).balance.available == RULE.amount
    assert domain.review.fold([reward, rejected]).balance.available == 0


def test_a_correction_compensates_and_may_leave_a_balance_below_zero() -> None:
    reward = World().report(listen())
    correct = domain.CorrectReward(reward, 0, "a bot", "olga")
    corrected = domain.RewardCorrected(
        reward.reward_id, Pool.LISTENING, "ada", -RULE.amount, NOON.date(), "a bot", "olga"
    )
    given(domain.review, reward).when(correct).then(corrected)
    given(domain.review, reward, corrected).when(correct).then_nothing()
    back = replace(corrected, change=RULE.amount, reason="no bot")
    given(domain.review, reward, corrected).when(replace(correct, amount=RULE.amount, reason="no bot")).then(back)
    given(domain.review, reward).when(replace(correct, amount=RULE.amount + 1)).then_refused(domain.RefusedReview)
    reserved = domain.RewardsReserved(hash_of("claim"), Pool.LISTENING, RULE.amount)
    assert domain.review.fold([reward, reserved, corrected]).balance.available == -RULE.amount


def test_a_rejected_reward_is_worth_nothing_and_a_held_or_refused_one_is_not_corrected() -> None:
    world, reward = held()
    correct = domain.CorrectReward(reward, 0, "a bot", "olga")
    given(domain.review, reward).when(correct).then_refused(domain.RefusedReview, "is held")
    about = (reward.reward_id, Pool.LISTENING, "eve", RULE.amount, 2, NOON.date())
    given(domain.review, reward, domain.RewardRejected(*about, "a farm", "olga")).when(correct).then_nothing()
    refused = world.report(listen("l2", user="eve", seconds=1))
    given(domain.review, refused).when(replace(correct, recorded=refused)).then_refused(domain.RefusedReview, "short")


# ---- rules ----------------------------------------------------------------------------------------------------------


def test_a_rule_takes_effect_at_its_time_and_old_rewards_verify_under_their_own() -> None:
    world = World().change(Pool.LISTENING, since=NOON + HOUR, amount=7)
    before = world.report(listen("l1", at=NOON + HOUR - MINUTE), NOON + 2 * HOUR)
    after = world.report(listen("l2", at=NOON + HOUR))
    assert [(one.verdict.amount, one.verdict.rule_version) for one in (before, after)] == [(RULE.amount, 1), (7, 2)]
    again = World(world.book)  # the same reports, long after the change
    assert again.report(listen("l1", at=NOON + HOUR - MINUTE), NOON + 2 * HOUR).verdict == before.verdict
    assert again.report(listen("l2", at=NOON + HOUR)).verdict == after.verdict


def test_a_rule_is_announced_ahead_and_in_order() -> None:
    decider = book_of(Pool.LISTENING)
    rule = replace(RULE, amount=7)
    publish = domain.PublishRules(Pool.LISTENING, rule, NOON + NOTICE, "olga", NOON)
    published = domain.RulesPublished(Pool.LISTENING, 2, NOON + NOTICE, "olga", NOON, rule)
    given(decider).when(publish).then(published)
    given(decider, published).when(publish).then_nothing()
    soon = replace(publish, effective_from=NOON + NOTICE - timedelta(seconds=1))
    given(decider).when(soon).then_refused(domain.RefusedRule, "effective_from")
    other = replace(publish, rule=replace(rule, amount=8))
    given(decider, published).when(other).then_refused(domain.RefusedRule, "later than version 2's")


@pytest.mark.parametrize(
    "parameters",
    [
        {"amount": -1},
        {"longest_wait_seconds": 8 * 86_400},
        {"longest_receipt_seconds": 8 * 86_400},
        {"track_share_bps": 10_001},
        {"streak_days": 8},
        {"cool_down_seconds": 86_401},
        {"claim_seconds": 59},
        {"claim_seconds": 86_401},
        {"claim_daily_limit": -1},
    ],
)
def test_a_rule_that_cannot_hold_is_refused_by_the_name_of_its_parameter(parameters: dict[str, int]) -> None:
    publish = domain.PublishRules(Pool.LISTENING, replace(RULE, **parameters), NOON + DAY, "olga", NOON)
    given(book_of(Pool.LISTENING)).when(publish).then_refused(domain.RefusedRule, next(iter(parameters)))


def test_a_claim_is_recorded_once_and_a_contradiction_is_refused() -> None:
    paid = domain.ClaimPaid(hash_of("claim"), Pool.LISTENING, address(1), 10**18, 20_000, source(5))
    given(domain.claim).when(paid).then(paid)
    given(domain.claim, paid).when(paid).then_nothing()
    given(domain.claim, paid).when(replace(paid, amount=1)).then_refused(domain.ConflictingClaim, paid.claim_id)
