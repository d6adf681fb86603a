"""The books held against the contracts: every balance that RoyaltyDistributor and MusicNFT keep, to the unit."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic

from contracts.chain import BlocksSolidified
from eventlog import EventLog, Executor, Intent
from royalties.domain import RecordReconciliation, reconciliation
from royalties.domain.reconciliation import RECONCILIATION, Compared, Reconciled
from royalties.reconciliation.books import Books, Entry, addresses, entries, read_books
from royalties.reconciliation.contracts import Contracts, Held, OnProgress
from tron.client import NodeClient

__all__ = ["Difference", "Outcome", "Reached", "reconcile"]

LOOK_AGAIN_SECONDS = 0.5
ROUNDS = 20
Reached = Callable[[], Awaitable[BlocksSolidified | None]]
"""Tells the last block of which all is in the books; see `ChainTime`."""


@dataclass(frozen=True, slots=True)
class Difference:
    """An account that is not the same, since when, and what the books know of it since."""

    compared: Compared
    agreed_block: int | None
    entries: list[Entry]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a comparison came to. `first_block` and `last_block`: accounts were read one after the other."""

    first_block: int
    last_block: int
    accounts: int
    held_sun: int  # by both contracts
    fees_of_nobody_sun: int  # not compared: nothing told to whom the contract credited them
    differences: list[Difference]

    @property
    def ok(self) -> bool:
        """Whether everything was compared and is the same."""
        return not self.differences and not self.fees_of_nobody_sun


async def reconcile(
    log: EventLog,
    node: NodeClient,
    reached: Reached,
    *,
    patience_seconds: float = 60,
    on_progress: OnProgress = lambda done, total: None,
) -> Outcome:
    """Compares all accounts as of a solidified block and records what was found in the log.

    Waits until the books have come to that block. Raises LookupError if they don't in `patience_seconds`, or know no
    contract yet; NodeError.
    """
    contracts = Contracts(node, *await addresses(log))
    books, held = await read_books(log), dict[str, Held]()
    for _ in range(ROUNDS):
        if not (unread := _unread(books, held)):
            return await _recorded(log, books, held)
        held |= await contracts.held(unread, on_progress)
        await _until(reached, max(one.last for one in held.values()), patience_seconds)
        books = await read_books(log)
    raise LookupError(f"{len(_unread(books, held))} accounts were posted to whenever they were read, {ROUNDS} times")


def _unread(books: Books, held: Mapping[str, Held]) -> list[str]:
    """The accounts that are new, or moved while they were read, so that nobody knows which block their amount is of."""
    return [
        account
        for account in books.accounts
        if (one := held.get(account)) is None or books.moved(account, one.first, one.last)
    ]


async def _until(reached: Reached, block_number: int, patience_seconds: float) -> None:
    deadline = monotonic() + patience_seconds
    while (told := await reached()) is None or told.last < block_number:
        if monotonic() > deadline:
            known = "an unknown block" if told is None else f"block {told.last}"
            raise LookupError(f"the books have come to {known}, the contracts were read at block {block_number}")
        await asyncio.sleep(LOOK_AGAIN_SECONDS)


async def _recorded(log: EventLog, books: Books, held: dict[str, Held]) -> Outcome:
    compared = [
        Compared(account, one.last, books.balance(account, one.last), one.amount_sun)
        for account, one in sorted(held.items())
    ]
    blocks = sorted(one.last for one in held.values())
    differing = tuple(one for one in compared if one.surplus_sun)
    executor, command = Executor(log), RecordReconciliation(blocks[0], len(compared), differing)
    before: Reconciled = await executor.state(RECONCILIATION, reconciliation)
    await executor.execute([Intent(RECONCILIATION, reconciliation, command, datetime.now(UTC))])
    return Outcome(
        blocks[0],
        blocks[-1],
        len(compared),
        sum(one.held_sun for one in compared if one.account.startswith("custody:")),
        books.fees_of_nobody_sun,
        [await _explained(log, one, before.agreed(one.account)) for one in differing],
    )


async def _explained(log: EventLog, compared: Compared, agreed_block: int | None) -> Difference:
    since = -1 if agreed_block is None else agreed_block
    return Difference(compared, agreed_block, await entries(log, compared.account, since, compared.block_number))
