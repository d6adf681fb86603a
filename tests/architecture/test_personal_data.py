"""Nothing that tells who somebody is stands in clear in an event, a message, a table or a line of a log.

Personal values are known by their names. In an event they are `Sealed`; elsewhere they are not at all.
"""

from __future__ import annotations

import ast
import dataclasses
import importlib
import re
import types
import typing
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from contracts import message_types
from privacy import Sealed
from projections import Projection

ROOT = Path(__file__).resolve().parents[2]
NAMES = sorted(entry.name for entry in entry_points(group="annals.services"))
PERSONAL = re.compile(
    r"(^|_)(e?mail|e_mail|phone|telephone|surname|birth(day|date)?|passport|iban|street|post_?code|zip_code|user_agent"
    r"|(full|first|last|given|legal|maiden)_?name|(tax|passport|id_card)_(id|number)|(ip|postal|home)_address)($|_)"
)
SOMEBODY = {"subject", "user", "party"}
"""Columns that name whom a row is about."""
LOGGED = {"debug", "info", "warning", "error", "exception", "critical", "log"}


def in_clear(name: str, hint: Any) -> Iterator[str]:
    """The fields of a type, its parts included, that are personal by name and not sealed."""
    parts = [part for part in typing.get_args(hint) if part is not types.NoneType]
    if hint is Sealed or parts == [Sealed]:
        return
    if PERSONAL.search(name.rpartition(".")[2]):
        yield name
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        fields = typing.get_type_hints(hint)
    elif isinstance(hint, type) and issubclass(hint, BaseModel):
        fields = {field: info.annotation for field, info in hint.model_fields.items()}
    else:
        fields = {str(number): part for number, part in enumerate(parts)}
    for field, part in fields.items():
        yield from in_clear(f"{name}.{field}", part)


def told_in_clear(tree: ast.AST) -> Iterator[str]:
    """The lines that log a value which is personal by name, or one that was taken out of its `SecretStr`."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(attr=called, value=ast.Name(id="log" | "logger"))) if called in LOGGED:
                for part in ast.walk(node):
                    told = getattr(part, "id", None) or getattr(part, "attr", None) or getattr(part, "arg", None)
                    if isinstance(told, str) and (told == "get_secret_value" or PERSONAL.search(told)):
                        yield f"line {node.lineno}: {told}"
            case _:
                pass


@pytest.mark.parametrize("service", NAMES)
def test_no_event_holds_a_personal_value_in_clear(service: str) -> None:
    events: dict[str, type] = importlib.import_module(f"{service}.domain").EVENTS
    assert events
    assert [found for stored, cls in events.items() for found in in_clear(stored, cls)] == []


def test_no_message_holds_a_personal_value_in_clear() -> None:
    assert message_types()
    assert [found for name, cls in message_types().items() for found in in_clear(name, cls)] == []


@pytest.mark.parametrize("service", NAMES)
def test_no_table_has_a_column_for_a_personal_value(service: str) -> None:
    models: list[Projection] = list(importlib.import_module(f"{service}.projections").ALL)
    columns = [column for model in models for table in (*model.tables, *model.totals) for column in table.columns]
    assert columns
    assert [str(column) for column in columns if PERSONAL.search(column.name)] == []


@pytest.mark.parametrize("service", NAMES)
def test_every_table_whose_rows_are_about_somebody_shows_them_to_whom_they_may_be_shown(service: str) -> None:
    models: list[Projection] = list(importlib.import_module(f"{service}.projections").ALL)
    tables = {table: model.whose.get(table) for model in models for table in (*model.tables, *model.totals)}
    named = {table.name: column for table, column in tables.items() if SOMEBODY & {*table.columns.keys()}}
    assert {name for name, column in named.items() if column is None} == set()


@pytest.mark.parametrize("file", sorted(ROOT.glob("libs/*/src/*/*.sql")), ids=lambda file: f"{file.parent.name}")
def test_no_table_of_a_library_has_a_column_for_a_personal_value(file: Path) -> None:
    words = re.findall(r"\w+", re.sub(r"--.*", "", file.read_text()))
    assert [word for word in words if PERSONAL.search(word)] == []


def test_no_line_of_a_log_tells_a_personal_value() -> None:
    files = [file for part in ("libs", "services") for file in sorted(ROOT.glob(f"{part}/*/src/**/*.py"))]
    assert len(files) > 300
    told = {str(file.relative_to(ROOT)): list(told_in_clear(ast.parse(file.read_text()))) for file in files}
    assert {file: lines for file, lines in told.items() if lines} == {}


@dataclasses.dataclass(frozen=True, slots=True)
class Person:
    legal_name: str
    email: Sealed | None


@dataclasses.dataclass(frozen=True, slots=True)
class Joined:
    people: tuple[Person, ...]
    phone: str | None


def test_these_rules_find_what_they_forbid() -> None:
    assert list(in_clear("Joined.v1", Joined)) == ["Joined.v1.people.0.legal_name", "Joined.v1.phone"]
    lines = [
        'log.info("x", email=1)',
        'logger.warning("%s", body.phone)',
        'log.error(f"{key.get_secret_value()}")',
        'log.info("email")',
    ]
    assert list(told_in_clear(ast.parse("\n".join(lines)))) == [
        "line 1: email",
        "line 2: phone",
        "line 3: get_secret_value",
    ]
