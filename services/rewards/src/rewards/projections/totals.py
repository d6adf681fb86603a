"""What each subject has earned and been paid, altogether and by day and week: which makes the leaderboards; and all
subjects together, day by day."""

from __future__ import annotations

from datetime import date, timedelta

import sqlalchemy as sa

from contracts.chain import Pool
from eventlog import RecordedEvent
from projections import Amount, Projection, Rows, on
from rewards import domain

metadata = sa.MetaData()
EVER = date(1970, 1, 1)

reward_totals = sa.Table(
    "reward_totals",
    metadata,
    sa.Column("subject", sa.Text, primary_key=True),  # a user, or the address a claim was paid to
    sa.Column("pool", sa.Text, primary_key=True),
    sa.Column("earned", Amount, nullable=False),
    sa.Column("times_earned", sa.BigInteger, nullable=False),
    sa.Column("held", Amount, nullable=False),
    sa.Column("corrected", Amount, nullable=False),
    sa.Column("times_refused", sa.BigInteger, nullable=False),
    sa.Column("paid", Amount, nullable=False),
    sa.Column("times_paid", sa.BigInteger, nullable=False),
)

reward_periods = sa.Table(
    "reward_periods",
    metadata,
    sa.Column("period", sa.Text, primary_key=True),  # day, week (from Monday), ever
    sa.Column("start", sa.Date, primary_key=True),
    sa.Column("pool", sa.Text, primary_key=True),
    sa.Column("user", sa.Text, primary_key=True),
    sa.Column("earned", Amount, nullable=False),  # with corrections, so that ranks follow them
    sa.Column("times_earned", sa.BigInteger, nullable=False),
    sa.Index("reward_periods_rank", "period", "start", "pool", "earned", "user"),
    sa.Index("reward_periods_user", "user", "period", "start"),
)

reward_days = sa.Table(
    "reward_days",
    metadata,
    sa.Column("pool", sa.Text, primary_key=True),
    sa.Column("day", sa.Date, primary_key=True),  # UTC: of the activity, and of the payment
    sa.Column("earned", Amount, nullable=False),  # with corrections
    sa.Column("times_earned", sa.BigInteger, nullable=False),
    sa.Column("paid", Amount, nullable=False),
    sa.Column("times_paid", sa.BigInteger, nullable=False),
)

_ACTIVITIES = (
    domain.ListenRecorded,
    domain.ShareRecorded,
    domain.TransferRecorded,
    domain.VoteRecorded,
    domain.ReferralRecorded,
)


class RewardTotals(Projection):
    """What each subject has earned and been paid, per pool, and per pool and period; what all have, by day."""

    name = "reward_totals"
    totals = (reward_totals, reward_periods, reward_days)
    about = {reward_totals: "subject", reward_periods: "user"}  # noqa: RUF012 - a ClassVar of the base

    @on(*_ACTIVITIES)
    def reported(self, event: domain.RewardedActivity, recorded: RecordedEvent, rows: Rows) -> None:
        verdict, user, kind = event.verdict, event.activity.user, event.activity.kind
        if kind is None:
            return
        key = {"subject": user, "pool": kind.label}
        if verdict.outcome == "earned":
            _earned(rows, kind, user, verdict.day, verdict.amount)
        elif verdict.outcome == "held":
            rows.increment(reward_totals, key, held=verdict.amount)
        else:
            rows.increment(reward_totals, key, times_refused=1)

    @on(domain.RewardApproved)
    def approved(self, event: domain.RewardApproved, recorded: RecordedEvent, rows: Rows) -> None:
        rows.increment(reward_totals, {"subject": event.user, "pool": event.kind.label}, held=-event.amount)
        _earned(rows, event.kind, event.user, event.day, event.amount)

    @on(domain.RewardRejected)
    def rejected(self, event: domain.RewardRejected, recorded: RecordedEvent, rows: Rows) -> None:
        key = {"subject": event.user, "pool": event.kind.label}
        rows.increment(reward_totals, key, held=-event.amount, times_refused=1)

    @on(domain.RewardCorrected)
    def corrected(self, event: domain.RewardCorrected, recorded: RecordedEvent, rows: Rows) -> None:
        rows.increment(reward_totals, {"subject": event.user, "pool": event.kind.label}, corrected=event.change)
        _in_periods(rows, event.kind, event.user, event.day, event.change, 0)

    @on(domain.ClaimPaid)
    def paid(self, event: domain.ClaimPaid, recorded: RecordedEvent, rows: Rows) -> None:
        key = {"subject": event.claimant, "pool": event.pool.label}
        rows.increment(reward_totals, key, paid=event.amount, times_paid=1)
        day = EVER + timedelta(days=event.day)
        rows.increment(reward_days, {"pool": event.pool.label, "day": day}, paid=event.amount, times_paid=1)


def _earned(rows: Rows, kind: Pool, user: str, day: date, amount: int) -> None:
    rows.increment(reward_totals, {"subject": user, "pool": kind.label}, earned=amount, times_earned=1)
    _in_periods(rows, kind, user, day, amount, 1)


def _in_periods(rows: Rows, kind: Pool, user: str, day: date, amount: int, times: int) -> None:
    pool, monday = kind.label, day - timedelta(days=day.weekday())
    for period, start in (("day", day), ("week", monday), ("ever", EVER)):
        key = {"period": period, "start": start, "pool": pool, "user": user}
        rows.increment(reward_periods, key, earned=amount, times_earned=times)
    rows.increment(reward_days, {"pool": pool, "day": day}, earned=amount, times_earned=times)
