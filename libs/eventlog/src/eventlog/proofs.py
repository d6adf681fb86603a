"""Proofs of inclusion: one event, and why its log can't deny it. They are checked with nothing but themselves."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import ClassVar, Literal
from uuid import UUID

import asyncpg
from pydantic import ConfigDict, TypeAdapter, ValidationError

from eventlog import merkle
from eventlog.errors import InvalidProof
from eventlog.leaves import COLUMNS, SealedEvent, leaves, of_rows
from eventlog.seals import Hash, Seal, read_seals

FORMAT: Literal["annals-proof.v1"] = "annals-proof.v1"


@dataclass(frozen=True, slots=True)
class Proof:
    """An event, the path from its leaf to the root of its segment, and seals from that of the segment on, in order.

    The hash of the last one is what somebody else must vouch for: whoever trusts it must believe the event.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(ser_json_bytes="hex", val_json_bytes="hex", strict=True)

    format: Literal["annals-proof.v1"]
    event: SealedEvent
    path: list[Hash]
    seals: list[Seal]

    def to_json(self) -> str:
        """One JSON object, indented for people; `data` and `metadata` stay texts, since every byte of them counts."""
        return _json().dump_json(self, indent=2).decode()


@cache
def _json() -> TypeAdapter[Proof]:
    return TypeAdapter(Proof)


async def prove(conn: asyncpg.Connection, event_id: UUID, upto_seal: int | None = None) -> Proof:
    """Prove that an event is sealed, by the seal of its segment or, with `upto_seal`, by a later one.

    Raises LookupError when there is no such event or it isn't sealed yet, and InvalidProof when the log no longer is
    what was sealed.
    """
    async with conn.transaction(isolation="repeatable_read", readonly=True):
        position = await conn.fetchval("SELECT position FROM events WHERE event_id = $1", event_id)
        if position is None:
            raise LookupError(f"event {event_id}: not in this log")
        number = await conn.fetchval(
            "SELECT number FROM seals WHERE $1 BETWEEN first_position AND last_position", position
        )
        if number is None:
            raise LookupError(f"event {event_id}, position {position}: not sealed yet")
        last = max(number, upto_seal or number)
        seals = await read_seals(conn, number - 1, last - number + 1)
        if seals[-1].number != last:
            raise LookupError(f"seal {last}: not there; the last one is {seals[-1].number}")
        first, end = seals[0].first_position, seals[0].last_position
        sql = f"SELECT {COLUMNS} FROM events WHERE position BETWEEN $1 AND $2 ORDER BY position"  # noqa: S608 - constant columns
        rows = await conn.fetch(sql, first, end)
    event = next(SealedEvent(*row) for row in rows if row["position"] == position)
    proof = Proof(FORMAT, event, merkle.path(leaves(of_rows(rows), first, end), position - first), seals)
    check(proof)
    return proof


def verify_proof(text: str | bytes, trusted: bytes | None = None) -> Proof:
    """The proof that a JSON text holds, if it is one; needs no database.

    Without `trusted`, a seal's hash, it only shows that event and seals fit each other: compare the hash of the last
    seal with one that was published. Raises InvalidProof with what is wrong.
    """
    try:
        proof = _json().validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the text"
        raise InvalidProof(f"{where}: {first['msg']}") from error
    except UnicodeEncodeError as error:
        raise InvalidProof(f"the text: expected UTF-8, found {error.object[error.start]!r}") from error
    check(proof)
    if trusted is not None and trusted not in [seal.hash for seal in proof.seals]:
        raise InvalidProof(f"seals: expected one with the trusted hash {trusted.hex()}, found none of {_span(proof)}")
    return proof


def check(proof: Proof) -> None:
    """Raises InvalidProof unless the event leads to the first seal, and each seal to the next."""
    if not proof.seals:
        raise InvalidProof("seals: expected at least one, found none")
    seal = proof.seals[0]
    size, index = seal.last_position - seal.first_position + 1, proof.event.position - seal.first_position
    try:
        root = merkle.climb(proof.event.leaf(), index, size, proof.path)
    except (ValueError, struct.error) as error:  # a number that no column holds
        raise InvalidProof(f"event {proof.event.event_id}, seal {seal.number}: {error}") from error
    if root != seal.root:
        raise InvalidProof(
            f"event {proof.event.event_id}: expected root {seal.root.hex()} of seal {seal.number}, found {root.hex()}"
        )
    if seal.hash != seal.computed_hash():
        raise InvalidProof(f"seal {seal.number}: hash: expected {seal.computed_hash().hex()}, found {seal.hash.hex()}")
    for before, after in pairwise(proof.seals):
        if faults := after.faults(before):
            raise InvalidProof("; ".join(faults))


def _span(proof: Proof) -> str:
    first, last = proof.seals[0], proof.seals[-1]
    return f"seal {first.number}" if len(proof.seals) == 1 else f"seals {first.number} to {last.number}"
