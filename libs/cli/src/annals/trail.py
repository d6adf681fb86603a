"""Entries of the audit trail, and their proofs: each is an event under a seal of its service's log.

An export is JSON Lines: entries, each with the proof of its event, then for each service the seals that follow. Whoever
trusts the hash of a service's last seal (published, or anchored on the chain) must believe the entries.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import asyncpg

from annals.services import as_itself, find
from eventlog import BrokenSeal, InvalidProof, Proof, Seal, prove, verify_proof
from eventlog.seals import check_chain, read_seals

SERVICE = "compliance"
FORMAT = "annals-trail.v1"
Entry = dict[str, Any]


class InvalidTrail(Exception):
    """What is wrong with an export: the line, the expected and the got."""


# ---- from the read model -----------------------------------------------------------------------------------------


async def entries(limit: int, **wanted: str | datetime | None) -> list[Entry]:
    """The newest entries that fit, at most `limit`, newest first. Raises UnknownName without the service."""
    service = find(SERVICE)
    queries = service.part("queries")
    return await service.read(queries.audit_trail(queries.TrailFilter(**wanted), datetime.now(UTC), None, limit))


# ---- an export ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Export:
    """Its lines, how many entries they have, and how many were left out, since they are not sealed yet."""

    lines: list[Entry]
    entries: int
    unsealed: int


async def export(found: Sequence[Entry]) -> Export:
    """Entries with their proofs, from the logs of their services. Raises UnknownName, InvalidProof."""
    lines: list[Entry] = [{"format": FORMAT}]
    unsealed = 0
    for name in sorted({entry["service"] for entry in found}):
        own = [entry for entry in found if entry["service"] == name]
        async with as_itself(find(name), "annals trail") as connection:
            proven = [line for entry in own if (line := await _proven(connection, entry)) is not None]
            if proven:
                first = min(line["proof"]["seals"][0]["number"] for line in proven)
                seals = [json.loads(seal.to_json()) for seal in await read_seals(connection, first - 1)]
                lines += [*proven, {"service": name, "seals": seals}]
        unsealed += len(own) - len(proven)
    return Export(lines, len(found) - unsealed, unsealed)


async def _proven(connection: asyncpg.Connection, entry: Entry) -> Entry | None:
    """None for an event that is not sealed yet."""
    try:
        proof = await prove(connection, entry["event_id"])
    except LookupError:
        return None
    return {"entry": entry, "proof": json.loads(proof.to_json())}


# ---- and its verification, offline -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Verified:
    """How many entries are proven, by the last seals of which services, and whether all of those are trusted."""

    entries: int
    last_hashes: Mapping[str, str]
    trusted: bool


def verify(text: str, trusted: Sequence[bytes]) -> Verified:
    """What an export proves. Raises InvalidTrail.

    A service's seals are trusted if the hash of one of them is, at or behind the last that an entry needs.
    """
    proofs: dict[str, list[Proof]] = {}
    chains: dict[str, list[Seal]] = {}
    for number, line in _lines(text):
        try:
            if "seals" in line:
                chains[line["service"]] = [Seal.from_json(json.dumps(seal)) for seal in line["seals"]]
            else:
                proofs.setdefault(line["entry"]["service"], []).append(_checked(line["entry"], line["proof"]))
        except (BrokenSeal, InvalidProof, InvalidTrail, KeyError, TypeError, AttributeError) as error:
            raise InvalidTrail(f"line {number}: {error}") from error
    vouched = [_vouched(name, own, chains.get(name, []), trusted) for name, own in proofs.items()]
    hashes = {name: chains[name][-1].hash.hex() for name in proofs}
    return Verified(sum(map(len, proofs.values())), hashes, bool(vouched) and all(vouched))


def _lines(text: str) -> Iterator[tuple[int, Entry]]:
    try:
        first, *rest = [json.loads(line) for line in text.splitlines()]
        _same("format", FORMAT, first["format"])
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidTrail(f"line 1: expected the format {FORMAT}: {error}") from error
    yield from enumerate(rest, 2)


def _checked(entry: Entry, proof: Entry) -> Proof:
    """The proof of an entry, if it is of the event that the entry tells of."""
    found = verify_proof(json.dumps(proof))
    event, metadata = found.event, json.loads(found.event.metadata)
    data = json.loads(event.data)
    _same("digest", event.leaf().hex(), entry["digest"])
    _same("event_id", str(event.event_id), entry["event_id"])
    _same("stream", (event.stream, event.version), (entry["stream"], entry["version"]))
    if entry["action"] != event.type:  # what others put on record names itself
        _same("action", data.get("kind", event.type), entry["action"])
    _same("actor", metadata.get("actor"), entry["actor"])
    _same("causation", metadata.get("causation_id"), entry["causation"])
    _same("at", json.loads(found.to_json())["event"]["occurred_at"], _utc(entry["at"]))
    return found


def _vouched(name: str, proofs: Iterable[Proof], chain: Sequence[Seal], trusted: Sequence[bytes]) -> bool:
    """Whether a hash that is trusted vouches for all of these. Raises InvalidTrail if not even the seals do."""
    numbers = {seal.number: place for place, seal in enumerate(chain)}
    needed = 0
    for seal in (proof.seals[0] for proof in proofs):
        place = numbers.get(seal.number)
        if place is None or chain[place] != seal:
            raise InvalidTrail(f"{name}: seal {seal.number}: expected among the seals of the service, found none such")
        needed = max(needed, place)
    try:
        check_chain(chain[1:], chain[0])
    except BrokenSeal as error:
        raise InvalidTrail(f"{name}: {error}") from error
    return any(seal.hash in trusted for seal in chain[needed:])


def _utc(time: str) -> str:
    return datetime.fromisoformat(time).isoformat()


def _same(what: str, expected: object, got: object) -> None:
    if expected != got:
        raise InvalidTrail(f"{what}: expected {expected}, got {got}")
