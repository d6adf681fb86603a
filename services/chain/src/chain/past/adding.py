"""Contracts and ABIs are added to a running service: asked for in its log, which the workers follow."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from chain.domain import CONTRACTS, WATCH, AbiRegistered, ContractAdded
from chain.domain.watch import RESERVED, Watch, Watched, past_cursor, watch
from chain.past.progress import Past, pasts
from chain.past.redecode import decodable, last_review
from chain.settings import ChainSettings
from eventlog import EventLog, NewEvent, WrongExpectedVersion
from tron.abi import Abi
from tron.address import normalise, raw
from tron.client import NodeClient
from tron.errors import NodeRefused, NotServed
from tron.providers import Nodes
from tron.verify import code_at

Entries = list[dict[str, Any]]
NAME = re.compile(r"[a-z][a-z0-9-]{0,49}|T[1-9A-HJ-NP-Za-km-z]{33}")
ATTEMPTS = 5
TO_DECODE = 10_000
RATE_FROM = 20
"""Appends from which the speed of a backfill is taken."""


@dataclass(frozen=True, slots=True)
class Added:
    """What was asked for. `new` is false where it had been asked for before."""

    contract: str
    address: str
    events: list[str]
    """The signatures of the events that the ABI has."""
    past_from: int | None
    new: bool
    warnings: list[str]


@dataclass(frozen=True, slots=True)
class Registered:
    """An ABI that was registered, or had been before."""

    contract: str
    address: str
    events: list[str]
    first_block: int
    last_block: int | None
    new: bool
    warnings: list[str]


@dataclass(frozen=True, slots=True)
class Backfilled:
    """How far a past was read; the estimate is None while nothing tells the speed."""

    first_block: int
    last_block: int
    read_to: int | None
    done: bool
    blocks_left: int
    seconds_left: float | None


@dataclass(frozen=True, slots=True)
class ContractStatus:
    """A watched contract; `since` is None until the ingester has taken note of it."""

    contract: str
    address: str
    since: int | None
    waits: bool
    """Whether something that was asked for is not in force yet; the next block brings it."""
    abis: list[tuple[int, int | None]]
    """The blocks that its registered ABIs are for."""
    backfill: Backfilled | None
    logs_to_decode: int
    """Raw logs that an ABI can read, and that still have to be told; at most TO_DECODE are counted."""


# ---- what people ask for ------------------------------------------------------------------------------------------


async def add(
    log: EventLog,
    settings: ChainSettings,
    address: str,
    abi: str,
    name: str | None = None,
    past_from: int | None = None,
) -> Added:
    """Has a contract watched from the next block on, and its logs from block `past_from` on read as well.

    `abi` is JSON: the compiler's list, an artefact, or what a node's getcontract answers. Asking again changes nothing.
    Raises LookupError for what cannot be, with the reason; NodeError where no node answers.
    """
    address = normalise(address)
    name = _name(name or address)
    entries, warnings = read_abi(abi)
    warnings += await _look_at_node(settings, address, entries, past_from)
    for _ in range(ATTEMPTS):
        state = await _state(log)
        asked = _to_add(state, name, address, entries, past_from)
        if await _asked(log, state, asked):
            return Added(name, address, _signatures(entries), past_from, bool(asked), warnings)
    raise LookupError("others are changing what is watched; try again")


async def register(
    log: EventLog, contract: str, abi: str, first_block: int = 0, last_block: int | None = None
) -> Registered:
    """Gives a watched contract, by its name or address, an ABI for a range of blocks. Raises LookupError."""
    if last_block is not None and last_block < first_block:
        raise LookupError(f"expected the last block to be {first_block} or later, got {last_block}")
    entries, warnings = read_abi(abi)
    for _ in range(ATTEMPTS):
        state = await _state(log)
        watched = state.contracts.get(contract) or state.at(contract)
        if watched is None:
            raise LookupError(f"no contract {contract!r} is watched; there are {', '.join(state.contracts)}")
        ranges = [(known.entries, known.first_block, known.last_block) for known in watched.abis]
        new = (entries, first_block, last_block) not in ranges
        asked = [AbiRegistered(watched.name, watched.address, entries, first_block, last_block)] if new else []
        if await _asked(log, state, asked):
            events = _signatures(entries)
            return Registered(watched.name, watched.address, events, first_block, last_block, new, warnings)
    raise LookupError("others are changing what is watched; try again")


async def status(log: EventLog) -> list[ContractStatus]:
    """Every watched contract, with how far its past was read."""
    state = await _state(log)
    read = {past.contract.name: past for past in await pasts(log, state)}
    return [await _status(log, contract, read.get(name)) for name, contract in state.contracts.items()]


def read_abi(text: str) -> tuple[Entries, list[str]]:
    """The events and functions of an ABI, and a warning for each that cannot be used. Raises LookupError."""
    try:
        found = json.loads(text)
    except ValueError as error:
        raise LookupError(f"the ABI is no JSON: {error}") from None
    for key in ("abi", "entrys"):
        found = found.get(key, found) if isinstance(found, dict) else found
    if not isinstance(found, list):
        raise LookupError("the ABI: expected a list of entries, or an object with one under `abi` or `entrys`")
    entries: Entries = []
    warnings: list[str] = []
    for entry in found:
        refused = Abi([entry]).refused
        warnings += [f"{what} cannot be used: {why}" for what, why in refused.items()]
        if not refused and str(entry["type"]).lower() in ("event", "function"):
            entries.append(_essence(entry))
    if not _signatures(entries):
        raise LookupError("the ABI has no event that can be decoded: " + ("; ".join(warnings) or "it lists none"))
    return entries, warnings


def _essence(entry: Mapping[str, Any]) -> dict[str, Any]:
    """What decoding needs of an entry."""
    kept: dict[str, Any] = {"type": str(entry["type"]).lower(), "name": entry["name"]}
    if entry.get("anonymous"):
        kept["anonymous"] = True
    return {**kept, "inputs": [_parameter(parameter) for parameter in entry.get("inputs") or []]}


def _parameter(source: Mapping[str, Any]) -> dict[str, Any]:
    kept: dict[str, Any] = {"name": source.get("name") or "", "type": source["type"]}
    if source.get("indexed"):
        kept["indexed"] = True
    if source.get("components"):
        kept["components"] = [_parameter(component) for component in source["components"]]
    return kept


def _signatures(entries: Entries) -> list[str]:
    abi = Abi(entries)
    several = (*abi.alike.values(), *abi.anonymous.values())
    return sorted({event.signature for event in (*abi.events.values(), *(one for same in several for one in same))})


# ---- what may be asked --------------------------------------------------------------------------------------------


def _name(name: str) -> str:
    if name in CONTRACTS:
        raise LookupError(f"{name}: this is one of the five contracts, which CHAIN_CONTRACTS names")
    if not NAME.fullmatch(name) or name in RESERVED:
        raise LookupError(
            f"the name: expected a-z, 0-9 and -, at most 50, not {', '.join(sorted(RESERVED))}; got {name!r}"
        )
    return name


def _to_add(
    state: Watch, name: str, address: str, entries: Entries, past_from: int | None
) -> list[ContractAdded | AbiRegistered]:
    """What has to be asked for so that the contract is watched; nothing if it was. Raises LookupError."""
    if not state.scopes:
        raise LookupError("the service has not recorded a block yet: start it first")
    known = state.contracts.get(name)
    if known is not None and known.address != address:
        raise LookupError(f"the name {name} is taken by {known.address}")
    if known is None and (other := state.at(address)) is not None:
        raise LookupError(f"{address} is watched already, as {other.name}")
    if known is None:
        return [ContractAdded(name, address, past_from), AbiRegistered(name, address, entries, 0, None)]
    if entries not in [abi.entries for abi in known.abis]:
        raise LookupError(f"{name} is watched with another ABI; `annals chain abi {name}` registers a further one")
    if past_from is None or past_from == known.past_from:
        return []
    if known.past_from is not None:
        raise LookupError(f"{name}: its past is read from block {known.past_from} on already")
    return [ContractAdded(name, address, past_from)]


async def _look_at_node(settings: ChainSettings, address: str, entries: Entries, past_from: int | None) -> list[str]:
    """Warnings about the contract as the node shows it. Raises LookupError where there is none, or no such block."""
    async with Nodes(settings.providers) as nodes:
        _, solid = await nodes.heights()
        if past_from is not None and past_from > solid:
            raise LookupError(f"block {past_from} is not solidified: the newest that is has number {solid}")
        if not await nodes.ask(lambda node: _has_code(node, address)):
            raise LookupError(f"{address}: no contract is there")
        answer = await nodes.ask(lambda node: node.request("wallet/getcontract", {"value": address, "visible": True}))
    stored = answer.get("abi") if isinstance(answer, dict) else None
    told = stored.get("entrys", []) if isinstance(stored, dict) else []
    on_chain = set(_signatures([entry for entry in told if isinstance(entry, dict)]))
    if lacking := sorted(on_chain - set(_signatures(entries))):
        return [f"the ABI that the chain stores also has {', '.join(lacking)}; such logs are kept raw"]
    return []


async def _has_code(node: NodeClient, address: str) -> bool:
    if await code_at(node, address):
        return True
    try:  # what another contract has created need not have a record of its own
        (code,) = await node.rpc.batch([("eth_getCode", [f"0x{raw(address).hex()}", "latest"])])
    except (NotServed, NodeRefused):
        return False
    return isinstance(code, str) and len(code) > len("0x")


# ---- the log ------------------------------------------------------------------------------------------------------


async def _state(log: EventLog) -> Watch:
    return watch(recorded.event for recorded in await log.read_stream(WATCH))


async def _asked(log: EventLog, state: Watch, asked: Sequence[object]) -> bool:
    """Whether it is in the log now; not if somebody else was faster."""
    if not asked:
        return True
    now = datetime.now(UTC)
    try:
        await log.append([NewEvent(WATCH, event, now) for event in asked], {WATCH: state.version})
    except WrongExpectedVersion:
        return False
    return True


async def _status(log: EventLog, contract: Watched, past: Past | None) -> ContractStatus:
    ranges = [(abi.first_block, abi.last_block) for abi in contract.abis]
    backfill = await _backfilled(log, past) if past is not None else None
    unread = await _to_decode(log, contract) if any(abi.since for abi in contract.abis) else 0
    return ContractStatus(contract.name, contract.address, contract.since, contract.waits, ranges, backfill, unread)


async def _backfilled(log: EventLog, past: Past) -> Backfilled:
    blocks, left = past.contract.past, past.contract.past.stop - past.next
    seconds = 0.0 if past.done else None
    recent = await log.read_stream(past_cursor(past.contract.name), max(0, past.version - RATE_FROM))
    if left and len(recent) > 1:
        elapsed = (recent[-1].recorded_at - recent[0].recorded_at).total_seconds()
        seconds = round(elapsed * left / (recent[-1].event.last - recent[0].event.last), 1)
    read_to = past.next - 1 if past.version else None
    return Backfilled(blocks.start, blocks[-1], read_to, past.done, left, seconds)


async def _to_decode(log: EventLog, contract: Watched) -> int:
    _, done = await last_review(log, contract)
    known = sum(abi.since is not None for abi in contract.abis)
    _, decoded = await decodable(log, contract, done.upto if done.abis == known else 0, TO_DECODE)
    return len(decoded)
