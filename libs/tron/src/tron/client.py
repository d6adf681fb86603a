"""Reading the chain from a node over HTTP, without believing it blindly.

Every answer is checked against the question and against itself (see `tron.parse`), so that a lagging, broken or lying
node becomes a typed error instead of a hole in the log. Nothing is retried here: wrap calls in `tron.retry.Retry`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial
from itertools import pairwise
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

from tron import parse, proof
from tron.errors import IncompleteAnswer, NodeLied, NodeUnavailable, NotServed, TooMuch
from tron.model import Block, TransactionInfo
from tron.pace import Budget, Pace
from tron.parse import Contradiction, Json
from tron.rpc import JsonRpc
from tron.wire import Wire

BLOCKS_PER_REQUEST = 100
"""java-tron answers at most this many blocks to `getblockbylimitnext`."""

T = TypeVar("T")


class Client(Protocol):
    """What sending needs of a node: `NodeClient` gives it, and `tron.providers.AnyNode` for several as one."""

    @property
    def url(self) -> str:
        """Who is asked, for messages."""

    async def head(self) -> Block:
        """See `NodeClient`, also for the others."""

    async def solid_head(self) -> Block: ...

    async def blocks(self, first: int, last: int, *, solid: bool = True) -> list[Block]: ...

    async def infos_of(self, block: Block, *, solid: bool = True) -> list[TransactionInfo]: ...

    async def transaction_info(self, tx_id: str, *, solid: bool = False) -> TransactionInfo | None: ...

    async def request(self, path: str, body: Json) -> Any: ...


class NodeClient:
    """A client of one node: `url` serves `/wallet`, `solid_url` (by default the same) `/walletsolidity`.

    `rpc_url` is the whole address of its JSON-RPC (by default `/jsonrpc` of `url`), spoken by `rpc`.
    A plain java-tron has each interface on another port; public gateways and the devnet have one origin.
    With `prove`, every block of `blocks` must be what its id says (see `tron.proof`), and signed by the key of one of
    the `producers` (addresses), if any are named.
    `api_key` is sent as TRON-PRO-API-KEY; there is no default key. `timeout` is seconds for a whole
    request; `budget` and `pace` hold every request back as long as needed. All methods raise subclasses of
    `NodeError`.
    """

    def __init__(
        self,
        url: str,
        solid_url: str | None = None,
        rpc_url: str | None = None,
        *,
        api_key: str | None = None,
        timeout: float = 10.0,
        connections: int = 16,
        prove: bool = False,
        producers: Collection[str] = (),
        budget: Budget | None = None,
        pace: Pace | None = None,
    ) -> None:
        self.url = url.rstrip("/")
        self.solid_url = (solid_url or url).rstrip("/")
        self._prove = partial(_proven, producers=producers) if prove else None
        self._by_id = False  # set once the node is seen to serve no receipts of whole blocks
        self._wire = Wire(api_key=api_key, timeout=timeout, connections=connections, budget=budget, pace=pace)
        self.rpc = JsonRpc(self._wire, (rpc_url or f"{self.url}/jsonrpc").rstrip("/"))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._wire.aclose()

    # -- blocks ------------------------------------------------------------------------------------------------------

    async def head(self) -> Block:
        """Return the newest block that the node has. It may still be retracted."""
        return await self._read("wallet/getnowblock", {}, parse.block)

    async def solid_head(self) -> Block:
        """Return the newest solidified block: it is never retracted."""
        return await self._read("walletsolidity/getnowblock", {}, parse.block)

    async def blocks(self, first: int, last: int, *, solid: bool = True) -> list[Block]:
        """Return the blocks `first` to `last`, both included, each one's parent being the one before.

        Raises `IncompleteAnswer` where the node does not hold all of them (yet), `NodeLied` where they do not follow
        each other.
        """
        result: list[Block] = []
        for start in range(first, last + 1, BLOCKS_PER_REQUEST):
            end = min(start + BLOCKS_PER_REQUEST, last + 1)
            path = f"{'walletsolidity' if solid else 'wallet'}/getblockbylimitnext"
            read = partial(_blocks, before=result[-1:], start=start, end=end, prove=self._prove)
            answer = await self.request(path, {"startNum": start, "endNum": end}, divisible=end - start > 1)
            result += self._checked(path, partial(read, answer))
        return result

    async def producers(self, first: int, last: int) -> list[str]:
        """Return whose keys signed the blocks `first` to `last`, up to 100: an address for each, proven to be its.

        Raises as `blocks`.
        """
        path = "walletsolidity/getblockbylimitnext"
        answer = await self.request(path, {"startNum": first, "endNum": last + 1}, divisible=last > first)

        def read() -> list[str]:
            _blocks(answer, before=[], start=first, end=last + 1, prove=partial(_proven, producers=()))
            return [_of_block(source, proof.producer) for source in answer["block"]]

        return self._checked(path, read)

    async def chain_id(self) -> int:
        """Return the chain's id as contracts see it (`block.chainid`): the last 4 bytes of the genesis block's id.

        Source: TIP-474; 728126428 on the main network.
        """
        (genesis,) = await self.blocks(0, 0, solid=False)
        return int(genesis.hash[-8:], 16)

    # -- receipts ----------------------------------------------------------------------------------------------------

    async def transaction_infos(self, number: int, *, solid: bool = True) -> list[TransactionInfo]:
        """Return the receipts of a block in the node's order. An empty list proves nothing: see `infos_of`."""
        return await self._read(_infos_path(solid), {"num": number}, lambda answer: _infos(answer, number))

    async def infos_of(self, block: Block, *, solid: bool = True) -> list[TransactionInfo]:
        """Return the receipts of a block, one for each of its transactions and in their order.

        Raises `IncompleteAnswer` where some are missing (an unsynced node answers an empty list), `NodeLied` where
        there are others. The genesis block has transactions but no receipts. A node that does not serve the receipts
        of a block is asked for each transaction's.
        """
        if block.number == 0 or not block.transactions:
            return []
        if not self._by_id:
            try:
                return await self._read(
                    _infos_path(solid), {"num": block.number}, lambda answer: _infos(answer, block.number, block)
                )
            except NotServed:
                self._by_id = True
        path = f"{'walletsolidity' if solid else 'wallet'}/gettransactioninfobyid"
        answers = [await self.request(path, {"value": transaction.tx_id}) for transaction in block.transactions]
        return self._checked(path, lambda: _infos([answer for answer in answers if answer != {}], block.number, block))

    async def block_with_infos(self, number: int, *, solid: bool = True) -> tuple[Block, list[TransactionInfo]]:
        """Return a block and its receipts, checked against each other."""
        (block,) = await self.blocks(number, number, solid=solid)
        return block, await self.infos_of(block, solid=solid)

    async def transaction_info(self, tx_id: str, *, solid: bool = False) -> TransactionInfo | None:
        """Return the receipt of one transaction, or None while it is in no (solidified) block.

        Its logs are numbered from 0: their place in the block is not known here.
        """
        path = f"{'walletsolidity' if solid else 'wallet'}/gettransactioninfobyid"
        return await self._read(path, {"value": tx_id}, lambda answer: _info(answer, tx_id))

    # -- the wire ----------------------------------------------------------------------------------------------------

    async def request(self, path: str, body: Json, *, divisible: bool = False) -> Any:
        """Post a request and return the JSON that answers it. Raises `NodeError` for everything that is none.

        `TooMuch` only where it is `divisible`: else nobody can ask for less, and another node may say less.
        """
        try:
            return await self._wire.post(self._node(path), path, body)
        except TooMuch as error:
            if divisible:
                raise
            raise NodeUnavailable(error.node, error.path, error.problem) from error

    async def _read(self, path: str, body: Json, read: Callable[[Any], T]) -> T:
        answer = await self.request(path, body)
        return self._checked(path, lambda: read(answer))

    def _checked(self, path: str, read: Callable[[], T]) -> T:
        try:
            return read()
        except Contradiction as error:
            raise NodeLied(self._node(path), path, str(error)) from error
        except _Missing as error:
            raise IncompleteAnswer(self._node(path), path, str(error)) from error

    def _node(self, path: str) -> str:
        return self.solid_url if path.startswith("walletsolidity/") else self.url


class _Missing(Exception):
    """Something asked for is not in the answer."""


def _infos_path(solid: bool) -> str:
    return f"{'walletsolidity' if solid else 'wallet'}/gettransactioninfobyblocknum"


def _object(answer: Any) -> Json:
    if not isinstance(answer, dict):
        raise Contradiction(f"expected an object, got {answer!r:.80}")
    return answer


def _blocks(
    answer: Any, before: list[Block], start: int, end: int, prove: Callable[[Json], None] | None
) -> list[Block]:
    sources = _object(answer).get("block", [])
    if not isinstance(sources, list):
        raise Contradiction(f"expected blocks, got {sources!r:.80}")
    blocks = [parse.block(_object(source)) for source in sources]
    if [block.number for block in blocks] != list(range(start, start + len(blocks))) or len(blocks) > end - start:
        raise Contradiction(f"expected blocks {start} to {end - 1}, got {[block.number for block in blocks]!s:.80}")
    for parent, child in pairwise(before + blocks):
        if child.parent_hash != parent.hash:
            raise Contradiction(f"block {child.number} has the parent {child.parent_hash}, expected {parent.hash}")
        if child.time_ms < parent.time_ms:
            raise Contradiction(f"block {child.number} is of {child.time_ms}, its parent of {parent.time_ms}")
    if prove is not None:
        for source in sources:
            prove(source)
    if len(blocks) < end - start:
        raise _Missing(f"expected blocks {start} to {end - 1}, got {len(blocks)}")
    return blocks


def _proven(source: Json, producers: Collection[str]) -> None:
    problem = _of_block(source, proof.mismatch)
    if problem is None and producers and source["block_header"]["raw_data"].get("number"):  # nobody signed the first
        producer = _of_block(source, proof.producer)
        if producer not in producers:
            problem = f"it is signed by {producer}, which is no known producer"
    if problem is not None:
        raise _not_proven(source, problem)


def _of_block(source: Json, read: Callable[[Json], T]) -> T:
    """What `tron.proof` reads of a block; one of another shape proves nothing."""
    try:
        return read(source)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _not_proven(source, f"{type(error).__name__} {error}") from error


def _not_proven(source: Json, problem: str) -> Contradiction:
    return Contradiction(f"block {source.get('blockID')!r:.80} cannot be proven: {problem}")


def _infos(answer: Any, number: int, block: Block | None = None) -> list[TransactionInfo]:
    if not isinstance(answer, list):
        raise Contradiction(f"expected a list of receipts, got {answer!r:.80}")
    sources = [_object(source) for source in answer]
    infos = parse.infos(sources if block is None else _in_order(sources, block))
    for info in infos:
        if info.block_number != number:
            raise Contradiction(f"expected receipts of block {number}, got one of {info.block_number}")
        if block is not None and info.block_time_ms != block.time_ms:
            raise Contradiction(
                f"block {number} is of {block.time_ms}, its receipt {info.tx_id} of {info.block_time_ms}"
            )
    for info, transaction in zip(infos, block.transactions if block is not None else (), strict=False):
        said = transaction.result  # by the block, which can be proven
        if said is not None and (info.result, info.success) != (said, said == "SUCCESS"):
            raise Contradiction(f"block {number} says {said} of {info.tx_id}, its receipt {info.result}")
    return infos


def _in_order(sources: list[Json], block: Block) -> list[Json]:
    order = {transaction.tx_id: index for index, transaction in enumerate(block.transactions)}
    ids = [source.get("id") for source in sources]
    if foreign := [tx_id for tx_id in ids if not isinstance(tx_id, str) or tx_id not in order]:
        raise Contradiction(f"a receipt of {foreign[0]!r:.80}, which is not in the block")
    if len(set(ids)) != len(ids):
        raise Contradiction("two receipts of one transaction")
    if len(ids) < len(order):
        raise _Missing(f"{len(ids)} receipts for a block of {len(order)} transactions")
    return sorted(sources, key=lambda source: order[source["id"]])


def _info(answer: Any, tx_id: str) -> TransactionInfo | None:
    if not _object(answer):
        return None
    info = parse.transaction_info(answer)
    if info.tx_id != tx_id:
        raise Contradiction(f"expected the receipt of {tx_id}, got {info.tx_id}")
    return info
