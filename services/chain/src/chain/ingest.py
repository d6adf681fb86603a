"""The worker that reads the chain into the log.

The cursor is the stream `cursor` itself: its last `BlocksIngested` says how far the chain was read. Every append ends
with the next one and names the version the stream must have, so events and cursor are one transaction, and of two
ingesters that read the same blocks one is refused. A session advisory lock lets only one try.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Collection, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from time import monotonic, time_ns

from chain import metrics
from chain.domain import CURSOR, WATCH, BlocksIngested, ContractEvent, ContractsWatched, Scope, UndecodedLog
from chain.domain.watch import Watch, evolve, watch
from chain.fetch import Fetcher
from chain.handlers import Ingested, Translator
from chain.handover import Handover
from eventlog import EventLog, NewEvent, WrongExpectedVersion, derived_id, tracing
from messaging.leader import leadership, while_leading
from service import Check, get_logger
from tron.errors import NodeDisagrees, NodeError
from tron.retry import back_off

MOST_BLOCKS = 1_000
LONGEST_PAUSE_SECONDS = 30.0
STALLED_SECONDS = 30.0
"""Without a usable answer for longer, the service is not ready; solidified blocks are a minute late anyway."""
log = get_logger("chain.ingest")


class WatchConflict(Exception):
    """The settings contradict what the log was begun with; only another log can give what they ask for."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where the log ends: the version of the stream `cursor`, the next block to read, and the last one's hash."""

    version: int
    next: int
    last_hash: str | None = None  # None: nothing was read yet

    @property
    def last_block(self) -> tuple[int, str] | None:
        """Number and hash of the last block that was read."""
        return None if self.last_hash is None else (self.next - 1, self.last_hash)


class Ingester:
    """Reads solidified blocks into the log for ever; a worker.

    `contracts` (name -> address) are watched in addition to those that the log was begun with, and so are the
    transactions that `accounts` sign. What is recorded is handed to the head, too. Any number of instances may run:
    one leads, the others stand by. The node may lag, fail and lie: it is asked again, with growing pauses, and nothing
    is recorded that isn't proven. Where every node has another chain than the log, nothing more is recorded and the
    service is not ready, until a person has looked: solidified blocks never change. Raises WatchConflict, which needs
    a person, too.
    """

    name = "ingester"

    def __init__(
        self,
        event_log: EventLog,
        fetcher: Fetcher,
        contracts: Mapping[str, str],
        *,
        accounts: Collection[str] = (),
        transactions: Scope = "all",
        start_block: int = 0,
        batch_events: int = 5_000,
        poll_seconds: float = 0.5,
        handover: Handover | None = None,
    ) -> None:
        self._log = event_log
        self._fetcher = fetcher
        self._contracts = contracts
        self._accounts = frozenset(accounts)
        self._transactions: Scope = transactions
        self._start_block = start_block
        self._batch_events = batch_events
        self._poll_seconds = poll_seconds
        self._handover = handover or Handover()
        self._failures = 0
        self._stalled_at: float | None = None
        self._problem = ""
        self._last_time: datetime | None = None
        self._to_watch: list[NewEvent] = []
        self._watch_version = 0

    async def run(self) -> None:
        """Runs until cancelled."""
        async with leadership(self._log.pool, f"chain:{self.name}") as lock:
            metrics.LEADER.set(1)
            metrics.STALLED.set_function(self.stalled_seconds)
            metrics.LAG_SECONDS.set_function(self.lag_seconds)
            try:
                await while_leading(lock, self.ingest())
            finally:
                metrics.LEADER.set(0)
                self._stalled_at = self._last_time = None

    async def ingest(self) -> None:
        """Runs until cancelled, without asking whether another one does: the cursor's version keeps that harmless."""
        cursor: Cursor | None = None
        while True:
            try:
                if cursor is None:
                    cursor = await self.cursor()
                    translator = await self._watch(cursor)
                    await self._verify(cursor)
                before, cursor = cursor, await self._advance(cursor, translator)
                self._stalled_at = None
                if await self._asked():
                    cursor = None
                elif cursor == before:
                    await asyncio.sleep(self._poll_seconds)
            except WrongExpectedVersion as error:
                metrics.FENCED.inc()
                log.warning("another ingester was faster, reading the cursor again", reason=str(error))
                cursor = None
            except NodeError as error:
                self._failures += 1
                self._stalled_at, self._problem = self._stalled_at or monotonic(), str(error)
                pause = back_off(self._failures, 0.25, LONGEST_PAUSE_SECONDS)
                say = log.critical if isinstance(error, NodeDisagrees) else log.warning
                say("no usable answer from the node", reason=str(error), next_try_seconds=round(pause, 1))
                await asyncio.sleep(pause)
                cursor = None  # what was appended before the failure has moved it

    def stalled_seconds(self) -> float:
        """How long it has been without a usable answer; 0 while it goes on, or stands by."""
        return 0.0 if self._stalled_at is None else monotonic() - self._stalled_at

    def lag_seconds(self) -> float:
        """The age of the last block in the log; 0 before there is one, and while this instance stands by."""
        return 0.0 if self._last_time is None else max(0.0, (datetime.now(UTC) - self._last_time).total_seconds())

    def check(self) -> Check:
        """Fails, with the reason, while blocks could not be recorded for long. An instance that stands by is well."""

        async def probe() -> str:
            stalled = self.stalled_seconds()
            said = f"no block could be recorded for {stalled:.0f} s: {self._problem}"
            if stalled > STALLED_SECONDS:
                raise RuntimeError(said)
            if stalled:
                return said
            return "stands by" if self._last_time is None else f"the last block is {self.lag_seconds():.0f} s old"

        return Check(self.name, probe)

    # ---- where the log ends ---------------------------------------------------------------------------------------

    async def cursor(self) -> Cursor:
        """The cursor as the log has it."""
        recorded = await self._log.last(CURSOR)
        if recorded is None:
            return Cursor(0, self._start_block)
        done: BlocksIngested = recorded.event
        metrics.INGESTED.set(done.last)
        self._last_time = done.last_time
        return Cursor(recorded.version, done.last + 1, done.last_hash)

    async def _watch(self, cursor: Cursor) -> Translator:
        """What to record: all that the log says, with what people have asked for, and what the settings add.

        The addition is recorded with the first blocks that it holds for. Alone it could be followed by blocks of a
        rival that doesn't know of it yet, and the log would claim to hold what it doesn't.
        """
        state = watch(recorded.event for recorded in await self._log.read_stream(WATCH))
        self._refuse_conflicts(state)
        new = {name: address for name, address in self._contracts.items() if name not in state.contracts}
        asked = {name: one.address for name, one in state.contracts.items() if one.since is None}
        accounts = self._accounts - state.accounts if self._transactions != "all" else frozenset[str]()
        self._to_watch, self._watch_version = [], state.version
        if new or accounts or not state.version or any(one.waits for one in state.contracts.values()):
            log.info("watching", contracts=new | asked, transactions=self._transactions, first_block=cursor.next)
            event = ContractsWatched(new | asked, self._transactions, cursor.next, tuple(sorted(accounts)))
            self._to_watch = [NewEvent(WATCH, event, datetime.now(UTC))]
            state = evolve(state, event)
        return Translator(state.in_force, self._transactions, state.accounts)

    def _refuse_conflicts(self, state: Watch) -> None:
        if other := state.scopes - {self._transactions}:
            raise WatchConflict(
                f"transactions: the log was begun with {', '.join(other)}, "
                f"the settings say {self._transactions}; start another log (an empty database)"
            )
        for name, address in self._contracts.items():
            known = state.contracts.get(name)
            if known is not None and known.address != address:
                raise WatchConflict(
                    f"{name}: the log has the events of {known.address}, the settings say {address}; "
                    "start another log (an empty database)"
                )
            if known is None and (other_name := state.at(address)) is not None:
                raise WatchConflict(f"{name}: {address} is watched already, as {other_name.name}")

    async def _asked(self) -> bool:
        """Whether somebody has asked for more to be watched since the last look."""
        return await self._log.version(WATCH) != self._watch_version

    async def _verify(self, cursor: Cursor) -> None:
        """A node must hold the last block that the log has; while all lag, they are waited for."""
        if cursor.last_hash is None:
            self._fetcher.nodes.nothing_proven()
            return
        try:
            await self._fetcher.hold(cursor.next - 1, cursor.last_hash)
        except NodeDisagrees as error:
            problem = f"the log has block {cursor.next - 1} as {cursor.last_hash}, solidified; no node agrees"
            ours = f"{problem} ({error.problem}): one of the two is of another chain"
            raise NodeDisagrees(error.node, error.path, ours) from error

    # ---- on from there --------------------------------------------------------------------------------------------

    async def _advance(self, cursor: Cursor, translator: Translator) -> Cursor:
        """Appends all solidified blocks that the log lacks, in batches; returns where it ends then.

        While one batch is being appended, the next is read and decoded; it is not appended before that has succeeded.
        """
        _, solid = await self._fetcher.heights()
        metrics.LAG_BLOCKS.set(max(0, solid - cursor.next + 1))
        self._handover.reads(cursor.next, solid)
        read = self._fetcher.blocks(cursor.next, solid, translator.logged, after=cursor.last_block)
        batch, appending = _Batch(cursor), None
        try:
            async with aclosing(read) as blocks:
                async for block, receipts, more in blocks:
                    ingested = await translator.block_in_turns(block, receipts)  # and the append goes on
                    full: list[_Batch] = []
                    if not batch.takes(ingested, self._batch_events):
                        full, batch = [batch], _Batch(batch.after())
                    batch.add(ingested)
                    if len(batch.ingested) >= MOST_BLOCKS or not more:
                        full, batch = [*full, batch], _Batch(batch.after())
                    for one in full:
                        if appending is not None:
                            await appending
                        appending = asyncio.create_task(self._append(one))  # PostgreSQL works, and so do we
                        metrics.LAG_BLOCKS.set(max(0, solid - one.after().next + 1))
                    if full and await self._asked():
                        break
            return cursor if appending is None else await appending
        finally:
            if appending is not None:  # ended, unless something failed: then the log is asked how far it is
                appending.cancel()
                await asyncio.gather(appending, return_exceptions=True)

    async def _append(self, batch: _Batch) -> Cursor:
        """Appends a batch and moves the cursor, all or nothing."""
        done = batch.done()
        event_id = derived_id(f"blocks/{done.first}/{done.last_hash}", done.last_time)
        moved = NewEvent(CURSOR, done, done.last_time, event_id)
        expected = {CURSOR: batch.cursor.version}
        if self._to_watch:
            expected[WATCH] = self._watch_version
        blocks = {"annals.blocks": done.blocks, "annals.block.first": done.first, "annals.block.last": done.last}
        with tracing.span("ingest blocks", began_ns=batch.began_ns, attributes=blocks):  # here a trace begins
            appended = await self._log.append([*self._to_watch, *batch.events, moved], expected)
        self._failures, self._to_watch, self._stalled_at, self._last_time = 0, [], None, done.last_time
        self._watch_version = appended.versions.get(WATCH, self._watch_version)
        batch.measure()
        self._handover.give(batch.ingested)
        return replace(batch.after(), version=appended.versions[CURSOR])


class _Batch:
    """Blocks that go into the log together, after `cursor`."""

    def __init__(self, cursor: Cursor) -> None:
        self.began_ns = time_ns()
        self.cursor = cursor
        self.last_hash = cursor.last_hash
        self.ingested: list[Ingested] = []
        self.events: list[NewEvent] = []

    def takes(self, ingested: Ingested, most: int) -> bool:
        """Whether a block's events, and the one that moves the cursor, fit beside what is here."""
        return not self.ingested or len(self.events) + len(ingested.events) < most

    def add(self, ingested: Ingested) -> None:
        self.ingested.append(ingested)
        self.events += ingested.events
        self.last_hash = ingested.block.hash

    def after(self) -> Cursor:
        """The cursor once this is in the log."""
        return Cursor(self.cursor.version + 1, self.ingested[-1].block.number + 1, self.last_hash)

    def done(self) -> BlocksIngested:
        last = self.ingested[-1]
        return BlocksIngested(
            first=self.cursor.next,
            last=last.block.number,
            last_hash=last.block.hash,
            last_time=last.time,
            blocks=last.block.number - self.cursor.next + 1,
            transactions=sum(ingested.transactions for ingested in self.ingested),
            events=sum(ingested.logs for ingested in self.ingested),
        )

    def measure(self) -> None:
        done = self.done()
        metrics.INGESTED.set(done.last)
        metrics.TRANSACTIONS.inc(done.transactions)
        metrics.APPENDED.observe(len(self.events) + 1)
        for kind, counter in ((ContractEvent, metrics.EVENTS), (UndecodedLog, metrics.UNDECODED)):
            logs = (new.event for new in self.events)
            for contract, count in Counter(event.contract for event in logs if isinstance(event, kind)).items():
                counter.labels(contract).inc(count)
