"""The books as of a block, from the log itself: the sums of what the events of the contracts posted up to there."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg

from contracts.values import Address
from eventlog import EventLog
from royalties.domain import (
    CarrySettlementPosted,
    PaymentPosted,
    RoyaltyPosted,
    SaleRecorded,
    SplitControlAccepted,
    TrackRegistered,
    WithdrawalPosted,
)
from royalties.reconciliation.contracts import CUSTODIES

OF_CONTRACTS = (SaleRecorded, PaymentPosted, RoyaltyPosted, CarrySettlementPosted, WithdrawalPosted)
"""The events that say what the contracts hold. Others concern money that is elsewhere."""

# Every posting (a JSON array: account, asset, side, amount) with its place, to the account that its contract keeps.
# RoyaltyDistributor credits the fee to whoever was its recipient then, and knows one carry for each track: that of the
# split in force; those before are empty.
_POSTINGS = """
    WITH recipients AS MATERIALIZED (
        SELECT (data->'source'->>'block_number')::bigint AS block, (data->'source'->>'log_index')::int AS log_index,
               data->>'recipient' AS recipient
        FROM events WHERE type = 'FeeRecipientSet'
    ), posted AS (
        SELECT (data->'source'->>'block_number')::bigint AS block, (data->'source'->>'log_index')::int AS log_index,
               data->'source'->>'tx_id' AS tx_id, type, posting->>0 AS account, posting->>2 AS side,
               (posting->>3)::numeric AS amount
        FROM events, json_array_elements(data->'postings') AS posting WHERE type = ANY ($1)
    ), postings AS (
        SELECT block, log_index, tx_id, type,
               CASE WHEN account = 'platform-fee' THEN coalesce('earnings:' || (
                        SELECT recipient FROM recipients AS r WHERE (r.block, r.log_index) < (p.block, p.log_index)
                        ORDER BY r.block DESC, r.log_index DESC LIMIT 1), 'platform-fee')
                    ELSE split_part(account, '/', 1) END AS account,
               CASE WHEN (side = 'debit') = starts_with(account, 'custody:') THEN amount ELSE -amount END AS amount
        FROM posted AS p
    )"""
_SUMS = f"{_POSTINGS} SELECT account, block, sum(amount) AS amount FROM postings GROUP BY account, block ORDER BY block"  # noqa: S608
_ENTRIES = f"""{_POSTINGS} SELECT block, log_index, tx_id, type, amount FROM postings
    WHERE account = $2 AND block > $3 AND block <= $4 ORDER BY block, log_index"""  # noqa: S608
_ADDRESS = "SELECT data->'source'->>'contract' FROM events WHERE type = $1 ORDER BY position DESC LIMIT 1"


@dataclass(frozen=True, slots=True)
class Entry:
    """What one event of a contract posted to an account; below zero, it took from it."""

    block_number: int
    log_index: int
    tx_id: str
    event: str
    amount_sun: int


class Books:
    """Per account, what was posted to it in which block, as far as the log had come."""

    def __init__(self, rows: Sequence[Mapping[str, Any]]) -> None:
        self._moved: dict[str, list[tuple[int, int]]] = defaultdict(list, {custody: [] for custody in CUSTODIES})
        for row in rows:
            self._moved[row["account"]].append((row["block"], int(row["amount"])))

    @property
    def accounts(self) -> list[str]:
        """Those that a contract keeps, in order."""
        return sorted(account for account in self._moved if account != "platform-fee")

    @property
    def fees_of_nobody_sun(self) -> int:
        """Fees of the time before anything told who gets them."""
        return sum(amount for _, amount in self._moved.get("platform-fee", ()))

    def moved(self, account: str, after: int, upto: int) -> bool:
        """Whether anything was posted to the account in the blocks after one, up to another."""
        return any(after < block <= upto for block, _ in self._moved.get(account, ()))

    def balance(self, account: str, block_number: int) -> int:
        """The balance as of the end of a block, on the account's normal side."""
        return sum(amount for block, amount in self._moved.get(account, ()) if block <= block_number)


async def read_books(log: EventLog) -> Books:
    """All that the log holds now."""
    async with _reading(log) as connection:
        return Books(await connection.fetch(_SUMS, log.types.names(OF_CONTRACTS)))


async def entries(log: EventLog, account: str, after: int, upto: int) -> list[Entry]:
    """What was posted to an account in the blocks after one, up to another, in the chain's order."""
    async with _reading(log) as connection:
        rows = await connection.fetch(_ENTRIES, log.types.names(OF_CONTRACTS), account, after, upto)
    return [Entry(row["block"], row["log_index"], row["tx_id"], row["type"], int(row["amount"])) for row in rows]


async def addresses(log: EventLog) -> tuple[Address, Address]:
    """Where RoyaltyDistributor and MusicNFT are, as their events say. Raises LookupError before there are any."""
    async with _reading(log) as connection:
        distributor, music_nft = [
            await connection.fetchval(_ADDRESS, log.types.names([kind])[0])
            for kind in (SplitControlAccepted, TrackRegistered)
        ]
    if distributor is None or music_nft is None:
        raise LookupError("the books know no track yet, so there is nothing to compare")
    return distributor, music_nft


@asynccontextmanager
async def _reading(log: EventLog) -> AsyncIterator[asyncpg.Connection]:
    async with log.pool.acquire() as connection, connection.transaction(readonly=True):
        await connection.execute("SET LOCAL statement_timeout = 0")  # a long log takes as long as it takes
        yield connection
