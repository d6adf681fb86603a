"""The decision about an activity: a pure function of the report, the rules, and the streams that it concerns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, assert_never

from contracts.chain import Pool
from rewards.domain.account import Account, evolve_account
from rewards.domain.activities import (
    CONFLICT,
    ActivityRecorded,
    AnyActivity,
    Listen,
    ListenRecorded,
    Referral,
    ReferralRecorded,
    Referred,
    Report,
    Share,
    ShareRecorded,
    Skip,
    SkipRecorded,
    Transfer,
    TransferRecorded,
    Verdict,
    Vote,
    VoteRecorded,
)
from rewards.domain.origins import OriginDay, OriginState, Place, address_stream, device_stream, with_place
from rewards.domain.rules import FUTURE, LONGEST_WAIT, Rule, Rulebook, RulesPublished
from rewards.domain.standing import Standing, score, standing_stream

NO_ORIGIN = OriginState()


class ConflictingActivity(Exception):
    """An id that was reported before came again with other contents."""

    def __init__(self, activity: AnyActivity) -> None:
        what = f"{activity.stream_kind} {activity.id} of {activity.user}"
        super().__init__(f"{what}: reported before with other contents")
        self.activity_id = activity.id


INITIAL: Mapping[str, Any] = {"address": OriginState(), "device": OriginState(), "standing": Standing()}


def initial(stream: str) -> Any:
    """The state of a stream that has no events yet."""
    return INITIAL.get(stream.partition("/")[0], _NO_ACCOUNT)


_NO_ACCOUNT = Account()


@dataclass(frozen=True, slots=True)
class Concerned:
    """The names of the streams that a decision reads; those of `changed` may also grow by it."""

    changed: tuple[str, ...]
    read: tuple[str, ...]


def concerned(activity: AnyActivity) -> Concerned:
    changed = [activity.stream]
    if activity.kind is not None:
        if activity.origin.address is not None:
            changed.append(address_stream(activity.origin.address))
        if activity.origin.device is not None:
            changed.append(device_stream(activity.origin.device))
    read = [standing_stream(activity.user)]
    match activity:
        case Referral():
            changed.append(_referred_stream(activity))
        case Transfer():
            read.append(standing_stream(activity.client))
        case _:
            pass
    return Concerned(tuple(changed), tuple(read))


def _referred_stream(activity: Referral) -> str:
    return f"{activity.stream_kind}/{activity.referred}"


class States:
    """The states of streams while a batch is decided, and what it has led to so far."""

    def __init__(self, states: dict[str, Any]) -> None:
        self.of = states
        self.events: list[tuple[str, ActivityRecorded | Referred]] = []
        self.places: dict[str, list[Place]] = {}

    def __getitem__(self, stream: str) -> Any:
        if (state := self.of.get(stream)) is None:
            state = self.of[stream] = initial(stream)
        return state

    def happened(self, stream: str, event: ActivityRecorded | Referred) -> None:
        self.of[stream] = evolve_account(self[stream], event)
        self.events.append((stream, event))

    def taken(self, stream: str, place: Place) -> None:
        self.of[stream] = with_place(self[stream], place)
        self.places.setdefault(stream, []).append(place)


def decide(report: Report, states: States, book: Rulebook) -> ActivityRecorded:
    """What is recorded of an activity, and done with the states; the first result if it was reported before.

    Raises ConflictingActivity.
    """
    activity = report.activity
    account: Account = states[activity.stream]
    verdict: Verdict | None = None
    if (before := account.known(activity.id)) is not None:
        if replace(before.activity, origin=activity.origin) == activity:  # a retry may come from elsewhere
            return before
        if report.is_answered:
            raise ConflictingActivity(activity)
        verdict = Verdict("refused", 0, CONFLICT, 0, report.reported_at.date())
    recorded = record(report, verdict or judge(report, states, book), account)
    take_in(recorded, states)
    return recorded


def take_in(recorded: ActivityRecorded, states: States) -> None:
    """What a decision does with the states of all streams that it concerns."""
    activity = recorded.activity
    states.happened(activity.stream, recorded)
    if activity.kind is not None and recorded.verdict.outcome in ("earned", "held"):
        place = Place(activity.kind, activity.user, activity.subject, activity.at)
        if activity.origin.address is not None:
            states.taken(address_stream(activity.origin.address), place)
        if activity.origin.device is not None:
            states.taken(device_stream(activity.origin.device), place)
        if isinstance(activity, Referral):
            referred = Referred(activity.referred, activity.user, activity.at)
            states.happened(_referred_stream(activity), referred)


def record(report: Report, verdict: Verdict, account: Account) -> ActivityRecorded:
    """The event that says it."""
    head = (report.reward_id, report.reported_at, verdict, report.flaw)
    match report.activity:
        case Listen() as activity:
            return ListenRecorded(*head, activity)
        case Share() as activity:
            return ShareRecorded(*head, activity)
        case Transfer() as activity:
            return TransferRecorded(*head, activity)
        case Vote() as activity:
            return VoteRecorded(*head, activity, account.votes.get(activity.track))
        case Referral() as activity:
            return ReferralRecorded(*head, activity)
        case Skip() as activity:
            return SkipRecorded(*head, activity)
        case never:
            assert_never(never)


def judge(report: Report, states: States, book: Rulebook) -> Verdict:
    """The verdict by the rule that was in force at the activity's own time."""
    activity, reported_at = report.activity, report.reported_at
    account: Account = states[activity.stream]
    today = reported_at.date()
    if activity.at > reported_at + FUTURE:
        return Verdict("refused", 0, "from-the-future", 0, today)
    if activity.at < reported_at - LONGEST_WAIT or activity.at.date() < account.since:
        return Verdict("refused", 0, "too-late", 0, today)
    day = activity.at.date()
    if activity.kind is None:
        return Verdict("noted", 0, None, 0, day)
    edition = book[activity.kind].at(activity.at)
    reason = _why_not(report, account, states, edition.rule)
    if reason is not None:
        return Verdict("refused", 0, reason, edition.version, day)
    return _rewarded(activity, account, states, edition)


def _rewarded(activity: AnyActivity, account: Account, states: States, edition: RulesPublished) -> Verdict:
    rule, day = edition.rule, activity.at.date()
    amount = worth(activity, account, rule)
    if rule.daily_limit and account.on(day).amount + amount > rule.daily_limit:
        return Verdict("refused", 0, "daily-limit", edition.version, day)
    if not rule.hold_score:
        return Verdict("earned", amount, None, edition.version, day)
    address, device = _origins(activity, states)
    found = score(states[standing_stream(activity.user)], account, activity.at, address, device)
    if found.value >= rule.hold_score:
        return Verdict("held", amount, "under-review", edition.version, day, found.value, found.reasons)
    return Verdict("earned", amount, None, edition.version, day, found.value, found.reasons)


def worth(activity: AnyActivity, account: Account, rule: Rule) -> int:
    """What an activity is worth by a rule, before limits."""
    units = activity.served_bytes // rule.unit_bytes if isinstance(activity, Transfer) else 1
    return rule.earns(units, account.streak(activity.at.date()) if rule.streak_days else 0)


def _why_not(report: Report, account: Account, states: States, rule: Rule) -> str | None:
    """The code of the first reason for which an activity earns nothing; None if there is none."""
    return next(_reasons(report, account, states, rule), None)


def _reasons(report: Report, account: Account, states: States, rule: Rule) -> Iterator[str]:
    activity = report.activity
    if report.flaw is not None:
        yield report.flaw
    if report.reported_at - activity.at > timedelta(seconds=rule.longest_wait_seconds):
        yield "too-late"
    yield from _own_reasons(report, account, states, rule)
    yield from _limits(activity, account, states, rule)


def _own_reasons(report: Report, account: Account, states: States, rule: Rule) -> Iterator[str]:
    """Those that only this kind has."""
    match report.activity:
        case Listen() as listen:
            if listen.seconds < rule.needed_seconds(listen.track_seconds):
                yield "too-short"
        case Transfer() as transfer:
            if transfer.client == transfer.user:
                yield "self-served"
            if transfer.client_key not in states[standing_stream(transfer.client)].keys:
                yield "unknown-key"
            if transfer.expires_at <= report.reported_at:
                yield "expired"
            if transfer.expires_at - transfer.issued_at > timedelta(seconds=rule.longest_receipt_seconds):
                yield "valid-too-long"
            if transfer.served_bytes < rule.unit_bytes:
                yield "too-little"
        case Vote() as vote:
            if vote.track in account.votes:
                yield "changed-vote"
        case Referral() as referral:
            yield from _unrelated(referral, account, states)
        case Share() | Skip():
            pass
        case never:
            assert_never(never)


def _unrelated(referral: Referral, account: Account, states: States) -> Iterator[str]:
    """One is referred once, and only before one refers others: so no chain of referrals closes to a ring."""
    other: Account = states[_referred_stream(referral)]
    if referral.referred == referral.user:
        yield "self-referral"
    if other.referred_by is not None:
        yield "already-referred"
    if other.has_referred:
        yield "referral-cycle"


def _limits(activity: AnyActivity, account: Account, states: States, rule: Rule) -> Iterator[str]:
    day, at, kind = account.on(activity.at.date()), activity.at, activity.kind
    assert kind is not None
    if rule.cool_down_seconds and account.is_near(at, timedelta(seconds=rule.cool_down_seconds)):
        yield "cool-down"
    track = activity.subject
    if rule.per_track_and_hour and day.hours.get((track, at.hour), 0) >= rule.per_track_and_hour:
        yield "track-limit"
    address, device = _origins(activity, states)
    place = (kind, track, at.hour)
    if _is_full(address.on(at.date()), place, rule.per_address_track_and_hour, rule.per_address_and_day):
        yield "address-limit"
    if _is_full(device.on(at.date()), place, rule.per_device_track_and_hour, rule.per_device_and_day):
        yield "device-limit"


def _is_full(day: OriginDay, place: tuple[Pool, str | None, int], an_hour: int, a_day: int) -> bool:
    """Whether one more in this place would pass a limit of an address or a device."""
    if an_hour and day.hours.get(place, 0) >= an_hour:
        return True
    return a_day > 0 and day.counts.get(place[0], 0) >= a_day


def _origins(activity: AnyActivity, states: States) -> tuple[OriginState, OriginState]:
    address, device = activity.origin.address, activity.origin.device
    return (
        NO_ORIGIN if address is None else states[address_stream(address)],
        NO_ORIGIN if device is None else states[device_stream(device)],
    )
