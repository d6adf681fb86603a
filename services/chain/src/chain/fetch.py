"""Solidified blocks with their receipts: read concurrently, handed out in order, each proven before it is.

libs/tron checks every answer against the question and against itself, and knows which node to ask; here the answers are
checked against what was read before, and asked again when they cannot be true.

There are two ways of reading. The plain one asks for every block and its receipts. Where only transactions that logged
something are wanted, a node's index (JSON-RPC) says in which blocks there is something, and only those are read: by
the very same requests, so that both ways give the same events. Nothing in a chain proves that an index is complete, so
it is believed where two nodes tell the same; else every block is read.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Collection, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from time import monotonic
from typing import Literal, TypeVar

from chain import metrics
from projections.garbage import fewer_collections
from service import Check, get_logger
from tron.client import NodeClient
from tron.errors import (
    IncompleteAnswer,
    NodeDisagrees,
    NodeError,
    NodeLied,
    NodeUnavailable,
    TooMuch,
)
from tron.model import Block, BlockLog, TransactionInfo, logs_of
from tron.providers import Nodes, Question
from tron.retry import Retry
from tron.rpc import MOST_BLOCKS as MOST_BLOCKS_BY_INDEX

RANGES_AHEAD = 4
"""Ranges of blocks read or being read beyond the one that is consumed: with `TARGET_TRANSACTIONS` it bounds memory."""
TARGET_TRANSACTIONS = 2_000
PAST_REQUESTS = 4
MOST_REQUESTS = 10_000
"""Requests that wait for their turn at the nodes, which decide themselves how many they bear."""
MOST_BLOCKS = 100
WITNESSES = 20
"""The last blocks of a range, one of which must have a log for the index to be proven by."""
INDEX_AGAIN_SECONDS = 60.0
"""After an index could not be used, blocks are read the plain way for so long before it is tried again."""
ANSWERED_SECONDS = 15.0
"""While a usable answer is no older, readiness does not ask the nodes: budgets are for the chain."""
RETRY = Retry(attempts=5, first=0.2, longest=8.0, on=(NodeUnavailable, IncompleteAnswer, NodeLied))

INDEX_RETRY = replace(RETRY, attempts=2)  # there is another way

T = TypeVar("T")
Index = Literal["agreed", "alone", "never"]
Receipts = Sequence[TransactionInfo]
log = get_logger("chain.fetch")


@dataclass(frozen=True, slots=True)
class Range:
    """What a node told of blocks in a row: the first, and those that were not left out, of which the last is one."""

    node: NodeClient
    start: Block
    found: list[tuple[Block, Receipts]]

    @property
    def first(self) -> int:
        return self.start.number

    @property
    def last(self) -> int:
        return self.found[-1][0].number

    @property
    def blocks(self) -> list[Block]:
        """All that was read, in order; the first may stand there twice."""
        return [self.start, *(block for block, _ in self.found)]


class Fetcher:
    """Reads solidified blocks of whichever node is best.

    With `past`, it reads beside another one, which is at the head: nodes are not held against what it reads, and only
    a few of its requests at once stand before the other's.
    """

    def __init__(self, nodes: Nodes, index: Index = "agreed", *, past: bool = False) -> None:
        self.nodes = nodes
        self._index = index
        self._past = past
        self._turns = asyncio.Semaphore(PAST_REQUESTS if past else MOST_REQUESTS)
        self._blocks_per_range = 10
        self._index_from = 0.0

    async def heights(self) -> tuple[int, int]:
        """Head and solidified height, now."""
        head, solid = await RETRY(self.nodes.heights)
        metrics.HEAD.set(head)
        metrics.SOLID.set(solid)
        return head, solid

    async def hold(self, number: int, block_hash: str) -> None:
        """Goes on only with nodes that hold this block of the log, solidified; the others are left.

        Raises NodeDisagrees when all have another one, NodeError when none has it (yet).
        """
        self.nodes.proven(number, block_hash)
        self.nodes.suspect_all()
        await self._ask(_nothing)

    async def blocks(
        self,
        first: int,
        last: int,
        logged: Collection[str] | None = None,
        *,
        after: tuple[int, str] | None = None,
    ) -> AsyncGenerator[tuple[Block, Receipts, bool], None]:
        """The blocks `first` to `last` in order with their receipts; the flag says whether more are at hand already.

        They follow the block `after` (number and hash), or else the genesis block of the nodes, if that is known. None
        but `last` is handed out before the next one names it as its parent, or the index of a node as the block of its
        logs: anybody can make a block that is only right by itself.
        With `logged` (addresses of contracts), blocks without a log of them may be left out, but never `last`. Ranges
        are read ahead, concurrently. Raises NodeError once a range could not be had after several attempts; what came
        before it was handed out.
        """
        ahead: deque[asyncio.Task[Range]] = deque()
        upto, before = first - 1, after or self.nodes.genesis
        held: list[Range] = []  # the last block of a range, until the next one is seen to follow it
        try:
            with fewer_collections():  # the blocks in memory are a million objects, which all live until they are used
                while upto < last or ahead:
                    while upto < last and len(ahead) < RANGES_AHEAD:
                        start, upto = upto + 1, min(upto + self._blocks_per_range, last)
                        ahead.append(asyncio.create_task(self._range(start, upto, logged)))
                    held, read = await self._joined(before, held, await ahead[0], logged)
                    ahead.popleft()
                    found = [pair for part in (*held, read) for pair in part.found]
                    held = [Range(read.node, found[-1][0], [found.pop()])] if read.last < last else []
                    if found:
                        before = found[-1][0].number, found[-1][0].hash
                        if not self._past:
                            self.nodes.proven(*before)
                    for index, (block, receipts) in enumerate(found):
                        more = index + 1 < len(found) or (bool(ahead) and ahead[0].done())
                        yield block, receipts, more
        finally:
            for task in ahead:
                task.cancel()
            await asyncio.gather(*ahead, return_exceptions=True)  # cancelled on purpose, or failed after another

    async def _joined(
        self, before: tuple[int, str] | None, held: list[Range], read: Range, logged: Collection[str] | None
    ) -> tuple[list[Range], Range]:
        """What is held, and the range after it: one of the two is read again where it does not follow the other."""
        for attempt in range(1, RETRY.attempts + 1):
            problem = _gap(before, [*held, read])
            if problem is None:
                return held, read
            wrong = held[0] if held and not await _stood_by(held[0]) else read
            error = NodeDisagrees(wrong.node.solid_url, "walletsolidity/getblockbylimitnext", problem)
            self.nodes.reject(wrong.node, error)
            if attempt == RETRY.attempts:
                raise error
            await asyncio.sleep(RETRY.pause(attempt, error))
            again = await self._range(wrong.first, wrong.last, logged)
            held, read = (held, again) if wrong is read else ([again], read)
        raise AssertionError("unreachable: the last attempt returns or raises")

    # ---- one range --------------------------------------------------------------------------------------------------

    async def _range(self, first: int, last: int, logged: Collection[str] | None) -> Range:
        read: Range | None = None
        if logged is not None and self._index != "never" and monotonic() >= self._index_from:
            read = await self._by_index(first, last, logged)
        most = MOST_BLOCKS if read is None else MOST_BLOCKS_BY_INDEX
        try:
            read = read or await self._every(first, last)
        except NodeError:
            self._blocks_per_range = max(1, self._blocks_per_range // 2)  # so that one bad answer spoils less
            raise
        transactions = sum(len(block.transactions) for block, _ in read.found)
        fitting = TARGET_TRANSACTIONS * (last - first + 1) // max(transactions, 1)
        self._blocks_per_range = max(1, min(fitting, self._blocks_per_range * 2, most))
        return read

    async def _every(self, first: int, last: int) -> Range:
        """The plain way: all blocks of the range, in hundreds."""
        found: list[tuple[Block, Receipts]] = []
        node: NodeClient | None = None
        for start in range(first, last + 1, MOST_BLOCKS):
            node, blocks = await self._blocks(start, min(start + MOST_BLOCKS - 1, last))
            found += zip(blocks, await together([self._receipts(block) for block in blocks]), strict=True)
        assert node is not None, f"blocks {first} to {last}: expected at least one"
        return Range(node, found[0][0], found)

    async def _blocks(self, first: int, last: int) -> tuple[NodeClient, list[Block]]:
        async def read(client: NodeClient) -> tuple[NodeClient, list[Block]]:
            return client, await client.blocks(first, last)

        try:
            return await self._ask(read)
        except TooMuch:
            if first == last:
                raise
            middle = (first + last) // 2
            _, lower = await self._blocks(first, middle)
            node, upper = await self._blocks(middle + 1, last)
            return node, lower + upper

    async def _receipts(self, block: Block) -> Receipts:
        if block.number == 0 or not block.transactions:
            return []  # without a request
        return await self._ask(lambda node: node.infos_of(block))

    # ---- by the index -----------------------------------------------------------------------------------------------

    async def _by_index(self, first: int, last: int, logged: Collection[str]) -> Range | None:
        """The blocks of the range in which the contracts logged, and the last one; None where nothing proves the index.

        Each is read the plain way too, and both must tell the same logs; so must the index of a second node.
        """
        wanted = list(logged)

        async def read(node: NodeClient) -> Range | None:
            logs = await node.rpc.logs(first, last, wanted)
            if not await index_proven(node, first, last):
                return None
            if self._index == "agreed":
                other = await self.nodes.ask(lambda second: second.rpc.logs(first, last, wanted), but=node)
                if other != logs:
                    problem = f"blocks {first} to {last}: {len(logs)} logs, another node's has {len(other)}"
                    raise NodeLied(node.url, "jsonrpc", f"{problem}: {first_difference(logs, other)}")
            numbers = sorted({one.block_number for one in logs} | {last})
            found = await together([node.block_with_infos(number) for number in numbers])
            plain = [one for block, infos in found for one in logs_of(block, infos, logged)]
            if logs != plain:
                problem = f"blocks {first} to {last}: the index knows {len(logs)} logs, the receipts {len(plain)}"
                raise NodeLied(node.url, "jsonrpc", f"{problem}: {first_difference(logs, plain)}")
            start = found[0][0] if numbers[0] == first else (await node.blocks(first, first))[0]
            return Range(node, start, [(block, infos) for block, infos in found])

        try:
            return await INDEX_RETRY(lambda: self.nodes.ask(read))
        except (NodeError, LookupError) as error:
            self._index_from = monotonic() + INDEX_AGAIN_SECONDS
            self._blocks_per_range = min(self._blocks_per_range, MOST_BLOCKS)
            log.info("the index cannot be used, every block is read", reason=str(error))
            return None

    # ---- asking -----------------------------------------------------------------------------------------------------

    async def _ask(self, question: Question[T]) -> T:
        """Asks the best node, and asks again a few times when the answer fails or cannot be true."""

        async def ask() -> T:
            async with self._turns:
                return await self.nodes.ask(question)

        return await RETRY(ask)


async def _nothing(node: NodeClient) -> None:
    """A question for nodes that need only be admitted."""


async def index_proven(node: NodeClient, first: int, last: int) -> bool:
    """Whether the index finds the logs of the newest block near `last` that has any. Raises NodeLied if it does not.

    java-tron keeps the index beside the blocks, only while its JSON-RPC is switched on: where it is missing, a search
    finds nothing and says so without an error.
    """
    for start in (last, max(first, last - WITNESSES + 1)):
        for block in reversed(await node.blocks(start, last)):
            infos = await node.infos_of(block)
            address = next((entry.address for info in infos for entry in info.logs), None)
            if address is not None:
                told = logs_of(block, infos, {address})
                indexed = await node.rpc.logs(block.number, block.number, [address])
                if indexed != told:
                    problem = f"block {block.number} has {len(told)} logs of {address}, the index {len(indexed)}"
                    raise NodeLied(node.url, "jsonrpc", problem)
                return True
    return False


async def _stood_by(told: Range) -> bool:
    """Whether the node that told a block tells the next one as its child, too: else no other node is to blame."""
    try:
        block, _ = await told.node.blocks(told.last, told.last + 1)  # which raises where it is no child
    except NodeLied:
        return False
    except NodeError:
        return True  # it can't say
    return block.hash == told.start.hash


def _gap(before: tuple[int, str] | None, ranges: Sequence[Range]) -> str | None:
    """What is wrong between a block and the one before it, or None; blocks left out in between tell nothing."""
    for block in (block for part in ranges for block in part.blocks):
        if before is not None and block.number == before[0] + 1 and block.parent_hash != before[1]:
            return f"block {block.number} has the parent {block.parent_hash}, expected {before[1]}"
        if before is not None and block.number == before[0] and block.hash != before[1]:
            return f"block {block.number} is {block.hash}, expected {before[1]}"  # genesis, or one read twice
        before = block.number, block.hash
    return None


def first_difference(one: Sequence[BlockLog], other: Sequence[BlockLog]) -> str:
    """Where two lists go apart, for a message."""
    a, b = next((a, b) for a, b in zip_longest(one, other) if a != b)
    return f"they part at {_place(a)}" if _place(a) == _place(b) else f"they part at {_place(a)} and {_place(b)}"


def _place(found: BlockLog | None) -> str:
    return "the end" if found is None else f"log {found.log.index_in_block} of block {found.block_number}"


async def logs_told(node: NodeClient, first: int, last: int, addresses: Collection[str]) -> list[BlockLog]:
    """What a node's index tells of some contracts; its receipts, where that is more than an index lists."""
    try:
        return await node.rpc.logs(first, last, sorted(addresses))
    except TooMuch:
        found = await together([node.block_with_infos(number) for number in range(first, last + 1)])
        return [one for block, receipts in found for one in logs_of(block, receipts, addresses)]


class Heights:
    """Head and solidified height for whoever asks, at most once a second; no answer is remembered, too."""

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes
        self._lock = asyncio.Lock()
        self._until = 0.0
        self._last: tuple[int, int] | NodeError = (0, 0)

    async def now(self) -> tuple[int, int]:
        """Head and solidified height. Raises NodeError, within three seconds."""
        async with self._lock:
            if monotonic() >= self._until:
                self._last = await self._look()
                self._until = monotonic() + 1
        if isinstance(self._last, NodeError):
            raise self._last
        return self._last

    async def _look(self) -> tuple[int, int] | NodeError:
        try:
            async with asyncio.timeout(3):
                return await self._nodes.heights(patience=2.8 / len(self._nodes.all))
        except TimeoutError:
            return NodeUnavailable("every node", "wallet/getnowblock", "no answer within 3 s")
        except NodeError as error:
            return error


def nodes_check(nodes: Nodes, known: Heights) -> Check:
    """Fails, with each provider's reason, unless one has given a usable answer lately or gives one now."""

    async def probe() -> str:
        if monotonic() - nodes.answered_at > ANSWERED_SECONDS:
            try:
                await known.now()
            except NodeError as error:
                reasons = [f"{state.name}: {state.why}" for state in nodes.states() if state.why is not None]
                raise RuntimeError("no node gives a usable answer: " + "; ".join(reasons or [str(error)])) from error
        bad = [f"{state.name}: {state.why}" for state in nodes.states() if not state.healthy]
        return f"{len(nodes.all) - len(bad)} of {len(nodes.all)} nodes are well" + "".join(f"; {text}" for text in bad)

    return Check("nodes", probe)


async def together(questions: Sequence[Awaitable[T]]) -> list[T]:
    """As `asyncio.gather`, but when one fails the others end before it is raised."""
    tasks = [asyncio.ensure_future(question) for question in questions]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)  # cancelled on purpose, or failed after another
