"""The other dialect of a node: logs by JSON-RPC, found through its index, over thousands of blocks at once.

JSON-RPC knows no fees, no internal transfers, no milliseconds and nothing that a block's id could prove; so blocks and
receipts are read over HTTP (`tron.client`), and this tells in which blocks there is something to read, and is the
second source that an audit compares with.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from tron.address import hex41, normalise
from tron.errors import (
    IncompleteAnswer,
    InvalidAddress,
    NodeError,
    NodeLied,
    NodeRefused,
    NotServed,
    RateLimited,
    TooMuch,
)
from tron.model import BlockLog, Log
from tron.wire import Wire, rate_limit

MOST_BLOCKS = 5_000
MOST_ADDRESSES = 1_000
MOST_LOGS = 10_000
"""java-tron's limits of one `eth_getLogs`. As many logs as the last or more are taken for a list cut short."""

_QUANTITY = re.compile(r"0x(?:0|[1-9a-f][0-9a-f]*)")
_BYTES = re.compile(r"0x(?:[0-9a-f]{2})*")
_TOO_MUCH = (-32005, -32003)
"""java-tron: more than 10,000 results, more than 25 MB. -32602 (invalid parameters) says so in words only."""
_TOO_MUCH_WORDS = ("exceed", "too many", "too large", "more than", "limit", "block range")


@dataclass(frozen=True, slots=True)
class Header:
    """A block as JSON-RPC shows it, which no id proves: number, hash and parent's hash."""

    number: int
    hash: str
    parent_hash: str


class JsonRpc:
    """The JSON-RPC of one node at `url`. All methods raise subclasses of `NodeError`."""

    def __init__(self, wire: Wire, url: str) -> None:
        self.url = url
        self._wire = wire
        self._span = MOST_BLOCKS
        origin, _, self._path = url.rpartition("/")
        self._origin = origin

    async def header(self, block: int | str) -> Header | None:
        """Return a block by its number or tag (`finalized` is the solidified head); None if the node has none."""
        (answer,) = await self.batch([_block(block)])
        return self._header(answer)

    async def logs(self, first: int, last: int, addresses: Sequence[str]) -> list[BlockLog]:
        """Return what some contracts logged in the solidified blocks `first` to `last`, in the chain's order.

        Where the node says that it is too much, each half is asked for by itself. An answer counts only together with
        the range's last block, solidified, in the same batch: so a node that lags behind, be it one of many behind a
        balancer, cannot pass off "not here yet" as "nothing happened". Raises `IncompleteAnswer` where it does not
        hold the range, `NodeLied` for logs that cannot be true, `TooMuch` for a contract that alone logged more in
        one block than the node says.
        """
        found: list[BlockLog] = []
        wanted = sorted(set(addresses))
        while wanted and first <= last:
            end = min(first + self._span - 1, last)
            for start in range(0, len(wanted), MOST_ADDRESSES):
                found += await self._halved(first, end, wanted[start : start + MOST_ADDRESSES])
            self._span = min(MOST_BLOCKS, self._span + max(1, self._span // 8))
            first = end + 1
        return sorted(found, key=_place) if len(wanted) > MOST_ADDRESSES else found

    async def _halved(self, first: int, last: int, addresses: Sequence[str]) -> list[BlockLog]:
        try:
            return await self._range(first, last, addresses)
        except TooMuch:
            if first < last:
                middle = (first + last) // 2
                self._span = max(1, min(self._span, middle - first + 1))
                return await self._halved(first, middle, addresses) + await self._halved(middle + 1, last, addresses)
            if len(addresses) == 1:
                raise
            half = len(addresses) // 2
            parts = [await self._halved(first, last, part) for part in (addresses[:half], addresses[half:])]
            return sorted(parts[0] + parts[1], key=_place)

    async def _range(self, first: int, last: int, addresses: Sequence[str]) -> list[BlockLog]:
        query = {
            "fromBlock": hex(first),
            "toBlock": hex(last),
            "address": ["0x" + hex41(address)[2:] for address in addresses],
        }
        solid, end, answer = await self.batch([_block("finalized"), _block(last), ("eth_getLogs", [query])])
        held, final = self._header(solid), self._header(end)
        if held is None or held.number < last or final is None:
            where = f"it is at {held.number}" if held is not None else "it shows none"
            raise self._error(IncompleteAnswer, f"block {last} is not among its solidified blocks: {where}")
        if final.number != last:
            raise self._error(NodeLied, f"expected block {last}, got {final.number}")
        if not isinstance(answer, list):
            raise self._error(NodeLied, f"expected logs, got {answer!r:.80}")
        if len(answer) >= MOST_LOGS:
            raise self._error(TooMuch, f"{len(answer)} logs in blocks {first} to {last}, which may be cut short")
        logs = [self._log(source) for source in answer]
        if problem := _contradiction(logs, first, final, frozenset(addresses)):
            raise self._error(NodeLied, problem)
        return logs

    # -- the wire ----------------------------------------------------------------------------------------------------

    async def batch(self, calls: Sequence[tuple[str, list[Any]]]) -> list[Any]:
        """Return the results of several calls that one node answers in one response, in the calls' order."""
        requests = [
            {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
            for number, (method, params) in enumerate(calls)
        ]
        answer = await self._wire.post(self._origin, self._path, requests, cost=len(requests))
        if isinstance(answer, dict):
            self._raise(answer.get("error"))
        if not isinstance(answer, list) or not all(isinstance(item, dict) for item in answer):
            raise self._error(NodeLied, f"expected a list of answers, got {answer!r:.80}")
        ids = [item.get("id") for item in answer]
        if any(type(one) is not int for one in ids) or sorted(ids) != list(range(len(requests))):
            raise self._error(NodeLied, f"expected answers 0 to {len(requests) - 1}, got {ids!s:.80}")
        by_id = dict(zip(ids, answer, strict=True))
        for item in answer:
            if "result" not in item:
                self._raise(item.get("error"))
        return [by_id[number]["result"] for number in range(len(requests))]

    def _raise(self, error: Any) -> None:
        code = error.get("code") if isinstance(error, dict) else None
        message = str(error.get("message") if isinstance(error, dict) else error)
        kind: type[NodeError] = NodeRefused
        if code == -32601:
            kind = NotServed
        elif rate_limit(message):
            kind = RateLimited
        elif code in _TOO_MUCH or (code == -32602 and any(word in message.lower() for word in _TOO_MUCH_WORDS)):
            kind = TooMuch
        raise self._error(kind, f"{code}: {message:.200}")

    def _error(self, kind: type[NodeError], problem: str) -> NodeError:
        return kind(self._origin, self._path, problem)

    # -- what the answers mean ---------------------------------------------------------------------------------------

    def _header(self, source: Any) -> Header | None:
        if source is None:
            return None
        if not isinstance(source, dict):
            raise self._error(NodeLied, f"expected a block, got {source!r:.80}")
        number, block_hash = self._quantity(source, "number"), self._bytes(source, "hash", 32)
        if int(block_hash[:16], 16) != number:
            raise self._error(NodeLied, f"block {number} has the id {block_hash}")
        return Header(number, block_hash, self._bytes(source, "parentHash", 32))

    def _log(self, source: Any) -> BlockLog:
        if not isinstance(source, dict) or source.get("removed", False) is not False:
            raise self._error(NodeLied, f"expected a log that is not removed, got {source!r:.80}")
        number, block_hash = self._quantity(source, "blockNumber"), self._bytes(source, "blockHash", 32)
        if int(block_hash[:16], 16) != number:
            raise self._error(NodeLied, f"a log of block {number} has the block id {block_hash}")
        topics = source.get("topics")
        if not isinstance(topics, list):
            raise self._error(NodeLied, f"topics should be a list, is {topics!r:.80}")
        try:
            address = normalise(source.get("address"))  # type: ignore[arg-type]
        except (InvalidAddress, TypeError):
            raise self._error(NodeLied, f"address should be one, is {source.get('address')!r:.80}") from None
        log = Log(
            address,
            tuple(self._bytes({"topic": topic}, "topic", 32) for topic in topics),
            self._bytes(source, "data"),
            self._quantity(source, "logIndex"),
        )
        return BlockLog(number, block_hash, self._bytes(source, "transactionHash", 32), log)

    def _quantity(self, source: dict[str, Any], key: str) -> int:
        value = source.get(key)
        if not isinstance(value, str) or not _QUANTITY.fullmatch(value):
            raise self._error(NodeLied, f"{key} should be a quantity, is {value!r:.80}")
        return int(value, 16)

    def _bytes(self, source: dict[str, Any], key: str, size: int | None = None) -> str:
        value = source.get(key)
        if not isinstance(value, str) or not _BYTES.fullmatch(value) or size not in (None, len(value) // 2 - 1):
            raise self._error(NodeLied, f"{key} should be {size or ''} bytes in hex, is {value!r:.80}")
        return value[2:]


def _block(block: int | str) -> tuple[str, list[Any]]:
    return "eth_getBlockByNumber", [hex(block) if isinstance(block, int) else block, False]


def _place(found: BlockLog) -> tuple[int, int]:
    return found.block_number, found.log.index_in_block


def _contradiction(logs: Sequence[BlockLog], first: int, final: Header, addresses: frozenset[str]) -> str | None:
    """Why these cannot be all logs of the contracts in the blocks up to `final`, or None."""
    for one in logs:
        if not first <= one.block_number <= final.number:
            return f"a log of block {one.block_number}, expected blocks {first} to {final.number}"
        if one.log.address not in addresses:
            return f"a log of {one.log.address}, which was not asked for"
        if one.block_number == final.number and one.block_hash != final.hash:
            return f"a log of block {one.block_hash}, expected {final.hash}"
    for before, after in pairwise(logs):
        if _place(before) >= _place(after):
            return f"log {_place(after)} comes after {_place(before)}"
        if before.block_number == after.block_number and before.block_hash != after.block_hash:
            return f"two blocks {after.block_number}: {before.block_hash} and {after.block_hash}"
    return None
