"""The border: what a block says becomes events of our own, each with its stream and an id that the block determines."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import ValidationError

from chain import domain
from contracts import Message, message_class
from contracts.chain import Source
from eventlog import Metadata, NewEvent, derived_id
from tron.abi import Abi, Decoded
from tron.contract import artifact
from tron.model import Block, BlockLog, Log, Transaction, TransactionInfo

ARTIFACTS = {
    "dcmx-token": "DCMXToken",
    "music-nft": "MusicNFT",
    "royalty-distributor": "RoyaltyDistributor",
    "reward-vault": "RewardVault",
    "compliance-registry": "ComplianceRegistry",
}
"""Our names of the contracts and the compiler's."""

TOPICS = ("chain.commands",)
"""What other services tell us: `submissions.py` makes operations of it."""

MAX_DECODED_BYTES = 100_000
"""Longer log data is kept raw: JSON can be six times as long, and an event must fit into a Kafka record."""
MAX_RAW_DIGITS = 400_000

RENAMED = {"from": "from_address"}
"""Argument names that the messages spell differently, because Python reserves them."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CAPITAL = re.compile(r"(?<!^)(?=[A-Z])")
_WIDE = re.compile(r"u?int(72|8[08]|96|1\d\d|2\d\d)?(\[\d*\])*")  # more than 64 bits; `uint` alone is 256


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

    Those that `accounts` sign are recorded in any case.
    """

    def __init__(
        self, contracts: Mapping[str, str], transactions: domain.Scope, accounts: Collection[str] = ()
    ) -> None:
        self._contracts = {address: _Contract(name) for name, address in contracts.items()}
        self._accounts = frozenset(accounts)
        self._transactions = transactions

    @property
    def logged(self) -> Collection[str] | None:
        """The addresses without whose logs a block says nothing of interest; None if each block must be read.

        What an account has signed need not log anything, so with `accounts` each block must be.
        """
        return self._contracts.keys() if self._transactions == "logged" and not self._accounts else None

    @property
    def names(self) -> dict[str, str]:
        """The watched contracts, name -> address."""
        return {contract.name: address for address, contract in self._contracts.items()}

    @property
    def addresses(self) -> list[str]:
        """The addresses of the watched contracts."""
        return list(self._contracts)

    def log(self, found: BlockLog) -> tuple[str, domain.ContractEvent | domain.UndecodedLog]:
        """The event of one log of a watched contract, and its stream; the block's time is not known here."""
        source = Source.model_construct(
            contract=found.log.address,
            block_number=found.block_number,
            block_hash=found.block_hash,
            block_time=_EPOCH,
            tx_id=found.tx_id,
            log_index=found.log.index_in_block,
        )
        return self._contracts[found.log.address].read(found.log, source)

    def block(self, block: Block, infos: Sequence[TransactionInfo]) -> Ingested:
        """The events of a block, in the order of its transactions: each transaction, then its logs.

        The genesis block's transactions have no receipts; they are allocations that cost nothing.
        """
        time = _EPOCH + timedelta(milliseconds=block.time_ms)
        receipts: Iterable[TransactionInfo | None] = infos if block.number else [None] * len(block.transactions)
        events: list[NewEvent] = []
        transactions = logs = 0
        for index, (transaction, info) in enumerate(zip(block.transactions, receipts, strict=True)):
            metadata = Metadata(causation_id=transaction.tx_id)
            if self._transactions == "all" or self._touches(transaction, info):
                events += self._transaction(block, time, index, transaction, info, metadata)
                transactions += 1
            for log in info.logs if info is not None else ():
                if (contract := self._contracts.get(log.address)) is not None:
                    source = _source(block, time, transaction, log)
                    stream, event = contract.read(log, source)
                    event_id = derived_id(f"{block.hash}/{log.index_in_block}", time)
                    events.append(NewEvent(stream, event, time, event_id, metadata))
                    logs += 1
        return Ingested(block, time, events, transactions, logs)

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
            method=called.methods.get(transaction.data[:8]) if called is not None else None,
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


class _Contract:
    """A watched contract: its ABI, prepared to read logs and to name the functions called."""

    def __init__(self, name: str) -> None:
        compiled = artifact(ARTIFACTS[name])
        self.name = name
        self._abi: Abi = compiled.abi
        self.methods = {function.selector.hex(): function.name for function in compiled.abi.functions.values()}
        self._arguments = {
            entry["name"]: [_argument(parameter) for parameter in entry["inputs"]]
            for entry in compiled.entries
            if entry["type"] == "event"
        }

    def read(self, log: Log, source: Source) -> tuple[str, domain.ContractEvent | domain.UndecodedLog]:
        """The event of a log and its stream."""
        if len(log.data) > 2 * MAX_DECODED_BYTES:
            return self._raw(log, source, f"{len(log.data) // 2} bytes of data, more than {MAX_DECODED_BYTES}")
        decoded = self._abi.decode_event(log.topics, log.data)
        if not isinstance(decoded, Decoded):
            return self._raw(log, source, decoded.reason)
        args = {
            name: str(value) if wide is str else [str(item) for item in value] if wide is list else value
            for (name, wide), value in zip(self._arguments[decoded.name], decoded.args.values(), strict=True)
        }
        event = domain.ContractEvent(self.name, decoded.name, args, source)
        try:
            public_message(event)  # what the others can't take must not stop the relay later
        except ValidationError as error:
            problem = error.errors(include_input=False)[0]
            where = ".".join(str(part) for part in problem["loc"])
            return self._raw(log, source, f"{decoded.signature} does not fit its message: {where}: {problem['msg']}")
        return domain.event_stream(self.name, decoded.name, args), event

    def _raw(self, log: Log, source: Source, reason: str) -> tuple[str, domain.UndecodedLog]:
        data = log.data[:MAX_RAW_DIGITS]
        event = domain.UndecodedLog(self.name, log.topics, data, len(log.data) // 2, reason[:500], source)
        return domain.undecoded_stream(self.name), event


def public_message(event: domain.ContractEvent) -> Message | None:
    """The public message of a contract's event; None for those that have none. Raises ValidationError if it misfits."""
    cls = message_class(f"chain.{event.contract}.{event.name}.v1")
    if cls is None:
        return None
    fields = {RENAMED.get(name, name): value for name, value in event.args.items()}
    return cls.model_validate({**fields, "source": event.source})


def _source(block: Block, time: datetime, transaction: Transaction, log: Log) -> Source:
    # Every part was checked when it was read from the node: the address by its checksum, the hashes by their form.
    return Source.model_construct(
        contract=log.address,
        block_number=block.number,
        block_hash=block.hash,
        block_time=time,
        tx_id=transaction.tx_id,
        log_index=log.index_in_block,
    )


def _argument(parameter: Mapping[str, Any]) -> tuple[str, Callable[..., Any] | None]:
    """Name in snake case, and how its values are written: `str` for wide integers, `list` for lists of them."""
    name = _CAPITAL.sub("_", parameter["name"]).lower()
    if not _WIDE.fullmatch(parameter["type"]):
        return name, None
    return name, list if parameter["type"].endswith("]") else str


def _summed(info: TransactionInfo) -> tuple[domain.InternalTransfer, ...]:
    moved: dict[tuple[str, str], int] = {}
    for inner in info.internal_transfers:
        if inner.value_sun and not inner.rejected and info.success:
            pair = (inner.caller, inner.to)
            moved[pair] = moved.get(pair, 0) + inner.value_sun
    return tuple(domain.InternalTransfer(payer, payee, amount) for (payer, payee), amount in moved.items())
