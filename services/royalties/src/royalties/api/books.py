"""The books: the balance of each account, and whether all of them balance."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from datetime import datetime
from typing import Annotated

from fastapi import Query
from pydantic import AwareDatetime, BaseModel, Field

from contracts.sales import AssetName
from contracts.values import SignedAmount
from eventlog import EventLog, Watermark
from projections import Freshness
from royalties import projections, queries
from royalties.api.common import InAsset, Moment, Owner, Position, PostingNumber, User, balance_of, known
from royalties.domain import TRX, AccountClass, Side, class_of
from royalties.domain.books import PARTY_CLASSES
from service import (
    After,
    Caller,
    EventStream,
    Page,
    Paging,
    Queries,
    Router,
    StreamEvent,
    Tagged,
    grown,
    may_see_named,
    not_found,
)
from service.queries import Row


class Balance(InAsset):
    account: str
    normal_side: Side
    debits: SignedAmount
    credits: SignedAmount
    balance: SignedAmount = Field(description="On the account's normal side.")


class Balances(BaseModel):
    """What the account has now, in each asset; nothing before its first line."""

    account: str
    balances: list[Balance]


class Entry(InAsset):
    position: int = Field(description="Of the event in the log; with `posting` it identifies the line.")
    posting: int
    at: datetime
    kind: str
    amount: SignedAmount = Field(description="What the account's balance on its normal side changed by.")


class TrialLine(InAsset):
    account_class: AccountClass
    normal_side: Side
    debits: SignedAmount
    credits: SignedAmount
    balance: SignedAmount


class TrialBalance(BaseModel):
    """All accounts by class. Balanced: for each asset, debits and credits are the same in total."""

    lines: list[TrialLine]
    balanced: bool


BEHIND_SECONDS = 0.25
"""After which the read model is looked at again while it is behind the log."""


def routes(reads: Queries, log: EventLog, watermark: Watermark) -> Router:
    router = Router(route_class=Tagged)
    fresh = Freshness(log.pool, projections.Ledger)

    async def may_see_account(caller: Caller, account: str) -> None:
        kind, _, party = account.partition(":")
        if kind in PARTY_CLASSES:
            await may_see_named(caller, party, reads)

    @router.get(  # before the plain one, whose path takes everything
        "/balances/{account:path}/stream",
        summary="The balance of an account of the books, now and whenever it has changed",
        response_class=EventStream,
    )
    async def follow(account: str, caller: Owner) -> EventStream:
        """Server-Sent Events `balance`: the first at once, so who comes back needs no Last-Event-ID."""
        await may_see_account(caller, account)
        _side(account)
        return EventStream(told(reads, fresh, watermark, account), caller)

    @router.get("/balances/{account:path}", summary="The balance of an account of the books")
    async def balance(
        account: str,
        caller: Owner,
        as_of: Annotated[Moment | None, Query(description="Only what had happened before then.")] = None,
        known_at: Annotated[Moment | None, Query(description="Only what had been recorded by then.")] = None,
    ) -> list[Balance]:
        """Of a party's account, for the party; the others are everybody's."""
        await may_see_account(caller, account)
        if not (rows := await reads.all(queries.balance(account))):
            raise not_found("account", account)
        if as_of is not None or known_at is not None:
            position = await known(log, watermark, known_at)
            rows = [
                {"account": account, **row} for row in await reads.all(queries.balance_at(account, as_of, position))
            ]
        return _balances(account, rows)

    @router.get("/accounts/{account:path}/entries", summary="The lines of an account in one asset, oldest first")
    async def entries(account: str, caller: Owner, paging: Paging, after: After, asset: AssetName = TRX) -> Page[Entry]:
        await may_see_account(caller, account)
        _side(account)
        await reads.caught_up(after, projections.Ledger)
        seen = paging.after(AwareDatetime, Position, PostingNumber)
        rows = await reads.all(queries.entries(account, asset, seen, paging.limit + 1))
        return paging.page([Entry(**row) for row in rows], lambda line: (line.at, line.position, line.posting))

    @router.get("/trial-balance", summary="Whether the books balance")
    async def trial_balance(caller: User) -> TrialBalance:
        lines = [_trial_line(row) for row in await reads.all(queries.trial_balance())]
        difference = {line.asset: 0 for line in lines}
        for line in lines:
            difference[line.asset] += line.debits - line.credits
        return TrialBalance(lines=lines, balanced=not any(difference.values()))

    return router


async def told(
    reads: Queries, fresh: Freshness, watermark: Watermark, account: str
) -> AsyncGenerator[StreamEvent, None]:
    """The balance as the read model has it, and again each time that it is another; without end.

    An id is a position of the log: all up to there is in the balance. What comes and goes within a look is not told.
    """
    horizon, shown = watermark.position, None
    while True:
        position = await fresh.position()  # read first: the rows are of then, or newer
        if (rows := await reads.all(queries.balance(account))) != shown:
            shown = rows
            yield StreamEvent(position, "balance", Balances(account=account, balances=_balances(account, rows)))
        if position >= horizon:
            horizon = await grown(watermark, horizon)
        else:
            await asyncio.sleep(BEHIND_SECONDS)


def _balances(account: str, rows: Sequence[Row]) -> list[Balance]:
    side = _side(account)
    return [Balance(normal_side=side, balance=balance_of(row, side), **row) for row in rows]


def _side(account: str) -> Side:
    """Raises Problem 404 for what can't be an account."""
    try:
        return class_of(account).normal_side
    except ValueError:
        raise not_found("account", account) from None


def _trial_line(row: Row) -> TrialLine:
    account_class = AccountClass(row["account_class"])
    side = account_class.normal_side
    return TrialLine(
        asset=row["asset"],
        account_class=account_class,
        normal_side=side,
        debits=int(row["debits"]),
        credits=int(row["credits"]),
        scale=row["scale"],
        balance=balance_of(row, side),
    )
