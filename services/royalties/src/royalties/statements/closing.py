"""Closes the books of a period: makes every statement that is due, numbers them, and puts them under one root.

All of it is one append. Killed before it, nothing has happened; after it, all has, and closing again finds nothing due.
"""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import sqlalchemy as sa

from eventlog import Decider, EventLog, Executor, JointIntent, Metadata, Watermark, merkle
from royalties import domain
from royalties.domain.books import PARTY_CLASSES
from royalties.domain.closing import close_books, number_of, numbers, numbers_stream, period, period_stream
from royalties.domain.periods import Period, month_before
from royalties.projections.agreements import Terms
from royalties.projections.closing import Closings
from royalties.projections.ledger import Ledger, lines
from royalties.statements import issued
from service import Commands, Problem, Queries, Recorded, get_logger, seeing_all
from service.consistency import Token

LOOK_SECONDS = 3600.0
log = get_logger("royalties.closing")


@dataclass(frozen=True, slots=True)
class Closing:
    """Closes periods, on behalf of an officer or of the calendar."""

    service: str
    log: EventLog
    executor: Executor
    watermark: Watermark
    commands: Commands
    reads: Queries
    is_anchored: bool = False
    """Whether the chain service is asked to write roots into ComplianceRegistry."""

    async def close(self, span: Period, at: datetime, metadata: Metadata) -> Recorded:
        """Issues the statements that are due: all of them at first, then those that late facts have changed.

        Raises Problem: 409 for a period that isn't over or while lines are parked, 503 while the read model is behind.
        """
        if at < span.until:
            raise Problem(409, "not-over", "The period is not over yet.", f"{span.name} ends at {span.until}.")
        while True:
            with seeing_all():  # the books of all payees
                command = await self._prepared(span, at)
            if command is None:
                return Recorded(events=0)
            streams: dict[str, Decider[Any, Any, Any]] = {period_stream(span.name): period}
            streams[numbers_stream(at.year)] = numbers
            try:
                return await self.commands.execute([JointIntent(streams, partial(close_books, command), at, metadata)])
            except domain.BooksMoved as moved:
                log.info("prepared again", period=span.name, why=str(moved))

    async def _prepared(self, span: Period, at: datetime) -> domain.CloseBooks | None:
        last = await self.executor.state(period_stream(span.name), period)
        first = await self.executor.state(numbers_stream(at.year), numbers) + 1
        position = await self.watermark.measure()
        if position == 0:  # nobody has lines in an empty log, whose read models may not be made yet
            return None
        await self._shown(span, position)
        due = await self.reads.all(_due(span, last.position, position))
        if not due:
            return None
        revision, seed, statements = last.revision + 1, secrets.token_hex(32), []
        for index, row in enumerate(due):
            party, asset = row["party"], row["asset"]
            replaced = await self.reads.first(issued.last_of(party, asset, span.name)) if last.revision else {}
            number = number_of(at.year, first + index)
            draft = await issued.draft(self.reads, number, span.name, party, asset, position, replaced)
            statements.append(
                domain.StatementIssued(
                    number=number,
                    period=span.name,
                    revision=revision,
                    position=position,
                    leaf=index,
                    party=party,
                    asset=asset,
                    opening=int(draft.document["opening_balance"]),
                    closing=int(draft.document["closing_balance"]),
                    count=draft.document["count"],
                    sha256=await issued.hashed(self.reads, draft),
                    replaces=replaced.get("number"),
                )
            )
        root = merkle.root([issued.leaf(seed, one.number, one.sha256) for one in statements]).hex()
        closed = domain.PeriodClosed(span.name, revision, position, len(statements), root, seed)
        return domain.CloseBooks(at.year, first, statements, closed, self.is_anchored)

    async def _shown(self, span: Period, position: int) -> None:
        """Returns once the read models show all that is recorded; a line that is parked would be missing for good."""
        token = Token(log=self.service, stream=period_stream(span.name), position=position)
        await self.reads.caught_up(token, Ledger, Terms, Closings)
        parked = "SELECT count(*) FROM dead_letters WHERE subscription = $1"
        if count := await self.log.pool.fetchval(parked, Ledger.schema):
            raise Problem(409, "lines-parked", "Lines are missing.", f"{count} events of {Ledger.schema} are parked.")


class MonthEnd:
    """A worker: closes each month some days after its end. Of several instances one does it, others find it done."""

    name = "month-end"

    def __init__(self, closing: Closing, days: int) -> None:
        self._closing = closing
        self._days = days

    async def run(self) -> None:
        while True:
            await self.look(datetime.now(UTC))
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self, now: datetime) -> None:
        """Closes the last month that has been over for long enough, unless that has happened."""
        month = month_before(now - timedelta(days=self._days))
        if (await self._closing.executor.state(period_stream(month.name), period)).revision:
            return
        try:
            recorded = await self._closing.close(month, now, Metadata(actor=self.name))
        except Problem as problem:  # behind, not even made yet, or parked: it is still due an hour later
            log.warning("not closed", period=month.name, why=problem.detail)
        else:
            log.info("closed", period=month.name, events=recorded.events)


def _due(span: Period, after: int, position: int) -> sa.Select[tuple[str, str]]:
    """Who has lines in the period, and any before its end that were recorded after a position."""
    line = Ledger.live(lines)
    who = (line.c.owner.label("party"), line.c.asset)
    return (
        sa.select(*who)
        .where(line.c.account_class.in_(PARTY_CLASSES), line.c.at < span.until, line.c.position <= position)
        .group_by(*who)
        .having(sa.func.bool_or(line.c.at >= span.since), sa.func.max(line.c.position) > after)
        .order_by(*who)
    )
