"""What can be asked of the read models. Each query is one statement, so it sees one state of its rows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from projections import Amount
from royalties.domain import Side, class_of
from royalties.domain.periods import Period
from royalties.projections.agreements import scale_of
from royalties.projections.ledger import Ledger, artist_earnings, balances, lines, platform_income
from royalties.projections.ledger import entries as entries_table
from royalties.projections.payments import Royalties, nft_royalties, track_payments
from royalties.projections.reconciliations import Reconciliations as Runs
from royalties.projections.reconciliations import reconciliation_differences
from royalties.projections.reconciliations import reconciliations as runs
from royalties.projections.sales import Sales, nft_sales
from royalties.projections.splits import PlatformFees, Splits, platform_fees, split_differences, splits, tracks
from royalties.statements.lines import Key

Query = sa.Select[Any]
_NONE: sa.ColumnElement[Any] = sa.literal_column("'[]'::jsonb")  # a bound "[]" would be a JSON string
Place = tuple[int, int]  # block number, log index


def sales(after: Place | None, limit: int, *, token_id: int | None = None, track_id: int | None = None) -> Query:
    """Sales, newest first, each with the payment at RoyaltyDistributor that it led to."""
    sale = Sales.live(nft_sales)
    payment = Royalties.live(track_payments)
    # The first payment after the sale in its transaction: a contract can buy several editions in one.
    payment_id = (
        sa.select(payment.c.payment_id)
        .where(
            payment.c.tx_id == sale.c.tx_id,
            payment.c.track_id == sale.c.track_id,
            payment.c.kind == sale.c.kind,
            payment.c.amount_sun == sale.c.forwarded_sun,
            payment.c.log_index > sale.c.log_index,
        )
        .order_by(payment.c.log_index)
        .limit(1)
        .correlate(sale)
        .scalar_subquery()
        .label("payment_id")
    )
    query = sa.select(sale, payment_id)
    if token_id is not None:
        query = query.where(sale.c.token_id == token_id)
    if track_id is not None:
        query = query.where(sale.c.track_id == track_id)
    return _newest_first(query, sale, after, limit)


def payments(track_id: int, after: Place | None, limit: int) -> Query:
    """A track's payments, newest first, each with the parts that were credited."""
    payment = Royalties.live(track_payments)
    part = Royalties.live(nft_royalties)
    described = sa.func.jsonb_build_object(
        "recipient", part.c.recipient, "amount", sa.cast(part.c.amount_sun, sa.Text), "log_index", part.c.log_index
    )
    credited = (
        sa.select(sa.func.jsonb_agg(sa.text("described ORDER BY log_index")))
        .select_from(
            sa.select(described.label("described"), part.c.log_index)
            .where(part.c.track_id == payment.c.track_id, part.c.payment_id == payment.c.payment_id)
            .correlate(payment)
            .subquery()
        )
        .scalar_subquery()
    )
    parts = sa.func.coalesce(credited, _NONE, type_=JSONB).label("parts")
    query = sa.select(payment, parts).where(payment.c.track_id == track_id)
    return _newest_first(query, payment, after, limit)


def track(track_id: int) -> Query:
    table = Splits.live(tracks)
    return sa.select(table).where(table.c.track_id == track_id)


def splits_of(track_id: int) -> Query:
    """All versions of a track's split, oldest first."""
    table = Splits.live(splits)
    return sa.select(table).where(table.c.track_id == track_id).order_by(table.c.version)


def differences(after: Place | None, limit: int) -> Query:
    """Where the chain credited something else than the split says, newest first."""
    table = Splits.live(split_differences)
    return _newest_first(sa.select(table), table, after, limit)


def reconciliations(before_block: int | None, limit: int) -> Query:
    """Comparisons of the books with the contracts, newest first, each with what it was first to find."""
    run, one = Runs.live(runs), Runs.live(reconciliation_differences)
    described = sa.func.jsonb_build_object(
        *(part for name in ("account", "found_block", "agreed_block", "settled_block") for part in (name, one.c[name])),
        *(part for name in ("booked_sun", "held_sun") for part in (name, sa.cast(one.c[name], sa.Text))),
    )
    found = (
        sa.select(sa.func.jsonb_agg(described))
        .where(one.c.done_block == run.c.block_number)
        .correlate(run)
        .scalar_subquery()
    )
    query = sa.select(run, sa.func.coalesce(found, _NONE, type_=JSONB).label("found"))
    if before_block is not None:
        query = query.where(run.c.block_number < before_block)
    return query.order_by(run.c.block_number.desc()).limit(limit)


def fees() -> Query:
    """The platform's fees, oldest first."""
    table = PlatformFees.live(platform_fees)
    return sa.select(table).order_by(table.c.block_number, table.c.log_index)


def balance(account: str) -> Query:
    table = Ledger.live(balances)
    return sa.select(table, scale_of(table.c.asset)).where(table.c.account == account).order_by(table.c.asset)


def balance_at(account: str, until: datetime | None, position: int | None) -> Query:
    """Debits and credits of an account by asset, of the lines before a time and up to a position of the log."""
    line = Ledger.live(lines)
    asset, amount = line.c.asset, line.c.amount
    debits = sa.func.coalesce(-sa.func.sum(amount).filter(amount < 0), 0).label("debits")
    credits = sa.func.coalesce(sa.func.sum(amount).filter(amount > 0), 0).label("credits")
    query = sa.select(asset, debits, credits, scale_of(asset)).where(_of_account(line, account))
    if until is not None:
        query = query.where(line.c.at < until)
    if position is not None:
        query = query.where(line.c.position <= position)
    return query.group_by(asset).order_by(asset)


def owed_off_the_chain(account: str, asset: str) -> Query:
    """What is on a party's account but for what a contract holds for it, and pays out itself."""
    line, entry = Ledger.live(lines), Ledger.live(entries_table)
    amount = sa.func.coalesce(sa.func.sum(line.c.amount), 0).label("amount")
    query = sa.select(amount).join(entry, entry.c.position == line.c.position)
    return query.where(_of_account(line, account), line.c.asset == asset, entry.c.block_number.is_(None))


def entries(account: str, asset: str, after: Key | None, limit: int) -> Query:
    """The lines of an account in one asset, oldest first; `amount` is above zero where the account grew."""
    line, entry = Ledger.live(lines), Ledger.live(entries_table)
    key = (line.c.at, line.c.position, line.c.posting)
    grows = class_of(account).normal_side is Side.CREDIT
    amount = (line.c.amount if grows else -line.c.amount).label("amount")
    query = sa.select(*key, entry.c.kind, line.c.asset, amount, scale_of(line.c.asset))
    query = query.join(entry, entry.c.position == line.c.position)
    query = query.where(_of_account(line, account), line.c.asset == asset)
    if after is not None:
        query = query.where(sa.tuple_(*key) > sa.tuple_(*after))
    return query.order_by(*key).limit(limit)


def _of_account(line: sa.FromClause, account: str) -> sa.ColumnElement[bool]:
    account_class, _, owner = account.partition(":")
    return sa.and_(line.c.owner == owner, line.c.account_class == account_class)


def trial_balance() -> Query:
    """Debits and credits of each class of accounts, by asset."""
    table = Ledger.live(balances)
    account_class = sa.func.split_part(table.c.account, ":", 1).label("account_class")
    return (
        sa.select(
            account_class,
            table.c.asset,
            sa.func.sum(table.c.debits).label("debits"),
            sa.func.sum(table.c.credits).label("credits"),
            scale_of(table.c.asset),
        )
        .group_by(account_class, table.c.asset)
        .order_by(table.c.asset, account_class)
    )


@dataclass(frozen=True, slots=True)
class EarningsFilter:
    """Which earnings are asked for; None leaves a question open."""

    asset: str | None = None
    period: Period | None = None
    track_id: int | None = None
    kind: str | None = None


def earnings(recipient: str, wanted: EarningsFilter) -> Query:
    """What a collaborator has earned: by month, by track and by kind, told apart by `dimension`."""
    table = Ledger.live(artist_earnings)
    c = table.c
    sets = sa.func.grouping_sets(
        sa.tuple_(c.asset, c.month), sa.tuple_(c.asset, c.track_id), sa.tuple_(c.asset, c.kind)
    )
    by = sa.func.grouping(c.month, c.track_id, c.kind)  # a bit for each column that is summed over
    dimension = sa.case((by == 0b011, "month"), (by == 0b101, "track"), else_="kind")
    named = {c.asset: wanted.asset, c.track_id: wanted.track_id, c.kind: wanted.kind}
    conditions = [column == value for column, value in named.items() if value is not None]
    if wanted.period is not None:
        conditions += [c.month >= wanted.period.since.date(), c.month < wanted.period.until.date()]
    return (
        sa.select(
            dimension.label("dimension"),
            c.asset,
            c.month,
            c.track_id,
            c.kind,
            sa.func.sum(c.amount).label("amount"),
            sa.cast(sa.func.sum(c.times), sa.BigInteger).label("times"),
            scale_of(c.asset),
        )
        .where(c.recipient == recipient, *conditions)
        .group_by(sets)
        .order_by("dimension", c.asset, c.month, c.track_id, c.kind)
    )


def top_earners(asset: str, period: Period, after: tuple[int, str] | None, limit: int) -> Query:
    """Who has earned most in a period of whole months; those with the same by their names."""
    c = Ledger.live(artist_earnings).c
    least_first = sa.tuple_(-sa.func.sum(c.amount), c.recipient)
    query = (
        sa.select(
            c.recipient,
            c.asset,
            sa.func.sum(c.amount).label("amount"),
            sa.cast(sa.func.sum(c.times), sa.BigInteger).label("times"),
            scale_of(c.asset),
        )
        .where(c.asset == asset, c.month >= period.since.date(), c.month < period.until.date())
        .group_by(c.recipient, c.asset)
    )
    if after is not None:
        amount, recipient = after
        query = query.having(least_first > sa.tuple_(sa.cast(-amount, Amount), recipient))
    return query.order_by(*least_first).limit(limit)


def platform_income_by_month(after: tuple[date, str, str] | None, limit: int) -> Query:
    """The platform's fees by month, asset and kind, oldest first."""
    table = Ledger.live(platform_income)
    key = (table.c.month, table.c.asset, table.c.kind)
    query = sa.select(table, scale_of(table.c.asset))
    if after is not None:
        query = query.where(sa.tuple_(*key) > sa.tuple_(*after))
    return query.order_by(*key).limit(limit)


def _newest_first(query: Query, table: sa.FromClause, after: Place | None, limit: int) -> Query:
    place = (table.c.block_number, table.c.log_index)
    if after is not None:
        query = query.where(sa.tuple_(*place) < sa.tuple_(*after))
    return query.order_by(*(column.desc() for column in place)).limit(limit)
