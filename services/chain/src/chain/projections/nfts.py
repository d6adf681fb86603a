"""MusicNFT's editions and whose they are, and the tracks they are editions of."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from chain.domain import ZERO, ContractEvent
from eventlog import RecordedEvent
from projections import Amount, Projection, Rows, on

metadata = sa.MetaData()

nft_owners = sa.Table(
    "nft_owners",
    metadata,
    sa.Column("token_id", Amount, primary_key=True),
    sa.Column("owner", sa.Text, nullable=False),
    sa.Column("track_id", Amount),
    sa.Column("edition", sa.BigInteger),
    sa.Column("last_tx_id", sa.Text, nullable=False),
    sa.Column("last_block", sa.BigInteger, nullable=False),
    sa.Index("nft_owners_owner", "owner", "token_id"),
    sa.Index("nft_owners_edition", "track_id", "edition"),
)

nft_counts = sa.Table(
    "nft_counts",
    metadata,
    sa.Column("address", sa.Text, primary_key=True),
    sa.Column("tokens", sa.BigInteger, nullable=False),
)

# What was not seen released, because the log begins later, has neither title nor artist.
tracks = sa.Table(
    "tracks",
    metadata,
    sa.Column("track_id", Amount, primary_key=True),
    sa.Column("title", sa.Text),
    sa.Column("artist_name", sa.Text),
    sa.Column("artist", sa.Text),
    sa.Column("content_hash", sa.Text),
    sa.Column("max_editions", sa.BigInteger),
    sa.Column("price_sun", Amount),
    sa.Column("royalty_bps", sa.BigInteger),
    sa.Column("released_at", sa.DateTime(timezone=True)),
    sa.Column("released_tx_id", sa.Text),
    sa.Index("tracks_artist", "artist", "track_id"),
)

track_editions = sa.Table(
    "track_editions",
    metadata,
    sa.Column("track_id", Amount, primary_key=True),
    sa.Column("minted", sa.BigInteger, nullable=False),
)


def words(table: sa.FromClause) -> sa.ColumnElement[Any]:
    """What a search for a track looks into: its title and its artist's name, in no language in particular."""
    simple, nothing, space = (sa.text(constant) for constant in ("'simple'", "''", "' '"))
    title, artist = sa.func.coalesce(table.c.title, nothing), sa.func.coalesce(table.c.artist_name, nothing)
    return sa.func.to_tsvector(simple, title.op("||")(space).op("||")(artist))


sa.Index("tracks_words", words(tracks), postgresql_using="gin")


class NftOwners(Projection):
    """Who owns which edition, and how many each account has."""

    name = "nft_owners"
    tables = (nft_owners,)
    totals = (nft_counts,)

    @on(ContractEvent)
    def moved(self, event: ContractEvent, recorded: RecordedEvent, rows: Rows) -> None:
        if event.contract != "music-nft" or event.name not in ("Transfer", "EditionMinted"):
            return
        token = {"token_id": int(event.args["token_id"])}
        if event.name == "EditionMinted":  # comes after the token's first Transfer
            rows.update(nft_owners, token, track_id=int(event.args["track_id"]), edition=event.args["edition"])
            return
        before, owner = event.args["from"], event.args["to"]
        if owner == ZERO:
            rows.delete(nft_owners, token)
        else:
            place = {"last_tx_id": event.source.tx_id, "last_block": event.source.block_number}
            rows.upsert(nft_owners, token, owner=owner, **place)
            rows.increment(nft_counts, {"address": owner}, tokens=1)
        if before != ZERO:
            rows.increment(nft_counts, {"address": before}, tokens=-1)


class Tracks(Projection):
    """The tracks that were released, what an edition costs, and how many there are."""

    name = "tracks"
    tables = (tracks,)
    totals = (track_editions,)  # an edition's stream is its own

    @on(ContractEvent)
    def logged(self, event: ContractEvent, recorded: RecordedEvent, rows: Rows) -> None:
        if event.contract != "music-nft":
            return
        match event.name:
            case "EditionMinted":
                rows.increment(track_editions, _track(event), minted=1)
            case "PriceChanged":
                rows.upsert(tracks, _track(event), price_sun=int(event.args["new_price_sun"]))
            case "TrackReleased":
                args = event.args
                rows.upsert(
                    tracks,
                    _track(event),
                    title=args["title"],
                    artist_name=args["artist_name"],
                    artist=args["artist"],
                    content_hash=args["content_hash"],
                    max_editions=args["max_editions"],
                    price_sun=int(args["price_sun"]),
                    royalty_bps=int(args["royalty_bps"]),
                    released_at=event.source.block_time,
                    released_tx_id=event.source.tx_id,
                )
            case _:
                pass  # of tokens, listings, sales


def _track(event: ContractEvent) -> dict[str, int]:
    return {"track_id": int(event.args["track_id"])}
