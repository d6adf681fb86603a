"""The border: what a block says becomes events of our own, each with its stream and an id that the block determines."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from chain import domain
from chain.decoding import LogReader, Recorded
from chain.domain.watch import Watched
from contracts.chain import Source
from eventlog import Metadata, NewEvent, derived_id, turn
from messaging import orders
from tron.model import Block, BlockLog, Log, Transaction, TransactionInfo

TOPICS = ("chain.commands", orders.ORDERS.name)
"""What other services tell us: `submissions.py` makes operations of commands, `messaging.orders` erasures of orders."""

TRANSACTIONS_A_TURN = 32
"""Of a block, some milliseconds of work."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_Part = tuple[list[NewEvent], bool, int]
"""The events of a transaction, whether it is recorded itself, and how many logs are."""


@dataclass(frozen=True, slots=True)
class Ingested:
    """What one block comes to: its events in order, and how many transactions and logs they record."""

    block: Block
    time: datetime
    events: list[NewEvent]
    transactions: int
    logs: int


class Translator:
    """Turns blocks into events, given the watched contracts (name -> address) and whose transactions are recorded.

    Those that `accounts` sign are recorded in any case; with None none is.
    """

    def __init__(
        self,
        contracts: Mapping[str, str | Watched],
        transactions: domain.Scope | None,
        accounts: Collection[str] = (),
    ) -> None:
        watched = [of if isinstance(of, Watched) else Watched(name, of, 0) for name, of in contracts.items()]
        self._contracts = {one.address: LogReader(one.name, one.abis, one.since or 0) for one in watched}
        self._accounts = frozenset(accounts)
        self._transactions = transactions

    @property
    def logged(self) -> Collection[str] | None:
        """The addresses without whose logs a block says nothing of interest; None if each block must be read.

        What an account has signed need not log anything, so with `accounts` each block must be.
        """
        return self._contracts.keys() if self._transactions in ("logged", None) and not self._accounts else None

    @property
    def names(self) -> dict[str, str]:
        """The watched contracts, name -> address."""
        return {contract.name: address for address, contract in self._contracts.items()}

    @property
    def addresses(self) -> list[str]:
        """The addresses of the watched contracts."""
        return list(self._contracts)

    def log(self, found: BlockLog) -> Recorded:
        """The event of one log of a watched contract, and its stream; the block's time is not known here."""
        source = Source(
            contract=found.log.address,
            block_number=found.block_number,
            block_hash=found.block_hash,
            block_time=_EPOCH,
            tx_id=found.tx_id,
            log_index=found.log.index_in_block,
        )
        return self._contracts[found.log.address].read(found.log, source)

    def logs(self, block: Block, infos: Sequence[TransactionInfo]) -> Iterator[Recorded]:
        """The events of the logs of a block alone, each with its stream."""
        time = time_of(block)
        for transaction, info in zip(block.transactions, infos if block.number else (), strict=bool(block.number)):
            yield from self._logs(block, time, transaction, info)

    def block(self, block: Block, infos: Sequence[TransactionInfo]) -> Ingested:
        """The events of a block, in the order of its transactions: each transaction, then its logs.

        The genesis block's transactions have no receipts; they are allocations that cost nothing.
        """
        return _ingested(block, list(self._each(block, infos)))

    async def block_in_turns(self, block: Block, infos: Sequence[TransactionInfo]) -> Ingested:
        """As `block`, which may take tens of milliseconds; the event loop's other tasks have their turns meanwhile."""
        parts = []
        for index, part in enumerate(self._each(block, infos)):
            if index % TRANSACTIONS_A_TURN == 0:
                await turn()
            parts.append(part)
        return _ingested(block, parts)

    def _each(self, block: Block, infos: Sequence[TransactionInfo]) -> Iterator[_Part]:
        """What each transaction comes to."""
        time = time_of(block)
        receipts: Iterable[TransactionInfo | None] = infos if block.number else [None] * len(block.transactions)
        for index, (transaction, info) in enumerate(zip(block.transactions, receipts, strict=True)):
            metadata = Metadata(causation_id=transaction.tx_id)
            events: list[NewEvent] = []
            recorded = self._transactions == "all" or bool(self._transactions and self._touches(transaction, info))
            if recorded:
                events += self._transaction(block, time, index, transaction, info, metadata)
            before = len(events)
            for stream, event in self._logs(block, time, transaction, info):
                event_id = derived_id(f"{block.hash}/{event.source.log_index}", time)
                events.append(NewEvent(stream, event, time, event_id, metadata))
            yield events, recorded, len(events) - before

    def _logs(
        self, block: Block, time: datetime, transaction: Transaction, info: TransactionInfo | None
    ) -> Iterator[Recorded]:
        for log in info.logs if info is not None else ():
            if (contract := self._contracts.get(log.address)) is not None:
                yield contract.read(log, _source(block, time, transaction, log))

    def _touches(self, transaction: Transaction, info: TransactionInfo | None) -> bool:
        watched = self._contracts
        if transaction.owner in self._accounts:
            return True
        if self._transactions == "logged":
            return info is not None and any(log.address in watched for log in info.logs)
        if transaction.contract_address in watched or transaction.to in watched:
            return True
        if info is None:
            return False
        return any(log.address in watched for log in info.logs) or any(
            inner.caller in watched or inner.to in watched for inner in info.internal_transfers
        )

    def _transaction(
        self,
        block: Block,
        time: datetime,
        index: int,
        transaction: Transaction,
        info: TransactionInfo | None,
        metadata: Metadata,
    ) -> Iterator[NewEvent]:
        target = transaction.contract_address
        called = self._contracts.get(target) if target is not None else None
        internal = _summed(info) if info is not None and info.internal_transfers else ()
        event = domain.TransactionSolidified(
            tx_id=transaction.tx_id,
            kind=transaction.kind,
            owner=transaction.owner,
            to=transaction.to or target,
            contract=called.name if called is not None else None,
            method=called.method(transaction.data, block.number) if called is not None else None,
            amount_sun=transaction.amount_sun,
            call_value_sun=transaction.call_value_sun,
            fee_sun=info.fee_sun if info is not None else 0,
            energy_used=info.energy_used if info is not None else 0,
            bandwidth_used=info.bandwidth_used if info is not None else 0,
            success=info.success if info is not None else True,
            result=info.result if info is not None else "SUCCESS",
            block_number=block.number,
            block_hash=block.hash,
            block_time=time,
            index_in_block=index,
            internal=internal[: domain.MAX_INTERNAL],
        )
        stream = domain.transaction_stream(transaction.owner)
        yield NewEvent(stream, event, time, derived_id(f"tx/{transaction.tx_id}", time), metadata)
        for start in range(domain.MAX_INTERNAL, len(internal), domain.MAX_INTERNAL):
            more = domain.MoreInternalTransfers(transaction.tx_id, internal[start : start + domain.MAX_INTERNAL])
            yield NewEvent(stream, more, time, derived_id(f"tx/{transaction.tx_id}/{start}", time), metadata)


def _ingested(block: Block, parts: Sequence[_Part]) -> Ingested:
    events = [event for part, _, _ in parts for event in part]
    recorded, logs = sum(recorded for _, recorded, _ in parts), sum(logs for _, _, logs in parts)
    return Ingested(block, time_of(block), events, recorded, logs)


def time_of(block: Block) -> datetime:
    """When a block was made, by its producer."""
    return _EPOCH + timedelta(milliseconds=block.time_ms)


def _source(block: Block, time: datetime, transaction: Transaction, log: Log) -> Source:
    # Every part was checked when it was read from the node: the address by its checksum, the hashes by their form.
    return Source(
        contract=log.address,
        block_number=block.number,
        block_hash=block.hash,
        block_time=time,
        tx_id=transaction.tx_id,
        log_index=log.index_in_block,
    )


def _summed(info: TransactionInfo) -> tuple[domain.InternalTransfer, ...]:
    moved: dict[tuple[str, str], int] = {}
    for inner in info.internal_transfers:
        if inner.value_sun and not inner.rejected and info.success:
            pair = (inner.caller, inner.to)
            moved[pair] = moved.get(pair, 0) + inner.value_sun
    return tuple(domain.InternalTransfer(payer, payee, amount) for (payer, payee), amount in moved.items())
