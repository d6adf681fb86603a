"""Issued statements: written again from the log to the same bytes, and proven to be under their period's root."""

from __future__ import annotations

import hmac
from collections.abc import AsyncIterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import sqlalchemy as sa

from contracts.canonical import canonical
from eventlog import merkle
from royalties.domain.periods import period_named
from royalties.projections.agreements import scale_of
from royalties.projections.closing import Closings, closed_periods, issued_statements, statement_leaves
from royalties.statements import document, lines
from royalties.statements.document import Fields
from royalties.statements.lines import Scope
from service import Queries
from service.queries import Row

Query = sa.Select[Any]


@dataclass(frozen=True, slots=True)
class Issued:
    """A statement and what it takes to write it: the lines, and the document's head."""

    scope: Scope
    document: Fields


async def draft(
    reads: Queries, number: str, period: str, party: str, asset: str, position: int, replaced: Row
) -> Issued:
    """The statement that has this number, as it was known at a position; `replaced` is the row of the one before."""
    span = period_named(period)
    scope = Scope(party, asset, span.since, span.until, position)
    bounds = await lines.bounds(reads, scope)
    head = document.head(scope, bounds) | {"number": number, "period": period}
    if replaced:
        balances = {"opening_balance": bounds.opening, "closing_balance": bounds.closing}
        before = {"opening_balance": int(replaced["opening"]), "closing_balance": int(replaced["closing"])}
        difference = {name: str(balance - before[name]) for name, balance in balances.items()}
        head |= {
            "replaces": {name: replaced[name] for name in ("number", "sha256", "position", "count")},
            "difference": difference | {"count": bounds.count - replaced["count"]},
        }
    return Issued(scope, head)


async def found(reads: Queries, row: Row) -> Issued:
    """The statement of a row of `issued_statements`."""
    replaced = await reads.first(by_number(row["replaces"])) if row["replaces"] else {}
    names = ("number", "period", "party", "asset", "position")
    return await draft(reads, **{name: row[name] for name in names}, replaced=replaced)


async def hashed(reads: Queries, issued: Issued) -> str:
    """SHA-256 of the document in its canonical form."""
    digest = sha256()
    async for text in document.as_json(reads, issued.scope, issued.document):
        digest.update(text)
    return digest.hexdigest()


async def proven(reads: Queries, row: Row, issued: Issued) -> AsyncIterator[bytes]:
    """The document and the proof that it is under its period's root, as one JSON object.

    Raises Disagreement, so that it breaks off before the proof, where the log no longer leads to what was issued.
    """
    digest = sha256()
    yield b'{"statement":'
    async for text in document.as_json(reads, issued.scope, issued.document):
        digest.update(text)
        yield text
    if digest.hexdigest() != row["sha256"]:
        raise document.Disagreement(f"statement {row['number']}: expected {row['sha256']}, got {digest.hexdigest()}")
    yield b',"proof":' + canonical(await _proof(reads, row)) + b"}"


async def _proof(reads: Queries, row: Row) -> Fields:
    closed = await reads.first(revision(row["period"], row["revision"]))
    leaves = [leaf(closed["seed"], one["number"], one["sha256"]) for one in await reads.all(tree(row))]
    path = merkle.path(leaves, row["leaf"])
    return {
        "salt": salt(closed["seed"], row["number"]).hex(),
        "index": row["leaf"],
        "size": len(leaves),
        "path": [neighbour.hex() for neighbour in path],
        "root": closed["root"],
    }


def salt(seed: str, number: str) -> bytes:
    """What blinds a statement's hash: without it, whoever sees a neighbour in a path could guess at the statement."""
    return hmac.digest(bytes.fromhex(seed), number.encode(), "sha256")


def leaf(seed: str, number: str, digest: str) -> bytes:
    return merkle.event_leaf(salt(seed, number) + bytes.fromhex(digest))


def by_number(number: str) -> Query:
    table = Closings.live(issued_statements)
    return sa.select(table).where(table.c.number == number)


def of_party(party: str, after: str | None, limit: int) -> Query:
    """A party's statements by their numbers, newest first."""
    table = Closings.live(issued_statements)
    query = sa.select(table, scale_of(table.c.asset)).where(table.c.party == party)
    if after is not None:
        query = query.where(table.c.number < after)
    return query.order_by(table.c.number.desc()).limit(limit)


def last_of(party: str, asset: str, period: str) -> Query:
    """The newest statement of a party for a period."""
    table = Closings.live(issued_statements)
    of = (table.c.party == party, table.c.period == period, table.c.asset == asset)
    return sa.select(table).where(*of).order_by(table.c.revision.desc()).limit(1)


def tree(row: Row) -> Query:
    """The statements of a revision in the order of their leaves."""
    table = Closings.live(statement_leaves)
    query = sa.select(table.c.number, table.c.sha256)
    return query.where(table.c.period == row["period"], table.c.revision == row["revision"]).order_by(table.c.leaf)


def revision(period: str, number: int) -> Query:
    table = Closings.live(closed_periods)
    return sa.select(table).where(table.c.period == period, table.c.revision == number)


def revisions(period: str) -> Query:
    table = Closings.live(closed_periods)
    return sa.select(table).where(table.c.period == period).order_by(table.c.revision)


def periods(after: str | None, limit: int) -> Query:
    """The newest revision of each closed period, newest period first."""
    table = Closings.live(closed_periods)
    newest = sa.select(table.c.period, sa.func.max(table.c.revision)).group_by(table.c.period)
    query = sa.select(table).where(sa.tuple_(table.c.period, table.c.revision).in_(newest))
    if after is not None:
        query = query.where(table.c.period < after)
    return query.order_by(table.c.period.desc()).limit(limit)
