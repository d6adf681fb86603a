"""The worker that reads what a contract logged before it was watched, beside the live stream.

Each past has a cursor of its own, a stream `cursor/<contract>`, that moves in the append that holds what was read: the
same rule, and for the same reasons, as the ingester's. It ends where the live watch began.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import aclosing

from chain import metrics
from chain.domain import CURSOR, BlocksBackfilled, ContractEvent
from chain.domain.watch import Watch, Watched, past_cursor
from chain.fetch import Fetcher
from chain.handlers import Ingested, Translator
from chain.past.progress import Past, Watching, grown, hash_in_log, past_of, pasts
from eventlog import EventLog, NewEvent, Watermark, WrongExpectedVersion, derived_id
from messaging.leader import leadership, while_leading
from service import get_logger
from tron.errors import NodeDisagrees, NodeError
from tron.retry import back_off

MOST_BLOCKS = 1_000
AT_ONCE = 4
"""Pasts that are read beside each other: a long one keeps no short one waiting. They share the fetcher's requests."""
LONGEST_PAUSE_SECONDS = 30.0
log = get_logger("chain.backfill")


class Backfill:
    """Reads every past there is, and those that come; a worker.

    Only logs are recorded: the transactions of that time were recorded then, as far as they were wanted. Any number of
    instances may run. A node that fails or lies is asked again, with growing pauses.
    """

    name = "backfill"

    def __init__(
        self,
        event_log: EventLog,
        watermark: Watermark,
        fetcher: Fetcher,
        *,
        batch_events: int = 5_000,
        poll_seconds: float = 0.5,
    ) -> None:
        self._log = event_log
        self._watermark = watermark
        self._fetcher = fetcher
        self._batch_events = batch_events
        self._poll_seconds = poll_seconds
        self._watching = Watching(event_log)
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._failures: Counter[str] = Counter()

    async def run(self) -> None:
        """Runs until cancelled."""
        async with leadership(self._log.pool, f"chain:{self.name}") as lock:
            await while_leading(lock, self.backfill())

    async def backfill(self) -> None:
        """Runs until cancelled, without asking whether another one does: the cursors' versions keep that harmless."""
        begun: set[str] = set()
        known = Watch()
        async with asyncio.TaskGroup() as together:
            while True:
                seen, state = self._watermark.position, await self._watching.now()
                if state is not known:
                    known, unread = state, [past for past in await pasts(self._log, state) if not past.done]
                    for contract in (past.contract for past in unread if past.contract.name not in begun):
                        begun.add(contract.name)
                        together.create_task(self._read_to_the_end(contract))
                await grown(self._watermark, seen, self._poll_seconds)

    async def _read_to_the_end(self, contract: Watched) -> None:
        """Reads a past to its end, whatever fails meanwhile."""
        async with self._turns:
            while not (past := await past_of(self._log, contract)).done:
                try:
                    await self._read(past)
                except WrongExpectedVersion as error:
                    metrics.FENCED.inc()
                    log.warning("another one was faster, reading the cursor again", reason=str(error))
                except NodeError as error:
                    self._failures[contract.name] += 1
                    pause = back_off(self._failures[contract.name], 0.25, LONGEST_PAUSE_SECONDS)
                    log.warning("no usable answer from the node", reason=str(error), next_try_seconds=round(pause, 1))
                    await asyncio.sleep(pause)

    async def _read(self, past: Past) -> None:
        """Reads a past as far as the node's answers are of use."""
        contract = past.contract
        log.info("reading the past", contract=contract.name, first=past.next, last=contract.past[-1])
        await self._hold()
        translator = Translator({contract.name: contract}, None)
        blocks = self._fetcher.blocks(past.next, contract.past[-1], translator.logged, after=past.last_block)
        batch: list[Ingested] = []
        async with aclosing(blocks):
            async for block, receipts, more in blocks:
                ingested = await translator.block_in_turns(block, receipts)
                if batch and sum(one.logs for one in (*batch, ingested)) >= self._batch_events:
                    past, batch = await self._append(past, batch), []
                batch.append(ingested)
                if len(batch) >= MOST_BLOCKS or not more:
                    past, batch = await self._append(past, batch), []

    async def _hold(self) -> None:
        """Asks only nodes that hold what the log has, also where another instance ingests."""
        recorded = await self._log.last(CURSOR)
        assert recorded is not None, "a watch begins with the first blocks that were read"
        proven = self._fetcher.nodes.proven_block
        if proven is None or proven[0] < recorded.event.last:
            await self._fetcher.hold(recorded.event.last, recorded.event.last_hash)

    async def _append(self, past: Past, batch: list[Ingested]) -> Past:
        """Appends a batch and moves the cursor, all or nothing. Raises NodeDisagrees for blocks that are not ours."""
        last, name = batch[-1], past.contract.name
        await self._compare(past.next, batch)
        done = BlocksBackfilled(
            contract=name,
            first=past.next,
            last=last.block.number,
            last_hash=last.block.hash,
            last_time=last.time,
            blocks=last.block.number - past.next + 1,
            events=sum(one.logs for one in batch),
        )
        event_id = derived_id(f"past/{name}/{done.first}/{done.last_hash}", done.last_time)
        moved = NewEvent(past_cursor(name), done, done.last_time, event_id)
        events = [event for one in batch for event in one.events]
        appended = await self._log.append([*events, moved], {past_cursor(name): past.version})
        del self._failures[name]
        _measure(past, done, events)
        return Past(past.contract, appended.versions[past_cursor(name)], done.last + 1, done.last_hash)

    async def _compare(self, first: int, batch: list[Ingested]) -> None:
        """The live stream has passed these blocks, and knows the hash of one here and there; the last one's always."""
        read = {one.block.number: one.block.hash for one in batch}
        for number, block_hash in (await hash_in_log(self._log, first, batch[-1].block.number)).items():
            if read.get(number, block_hash) != block_hash:
                self._fetcher.nodes.suspect_all()
                problem = f"block {number} is {read[number]} there, {block_hash} in the log"
                raise NodeDisagrees("a node", "walletsolidity/getblockbylimitnext", problem)


def _measure(past: Past, done: BlocksBackfilled, events: list[NewEvent]) -> None:
    name = past.contract.name
    metrics.BACKFILLED.labels(name).set(done.last)
    metrics.BACKFILL_LEFT.labels(name).set(past.contract.past.stop - 1 - done.last)
    decoded = sum(isinstance(new.event, ContractEvent) for new in events)
    metrics.EVENTS.labels(name).inc(decoded)
    metrics.UNDECODED.labels(name).inc(done.events - decoded)
