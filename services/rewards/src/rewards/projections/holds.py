"""Rewards that wait for a review, and what was decided."""

from __future__ import annotations

import sqlalchemy as sa

from eventlog import RecordedEvent
from projections import Amount, Projection, Rows, on
from rewards import domain

metadata = sa.MetaData()

holds = sa.Table(
    "holds",
    metadata,
    sa.Column("reward_id", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("user", sa.Text, nullable=False),
    sa.Column("at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("amount", Amount, nullable=False),
    sa.Column("score", sa.Integer, nullable=False),
    sa.Column("score_reasons", sa.Text, nullable=False),  # separated by spaces
    sa.Column("status", sa.Text, nullable=False),  # held, approved, rejected
    sa.Column("officer", sa.Text),
    sa.Column("reason", sa.Text),
    sa.Column("decided_at", sa.DateTime(timezone=True)),
    sa.Index("holds_waiting", "status", "at", "reward_id"),
)


class Holds(Projection):
    """Held rewards with the score that held them, and what an officer made of it."""

    name = "holds"
    tables = (holds,)
    about = {holds: "user"}  # noqa: RUF012 - a ClassVar of the base

    @on(
        domain.ListenRecorded,
        domain.ShareRecorded,
        domain.TransferRecorded,
        domain.VoteRecorded,
        domain.ReferralRecorded,
    )
    def held(self, event: domain.RewardedActivity, recorded: RecordedEvent, rows: Rows) -> None:
        verdict, activity = event.verdict, event.activity
        if verdict.outcome != "held" or activity.kind is None:
            return
        rows.insert(
            holds,
            reward_id=event.reward_id,
            kind=activity.kind.label,
            user=activity.user,
            at=activity.at,
            amount=verdict.amount,
            score=verdict.score,
            score_reasons=" ".join(verdict.score_reasons),
            status="held",
        )

    @on(domain.RewardApproved, domain.RewardRejected)
    def reviewed(
        self, event: domain.RewardApproved | domain.RewardRejected, recorded: RecordedEvent, rows: Rows
    ) -> None:
        rows.update(
            holds,
            {"reward_id": event.reward_id},
            status="approved" if isinstance(event, domain.RewardApproved) else "rejected",
            officer=event.officer,
            reason=event.reason,
            decided_at=recorded.occurred_at,
        )
