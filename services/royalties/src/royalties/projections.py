"""The read models of royalties. Every table can be dropped and rebuilt from the log. queries.py asks them.

Identifiers of tracks, tokens and payments are uint256, so they have the columns of amounts.
"""

from __future__ import annotations

from datetime import UTC
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from contracts.chain import Source
from eventlog import RecordedEvent
from projections import Amount, Projection, Rows, on
from royalties.domain import (
    MONEY_MOVED,
    TRX,
    AccountClass,
    CarrySettlementPosted,
    MoneyMoved,
    PaymentPosted,
    PlatformFeeSet,
    RoyaltyPosted,
    SaleRecorded,
    Side,
    SplitControlAccepted,
    SplitDifferenceFound,
    SplitSet,
    TrackRegistered,
    WithdrawalPosted,
    class_of,
)
from royalties.domain.books import DISTRIBUTOR

metadata = sa.MetaData()


def _of_chain(*, key: bool = False) -> tuple[sa.Column[Any], ...]:
    """The columns that say where on the chain a row comes from; `key`: they identify it."""
    return (
        sa.Column("block_number", sa.BigInteger, nullable=False, primary_key=key),
        sa.Column("log_index", sa.Integer, nullable=False, primary_key=key),
        sa.Column("tx_id", sa.Text, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
    )


def _source(source: Source) -> dict[str, Any]:
    return {
        "block_number": source.block_number,
        "log_index": source.log_index,
        "tx_id": source.tx_id,
        "at": source.block_time,
    }


nft_sales = sa.Table(
    "nft_sales",
    metadata,
    sa.Column("token_id", Amount, primary_key=True),
    *_of_chain(key=True),
    sa.Column("track_id", Amount, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("seller", sa.Text, nullable=False),
    sa.Column("buyer", sa.Text, nullable=False),
    sa.Column("price_sun", Amount, nullable=False),
    sa.Column("forwarded_sun", Amount, nullable=False),  # to RoyaltyDistributor
    sa.Index("nft_sales_order", "block_number", "log_index"),
    sa.Index("nft_sales_track", "track_id", "block_number", "log_index"),
)

track_payments = sa.Table(
    "track_payments",
    metadata,
    sa.Column("track_id", Amount, primary_key=True),
    sa.Column("payment_id", Amount, primary_key=True),
    sa.Column("payer", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("amount_sun", Amount, nullable=False),
    sa.Column("fee_sun", Amount, nullable=False),
    sa.Column("split_version", sa.BigInteger, nullable=False),
    sa.Column("credited_sun", Amount, nullable=False, default=0),
    *_of_chain(),
    sa.Index("track_payments_tx", "tx_id", "track_id"),
    sa.Index("track_payments_order", "track_id", "block_number", "log_index"),
)

nft_royalties = sa.Table(
    "nft_royalties",
    metadata,
    sa.Column("track_id", Amount, primary_key=True),
    sa.Column("payment_id", Amount, primary_key=True),
    sa.Column("recipient", sa.Text, primary_key=True),
    sa.Column("amount_sun", Amount, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("split_version", sa.BigInteger, nullable=False),
    *_of_chain(),
)

royalty_payments = sa.Table(
    "royalty_payments",  # what was paid out
    metadata,
    sa.Column("recipient", sa.Text, primary_key=True),
    *_of_chain(key=True),
    sa.Column("contract", sa.Text, nullable=False),
    sa.Column("amount_sun", Amount, nullable=False),
)

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
    *_of_chain(),
)

split_differences = sa.Table(
    "split_differences",
    metadata,
    sa.Column("track_id", Amount, primary_key=True),
    *_of_chain(key=True),
    sa.Column("recipient", sa.Text, primary_key=True),
    sa.Column("split_version", sa.BigInteger, nullable=False),
    sa.Column("payment_id", Amount),
    sa.Column("expected_sun", Amount, nullable=False),
    sa.Column("credited_sun", Amount, nullable=False),
)

platform_fees = sa.Table(
    "platform_fees",
    metadata,
    *_of_chain(key=True),
    sa.Column("old_bps", sa.Integer, nullable=False),
    sa.Column("new_bps", sa.Integer, nullable=False),
)

balances = sa.Table(
    "balances",
    metadata,
    sa.Column("account", sa.Text, primary_key=True),
    sa.Column("asset", sa.Text, primary_key=True),
    sa.Column("debits", Amount, nullable=False),
    sa.Column("credits", Amount, nullable=False),
)

artist_earnings = sa.Table(
    "artist_earnings",
    metadata,
    sa.Column("recipient", sa.Text, primary_key=True),
    sa.Column("asset", sa.Text, primary_key=True),
    sa.Column("month", sa.Date, primary_key=True),  # its first day, in UTC
    sa.Column("track_id", Amount, primary_key=True),
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("amount", Amount, nullable=False),
    sa.Column("times", sa.BigInteger, nullable=False),
)

statement_lines = sa.Table(
    "statement_lines",
    metadata,
    sa.Column("party", sa.Text, primary_key=True),
    sa.Column("asset", sa.Text, primary_key=True),
    *_of_chain(key=True),
    sa.Column("account", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("amount", Amount, nullable=False),  # what the party is owed grows by it, or shrinks if it is negative
    sa.Column("track_id", Amount),
    sa.Column("token_id", Amount),
    sa.Column("payment_id", Amount),
    sa.Column("split_version", sa.BigInteger),
)


class Sales(Projection):
    """Every sale of an edition, primary and secondary."""

    name = "sales"
    tables = (nft_sales,)

    @on(SaleRecorded)
    def sold(self, event: SaleRecorded, recorded: RecordedEvent, rows: Rows) -> None:
        rows.insert(
            nft_sales,
            token_id=event.token_id,
            track_id=event.track_id,
            kind=event.kind.name.lower(),
            seller=event.seller,
            buyer=event.buyer,
            price_sun=event.price_sun,
            forwarded_sun=event.forwarded_sun,
            **_source(event.source),
        )


class Royalties(Projection):
    """Every payment for a track, and the part of each collaborator."""

    name = "royalties"
    tables = (track_payments, nft_royalties)

    @on(PaymentPosted)
    def paid(self, event: PaymentPosted, recorded: RecordedEvent, rows: Rows) -> None:
        rows.insert(
            track_payments,
            track_id=event.track_id,
            payment_id=event.payment_id,
            payer=event.payer,
            kind=event.kind.name.lower(),
            amount_sun=event.amount_sun,
            fee_sun=event.fee_sun,
            split_version=event.split_version,
            **_source(event.source),
        )

    @on(RoyaltyPosted)
    def credited(self, event: RoyaltyPosted, recorded: RecordedEvent, rows: Rows) -> None:
        rows.insert(
            nft_royalties,
            track_id=event.track_id,
            payment_id=event.payment_id,
            recipient=event.recipient,
            amount_sun=event.amount_sun,
            kind=event.kind.name.lower(),
            split_version=event.split_version,
            **_source(event.source),
        )
        payment = {"track_id": event.track_id, "payment_id": event.payment_id}
        rows.increment(track_payments, payment, credited_sun=event.amount_sun)


class Payouts(Projection):
    """Every withdrawal of earnings or of a seller's proceeds."""

    name = "payouts"
    tables = (royalty_payments,)

    @on(WithdrawalPosted)
    def paid_out(self, event: WithdrawalPosted, recorded: RecordedEvent, rows: Rows) -> None:
        rows.insert(
            royalty_payments,
            recipient=event.account,
            contract=event.contract,
            amount_sun=event.amount_sun,
            **_source(event.source),
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
            **_source(event.source),
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
            **_source(event.source),
        )


class PlatformFees(Projection):
    """The platform's fee and since when."""

    name = "platform_fees"
    tables = (platform_fees,)

    @on(PlatformFeeSet)
    def changed(self, event: PlatformFeeSet, recorded: RecordedEvent, rows: Rows) -> None:
        rows.insert(platform_fees, old_bps=event.old_bps, new_bps=event.new_bps, **_source(event.source))


class Balances(Projection):
    """Debits and credits of every account: the sum of all postings to it."""

    name = "balances"
    totals = (balances,)

    @on(*MONEY_MOVED)
    def moved(self, event: MoneyMoved, recorded: RecordedEvent, rows: Rows) -> None:
        for posting in event.postings:
            column = "debits" if posting.side is Side.DEBIT else "credits"
            rows.increment(balances, {"account": posting.account, "asset": posting.asset}, **{column: posting.amount})


class ArtistEarnings(Projection):
    """What each collaborator has earned, by asset, month, track and kind of source."""

    name = "artist_earnings"
    totals = (artist_earnings,)

    @on(RoyaltyPosted, CarrySettlementPosted)
    def earned(self, event: RoyaltyPosted | CarrySettlementPosted, recorded: RecordedEvent, rows: Rows) -> None:
        key = {
            "recipient": event.recipient,
            "asset": TRX,
            "month": event.source.block_time.astimezone(UTC).date().replace(day=1),
            "track_id": event.track_id,
            "kind": event.kind.name.lower() if isinstance(event, RoyaltyPosted) else "carry",
        }
        rows.increment(artist_earnings, key, amount=event.amount_sun, times=1)


class Statements(Projection):
    """For each party, every posting to an account of its own."""

    name = "statements"
    tables = (statement_lines,)

    @on(*MONEY_MOVED)
    def moved(self, event: MoneyMoved, recorded: RecordedEvent, rows: Rows) -> None:
        for posting in event.postings:
            if class_of(posting.account) not in (AccountClass.EARNINGS, AccountClass.SELLER):
                continue
            rows.insert(
                statement_lines,
                party=posting.account.partition(":")[2],
                asset=posting.asset,
                account=posting.account,
                amount=posting.amount if posting.side is Side.CREDIT else -posting.amount,
                kind=_kind_of_line(event),
                track_id=getattr(event, "track_id", None),
                token_id=getattr(event, "token_id", None),
                payment_id=getattr(event, "payment_id", None),
                split_version=getattr(event, "split_version", None),
                **_source(event.source),
            )


def _kind_of_line(event: MoneyMoved) -> str:
    match event:
        case SaleRecorded():
            return "sale"
        case RoyaltyPosted():
            return f"royalty-{event.kind.name.lower()}"
        case CarrySettlementPosted():
            return "carry"
        case WithdrawalPosted():
            return "payout" if event.contract == DISTRIBUTOR else "proceeds-payout"
        case PaymentPosted():
            raise ValueError("a payment is no party's line: its postings concern custody, fee and carry")


ALL = (
    Sales(),
    Royalties(),
    Payouts(),
    Splits(),
    PlatformFees(),
    Balances(),
    ArtistEarnings(),
    Statements(),
)
