"""PDF of nothing but rows of text, written page by page: what was written is not kept.

PDF 1.4 (ISO 32000-1): one built-in font of fixed width, no compression, no clock, no chance. So the same rows are the
same bytes, whatever is installed. A library would hold all pages until the last, and its next version write others.
"""

from __future__ import annotations

from collections.abc import Sequence

WIDTH, HEIGHT = 842, 595
"""A4, lying, in points of 1/72 inch."""
MARGIN = 36
SIZE, LEADING = 7, 9
COLUMNS = int((WIDTH - 2 * MARGIN) / (SIZE * 0.6))
"""Characters of a row: those of Courier are 0.6 of its size wide."""
ROWS = (HEIGHT - 2 * MARGIN) // LEADING - 4
"""Rows of a page, below its heading and above its footer."""

_CATALOG, _PAGES, _FONT, _BOLD, _INFO = range(1, 6)


class TextPdf:
    """A document in the making: `begin()`, then `page(…)` for each, then `end()` give its bytes, in this order."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._written = 0
        self._offsets: dict[int, int] = {}  # of objects by number
        self._pages: list[int] = []

    def begin(self) -> bytes:
        """The head, with what pages refer to."""
        parts = [self._counted(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n")]
        for number, name in ((_FONT, "Courier"), (_BOLD, "Courier-Bold")):
            font = f"<< /Type /Font /Subtype /Type1 /BaseFont /{name} /Encoding /WinAnsiEncoding >>"
            parts.append(self._object(number, font.encode()))
        return b"".join(parts)

    def page(self, heading: str, rows: Sequence[str], footer: str) -> bytes:
        """One page. What a row has beyond COLUMNS is cut off by the paper, so wrap it before."""
        top = HEIGHT - MARGIN - LEADING
        content = b"".join(
            [
                b"BT /B 9 Tf %d %d Td %s Tj ET\n" % (MARGIN, top, _text(heading)),
                b"BT /R %d Tf %d TL %d %d Td\n" % (SIZE, LEADING, MARGIN, top - 2 * LEADING),
                *(b"%s Tj T*\n" % _text(row) for row in rows),
                b"ET\nBT /R %d Tf %d %d Td %s Tj ET\n" % (SIZE, MARGIN, MARGIN - LEADING, _text(footer)),
            ]
        )
        number = _INFO + 1 + 2 * len(self._pages)
        self._pages.append(number)
        stream = b"<< /Length %d >>\nstream\n%sendstream" % (len(content), content)
        fonts = b"<< /R %d 0 R /B %d 0 R >>" % (_FONT, _BOLD)
        page = b"<< /Type /Page /Parent %d 0 R /Resources << /Font %s >> /Contents %d 0 R >>" % (
            _PAGES,
            fonts,
            number + 1,
        )
        return self._object(number, page) + self._object(number + 1, stream)

    def end(self) -> bytes:
        """The list of the pages and the table of all objects, without which no reader opens the document."""
        kids = b" ".join(b"%d 0 R" % number for number in self._pages)
        pages = b"<< /Type /Pages /MediaBox [0 0 %d %d] /Count %d /Kids [%s] >>"
        parts = [
            self._object(_PAGES, pages % (WIDTH, HEIGHT, len(self._pages), kids)),
            self._object(_CATALOG, b"<< /Type /Catalog /Pages %d 0 R >>" % _PAGES),
            self._object(_INFO, b"<< /Title %s >>" % _text(self._title)),
        ]
        start, size = self._written, len(self._offsets) + 1
        table = [b"%010d 00000 n \n" % self._offsets[number] for number in range(1, size)]
        trailer = b"trailer\n<< /Size %d /Root %d 0 R /Info %d 0 R >>\nstartxref\n%d\n%%%%EOF\n"
        parts += [b"xref\n0 %d\n0000000000 65535 f \n" % size, *table, trailer % (size, _CATALOG, _INFO, start)]
        return b"".join(parts)

    def _object(self, number: int, contents: bytes) -> bytes:
        self._offsets[number] = self._written
        return self._counted(b"%d 0 obj\n%s\nendobj\n" % (number, contents))

    def _counted(self, written: bytes) -> bytes:
        self._written += len(written)
        return written


def _text(text: str) -> bytes:
    """A string of PDF. What isn't printable ASCII is shown as Python's escapes: no font has to be embedded."""
    shown = text.encode("unicode_escape")
    return b"(" + shown.replace(b"\\", b"\\\\").replace(b"(", b"\\(").replace(b")", b"\\)") + b")"
