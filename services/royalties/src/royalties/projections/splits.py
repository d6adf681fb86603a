"""Tracks, their splits, and the terms of the platform."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from eventlog import RecordedEvent
from projections import Amount, Projection, Rows, on
from royalties.domain import PlatformFeeSet, SplitControlAccepted, SplitDifferenceFound, SplitSet, TrackRegistered
from royalties.projections.common import metadata, of_chain, source

tracks = sa.Table(
    "tracks",
    metadata,
    sa.Column("track_id", Amount, primary_key=True),
    # What MusicNFT says and what RoyaltyDistributor says arrive in any order.
    sa.Column("title", sa.Text),
    sa.Column("artist_name", sa.Text),
    sa.Column("artist", sa.Text),
    sa.Column("royalty_bps", sa.Integer),
    sa.Column("controller", sa.Text),
)

splits = sa.Table(
    "splits",
    metadata,
    sa.Column("track_id", Amount, primary_key=True),
    sa.Column("version", sa.BigInteger, primary_key=True),
    sa.Column("shares", JSONB, nullable=False),
    *of_chain(),
)

split_differences = sa.Table(
    "split_differences",
    metadata,
    sa.Column("track_id", Amount, primary_key=True),
    *of_chain(key=True),
    sa.Column("recipient", sa.Text, primary_key=True),
    sa.Column("split_version", sa.BigInteger, nullable=False),
    sa.Column("payment_id", Amount),
    sa.Column("expected_sun", Amount, nullable=False),
    sa.Column("credited_sun", Amount, nullable=False),
)

platform_fees = sa.Table(
    "platform_fees",
    metadata,
    *of_chain(key=True),
    sa.Column("old_bps", sa.Integer, nullable=False),
    sa.Column("new_bps", sa.Integer, nullable=False),
)


class Splits(Projection):
    """Tracks, every version of their splits, and where the chain differed from them."""

    name = "splits"
    tables = (tracks, splits, split_differences)

    @on(TrackRegistered)
    def registered(self, event: TrackRegistered, recorded: RecordedEvent, rows: Rows) -> None:
        rows.upsert(
            tracks,
            {"track_id": event.track_id},
            title=event.title,
            artist_name=event.artist_name,
            artist=event.artist,
            royalty_bps=event.royalty_bps,
        )

    @on(SplitControlAccepted)
    def controlled(self, event: SplitControlAccepted, recorded: RecordedEvent, rows: Rows) -> None:
        rows.upsert(tracks, {"track_id": event.track_id}, controller=event.controller)

    @on(SplitSet)
    def set(self, event: SplitSet, recorded: RecordedEvent, rows: Rows) -> None:
        rows.insert(
            splits,
            track_id=event.track_id,
            version=event.version,
            shares=[{"recipient": share.recipient, "ppm": share.ppm} for share in event.shares],
            **source(event.source),
        )

    @on(SplitDifferenceFound)
    def differed(self, event: SplitDifferenceFound, recorded: RecordedEvent, rows: Rows) -> None:
        rows.insert(
            split_differences,
            track_id=event.track_id,
            recipient=event.recipient,
            split_version=event.split_version,
            payment_id=event.payment_id,
            expected_sun=event.expected_sun,
            credited_sun=event.credited_sun,
            **source(event.source),
        )


class PlatformFees(Projection):
    """The platform's fee and since when."""

    name = "platform_fees"
    tables = (platform_fees,)

    @on(PlatformFeeSet)
    def changed(self, event: PlatformFeeSet, recorded: RecordedEvent, rows: Rows) -> None:
        rows.insert(platform_fees, old_bps=event.old_bps, new_bps=event.new_bps, **source(event.source))
