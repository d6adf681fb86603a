"""Listens and what they earned."""

from __future__ import annotations

import sqlalchemy as sa

from eventlog import RecordedEvent
from projections import Amount, Projection, Rows, on
from rewards.domain import ListenNotRewarded, ListenRewarded

metadata = sa.MetaData()

listening_rewards = sa.Table(
    "listening_rewards",
    metadata,
    sa.Column("user", sa.Text, primary_key=True),
    sa.Column("listen_id", sa.Text, primary_key=True),
    sa.Column("track_id", sa.Text, nullable=False),
    sa.Column("listened_seconds", sa.Integer, nullable=False),
    sa.Column("ended_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("amount", Amount, nullable=False),
    sa.Column("reason", sa.Text),  # why it earned nothing
    sa.Column("rule_version", sa.Integer, nullable=False),
    sa.Index("listening_rewards_latest", "user", "ended_at", "listen_id"),
)


class ListeningRewards(Projection):
    """Every reported listen, what it earned, or why it earned nothing."""

    name = "listening_rewards"
    tables = (listening_rewards,)

    @on(ListenRewarded, ListenNotRewarded)
    def heard(self, event: ListenRewarded | ListenNotRewarded, recorded: RecordedEvent, rows: Rows) -> None:
        amount, reason = (event.amount, None) if isinstance(event, ListenRewarded) else (0, event.reason)
        rows.insert(
            listening_rewards,
            user=event.user,
            listen_id=event.listen_id,
            track_id=event.track_id,
            listened_seconds=event.listened_seconds,
            ended_at=event.ended_at,
            amount=amount,
            reason=reason,
            rule_version=event.rule_version,
        )
