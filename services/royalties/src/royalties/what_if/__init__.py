"""What a period would have come to under another split or fee: replayed from the log in memory, touching nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from time import perf_counter
from typing import Any, NamedTuple

import asyncpg

from eventlog import EventLog, RecordedEvent, decode_all
from projections.garbage import fewer_collections
from royalties import domain
from royalties.domain import Share, books
from royalties.domain.split import shares_of
from royalties.what_if.supposed import Lines, OffChain, OnChain, SoldOffChain, Terms, credited

OnProgress = Callable[[int, int], None]
"""Gets the position reached and the last one."""
REPLAYED = (
    domain.SplitControlAccepted,
    domain.SplitSet,
    domain.PaymentPosted,
    domain.RoyaltyPosted,
    domain.CarrySettlementPosted,
    domain.AgreementVersionSet,
    domain.SalePosted,
    domain.RefundPosted,
    domain.ReversalPosted,
    domain.CarryGivenOut,
    domain.GroupShared,
    domain.AssetRegistered,
)


class Line(NamedTuple):
    """Whom a change concerns. `party` is a name, `platform-fee` or `carry`; `of` a track or an agreement."""

    asset: str
    of: str
    party: str


@dataclass(slots=True)
class Change:
    """What was credited, and what would have been, in the asset's smallest unit."""

    before: int = 0
    after: int = 0

    @property
    def change(self) -> int:
        return self.after - self.before


@dataclass(slots=True)
class Outcome:
    since: datetime
    until: datetime
    payments: int = 0  # of the period, sales off the chain among them
    events: int = 0  # replayed
    seconds: float = 0
    scales: dict[str, int] = field(default_factory=lambda: dict(domain.SCALES))
    lines: dict[Line, Change] = field(default_factory=dict)

    def add(self, asset: str, of: str, real: Lines, supposed: Lines) -> None:
        for party, amount in real:
            self._line(Line(asset, of, party)).before += amount
        for party, amount in supposed:
            self._line(Line(asset, of, party)).after += amount

    def _line(self, line: Line) -> Change:
        if (found := self.lines.get(line)) is None:
            found = self.lines[line] = Change()
        return found

    def only(self, track_id: int) -> None:
        """Leaves out what is not of this track."""
        self.lines = {line: change for line, change in self.lines.items() if line.of == _track(track_id)}


def read_shares(text: str) -> tuple[Share, ...]:
    """`[{"recipient": "T…", "ppm": 600000}, …]`, as GET /tracks/{id}/splits shows it. Raises LookupError."""
    try:
        found = [(str(share["recipient"]), int(share["ppm"])) for share in json.loads(text)]
        return shares_of([recipient for recipient, _ in found], [ppm for _, ppm in found], least=1)
    except (ValueError, TypeError, KeyError) as error:
        raise LookupError(f'no split: expected [{{"recipient": "T…", "ppm": 600000}}, …]: {error}') from None


async def what_if(
    log: EventLog,
    terms: Terms,
    since: datetime,
    until: datetime,
    track_id: int | None = None,
    on_progress: OnProgress = lambda done, total: None,
) -> Outcome:
    """Divides what was paid with since <= at < until anew, in the order of the log.

    What was paid before is taken in as it was. A split that is supposed begins with nothing taken in and holds for the
    whole period; the one before it is closed then. Rounding is that of the contract and of agreements.
    """
    began = perf_counter()
    found = Outcome(since, until)
    # One snapshot: it sees no event whose predecessors commit later.
    async with log.pool.acquire() as conn, conn.transaction(isolation="repeatable_read", readonly=True):
        with fewer_collections():
            await _replay(log, conn, terms, found, on_progress)
    if track_id is not None:
        found.only(track_id)
    found.seconds = perf_counter() - began
    return found


async def _replay(
    log: EventLog, conn: asyncpg.Connection, terms: Terms, found: Outcome, on_progress: OnProgress
) -> None:
    last = await conn.fetchval("SELECT coalesce(max(position), 0) FROM events")
    position, types = 0, log.types.names(REPLAYED)
    on_chain, off_chain = OnChain(terms), OffChain(terms)
    while batch := await log.read(position, last, types=types, conn=conn):
        decode_all(batch)
        for recorded in batch:
            _take(recorded, on_chain, off_chain, found)
        position = batch[-1].position
        found.events += len(batch)
        on_progress(position, last)


def _take(recorded: RecordedEvent, on_chain: OnChain, off_chain: OffChain, found: Outcome) -> None:
    event: Any = recorded.event
    inside = found.since <= recorded.occurred_at < found.until
    match event:
        case domain.AssetRegistered():
            found.scales[event.asset] = event.scale
        case domain.SplitControlAccepted() | domain.SplitSet() | domain.PaymentPosted():
            supposed = on_chain.take(event, inside)
            if inside:
                real = credited(event.postings) if isinstance(event, domain.PaymentPosted) else []
                found.payments += isinstance(event, domain.PaymentPosted)
                found.add(books.TRX, _track(event.track_id), real, supposed)
        case domain.RoyaltyPosted() | domain.CarrySettlementPosted():
            if inside:
                found.add(books.TRX, _track(event.track_id), credited(event.postings), [])
        case domain.AgreementVersionSet():
            off_chain.agree(event)
        case _:
            supposed = off_chain.take(event, inside)
            if inside:
                found.payments += isinstance(event, domain.SalePosted)
                found.add(event.postings[0].asset, _of(event), credited(event.postings), supposed)


def _track(track_id: int) -> str:
    return f"track {track_id}"


def _of(event: SoldOffChain) -> str:
    track_id: int | None = getattr(event, "track_id", None)
    agreement = event.sale.agreement if isinstance(event, domain.SalePosted) else event.agreement
    if isinstance(event, domain.GroupShared):  # of the agreement that was sold under
        agreement = event.path.partition("/")[0]
    return f"agreement {agreement}" if track_id is None else _track(track_id)
