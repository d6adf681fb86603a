"""A row for each reported activity: what it earned, or why it did not, and what was decided about it since."""

from __future__ import annotations

from typing import Any, ClassVar

import sqlalchemy as sa

from contracts.chain import Pool
from eventlog import RecordedEvent
from projections import Amount, Projection, Rows, on
from rewards import domain

metadata = sa.MetaData()


def _table(name: str, *columns: sa.Column[Any]) -> sa.Table:
    """The columns that all kinds have, and those of one kind."""
    return sa.Table(
        name,
        metadata,
        sa.Column("reward_id", sa.Text, primary_key=True),
        sa.Column("user", sa.Text, nullable=False),
        sa.Column("activity_id", sa.Text, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),  # earned, held, refused, rejected
        sa.Column("amount", Amount, nullable=False),
        sa.Column("corrected", Amount, nullable=False, default=0),
        sa.Column("reason", sa.Text),  # why it earned nothing, or is held
        sa.Column("rule_version", sa.Integer, nullable=False),
        sa.Column("day", sa.Date, nullable=False),
        *columns,
        sa.Index(f"{name}_latest", "user", "at", "reward_id"),
    )


def _text(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.Text, nullable=False)


listening_rewards = _table(
    "listening_rewards",
    _text("track_id"),
    sa.Column("listened_seconds", sa.Integer, nullable=False),
    sa.Column("track_seconds", sa.Integer, nullable=False),
)
sharing_rewards = _table("sharing_rewards", _text("track_id"), _text("channel"))
bandwidth_rewards = _table(
    "bandwidth_rewards",
    _text("client"),
    sa.Column("served_bytes", sa.BigInteger, nullable=False),
    sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
)
voting_records = _table("voting_records", _text("track_id"), sa.Column("like", sa.Boolean, nullable=False))
referrals = _table("referrals", _text("referred"))

track_votes = sa.Table(
    "track_votes",
    metadata,
    sa.Column("track_id", sa.Text, primary_key=True),
    sa.Column("likes", sa.BigInteger, nullable=False),
    sa.Column("dislikes", sa.BigInteger, nullable=False),
)
skip_records = sa.Table(
    "skip_records",
    metadata,
    sa.Column("reward_id", sa.Text, primary_key=True),
    sa.Column("user", sa.Text, nullable=False),
    sa.Column("activity_id", sa.Text, nullable=False),
    sa.Column("at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("track_id", sa.Text, nullable=False),
    sa.Column("listened_seconds", sa.Integer, nullable=False),
    sa.Column("reason", sa.Text),
    sa.Index("skip_records_latest", "user", "at", "reward_id"),
)


class ActivityRewards(Projection):
    """What all kinds share."""

    kind: ClassVar[Pool]
    table: ClassVar[sa.Table]

    def __init_subclass__(cls) -> None:
        cls.about = {cls.table: "user"}
        super().__init_subclass__()

    def insert(self, rows: Rows, event: Any, **details: Any) -> None:
        verdict, activity = event.verdict, event.activity
        rows.insert(
            self.table,
            reward_id=event.reward_id,
            user=activity.user,
            activity_id=activity.id,
            at=activity.at,
            outcome=verdict.outcome,
            amount=verdict.amount,
            corrected=0,
            reason=verdict.reason,
            rule_version=verdict.rule_version,
            day=verdict.day,
            **details,
        )

    @on(domain.RewardApproved, domain.RewardRejected)
    def reviewed(
        self, event: domain.RewardApproved | domain.RewardRejected, recorded: RecordedEvent, rows: Rows
    ) -> None:
        if event.kind is self.kind:
            outcome = "earned" if isinstance(event, domain.RewardApproved) else "rejected"
            rows.update(self.table, {"reward_id": event.reward_id}, outcome=outcome, reason=event.reason)

    @on(domain.RewardCorrected)
    def corrected(self, event: domain.RewardCorrected, recorded: RecordedEvent, rows: Rows) -> None:
        if event.kind is self.kind:
            rows.increment(self.table, {"reward_id": event.reward_id}, corrected=event.change)


class ListeningRewards(ActivityRewards):
    """Every reported listen."""

    name = "listening_rewards"
    kind, table = Pool.LISTENING, listening_rewards
    tables = (listening_rewards,)

    @on(domain.ListenRecorded)
    def heard(self, event: domain.ListenRecorded, recorded: RecordedEvent, rows: Rows) -> None:
        listen = event.activity
        self.insert(
            rows, event, track_id=listen.track, listened_seconds=listen.seconds, track_seconds=listen.track_seconds
        )


class SharingRewards(ActivityRewards):
    """Every reported share."""

    name = "sharing_rewards"
    kind, table = Pool.SHARING, sharing_rewards
    tables = (sharing_rewards,)

    @on(domain.ShareRecorded)
    def shared(self, event: domain.ShareRecorded, recorded: RecordedEvent, rows: Rows) -> None:
        self.insert(rows, event, track_id=event.activity.track, channel=event.activity.channel)


class BandwidthRewards(ActivityRewards):
    """Every receipt that was brought."""

    name = "bandwidth_rewards"
    kind, table = Pool.BANDWIDTH, bandwidth_rewards
    tables = (bandwidth_rewards,)

    @on(domain.TransferRecorded)
    def served(self, event: domain.TransferRecorded, recorded: RecordedEvent, rows: Rows) -> None:
        transfer = event.activity
        self.insert(
            rows,
            event,
            client=transfer.client,
            served_bytes=transfer.served_bytes,
            expires_at=transfer.expires_at,
        )


class Votes(ActivityRewards):
    """Every vote, and the count of those that stand per track."""

    name = "votes"
    kind, table = Pool.VOTING, voting_records
    tables = (voting_records,)
    totals = (track_votes,)

    @on(domain.VoteRecorded)
    def cast(self, event: domain.VoteRecorded, recorded: RecordedEvent, rows: Rows) -> None:
        vote = event.activity
        self.insert(rows, event, track_id=vote.track, like=vote.like)
        if not event.counts:
            return
        change = {False: 0, True: 0}
        change[vote.like] += 1
        if event.replaces is not None:
            change[event.replaces] -= 1
        rows.increment(track_votes, {"track_id": vote.track}, likes=change[True], dislikes=change[False])


class Referrals(ActivityRewards):
    """Who brought whom."""

    name = "referrals"
    kind, table = Pool.REFERRAL, referrals
    tables = (referrals,)

    @on(domain.ReferralRecorded)
    def referred(self, event: domain.ReferralRecorded, recorded: RecordedEvent, rows: Rows) -> None:
        self.insert(rows, event, referred=event.activity.referred)


class SkipRecords(Projection):
    """Every track that was left early."""

    name = "skip_records"
    tables = (skip_records,)
    about = {skip_records: "user"}  # noqa: RUF012 - a ClassVar of the base

    @on(domain.SkipRecorded)
    def skipped(self, event: domain.SkipRecorded, recorded: RecordedEvent, rows: Rows) -> None:
        skip = event.activity
        rows.insert(
            skip_records,
            reward_id=event.reward_id,
            user=skip.user,
            activity_id=skip.id,
            at=skip.at,
            track_id=skip.track,
            listened_seconds=skip.seconds,
            reason=event.verdict.reason,
        )
