"""Votes and their count."""

from __future__ import annotations

import sqlalchemy as sa

from eventlog import RecordedEvent
from projections import Projection, Rows, on
from rewards.domain import VoteCast

metadata = sa.MetaData()

voting_records = sa.Table(
    "voting_records",
    metadata,
    sa.Column("track_id", sa.Text, primary_key=True),
    sa.Column("user", sa.Text, primary_key=True),
    sa.Column("like", sa.Boolean, nullable=False),
    sa.Column("voted_at", sa.DateTime(timezone=True), nullable=False),
)

track_votes = sa.Table(
    "track_votes",
    metadata,
    sa.Column("track_id", sa.Text, primary_key=True),
    sa.Column("likes", sa.BigInteger, nullable=False),
    sa.Column("dislikes", sa.BigInteger, nullable=False),
)


class Votes(Projection):
    """Each user's current vote on a track, and the count per track."""

    name = "votes"
    tables = (voting_records,)
    totals = (track_votes,)

    @on(VoteCast)
    def cast(self, event: VoteCast, recorded: RecordedEvent, rows: Rows) -> None:
        key = {"track_id": event.track_id, "user": event.user}
        rows.upsert(voting_records, key, like=event.like, voted_at=recorded.occurred_at)
        change = {False: 0, True: 0}
        change[event.like] += 1
        if event.replaces is not None:
            change[event.replaces] -= 1
        rows.increment(track_votes, {"track_id": event.track_id}, likes=change[True], dislikes=change[False])
