"""Commits to listening periods: the records come from the log, the tree from the prover, and both can be made again.

Nothing but the event is kept. It names the position of the log until which the records count, and what is behind a
position never changes: so every process makes the same tree, at any time, and finds the same commitment.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from eventlog import EventLog, Watermark
from rewards import domain
from rewards.settings import RewardsSettings
from zk import Commitment, Period, Proof, Prover, Record, Verifier, scope

PERIODS = "period/"
_OPENS = hashlib.sha256(b"open a listening period").hexdigest()[:22]
REMEMBERED = 4  # trees; one of 65,536 members takes some 10 MB
TOLD_BY = (domain.ListenRecorded, domain.RewardApproved, domain.RewardCorrected, domain.MemberRegistered)


class PeriodsError(Exception):
    """The settings name no prover, vault or chain; or the log no longer leads to a commitment."""


@dataclass(frozen=True, slots=True)
class Tree:
    """A period's records by user, as they were at a position of the log, and what they are committed to by."""

    records: Mapping[str, domain.Heard]
    position: int
    commitment: Commitment


def period_stream(period: int) -> str:
    return f"{PERIODS}{period}"


def operation_of(period: int, attempt: int = 0) -> str:
    """The operation that opens a period on the chain, which the chain service does once."""
    return str(UUID(f"{_OPENS}{period:08x}{attempt:02x}"))


def opened_by(operation_id: str) -> tuple[int, int] | None:
    """The period that an operation opens, and which attempt it is; None if it does something else."""
    named = UUID(operation_id).hex
    return (int(named[22:30], 16), int(named[30:], 16)) if named.startswith(_OPENS) else None


class Periods:
    """Trees of periods; those asked for last are kept."""

    def __init__(self, log: EventLog, watermark: Watermark, settings: RewardsSettings) -> None:
        self._log = log
        self._watermark = watermark
        self._settings = settings
        self._verifier = Verifier()
        self._trees: OrderedDict[int, Tree] = OrderedDict()
        self._making = asyncio.Lock()  # a tree takes a core for seconds

    async def commit(self, period: int, terms: domain.Terms) -> domain.PeriodCommitted:
        """What all that is recorded now commits to. Raises PeriodRefused, PeriodsError, ProverFailed."""
        async with self._making:
            tree = await self._make(period, await self._watermark.measure())
        return domain.PeriodCommitted(
            period, f"{tree.commitment.commitment:064x}", terms, len(tree.records), tree.position
        )

    async def tree(self, committed: domain.PeriodCommitted) -> Tree:
        """What was committed to. Raises PeriodsError, ProverFailed."""
        async with self._making:
            if (known := self._trees.get(committed.period)) is not None:
                return known
            tree = await self._make(committed.period, committed.position)
            if (found := f"{tree.commitment.commitment:064x}") != committed.commitment:
                raise PeriodsError(f"period {committed.period}: expected {committed.commitment}, the log gives {found}")
            self._trees[committed.period] = tree
            while len(self._trees) > REMEMBERED:
                self._trees.popitem(last=False)
            return tree

    def check(self, proof: Proof, opened: domain.PeriodOpened, recipient: str, *, claimed: bool) -> None:
        """Returns if the vault will pay this. Raises Refused, PeriodsError.

        Takes 10 ms; a thread would hold the interpreter's lock all the while.
        """
        vault, chain_id = self._settings.vault, self._settings.chain_id
        if vault is None or chain_id is None:
            raise PeriodsError("expected the settings vault and chain_id")
        where = scope(vault, chain_id, opened.period)
        period = Period(where, int(opened.commitment, 16), opened.terms.threshold)
        self._verifier.check(proof, period, recipient, claimed=claimed)

    async def _make(self, period: int, position: int) -> Tree:
        prover, vault, chain_id = self._settings.prover, self._settings.vault, self._settings.chain_id
        if prover is None or vault is None or chain_id is None:
            raise PeriodsError("expected the settings prover, vault and chain_id")
        heard = await self._heard(period, position)
        if not heard:
            raise domain.PeriodRefused("period-empty", f"no member has listened in {period}")
        records = [Record(int(one.member, 16), one.seconds) for one in heard.values()]
        commitment = await asyncio.to_thread(Prover(prover).commit, scope(vault, chain_id, period), records)
        return Tree(heard, position, commitment)

    async def _heard(self, period: int, until: int) -> Mapping[str, domain.Heard]:
        hearing, position, types = domain.Hearing(period), 0, self._log.types.names(TOLD_BY)
        while batch := await self._log.read(position, until, types=types):
            for recorded in batch:
                hearing.take(recorded.event)
            position = batch[-1].position
        return hearing.records()
