"""The worker that follows the head of the chain: looks at a node, tells what is new, takes back what is gone."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from itertools import pairwise
from time import monotonic, time

from chain import metrics
from chain.decoding import encoded_message, public_message
from chain.domain import ContractEvent
from chain.domain.watch import Watch
from chain.handlers import Translator, time_of
from chain.handover import Handover
from chain.head.branch import Branch, Handed, Shown, Window, handed_branch, read_branch
from chain.head.log import Entry, HeadLog, HeadMoved, Told
from chain.past.progress import Watching
from contracts.head import BlockAdded, BlockRetracted
from eventlog import EventLog, turn
from messaging.cloudevents import Encoded
from messaging.connection import Kafka
from messaging.errors import is_transient
from messaging.leader import leadership, while_leading
from messaging.progress import read_progress
from messaging.topics import progress_topic
from service import Check, get_logger
from tron.errors import NodeBehind, NodeDisagrees, NodeError
from tron.model import Block
from tron.providers import Nodes
from tron.retry import back_off

TOPIC = "chain.head"
LOOKS = 3
"""So many looks in a row must find our newest block gone before it is taken back."""
PART_BYTES = 500_000
"""The events of one message, about; a block with more is told in several."""
MOST_BEHIND = 20
"""Blocks; with more to be told the service is not ready."""
SILENT_SECONDS = 15.0
"""A node that shows nothing new for so long is compared with another one; one that says nothing makes us unready."""
LEAST_PAUSE_SECONDS = 0.03
LONGEST_PAUSE_SECONDS = 5.0
STUCK_PAUSE_SECONDS = 30.0
FORGET_EVERY_SECONDS = 600.0
log = get_logger("chain.head")


class HeadFollower:
    """Tells the head log the newest blocks and what becomes of them; a worker.

    Any number of instances may run: one leads, the others stand by. `contracts` (name -> address) are those of the
    settings; what else the main log watches is told as well. Where every node contradicts what was solidified it tells
    nothing and makes the service unready, for a person to look: money and law do not depend on it. What is solidified
    already when it comes to it, after an outage, it takes from the `handover` of an ingester in the same process.
    """

    name = "head"

    def __init__(
        self,
        head_log: HeadLog,
        event_log: EventLog,
        nodes: Nodes,
        kafka: Kafka,
        contracts: Mapping[str, str],
        poll_seconds: float = 0.5,
        handover: Handover | None = None,
    ) -> None:
        self._log = head_log
        self._nodes = nodes
        self._kafka = kafka
        self._contracts = contracts
        self._pace = Pace(poll_seconds)
        self._handover = handover or Handover()
        self._leads = False
        self._window = Window(0, (), -1)
        self._watching = Watching(event_log)
        self._watched = Watch()
        self._translator = Translator(contracts, None)  # those are told before the main log has begun
        self._tip_time = time()
        self._doubts = 0
        self._failures = 0
        self._behind = 0
        self._looked_at = self._compared_at = monotonic()
        self._problem = ""
        self._stuck = False

    async def run(self) -> None:
        """Runs until cancelled."""
        async with leadership(self._log.pool, f"chain:{self.name}") as lock:
            self._leads, self._looked_at = True, monotonic()
            metrics.HEAD_LEADER.set(1)
            try:
                await while_leading(lock, self.follow(), self._forget())
            finally:
                self._leads = False
                metrics.HEAD_LEADER.set(0)

    async def follow(self) -> None:
        """Runs until cancelled, without asking whether another one does: positions keep that harmless."""
        told: Told | None = None
        while True:
            try:
                if told is None:
                    told = await self._log.told()
                told = await self._advance(told)
                self._failures, self._problem, self._stuck = 0, "", False
                self._looked_at = monotonic()
                more = self._behind > 0 or self._doubts > 0
                pause = LEAST_PAUSE_SECONDS if more else self._pace.after(time())
            except HeadMoved as error:
                log.warning("another process tells the head, too", reason=str(error))
                told, pause = None, LEAST_PAUSE_SECONDS
            except NodeError as error:
                pause = self._failed(error)
            self._measure()
            await asyncio.sleep(pause)

    def check(self) -> Check:
        """Fails, with the reason, while the head is not told in time. An instance that stands by is well."""

        async def probe() -> str:
            if not self._leads:
                return "stands by"
            silent = monotonic() - self._looked_at
            if self._stuck or silent > SILENT_SECONDS:
                raise RuntimeError(f"the head is not told for {silent:.0f} s: {self._problem or 'no look has ended'}")
            if self._behind > MOST_BEHIND:
                raise RuntimeError(f"the head is told {self._behind} blocks late, expected at most {MOST_BEHIND}")
            return f"told up to block {self._window.tip}"

        return Check("head", probe)

    # ---- one look ---------------------------------------------------------------------------------------------------

    async def _advance(self, told: Told) -> Told:
        """Looks once and tells what is new; returns what is told then."""
        window = self._window = told.window
        if window.hashes and self._handover.brings(window.tip + 1):
            self._behind = self._handover.goal - window.tip
            return told
        branch = handed_branch(self._handover, window) or await self._best(window)
        self._behind = branch.head - window.tip if window.hashes else 0
        gone = max(0, window.tip - branch.ancestor)
        self._doubts = self._doubts + 1 if gone else 0
        if not branch.blocks or (gone and self._doubts < LOOKS):
            return told
        await self._look_at_what_is_watched()
        entries = [*retractions(window, branch), *await self._additions(branch)]
        last = await self._log.append(told, entries)
        self._doubts = 0
        if gone:
            metrics.REORGANISED.observe(gone)
            log.info("reorganised", retracted=gone, ancestor=branch.ancestor, head=branch.blocks[-1].number)
        self._pace.saw([block.time_ms / 1000 for block in branch.blocks], time())
        self._tip_time, self._compared_at = branch.blocks[-1].time_ms / 1000, monotonic()
        self._window = window.onto(branch)
        self._behind = branch.head - self._window.tip
        return Told(*last, self._window)

    async def _best(self, window: Window) -> Shown:
        """What the best node shows; another one is asked where ours seems gone or nothing has come for long."""
        look = partial(read_branch, window=window)
        first = await self._nodes.ask(look)
        gone = first.ancestor < window.tip
        silent = not first.blocks and monotonic() - self._compared_at > SILENT_SECONDS
        if not gone and not silent:
            return first
        self._compared_at = monotonic()
        try:
            second = await self._nodes.ask(look, but=first.node)
        except (NodeError, LookupError):
            return first
        if not second.blocks or second.ancestor < window.tip:
            return first
        if silent:
            problem = f"its newest block is {first.head}, another node's {second.head}"
            self._nodes.reject(first.node, NodeBehind(first.node.url, "wallet/getnowblock", problem))
        return second

    async def _look_at_what_is_watched(self) -> None:
        """Contracts that were added to the main log while it runs are told as well."""
        watched = await self._watching.now()
        if watched is not self._watched:
            self._watched = watched
            self._translator = Translator({**self._contracts, **watched.in_force}, None)

    async def _additions(self, branch: Shown | Handed) -> list[Entry]:
        entries: list[Entry] = []
        for index, block in enumerate(branch.blocks):
            await turn()
            solidified = min(branch.solidified, block.number)
            entries += additions(block, self._logs(branch, index), solidified)
        return entries

    def _logs(self, branch: Shown | Handed, index: int) -> Iterable[tuple[str, object]]:
        """The streams and events of a branch's block."""
        if isinstance(branch, Handed):
            return ((new.stream, new.event) for new in branch.events[index])
        return self._translator.logs(branch.blocks[index], branch.receipts[index])

    # ---- how it goes ------------------------------------------------------------------------------------------------

    def _failed(self, error: NodeError) -> float:
        """Notes what is wrong; returns how long to pause."""
        self._failures += 1
        self._doubts = 0
        self._problem = str(error)
        if isinstance(error, NodeDisagrees) and self._failures >= LOOKS:
            if not self._stuck:
                log.critical("every node contradicts what was solidified, nothing more is told", reason=str(error))
            self._stuck = True
            return STUCK_PAUSE_SECONDS
        pause = back_off(self._failures, 2 * LEAST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS)
        if self._failures >= LOOKS:
            log.warning("no usable answer about the head", reason=str(error), next_try_seconds=round(pause, 1))
        return pause

    def _measure(self) -> None:
        metrics.HEAD_TOLD.set(self._window.tip)
        metrics.HEAD_LAG_BLOCKS.set(self._behind)
        metrics.HEAD_LAG_SECONDS.set(max(0.0, time() - self._tip_time))

    async def _forget(self) -> None:
        """Deletes old entries now and then: only what is published, which the relay's own topic knows."""
        while True:
            await asyncio.sleep(FORGET_EVERY_SECONDS)
            try:
                progress = await read_progress(self._kafka, progress_topic(TOPIC).name)
                if progress is not None:
                    await self._log.forget(progress.position, self._window.solidified)
            except Exception as error:
                if not is_transient(error):
                    raise
                log.warning("old entries are kept for now", reason=repr(error))


class Pace:
    """When to look again: just before the next block is expected, then every tenth of a second where blocks come
    every three; less often in a lull.

    It goes by the blocks' own times, with what passes from there until a node shows one at best, so that it doesn't
    matter whose clock is wrong, and one late look makes no other late.
    """

    def __init__(self, longest: float) -> None:
        self._longest = longest
        self._times: deque[float] = deque(maxlen=10)
        self._delays: deque[float] = deque(maxlen=10)

    def saw(self, times: Sequence[float], now: float) -> None:
        """New blocks came, of these times in seconds."""
        self._times.extend(times)
        self._delays.append(now - times[-1])

    def after(self, now: float) -> float:
        """Seconds to pause."""
        ordered = sorted(self._times)
        gaps = [later - earlier for earlier, later in pairwise(ordered) if later > earlier]
        interval = min(gaps, default=self._longest)  # skipped slots make gaps longer, nothing makes them shorter
        silence = now - ordered[-1] - min(self._delays) if ordered else 0.0
        early = 0.95 * interval - max(0.0, silence)
        if early > LEAST_PAUSE_SECONDS:
            return early
        return min(self._longest, max(LEAST_PAUSE_SECONDS, interval / 30, (silence - interval) / 4))


def retractions(window: Window, branch: Branch) -> Iterator[Entry]:
    """The blocks of ours that a branch takes back, newest first."""
    for number in range(window.tip, max(branch.ancestor, window.first - 1), -1):
        message = BlockRetracted(number=number, hash=window.hashes[number - window.first])
        yield Entry.of(message, datetime.now(UTC))


def additions(block: Block, events: Iterable[tuple[str, object]], solidified: int) -> Iterator[Entry]:
    """The messages of one block, given its events with their streams: as many parts as they need, at least one."""
    parts: list[list[str]] = [[]]
    size = 0
    for stream, event in events:
        told = _provisional(stream, event) if isinstance(event, ContractEvent) else None
        if told is None:
            continue
        size += len(told)
        if size > PART_BYTES and parts[-1]:
            parts.append([])
            size = len(told)
        parts[-1].append(told)
    for number, texts in enumerate(parts, start=1):
        added = BlockAdded(
            number=block.number,
            hash=block.hash,
            parent=block.parent_hash,
            time=time_of(block),
            transactions=len(block.transactions),
            solidified=solidified,
            part=number,
            parts=len(parts),
            events=(),
        )
        entry = Entry.of(added, added.time)
        yield replace(entry, data=entry.data.replace('"events":[]', f'"events":[{",".join(texts)}]'))


def _provisional(stream: str, event: ContractEvent) -> str | None:
    """A `ProvisionalEvent` as JSON, encoded once; making objects of it first costs four times that. None: not told."""
    encoded = encoded_message(event.contract, event.name, event.args, event.source)
    if encoded is None and (message := public_message(event)) is not None:
        encoded = Encoded(message.type, message.model_dump_json())
    if encoded is None:
        return None
    return f'{{"type":"{encoded.type}","stream":{json.dumps(stream)},"data":{encoded.body}}}'
