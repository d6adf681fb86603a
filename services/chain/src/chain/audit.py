"""Is every log of the contracts in our log, as it was logged, and nothing else? Asked of a second source, log by log.

No hash of TRON's covers receipts, so a node that leaves a log out of one is believed when it is read. What it said is
compared here with what another provider, or the same node's index, says of the same blocks. If all agree, a certificate
tells how many logs there are and the Merkle root over them; it can be held against the log at any later time.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from itertools import zip_longest
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AwareDatetime, ConfigDict, Field, TypeAdapter, ValidationError

from chain.decoding import Recorded
from chain.domain import CURSOR, WATCH, BlocksIngested, ContractEvent, UndecodedLog
from chain.domain.watch import watch
from chain.fetch import RETRY, Fetcher, index_proven
from chain.handlers import Translator
from chain.past.progress import pasts
from chain.settings import ChainSettings
from eventlog import EventLog, merkle
from tron.errors import NodeRefused, NodeUnavailable, NotServed
from tron.model import BlockLog, logs_of
from tron.providers import Node, Nodes
from tron.rpc import MOST_BLOCKS

FORMAT: Literal["annals-chain-certificate.v1"] = "annals-chain-certificate.v1"
ROWS_AT_ONCE = 5_000
AGAIN = replace(RETRY, on=(NodeUnavailable,))  # what a node says is not asked for again, only what it failed to say
Height = Annotated[int, Field(ge=0, lt=2**63)]
OnProgress = Callable[[int, int], None]
"""Is told how many blocks of how many were compared."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """What two sources agreed on: all logs of some contracts in the blocks `first` to `last`.

    `since` is the block from which on a contract is watched; `root` the Merkle root over the logs in the chain's order,
    as in RFC 6962, of which `leaf` makes the leaves.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(strict=True, extra="forbid")

    format: Literal["annals-chain-certificate.v1"]
    service: str
    first: Height
    last: Height
    contracts: dict[str, str]
    since: dict[str, int]
    logs: dict[str, int]
    """How many logs each contract has."""
    root: str
    second_source: str
    """The provider that was asked, and how: `json-rpc` or `receipts`."""
    made_at: AwareDatetime

    def to_json(self) -> str:
        """One JSON object, indented for people."""
        return _json.dump_json(self, indent=2).decode()

    @classmethod
    def from_json(cls, text: str | bytes) -> Certificate:
        """The inverse of `to_json`. Raises LookupError for what is no certificate."""
        try:
            return _json.validate_json(text)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "the text"
            raise LookupError(f"no certificate: {where}: {first['msg']}") from None


_json = TypeAdapter(Certificate)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an audit came to: a certificate, or the first log in which the sources differ."""

    certificate: Certificate | None
    problem: str | None = None

    @property
    def ok(self) -> bool:
        return self.problem is None


async def audit(
    log: EventLog,
    settings: ChainSettings,
    first: int,
    last: int | None = None,
    against: str | None = None,
    on_progress: OnProgress = lambda done, total: None,
) -> Outcome:
    """Compares the blocks `first` to `last` (by default all that the log has) with a second source.

    That is the provider `against`: its index (JSON-RPC) where it serves one that is proven to be kept, else its
    receipts. Without `against` it is the index of the first provider. Raises LookupError for an unknown provider, where
    there is no second source, and for blocks that the log does not cover; NodeError for a provider without an answer.
    """
    async with Nodes(settings.providers) as nodes, _reading(log) as ours:
        node = nodes.named(against) if against is not None else nodes.all[0]
        last = await ours.covers(first, last)
        translator, since = await ours.watched(last)
        source, theirs = f"{node.provider.name} (json-rpc)", _by_index(node, translator.addresses, first, last)
        if not await _keeps_index(node, first, await ours.newest(first, last)):
            if against is None:
                raise LookupError(f"{node.provider.name} has no index that is a second source; name another provider")
            source, theirs = f"{against} (receipts)", _by_receipts(node, translator.addresses, first, last)
        tally = _Tally()
        async for upto, found in theirs:
            expected = [translator.log(one) for one in found]
            recorded = await ours.logs(first, upto, since)
            wanted = [one for one in expected if one[1].source.block_number >= since[one[1].contract]]
            if problem := _difference(recorded, wanted, source):
                return Outcome(None, problem)
            tally.add(recorded)
            on_progress(upto - first + 1, last - first + 1)
    certificate = Certificate(
        format=FORMAT,
        service=settings.name,
        first=first,
        last=last,
        contracts=dict(sorted(translator.names.items())),
        since=dict(sorted(since.items())),
        logs={name: tally.counts.get(name, 0) for name in sorted(since)},
        root=tally.root(),
        second_source=source,
        made_at=datetime.now(UTC),
    )
    return Outcome(certificate)


async def check(log: EventLog, certificate: Certificate) -> Outcome:
    """Whether the log still has what was certified, and no more in those blocks. Raises LookupError as `audit` does."""
    async with _reading(log) as ours:
        await ours.covers(certificate.first, certificate.last)
        tally = _Tally()
        while recorded := await ours.logs(certificate.first, certificate.last, certificate.since, ROWS_AT_ONCE):
            tally.add(recorded)
    counts = {name: tally.counts.get(name, 0) for name in certificate.logs}
    where = f"blocks {certificate.first} to {certificate.last}"
    for name, count in counts.items():
        if count != certificate.logs[name]:
            return Outcome(certificate, f"{where}: {name}: expected {certificate.logs[name]} logs, found {count}")
    if tally.root() != certificate.root:
        return Outcome(certificate, f"{where}: expected the root {certificate.root}, found {tally.root()}")
    return Outcome(certificate)


# ---- logs, and how they are compared ------------------------------------------------------------------------------


def leaf(stream: str, event: ContractEvent | UndecodedLog) -> bytes:
    """The leaf of a log: all of it but the block's time and the reason why it was not decoded, as canonical JSON.

    The block's hash stands for its time.
    """
    source = event.source
    told: dict[str, Any] = {
        "block": source.block_number,
        "hash": source.block_hash,
        "log": source.log_index,
        "tx": source.tx_id,
        "address": source.contract,
        "contract": event.contract,
        "stream": stream,
    }
    match event:
        case ContractEvent(name=name, args=args):
            told |= {"event": name, "args": args}
        case UndecodedLog(topics=topics, data=data, data_bytes=size):
            told |= {"topics": topics, "data": data, "bytes": size}
    return merkle.event_leaf(json.dumps(told, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode())


class _Tally:
    """Counts logs and keeps their leaves."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self._leaves: list[bytes] = []

    def add(self, recorded: Iterable[Recorded]) -> None:
        for stream, event in recorded:
            self.counts[event.contract] = self.counts.get(event.contract, 0) + 1
            self._leaves.append(leaf(stream, event))

    def root(self) -> str:
        """The root in hex; of no leaves it is the hash of nothing, as RFC 6962 has it."""
        return (merkle.root(self._leaves) if self._leaves else sha256(b"").digest()).hex()


def _difference(ours: list[Recorded], theirs: list[Recorded], source: str) -> str | None:
    """The first log in which two lists in the chain's order differ, in a sentence."""
    for mine, other in zip_longest(ours, theirs):
        if mine is not None and other is not None and leaf(*mine) == leaf(*other):
            continue
        if mine is None or (other is not None and _place(other) < _place(mine)):
            return f"missing from our log: {_told(other)}, which {source} has"
        if other is None or _place(mine) < _place(other):
            return f"in our log only: {_told(mine)}, which {source} does not have"
        return f"different: our log has {_told(mine)}, {source} has {_told(other)}"
    return None


def _place(recorded: Recorded) -> tuple[int, int]:
    return recorded[1].source.block_number, recorded[1].source.log_index


def _told(recorded: Recorded | None) -> str:
    if recorded is None:
        raise ValueError("a log: expected one, got none")
    stream, event = recorded
    what = f"{event.name} {event.args}" if isinstance(event, ContractEvent) else "an undecoded log"
    return f"{what:.300} of {stream} ({event.source}, block {event.source.block_hash})"


# ---- the two sources ----------------------------------------------------------------------------------------------


class _Ours:
    """What the log has, read in the chain's order from one snapshot."""

    def __init__(self, log: EventLog, connection: Any) -> None:
        self._log = log
        self._connection = connection
        self._cursor: Any = None
        self._ahead: deque[Recorded] = deque()

    async def covers(self, first: int, last: int | None) -> int:
        """The last block to look at. Raises LookupError unless the log has read all of them."""
        done = await self._log.read_stream(CURSOR, conn=self._connection, limit=1)
        ended = await self._log.last(CURSOR, self._connection)
        if ended is None:
            raise LookupError("the log has read no blocks yet")
        begun: BlocksIngested = done[0].event
        upto = ended.event.last if last is None else last
        if not begun.first <= first <= upto <= ended.event.last:
            raise LookupError(
                f"expected blocks from {begun.first} to {ended.event.last}, which the log has, got {first} to {upto}"
            )
        return int(upto)

    async def newest(self, first: int, last: int) -> int:
        """The newest block of the range with a log that we have, or the last one if there is none."""
        sql = """SELECT max((data->'source'->>'block_number')::bigint) FROM events
                 WHERE type IN ('ContractEvent', 'UndecodedLog')
                   AND (data->'source'->>'block_number')::bigint BETWEEN $1 AND $2"""
        found = await self._connection.fetchval(sql, first, last)
        return last if found is None else int(found)

    async def watched(self, last: int) -> tuple[Translator, dict[str, int]]:
        """What reads logs as ingestion does, and since which block each contract's logs are all there.

        A past that is still being read does not count yet.
        """
        state = watch(entry.event for entry in await self._log.read_stream(WATCH, conn=self._connection))
        read = {past.contract.name: past for past in await pasts(self._log, state, self._connection)}
        since = {
            name: read[name].since if name in read else contract.since
            for name, contract in state.contracts.items()
            if contract.since is not None
        }
        since = {name: block for name, block in since.items() if block <= last}
        return Translator({name: state.contracts[name] for name in since}, None), since

    async def logs(self, first: int, upto: int, since: dict[str, int], most: int | None = None) -> list[Recorded]:
        """The next logs of the contracts, in order, up to a block, or `most` of them."""
        if self._cursor is None:
            sql = """SELECT stream, type, type_version, data::text FROM events
                     WHERE type IN ('ContractEvent', 'UndecodedLog')
                       AND (data->'source'->>'block_number')::bigint >= $1
                     ORDER BY (data->'source'->>'block_number')::bigint, (data->'source'->>'log_index')::int"""
            self._cursor = await self._connection.cursor(sql, first)
        found: list[Recorded] = []
        while most is None or len(found) < most:
            if not self._ahead:
                rows = await self._cursor.fetch(ROWS_AT_ONCE)
                if not rows:
                    break
                types = self._log.types
                self._ahead.extend((row[0], types.decode(row[1], row[2], row[3])) for row in rows)
            if self._ahead[0][1].source.block_number > upto:
                break
            stream, event = self._ahead.popleft()
            if event.source.block_number >= since.get(event.contract, upto + 1):
                found.append((stream, event))
        return found


@asynccontextmanager
async def _reading(log: EventLog) -> AsyncIterator[_Ours]:
    async with (
        log.pool.acquire() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        for limit in ("idle_in_transaction_session_timeout", "statement_timeout"):
            await connection.execute(f"SET LOCAL {limit} = 0")  # the second source takes as long as it takes
        yield _Ours(log, connection)


Found = AsyncIterator[tuple[int, list[BlockLog]]]
"""A block, and the logs up to it since the one before."""


async def _keeps_index(node: Node, first: int, newest: int) -> bool:
    """Whether a node's index is proven by the newest block with a log. Raises NodeLied if it is proven wrong."""
    try:
        return await index_proven(node.client, first, newest)
    except (NotServed, NodeRefused):
        return False  # no JSON-RPC, or an older one


async def _by_index(node: Node, addresses: list[str], first: int, last: int) -> Found:
    for start in range(first, last + 1, MOST_BLOCKS):
        end = min(start + MOST_BLOCKS - 1, last)
        yield end, await AGAIN(partial(node.client.rpc.logs, start, end, addresses))


async def _by_receipts(node: Node, addresses: list[str], first: int, last: int) -> Found:
    async with Nodes([node.provider]) as alone:
        async for block, infos, _ in Fetcher(alone, "never").blocks(first, last):
            yield block.number, logs_of(block, infos, addresses)
