"""Texts of strangers on a terminal: seen, never obeyed."""

from __future__ import annotations

import io
import json

import pytest
from rich.table import Table

from annals.terminal import LONGEST, WIDTH_OF_FILES, Terminal, in_a_line, shortened, visible

HOSTILE = "pool/\x1b[31mred\x07\x9b2J\u202eevil[/bold] [link=x]\r"
SEEN = r"pool/\u001b[31mred\u0007\u009b2J\u202eevil[/bold] [link=x]\u000d"


def printed(*renderables: object) -> str:
    terminal = Terminal()
    with terminal.capture() as captured:
        for renderable in renderables:
            terminal.print(renderable)
    return captured.get()


def test_control_characters_and_marks_of_direction_are_seen() -> None:
    assert visible(HOSTILE) == SEEN
    assert json.loads(f'"{SEEN}"') == HOSTILE  # to scripts it is the same text
    assert visible("Łódź\t日本 👩\u200d🚀\n") == "Łódź\t日本 👩\u200d🚀\n"
    assert in_a_line("a\nb") == "a\\nb"


def test_neither_a_text_nor_a_cell_of_a_table_steers_the_terminal() -> None:
    table = Table("key")
    table.add_row(HOSTILE)
    shown = printed(HOSTILE, table)
    assert shown.count(SEEN) == 2
    assert not {char for char in shown if char != "\n" and visible(char) != char}


def test_a_row_of_a_table_is_a_line_in_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setattr("sys.stdout", io.StringIO())
    table = Table("a", "b", box=None)
    table.add_row("x" * 120, "y" * 100)
    assert f"{'x' * 120}  {'y' * 100}" in printed(table)
    assert Terminal().width == WIDTH_OF_FILES


def test_a_huge_text_says_that_it_was_cut() -> None:
    assert shortened("x" * LONGEST) == "x" * LONGEST
    assert shortened("x" * 900_000).endswith("xxx… (900,000 characters; --json shows all)")
