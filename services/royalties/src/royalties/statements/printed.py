"""A statement on paper: the same lines as everywhere, in units of its asset, with all that it takes to check it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from decimal import Decimal, localcontext
from hashlib import sha256
from textwrap import wrap
from typing import Any

from royalties.statements import document
from royalties.statements.document import Disagreement, Fields
from royalties.statements.lines import Scope
from royalties.statements.pdf import COLUMNS, ROWS, TextPdf
from service import Queries
from service.queries import Row

HEADINGS = ("when (UTC)", "what", "of", "amount", "balance")
CHECK = "annals verify-statement FILE --root ROOT proves it from the JSON form of this statement, which says the same."
_INDENT = " " * 4
_NAMES = ("track_id", "token_id", "payment_id", "split_version", "path")


async def as_pdf(
    reads: Queries, scope: Scope, head: Fields, row: Row | None = None, closed: Row | None = None
) -> AsyncIterator[bytes]:
    """The whole statement as PDF; `row` and `closed` are of the statement and its period once it is issued.

    Raises Disagreement, so that it breaks off before its end and can't be opened, where the lines don't add up or don't
    lead to the hash that was issued.
    """
    paper = _Paper(head)
    yield paper.pdf.begin()
    for told in _beginning(head, row, closed):
        paper.rows += _wrapped(told)
    paper.rows += ["", paper.columns]
    digest = sha256()
    async for lines in document.hashed(reads, scope, head, digest):
        for line in lines:
            if (page := paper.fit(_line(line, head["scale"]))) is not None:
                yield page
    found = digest.hexdigest()
    if row is not None and found != row["sha256"]:
        raise Disagreement(f"statement {row['number']}: expected {row['sha256']}, got {found}")
    ending = ["", _balance("Closing balance", head, "closing_balance"), f"SHA-256 of its canonical form: {found}"]
    if (page := paper.fit([*ending, CHECK] if row is not None else ending)) is not None:
        yield page
    yield paper.last()


class _Paper:
    """The page that is being filled."""

    def __init__(self, head: Fields) -> None:
        self._name = f"Statement {head['number']}" if "number" in head else f"Statement of {head['party']}, not issued"
        self.pdf = TextPdf(self._name)
        self.columns = _columns(*HEADINGS)
        self.rows: list[str] = []
        self._number = 1

    def fit(self, rows: Sequence[str]) -> bytes | None:
        """Adds rows that belong together; the page before them where they no longer fit."""
        page = None
        if len(self.rows) + len(rows) > ROWS:
            page = self.pdf.page(self._name, self.rows, f"Page {self._number}")
            self.rows = [self.columns]
            self._number += 1
        self.rows += rows
        return page

    def last(self) -> bytes:
        footer = f"Page {self._number} of {self._number}"
        return self.pdf.page(self._name, self.rows, footer) + self.pdf.end()


def _beginning(head: Fields, row: Row | None, closed: Row | None) -> Iterator[str]:
    yield f"Party: {head['party']}"
    since, until = head["from"] or "the beginning", head["to"] or "now"
    yield f"From {since} until before {until}, as recorded up to position {head['position']} of the log"
    yield f"Amounts in {head['asset']}" + (f" with {head['scale']} decimals" if head["scale"] else "")
    if row is not None and closed is not None:
        yield f"Period {row['period']}, revision {row['revision']}; issued {document.told(row['issued_at'])}"
        yield f"SHA-256: {row['sha256']}"
        anchored = "" if closed["segment"] is None else f", on the chain under segment {closed['segment']}"
        yield f"Root of the period: {closed['root']}, leaf {row['leaf']} of {closed['statements']}{anchored}"
    if "replaces" in head:
        yield f"Replaces {head['replaces']['number']}, SHA-256 {head['replaces']['sha256']}"
        difference = head["difference"]
        told = [f"{name.replace('_', ' ')} {_amount(difference[name], head['scale'])}"
                for name in ("opening_balance", "closing_balance")]  # fmt: skip
        yield f"Difference to it: {', '.join(told)}, {difference['count']} lines"
    yield _balance("Opening balance", head, "opening_balance")
    yield _balance("Closing balance", head, "closing_balance")
    yield f"Lines: {head['count']}"


def _line(line: Fields, scale: int) -> list[str]:
    """What changed the balance, and below it where that comes from."""
    amounts = (_amount(line[name], scale) for name in ("amount", "balance"))
    first = _columns(line["at"], line["kind"], line["account_class"], *amounts)
    return [*_wrapped(first), *_wrapped(_INDENT + ", ".join(_origin(line)))]


def _origin(line: Fields) -> Iterator[str]:
    if "tx_id" in line:
        yield f"block {line['block_number']}, transaction {line['tx_id']}, log {line['log_index']}"
    if "reference" in line:
        yield f"{line['caller']}: {line['reference']}"
    yield from (f"{name.removesuffix('_id').replace('_', ' ')} {line[name]}" for name in _NAMES if name in line)
    yield f"line {line['position']}/{line['posting']}"


def _balance(name: str, head: Fields, of: str) -> str:
    return f"{name}: {_amount(head[of], head['scale'])} {head['asset']}"


def _amount(digits: Any, scale: int) -> str:
    """In units of the asset, exactly: 1500000 with a scale of 6 is 1.500000."""
    with localcontext(prec=200):
        return f"{Decimal(digits).scaleb(-scale):f}"


def _columns(at: str, kind: str, account_class: str, amount: str, balance: str) -> str:
    return f"{at:<29}{kind:<24}{account_class:<12}{amount:>40}{balance:>40}"


def _wrapped(row: str) -> list[str]:
    if len(row) <= COLUMNS:
        return [row]
    return wrap(row, COLUMNS, subsequent_indent=_INDENT * 2, break_on_hyphens=False)
