"""Solidified blocks with their receipts: read concurrently, handed out in order, each proven before it is.

libs/tron checks every answer against the question and against itself; here the answers are checked against what was
read before, asked again when they cannot be true, and the node is asked no faster than it bears.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from time import monotonic
from types import TracebackType
from typing import TypeVar

from chain import metrics
from service import get_logger
from tron.client import NodeClient
from tron.errors import IncompleteAnswer, NodeError, NodeLied, NodeUnavailable
from tron.model import Block, TransactionInfo
from tron.retry import Retry

FIRST_REQUESTS = 4
RANGES_AHEAD = 4
"""Ranges of blocks read or being read beyond the one that is consumed: with `TARGET_TRANSACTIONS` it bounds memory."""
TARGET_TRANSACTIONS = 2_000
MOST_BLOCKS = 100
RETRY = Retry(attempts=5, first=0.2, longest=8.0, on=(NodeUnavailable, IncompleteAnswer, NodeLied))

T = TypeVar("T")
Receipts = Sequence[TransactionInfo]
log = get_logger("chain.fetch")


class Pace:
    """How many requests may be under way: one more after as many good answers, half as many after a failure."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._allowed = float(min(FIRST_REQUESTS, most))
        self._busy = 0
        self._slowed_at = 0.0
        self._waiting: deque[asyncio.Future[None]] = deque()
        metrics.NODE_REQUESTS.set(self.allowed)

    @property
    def allowed(self) -> int:
        """Requests that may be under way now."""
        return int(self._allowed)

    async def __aenter__(self) -> None:
        while self._busy >= self.allowed:
            turn = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self._wake()  # our turn came; it is somebody else's now
                raise
        self._busy += 1

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._busy -= 1
        if error is None:
            self._allowed = min(self._most, self._allowed + 1 / self._allowed)
        elif isinstance(error, NodeUnavailable) and monotonic() - self._slowed_at > 1:
            self._slowed_at = monotonic()  # once a second: failures come in crowds
            self._allowed = max(1.0, self._allowed / 2)
        metrics.NODE_REQUESTS.set(self.allowed)
        for _ in range(max(0, self.allowed - self._busy)):
            self._wake()

    def _wake(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return


class Fetcher:
    """Reads solidified blocks of one node."""

    def __init__(self, node: NodeClient, most_requests: int) -> None:
        self.node = node
        self._pace = Pace(most_requests)
        self._blocks_per_range = 10

    async def heights(self) -> tuple[int, int]:
        """Head and solidified height of the node, now."""
        head, solid = await asyncio.gather(self._ask(self.node.head), self._ask(self.node.solid_head))
        metrics.HEAD.set(head.number)
        metrics.SOLID.set(solid.number)
        return head.number, solid.number

    async def block(self, number: int) -> Block:
        """One solidified block."""
        (block,) = await self._ask(lambda: self.node.blocks(number, number))
        return block

    async def blocks(self, first: int, last: int) -> AsyncGenerator[tuple[Block, Receipts, bool], None]:
        """The blocks `first` to `last` in order with their receipts; the flag says whether more are at hand already.

        Ranges are read ahead, concurrently. Raises NodeError once a range could not be had after several attempts;
        what came before it was handed out.
        """
        ahead: deque[asyncio.Task[list[tuple[Block, Receipts]]]] = deque()
        upto = first - 1
        try:
            while upto < last or ahead:
                while upto < last and len(ahead) < RANGES_AHEAD:
                    start, upto = upto + 1, min(upto + self._blocks_per_range, last)
                    ahead.append(asyncio.create_task(self._range(start, upto)))
                found = await ahead[0]
                ahead.popleft()
                for index, (block, receipts) in enumerate(found):
                    more = index + 1 < len(found) or (bool(ahead) and ahead[0].done())
                    yield block, receipts, more
        finally:
            for task in ahead:
                task.cancel()
            await asyncio.gather(*ahead, return_exceptions=True)  # cancelled on purpose, or failed after another

    async def _range(self, first: int, last: int) -> list[tuple[Block, Receipts]]:
        blocks = await self._ask(lambda: self.node.blocks(first, last))
        receipts = await _all([self._receipts(block) for block in blocks])
        transactions = sum(len(block.transactions) for block in blocks)
        fitting = TARGET_TRANSACTIONS * len(blocks) // max(transactions, 1)
        self._blocks_per_range = max(1, min(fitting, self._blocks_per_range * 2, MOST_BLOCKS))
        return list(zip(blocks, receipts, strict=True))

    async def _receipts(self, block: Block) -> Receipts:
        if block.number == 0 or not block.transactions:
            return []  # without a request
        return await self._ask(lambda: self.node.infos_of(block))

    async def _ask(self, question: Callable[[], Awaitable[T]]) -> T:
        """Asks, and asks again a few times when the answer fails or cannot be true."""

        async def once() -> T:
            try:
                async with self._pace:
                    return await question()
            except NodeError as error:
                metrics.NODE_ERRORS.labels(type(error).__name__).inc()
                log.debug("node answer refused", kind=type(error).__name__, reason=str(error))
                raise

        return await RETRY(once)


class Heights:
    """Head and solidified height of the node for whoever asks, at most once a second; no answer is remembered, too."""

    def __init__(self, node: NodeClient) -> None:
        self._node = node
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
                head, solid = await _all([self._node.head(), self._node.solid_head()])
        except TimeoutError:
            return NodeUnavailable(self._node.url, "wallet/getnowblock", "no answer within 3 s")
        except NodeError as error:
            return error
        return head.number, solid.number


async def _all(questions: Sequence[Awaitable[T]]) -> list[T]:
    """As `asyncio.gather`, but when one fails the others end before it is raised."""
    tasks = [asyncio.ensure_future(question) for question in questions]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)  # cancelled on purpose, or failed after another
