"""Statements on paper: the same lines, the same bytes, and what any reader of PDF needs."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from royalties_chain import busy_chain
from royalties_platform import busy_platform

from contracts.canonical import read
from projections import rebuild
from royalties import projections
from royalties.statements.document import Disagreement, head
from royalties.statements.lines import Bounds, Scope
from royalties.statements.pdf import COLUMNS, ROWS, TextPdf
from royalties.statements.printed import as_pdf

AS_PDF = {"accept": "application/pdf"}
YEAR = datetime(2026, 1, 1, tzinfo=UTC)


def pages_of(document: bytes) -> list[list[str]]:
    """The rows of each page, found as a reader does: from the end, by the table of objects."""
    assert document.startswith(b"%PDF-1.4\n")
    assert document.endswith(b"%%EOF\n")
    start = int(document.rsplit(b"startxref\n", 1)[1].split(b"\n")[0])
    count = int(document[start:].split(b"\n")[1].split()[1])
    table = document[start:].split(b"\n")[2 : 2 + count]
    assert all(len(entry) == 19 for entry in table)  # 20 with the line's end, as readers count on

    def object_(number: int) -> bytes:
        offset = int(table[number].split()[0])
        assert document.startswith(b"%d 0 obj\n" % number, offset)
        return document[offset : document.index(b"\nendobj\n", offset)]

    trailer = document[start:]
    catalog = object_(int(re.findall(rb"/Root (\d+) 0 R", trailer)[0]))
    tree = object_(int(re.findall(rb"/Pages (\d+) 0 R", catalog)[0]))
    kids = [int(kid) for kid in re.findall(rb"(\d+) 0 R", tree[tree.index(b"/Kids") :])]
    assert int(re.findall(rb"/Count (\d+)", tree)[0]) == len(kids)
    return [_rows(object_(int(re.findall(rb"/Contents (\d+) 0 R", object_(kid))[0]))) for kid in kids]


def _rows(stream: bytes) -> list[str]:
    length = int(re.findall(rb"/Length (\d+)", stream)[0])
    content = stream[stream.index(b"stream\n") + 7 : -len(b"endstream")]
    assert len(content) == length
    strings = re.findall(rb"\(((?:\\.|[^\\)])*)\) Tj", content)
    return [re.sub(r"\\(.)", r"\1", one.decode("ascii")) for one in strings]


async def issued(ledger: Any) -> dict[str, bytes]:
    """All statements of a busy month on paper, by number."""
    await ledger.receive(busy_chain().messages)
    await busy_platform(ledger.client)
    await ledger.shown()
    assert (await ledger.command("/periods/2026-01/close")).status_code == 200
    await ledger.shown()
    return await papers(ledger)


async def papers(ledger: Any) -> dict[str, bytes]:
    numbers = [row["number"] for row in await ledger.pool.fetch("SELECT number FROM closings_v1.issued_statements")]
    return {one: (await ledger.client.get(f"/statements/{one}", headers=AS_PDF)).content for one in sorted(numbers)}


async def test_an_issued_statement_on_paper_says_what_its_json_says(ledger: Any) -> None:
    found = await issued(ledger)
    assert len(found) > 3
    for number, paper in found.items():
        document = read((await ledger.client.get(f"/statements/{number}")).content)
        statement, proof = document["statement"], document["proof"]
        (row,) = [one for one in await of_party(ledger, statement["party"]) if one["number"] == number]
        pages = pages_of(paper)
        assert {page[0] for page in pages} == {f"Statement {number}"}
        footers = [page[-1] for page in pages]
        assert footers == [*(f"Page {n}" for n in range(1, len(pages))), f"Page {len(pages)} of {len(pages)}"]
        rows = [row for page in pages for row in page[1:-1]]
        text = "\n".join(rows)
        for told in (statement["party"], f"SHA-256: {row['sha256']}", proof["root"], f"Lines: {statement['count']}"):
            assert told in text
        for name in ("Opening balance", "Closing balance"):
            whole = re.findall(rf"{name}: (\S+) {re.escape(statement['asset'])}", text)[0]
            assert int(whole.replace(".", "")) == int(statement[name.lower().replace(" ", "_")])
        ends = [row.rsplit(", ", 1)[-1].strip() for row in rows]
        places = [end.removeprefix("line ") for end in ends if re.fullmatch(r"line \d+/\d+", end)]
        assert places == [f"{line['position']}/{line['posting']}" for line in statement["lines"]]
        for line in statement["lines"]:
            assert str(line.get("tx_id", line.get("reference"))) in text


async def of_party(ledger: Any, party: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = (await ledger.get(f"/parties/{party}/statements"))["items"]
    return items


async def test_the_same_log_gives_the_same_paper_after_a_rebuild(ledger: Any) -> None:
    before = await issued(ledger)
    for model in (projections.Ledger(), projections.Closings()):
        await rebuild(ledger.pool, ledger.log, ledger.watermark, model)
    assert await papers(ledger) == before


async def test_paper_that_is_not_what_was_issued_breaks_off_and_cannot_be_opened(ledger: Any) -> None:
    number = next(iter(await issued(ledger)))
    await ledger.pool.execute(
        "UPDATE closings_v1.issued_statements SET sha256 = $2 WHERE number = $1", number, "0" * 64
    )
    with pytest.raises(Disagreement, match=number):
        await ledger.client.get(f"/statements/{number}", headers=AS_PDF)


async def test_a_statement_of_now_is_on_paper_too_with_the_hash_of_its_form(ledger: Any) -> None:
    await issued(ledger)
    party = (await ledger.pool.fetchrow("SELECT party FROM closings_v1.issued_statements WHERE asset = 'TRX'"))["party"]
    answer = await ledger.client.get(f"/parties/{party}/statement", headers=AS_PDF)
    assert answer.headers["content-type"] == "application/pdf"
    assert answer.headers["content-disposition"] == f'attachment; filename="statement-{party}.pdf"'
    pages = pages_of(answer.content)
    assert pages[0][0] == f"Statement of {party}, not issued"
    assert pages[-1][-2].startswith("SHA-256 of its canonical form: ")


async def test_a_hundred_thousand_lines_are_written_page_by_page() -> None:
    class Rows:
        """As the ledger answers, with no more rows at once than are asked for."""

        def __init__(self, count: int) -> None:
            self._left = count

        async def all(self, _: object) -> list[dict[str, Any]]:
            some = min(self._left, 5_000)
            self._left -= some
            key = {"at": YEAR, "position": 1, "posting": 0, "kind": "sale", "account_class": "earnings"}
            return [key | {"amount": "1", "caller": "shop", "reference": "r" * 100, "path": "g/1/" * 60}] * some

    count = 100_000
    scope = Scope("ada", "USD", YEAR, YEAR.replace(year=2027), 1)
    document = head(scope, Bounds(0, count, count, 1, 0, 2))
    longest, pages = 0, 0
    async for written in as_pdf(Rows(count), scope, document):  # type: ignore[arg-type]  # all that it asks
        longest, pages = max(longest, len(written)), pages + written.count(b"/Type /Page ")
    assert pages > count * 4 // ROWS - 100
    assert longest < 1_000_000, "but for the table of objects, a page"


def test_what_the_font_does_not_have_is_shown_as_escapes() -> None:
    pdf = TextPdf("Ж")
    document = pdf.begin() + pdf.page("(a) \\ b", ["Łódź", "x" * COLUMNS, "naïve\n"], "1") + pdf.end()
    assert b"/Title (\\\\u0416)" in document
    assert pages_of(document) == [["(a) \\\\ b", "\\u0141\\xf3d\\u017a", "x" * COLUMNS, "na\\xefve\\n", "1"]]
