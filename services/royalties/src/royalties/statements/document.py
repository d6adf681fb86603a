"""A statement as a document: the fields, the one form in which it is hashed, and CSV; both written piece by piece.

The form is that of `contracts.canonical`. Fields that a line has nothing for are left out.
"""

from __future__ import annotations

import csv
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import UTC, datetime
from io import StringIO
from typing import Any, Protocol

from contracts.canonical import canonical
from royalties.statements import lines
from royalties.statements.lines import Bounds, Scope
from service import Queries
from service.queries import Row

FORMAT = "annals-statement.v1"
Fields = dict[str, Any]


class Digest(Protocol):
    """A hash of `hashlib` in the making."""

    def update(self, written: bytes, /) -> None: ...


class Disagreement(Exception):
    """The lines don't lead to the closing balance: what was read isn't what was added up before."""


def head(scope: Scope, bounds: Bounds) -> Fields:
    """All of a statement but its lines."""
    return {
        "format": FORMAT,
        "party": scope.party,
        "asset": scope.asset,
        "scale": bounds.scale,
        "from": scope.since and told(scope.since),
        "to": scope.until and told(scope.until),
        "position": bounds.position,
        "opening_balance": str(bounds.opening),
        "closing_balance": str(bounds.closing),
        "count": bounds.count,
    }


def fields(rows: Iterable[Row], balance: int) -> list[Fields]:
    """Lines as the document has them, each with the balance after it, which starts from `balance`."""
    written = []
    for row in rows:
        balance += int(row["amount"])
        line = {name: value for name, value in row.items() if value is not None}
        line["at"], line["balance"] = told(row["at"]), str(balance)
        written.append(line)
    return written


def told(at: datetime) -> str:
    """A moment in UTC, as RFC 3339 has it."""
    return at.astimezone(UTC).isoformat().removesuffix("+00:00") + "Z"


async def as_json(reads: Queries, scope: Scope, document: Fields) -> AsyncIterator[bytes]:
    """The canonical form of a whole statement, of which `document` is the head.

    Raises Disagreement where the lines don't add up to its closing balance.
    """
    before, after = _frame(document)
    yield before
    async for text in _joined(_written(reads, scope, document)):
        yield text
    yield after


async def _joined(batches: AsyncIterator[list[Fields]]) -> AsyncIterator[bytes]:
    comma = b""
    async for written in batches:
        yield comma + canonical(written)[1:-1]
        comma = b","


async def hashed(reads: Queries, scope: Scope, document: Fields, digest: Digest) -> AsyncIterator[list[Fields]]:
    """The lines of a whole statement, whose canonical form has gone into `digest` in the end. Raises Disagreement."""
    before, after = _frame(document)
    digest.update(before)
    comma = b""
    async for written in _written(reads, scope, document):
        digest.update(comma + canonical(written)[1:-1])
        comma = b","
        yield written
    digest.update(after)


def _frame(document: Fields) -> tuple[bytes, bytes]:
    """What stands before and after the lines."""
    before, after = canonical(document | {"lines": []}).split(b'"lines":[]')
    return before + b'"lines":[', b"]" + after


_COLUMNS = ("at", "kind", "block_number", "tx_id", "log_index", "caller", "reference", "track_id", "token_id",
            "payment_id", "split_version", "path", "account_class", "amount", "balance", "asset", "scale",
            "position", "posting")  # fmt: skip


async def as_csv(reads: Queries, scope: Scope, document: Fields) -> AsyncIterator[str]:
    """The whole statement as CSV (RFC 4180). Raises Disagreement as `as_json` does."""
    unit = {"asset": document["asset"], "scale": document["scale"]}
    opening = {"at": document["from"], "kind": "opening balance", "balance": document["opening_balance"]}
    yield _csv([opening | unit], header=True)
    async for written in _written(reads, scope, document):
        yield _csv([line | unit for line in written])
    closing = {"at": document["to"], "kind": "closing balance", "balance": document["closing_balance"]}
    yield _csv([closing | unit])


async def _written(reads: Queries, scope: Scope, document: Fields) -> AsyncIterator[list[Fields]]:
    balance = document["opening_balance"]
    async for rows in lines.batches(reads, scope):
        written = fields(rows, int(balance))
        balance = written[-1]["balance"]
        yield written
    if balance != document["closing_balance"]:
        raise Disagreement(f"{scope}: expected a closing balance of {document['closing_balance']}, got {balance}")


def _csv(rows: Sequence[Fields], header: bool = False) -> str:
    text = StringIO()
    writer = csv.DictWriter(text, _COLUMNS)
    if header:
        writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
