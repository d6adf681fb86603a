"""The queries on the read models. Lists go by key, newest first: page 10,000 costs what page 1 does."""

from __future__ import annotations

import sqlalchemy as sa

from chain import projections as p
from chain.progress import Operations, operations

Query = sa.Select[tuple[object, ...]]


def events(
    contract: str | None,
    name: str | None,
    first_block: int | None,
    last_block: int | None,
    after: tuple[int, int] | None,
    limit: int,
) -> Query:
    """Events, newest first; `after` is (block number, log index) of the last one seen."""
    table = p.BlockchainEvents.live(p.blockchain_events)
    query = sa.select(table).order_by(table.c.block_number.desc(), table.c.log_index.desc()).limit(limit)
    if contract is not None:
        query = query.where(table.c.contract == contract)
    if name is not None:
        query = query.where(table.c.name == name)
    if first_block is not None:
        query = query.where(table.c.block_number >= first_block)
    if last_block is not None:
        query = query.where(table.c.block_number <= last_block)
    if after is not None:
        query = query.where(sa.tuple_(table.c.block_number, table.c.log_index) < sa.tuple_(*after))
    return query


def undecoded_logs(after: tuple[int, int] | None, limit: int) -> Query:
    """Raw logs, newest first; `after` is (block number, log index) of the last one seen."""
    table = p.UndecodedLogs.live(p.undecoded_logs)
    query = sa.select(table).order_by(table.c.block_number.desc(), table.c.log_index.desc()).limit(limit)
    if after is not None:
        query = query.where(sa.tuple_(table.c.block_number, table.c.log_index) < sa.tuple_(*after))
    return query


def transaction(tx_id: str) -> Query:
    table = p.TransactionIndex.live(p.transaction_index)
    return sa.select(table).where(table.c.tx_id == tx_id)


def events_of_transaction(tx_id: str, limit: int) -> Query:
    """The events of one transaction, in order."""
    table = p.BlockchainEvents.live(p.blockchain_events)
    return sa.select(table).where(table.c.tx_id == tx_id).order_by(table.c.block_number, table.c.log_index).limit(limit)


def transactions_of(address: str, after: tuple[int, int] | None, limit: int) -> Query:
    """Transactions an account has signed or received; `after` is (block number, index in it) of the last one seen."""
    table = p.TransactionIndex.live(p.transaction_index)
    named = p.TransactionIndex.live(p.account_transactions)
    page = sa.select(named.c.tx_id).where(named.c.address == address)
    if after is not None:
        page = page.where(sa.tuple_(named.c.block_number, named.c.index_in_block) < sa.tuple_(*after))
    page = page.order_by(named.c.block_number.desc(), named.c.index_in_block.desc()).limit(limit)
    ids = page.subquery()
    return (
        sa.select(table)
        .join(ids, ids.c.tx_id == table.c.tx_id)
        .order_by(table.c.block_number.desc(), table.c.index_in_block.desc())
    )


def trx_balance(address: str) -> Query:
    table = p.TrxBalances.live(p.trx_balances)
    return sa.select(table).where(table.c.address == address)


def token_balance(address: str) -> Query:
    table = p.TokenBalances.live(p.token_balances)
    return sa.select(table).where(table.c.address == address)


def token_supply() -> Query:
    table = p.TokenBalances.live(p.token_supply)
    return sa.select(table).order_by(table.c.contract)


def nft_count(address: str) -> Query:
    table = p.NftOwners.live(p.nft_counts)
    return sa.select(table).where(table.c.address == address)


def nfts_of(owner: str, after: tuple[int] | None, limit: int) -> Query:
    """An account's editions by token id; `after` is the last one seen."""
    table = p.NftOwners.live(p.nft_owners)
    query = sa.select(table).where(table.c.owner == owner).order_by(table.c.token_id).limit(limit)
    return query if after is None else query.where(table.c.token_id > after[0])


def nft(token_id: int) -> Query:
    table = p.NftOwners.live(p.nft_owners)
    return sa.select(table).where(table.c.token_id == token_id)


def contracts() -> Query:
    table = p.ContractState.live(p.contracts)
    return sa.select(table).order_by(table.c.contract)


def roles() -> Query:
    table = p.ContractState.live(p.contract_roles)
    return sa.select(table).order_by(table.c.contract, table.c.role, table.c.account).limit(10_000)


def ingestion() -> Query:
    return sa.select(p.Ingestion.live(p.ingestion))


def operation(operation_id: str) -> Query:
    table = Operations.live(operations)
    return sa.select(table).where(table.c.operation_id == operation_id)
