"""Consoles that print texts of strangers: event data, keys, errors, names of topics and groups."""

from __future__ import annotations

import os
import sys
import unicodedata
from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

WIDTH_OF_FILES = 250
"""Of a pipe or a file: wide enough that each row of a table is a line for `grep`."""
LONGEST = 2_000
"""Characters of one text that a person gets to see."""
_DIRECTIONS = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


def visible(text: str) -> str:
    """A text in which control characters, and marks that turn the direction of writing, are seen and not obeyed.

    They appear as `\\u001b`, which in JSON means the same as the character. Tabs and ends of lines stay.
    """
    return "".join(f"\\u{ord(char):04x}" if _steers(char) else char for char in text)


def _steers(char: str) -> bool:
    return (unicodedata.category(char) == "Cc" and char not in "\t\n") or char in _DIRECTIONS


def in_a_line(text: str) -> str:
    """A text that cannot pass for more than one line."""
    return visible(text).replace("\n", "\\n")


def shortened(text: str) -> str:
    """A text that fills no more than a screen, and says so."""
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text):,} characters; --json shows all)"


def plain_table(*columns: str, **options: Any) -> Table:
    """A table without lines, as all commands print theirs."""
    return Table(*columns, box=None, pad_edge=False, **({"header_style": "bold"} | options))


class Terminal(Console):
    """Takes no orders from what it prints: no control characters, no markup."""

    def __init__(self, *, stderr: bool = False) -> None:
        stream = sys.stderr if stderr else sys.stdout
        told = "COLUMNS" in os.environ or (stream is not None and stream.isatty())
        super().__init__(stderr=stderr, markup=False, highlight=False, width=None if told else WIDTH_OF_FILES)

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(visible(text), **options)  # before anybody measures how wide it is

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=visible(segment.text))

    def say(self, text: str) -> None:
        """Prints a text, in one line however long it is."""
        self.print(text, soft_wrap=True)
