"""The queries on the read models. Lists go by key, newest first: page 10,000 costs what page 1 does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sa

from chain.domain import CURSOR
from chain.progress import Operations, operations
from chain.projections import activity, balances, contract_state, nfts
from chain.projections import events as logs
from chain.projections import ingestion as reading
from chain.projections import transactions as txs
from projections import Projection

Query = sa.Select[Any]
Model = type[Projection]
Place = tuple[int, int]
"""(block number, index in the block) of a log or a transaction."""
Period = Literal["hour", "day"]

_AS_OF = sa.text(
    """SELECT json_build_object(
           'block_number', done.data -> 'last',
           'block_hash', done.data -> 'last_hash',
           'block_time', done.data -> 'last_time',
           'exact', NOT EXISTS (SELECT FROM events WHERE position > done.position AND position <= reached.furthest
                                AND type IN ('ContractEvent', 'UndecodedLog', 'TransactionSolidified'))
                AND NOT EXISTS (SELECT FROM dead_letters WHERE subscription = ANY(:models))) AS as_of
       FROM (SELECT min(position) AS position, max(furthest) AS furthest
             FROM progress WHERE subscription = ANY(:models)) AS reached
       CROSS JOIN LATERAL (SELECT position, data FROM events
                           WHERE stream = :cursor AND position <= reached.position
                           ORDER BY version DESC LIMIT 1) AS done"""
).bindparams(sa.bindparam("models", type_=sa.ARRAY(sa.Text)), sa.bindparam("cursor", CURSOR, type_=sa.Text))
"""The last block that all these models show, by their checkpoints and the cursor; no row before the first block."""


def answer(*models: Model, **parts: Query) -> Query:
    """One row: each part's rows as a list of JSON objects, and `as_of`, the last block that the models show.

    It is one statement and so one snapshot. `models` are those that the parts ask.
    """
    reached = _AS_OF.bindparams(models=[model.schema for model in models]).columns(sa.column("as_of", sa.JSON))
    return sa.select(
        sa.select(reached.subquery().c.as_of).scalar_subquery().label("as_of"),
        *(_listed(part).label(name) for name, part in parts.items()),
    )


def _listed(part: Query) -> sa.ScalarSelect[Any]:
    rows = part.subquery()  # json_agg keeps its order
    listed = sa.func.coalesce(sa.func.json_agg(rows.table_valued()), sa.literal_column("'[]'::json"), type_=sa.JSON)
    return sa.select(listed).scalar_subquery()


# ---- events and transactions ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Span:
    """A part of the chain: by block numbers, both inclusive, and by time, `until` exclusive; None: no such limit."""

    first_block: int | None = None
    last_block: int | None = None
    since: datetime | None = None
    until: datetime | None = None


def events(
    span: Span,
    after: Place | None,
    limit: int,
    *,
    address: str | None = None,
    **where: str | None,
) -> Query:
    """Events, newest first, that name `address`, and with these values of `contract`, `name`, `tx_id`.

    `after` is the place of the last one seen.
    """
    table = logs.BlockchainEvents.live(logs.blockchain_events)
    query, place = sa.select(table), (table.c.block_number, table.c.log_index)
    if address is not None:
        named = logs.BlockchainEvents.live(logs.account_events)
        same = sa.and_(named.c.block_number == place[0], named.c.log_index == place[1])
        query, place = query.join(named, same), (named.c.block_number, named.c.log_index)
        query = _having(query.where(named.c.address == address), named, {"name": where.pop("name", None)})
    return _descending(_within(span, _having(query, table, where), table, place[0]), place, after, limit)


def undecoded_logs(after: Place | None, limit: int) -> Query:
    """Raw logs, newest first; `after` is the place of the last one seen."""
    table = logs.UndecodedLogs.live(logs.undecoded_logs)
    return _descending(sa.select(table), (table.c.block_number, table.c.log_index), after, limit)


def events_of_transaction(tx_id: str, limit: int) -> Query:
    """The events of one transaction, in order."""
    table = logs.BlockchainEvents.live(logs.blockchain_events)
    return sa.select(table).where(table.c.tx_id == tx_id).order_by(table.c.block_number, table.c.log_index).limit(limit)


def transaction(tx_id: str) -> Query:
    table = txs.TransactionIndex.live(txs.transaction_index)
    return sa.select(table).where(table.c.tx_id == tx_id)


def transactions(
    span: Span,
    after: Place | None,
    limit: int,
    *,
    address: str | None = None,
    success: bool | None = None,
    **where: str | None,
) -> Query:
    """Transactions, newest first, signed or received by `address`, with these values of `contract`, `method`, `kind`.

    `after` is the place of the last one seen.
    """
    table = txs.TransactionIndex.live(txs.transaction_index)
    query, place = sa.select(table), (table.c.block_number, table.c.index_in_block)
    if address is not None:
        named = txs.TransactionIndex.live(txs.account_transactions)
        query, place = query.join(named, named.c.tx_id == table.c.tx_id), (named.c.block_number, named.c.index_in_block)
        query = query.where(named.c.address == address)
    if success is not None:
        query = query.where(table.c.success if success else sa.not_(table.c.success))
    return _descending(_within(span, _having(query, table, where), table, place[0]), place, after, limit)


def _having(query: Query, table: sa.FromClause, where: Mapping[str, str | None]) -> Query:
    return query.where(*(table.c[name] == value for name, value in where.items() if value is not None))


def _within(span: Span, query: Query, table: sa.FromClause, block: sa.ColumnElement[int]) -> Query:
    """A time becomes the number of the block that it begins or ends with, so that there is one order to go by."""
    if span.first_block is not None:
        query = query.where(block >= span.first_block)
    if span.last_block is not None:
        query = query.where(block <= span.last_block)
    time = table.alias("time").c
    if span.since is not None:
        first = sa.select(time.block_number).where(time.block_time >= span.since).order_by(time.block_time).limit(1)
        query = query.where(block >= first.scalar_subquery())
    if span.until is not None:
        last = (
            sa.select(time.block_number).where(time.block_time < span.until).order_by(time.block_time.desc()).limit(1)
        )
        query = query.where(block <= last.scalar_subquery())
    return query


def _descending(query: Query, key: Sequence[sa.ColumnElement[Any]], after: tuple[Any, ...] | None, limit: int) -> Query:
    """A page in descending order of `key`, beginning behind the values of the last one seen."""
    if after is not None:
        query = query.where(sa.tuple_(*key) < sa.tuple_(*after, types=[column.type for column in key]))
    return query.order_by(*(column.desc() for column in key)).limit(limit)


# ---- balances and NFTs ------------------------------------------------------------------------------------------


def trx_balance(address: str) -> Query:
    table = balances.TrxBalances.live(balances.trx_balances)
    return sa.select(table).where(table.c.address == address)


def token_balances(address: str) -> Query:
    """What an account has of each token, by the contract's name."""
    table = balances.TokenBalances.live(balances.token_balances)
    return sa.select(table).where(table.c.address == address).order_by(table.c.contract)


def token_supply() -> Query:
    table = balances.TokenBalances.live(balances.token_supply)
    return sa.select(table).order_by(table.c.contract)


def token_holders(contract: str, after: tuple[int, str] | None, limit: int) -> Query:
    """Who holds a token, who has most first; `after` is (balance, address) of the last one seen."""
    table = balances.TokenBalances.live(balances.token_balances)
    query = sa.select(table.c.address, table.c.balance).where(table.c.contract == contract, table.c.balance > 0)
    return _descending(query, (table.c.balance, table.c.address), after, limit)


def token_holder_count(contract: str) -> Query:
    table = balances.TokenBalances.live(balances.token_balances)
    return sa.select(sa.func.count().label("holders")).where(table.c.contract == contract, table.c.balance > 0)


def nft_count(address: str) -> Query:
    table = nfts.NftOwners.live(nfts.nft_counts)
    return sa.select(table).where(table.c.address == address)


def nfts_of(owner: str, after: tuple[int] | None, limit: int) -> Query:
    """An account's editions by token id; `after` is the last one seen."""
    table = nfts.NftOwners.live(nfts.nft_owners)
    query = sa.select(table).where(table.c.owner == owner).order_by(table.c.token_id).limit(limit)
    return query if after is None else query.where(table.c.token_id > after[0])


def nft(token_id: int) -> Query:
    table = nfts.NftOwners.live(nfts.nft_owners)
    return sa.select(table).where(table.c.token_id == token_id)


def editions(track_id: int, edition: int | None, after: tuple[int] | None, limit: int) -> Query:
    """A track's editions and their owners, in order, or a single one; `after` is the edition last seen."""
    table = nfts.NftOwners.live(nfts.nft_owners)
    query = sa.select(table).where(table.c.track_id == track_id).order_by(table.c.edition).limit(limit)
    if edition is not None:
        query = query.where(table.c.edition == edition)
    return query if after is None else query.where(table.c.edition > after[0])


def tracks(
    after: tuple[int] | None,
    limit: int,
    *,
    track_id: int | None = None,
    artist: str | None = None,
    words: str | None = None,
) -> Query:
    """Tracks, the latest first; `words` are all in the title or the artist's name. `after` is the track last seen."""
    table, editions = nfts.Tracks.live(nfts.tracks), nfts.Tracks.live(nfts.track_editions)
    minted = sa.func.coalesce(editions.c.minted, 0).label("minted")
    query = sa.select(table, minted).join(editions, editions.c.track_id == table.c.track_id, isouter=True)
    if track_id is not None:
        query = query.where(table.c.track_id == track_id)
    if artist is not None:
        query = query.where(table.c.artist == artist)
    if words is not None:
        wanted = sa.func.websearch_to_tsquery(sa.literal_column("'simple'"), words)
        query = query.where(nfts.words(table).op("@@")(wanted))
    if after is not None:
        query = query.where(table.c.track_id < after[0])
    return query.order_by(table.c.track_id.desc()).limit(limit)


# ---- the contracts ----------------------------------------------------------------------------------------------


def contracts() -> Query:
    table = contract_state.ContractState.live(contract_state.contracts)
    counts = contract_state.ContractState.live(contract_state.contract_counts)
    logged = (sa.func.coalesce(counts.c[name], 0).label(name) for name in ("events", "undecoded"))
    joined = table.outerjoin(counts, counts.c.contract == table.c.contract)
    return sa.select(table, *logged).select_from(joined).order_by(table.c.contract)


def roles() -> Query:
    table = contract_state.ContractState.live(contract_state.contract_roles)
    return sa.select(table).order_by(table.c.contract, table.c.role, table.c.account).limit(10_000)


def settings() -> Query:
    table = contract_state.ContractState.live(contract_state.contract_settings)
    return sa.select(table).order_by(table.c.contract, table.c.name)


def minters() -> Query:
    """What each minter may still mint. The largest uint256 is not used up: it stands for no limit but the cap."""
    table = contract_state.ContractState.live(contract_state.token_minters)
    used = sa.case((table.c.allowance == 2**256 - 1, 0), else_=table.c.minted)
    left = (table.c.allowance - used).label("allowance")
    return sa.select(table.c.minter, left).where(table.c.allowance.is_not(None)).order_by(table.c.minter).limit(10_000)


def pools() -> Query:
    table = contract_state.ContractState.live(contract_state.reward_pools)
    return sa.select(table).order_by(table.c.pool)


# ---- analytics --------------------------------------------------------------------------------------------------


def transactions_over_time(period: Period, since: datetime, until: datetime) -> Query:
    """For each period with since <= its start < until that has any: transactions, their costs, accounts that signed."""
    table = activity.Activity.live(activity.hourly_transactions)
    accounts = activity.Activity.live(activity.daily_accounts)
    start = _start(period, table)
    sums = [
        sa.func.sum(table.c[name]).label(name)
        for name in ("transactions", "failed", "fee_sun", "energy_used", "bandwidth_used")
    ]
    query = sa.select(start, *sums).where(table.c.hour >= since, table.c.hour < until).group_by(start)
    found = query.subquery()
    if period == "hour":
        return sa.select(found, sa.null().label("active_accounts")).order_by(found.c.start)
    day = sa.cast(sa.func.timezone("UTC", found.c.start), sa.Date)
    active = sa.select(sa.func.count()).where(accounts.c.day == day).correlate(found).scalar_subquery()
    return sa.select(found, active.label("active_accounts")).order_by(found.c.start)


def events_over_time(period: Period, since: datetime, until: datetime, **where: str | None) -> Query:
    """For each period with since <= its start < until: how many events there were, by contract and name."""
    table = activity.Activity.live(activity.hourly_events)
    start, of = _start(period, table), (table.c.contract, table.c.name)
    query = sa.select(start, *of, sa.func.sum(table.c.events).label("events"))
    query = _having(query.where(table.c.hour >= since, table.c.hour < until), table, where)
    return query.group_by(start, *of).order_by(start, *of)


def _start(period: Period, table: sa.FromClause) -> sa.Label[datetime]:
    hour: sa.ColumnElement[datetime] = table.c.hour
    day = sa.func.date_trunc(sa.literal_column("'day'"), hour, sa.literal_column("'UTC'"))
    return (hour if period == "hour" else day).label("start")


# ---- the service itself -----------------------------------------------------------------------------------------


def ingestion() -> Query:
    return sa.select(reading.Ingestion.live(reading.ingestion))


def operation(operation_id: str) -> Query:
    table = Operations.live(operations)
    return sa.select(table).where(table.c.operation_id == operation_id)
