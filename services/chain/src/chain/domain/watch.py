"""What is recorded of the chain: which contracts, since which block, and by which ABIs their logs are read. Pure.

People ask for more (`ContractAdded`, `AbiRegistered`); the ingester takes note with the first blocks that it holds for
(`ContractsWatched`), which puts into force whatever stands before it in the stream. So of every block it is certain how
its logs were read when they were recorded, whoever recorded them and whenever that is asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import reduce
from typing import Any, assert_never

from chain.domain.blocks import CURSOR, ContractsWatched, Scope

# ---- what people ask for ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ContractAdded:
    """A contract is to be watched from the next block on, and its logs from block `past_from` on read afterwards.

    With None there is no past to read. Said again of a contract without a past, it gives it one.
    """

    contract: str
    address: str
    past_from: int | None


@dataclass(frozen=True, slots=True)
class AbiRegistered:
    """An ABI for a contract's logs in the blocks `first_block` to `last_block` (None: without end).

    It reads what is recorded from now on. Earlier logs that could not be decoded and now can are told by `LogDecoded`.
    """

    contract: str
    address: str
    entries: list[dict[str, Any]]
    first_block: int
    last_block: int | None


Asked = ContractsWatched | ContractAdded | AbiRegistered


# ---- how far the past was read ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class BlocksBackfilled:
    """All logs of one contract in the blocks `first` to `last`, which were passed long ago, are in the log now."""

    contract: str
    first: int
    last: int
    last_hash: str
    last_time: datetime
    blocks: int
    events: int


@dataclass(frozen=True, slots=True)
class LogsReviewed:
    """The raw logs of a contract up to version `upto` of their stream were tried with its first `abis` ABIs."""

    contract: str
    abis: int
    upto: int
    decoded: int


def past_cursor(contract: str) -> str:
    """The stream of `BlocksBackfilled`, whose last event says how far a contract's past was read."""
    return f"{CURSOR}/{contract}"


def review_cursor(contract: str) -> str:
    """The stream of `LogsReviewed`."""
    return f"review/{contract}"


RESERVED = frozenset({"account", "operation", CURSOR, "review", "watch", "sender"})
"""What streams that are no contract's begin with."""


# ---- all of it ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class KnownAbi:
    """An ABI and the blocks that it is for. What was recorded before block `since` was recorded without it."""

    entries: list[dict[str, Any]]
    first_block: int
    last_block: int | None
    since: int | None  # None: not in force yet

    def covers(self, block: int) -> bool:
        """Whether it is for the logs of a block."""
        return self.first_block <= block and (self.last_block is None or block <= self.last_block)


@dataclass(frozen=True, slots=True)
class Watched:
    """A contract, watched from block `since` on (None: from one of the next)."""

    name: str
    address: str
    since: int | None = None
    past_from: int | None = None
    abis: tuple[KnownAbi, ...] = ()

    @property
    def past(self) -> range:
        """The blocks before the watch began that are wanted, too."""
        return range(0) if self.since is None or self.past_from is None else range(self.past_from, self.since)

    @property
    def waits(self) -> bool:
        """Whether something of it is not in force yet."""
        return self.since is None or any(abi.since is None for abi in self.abis)


@dataclass(frozen=True, slots=True)
class Watch:
    """The stream `watch`, all of it up to `version`."""

    version: int = 0
    scopes: frozenset[Scope] = frozenset()
    accounts: frozenset[str] = frozenset()
    contracts: Mapping[str, Watched] = field(default_factory=dict)

    @property
    def in_force(self) -> dict[str, Watched]:
        """The contracts whose watch has begun."""
        return {name: contract for name, contract in self.contracts.items() if contract.since is not None}

    def at(self, address: str) -> Watched | None:
        """The contract at an address."""
        return next((contract for contract in self.contracts.values() if contract.address == address), None)


def watch(events: Iterable[Asked]) -> Watch:
    """What the events of the stream come to."""
    return reduce(evolve, events, Watch())


def evolve(state: Watch, event: Asked) -> Watch:
    """What one more event makes of it."""
    contracts = dict(state.contracts)
    match event:
        case ContractAdded(name, address, past_from):
            contracts[name] = replace(contracts.get(name, Watched(name, address)), past_from=past_from)
        case AbiRegistered(name, address, entries, first, last):
            before = contracts.get(name, Watched(name, address))
            contracts[name] = replace(before, abis=(*before.abis, KnownAbi(entries, first, last, None)))
        case ContractsWatched():
            for name, address in event.contracts.items():
                contracts.setdefault(name, Watched(name, address))
            contracts = {name: _in_force(contract, event.first_block) for name, contract in contracts.items()}
            state = replace(
                state, scopes=state.scopes | {event.transactions}, accounts=state.accounts | set(event.accounts)
            )
        case never:
            assert_never(never)
    return replace(state, version=state.version + 1, contracts=contracts)


def _in_force(contract: Watched, block: int) -> Watched:
    """The contract from a block on. The ABIs that it comes with read its past as well."""
    since = 0 if contract.since is None else block
    abis = tuple(replace(abi, since=since) if abi.since is None else abi for abi in contract.abis)
    return replace(contract, abis=abis, since=block if contract.since is None else contract.since)
