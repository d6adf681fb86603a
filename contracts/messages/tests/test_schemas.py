"""The schemas: their one form, and how a change is told from a break."""

from __future__ import annotations

import json
from collections.abc import Callable
from enum import IntEnum
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field, create_model

from contracts import message_types
from contracts.schemas import compare, main, schemas, text
from contracts.values import Amount

NAME = "shop.events.Sold.v1"


class Two(IntEnum):
    A = 0
    B = 1


class Three(IntEnum):
    A = 0
    B = 1
    C = 2


class Place(BaseModel):
    block: int = Field(ge=0)


class FinerPlace(BaseModel):
    block: int = Field(ge=0)
    log: int


OLD: dict[str, Any] = {
    "price": (Amount, ...),
    "kind": (Two, ...),
    "note": (str | None, None),
    "count": (Annotated[int, Field(ge=1, lt=10)], ...),
    "code": (Annotated[str, Field(pattern="^a")], ...),
    "names": (tuple[str, ...], ...),
    "place": (Place, ...),
}


def schema(fields: dict[str, Any]) -> dict[str, Any]:
    model: type[BaseModel] = create_model("Sold", **fields)
    return model.model_json_schema()


def changed(**fields: Any) -> list[str]:
    """What `compare` says of OLD with other fields; a field that is None is left out."""
    new = {name: field for name, field in (OLD | fields).items() if field is not None}
    return [str(difference) for difference in compare({NAME: schema(OLD)}, {NAME: schema(new)})]


def test_the_same_is_no_difference() -> None:
    assert changed() == []


def test_a_new_optional_field_is_compatible() -> None:
    assert changed(tip=(Amount, 0)) == [f"compatible: {NAME}: field tip is new and optional"]


def test_descriptions_are_compatible() -> None:
    described = Annotated[int, Field(ge=1, lt=10, description="how many")]
    assert changed(count=(described, ...)) == [f"compatible: {NAME}: only titles or descriptions changed"]


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"price": None}, "field price was removed"),
        ({"note": None}, "field note was removed"),
        ({"tip": (Amount, ...)}, "field tip is new and required, but records without it exist"),
        ({"note": (str | None, ...)}, "field note is newly required, but records without it exist"),
        ({"price": (Amount, 0)}, "field price became optional, but readers of today require it"),
        ({"price": (int, ...)}, "field price was retyped from string to integer"),
        ({"note": (str, "")}, "field note was retyped from string or null to string"),
        ({"names": (tuple[int, ...], ...)}, "field names[] was retyped from string to integer"),
        ({"kind": (Three, ...)}, "field kind was widened: 2 is now allowed, which readers of today refuse"),
        ({"count": (Annotated[int, Field(ge=2, lt=10)], ...)}, "field count was narrowed: minimum from 1 to 2"),
        ({"count": (Annotated[int, Field(ge=0, lt=10)], ...)}, "field count was widened: minimum from 1 to 0"),
        ({"count": (Annotated[int, Field(ge=1, le=9)], ...)}, "field count was narrowed: maximum from none to 9"),
        ({"count": (Annotated[int, Field(ge=1)], ...)}, "field count was widened: exclusiveMaximum from 10 to none"),
        ({"code": (Annotated[str, Field(pattern="^b")], ...)}, 'field code changed its pattern from "^a" to "^b"'),
        ({"place": (FinerPlace, ...)}, "field place.log is new and required, but records without it exist"),
        ({"note": (str | None, "x")}, 'field note changed its default from null to "x"'),
    ],
)  # fmt: skip
def test_every_other_change_breaks_a_reader_and_the_sentence_names_the_field(
    fields: dict[str, Any], sentence: str
) -> None:
    assert f"breaking: {NAME}: {sentence}" in changed(**fields)


def test_fewer_values_are_a_break() -> None:
    old, new = schema({"kind": (Three, ...)}), schema({"kind": (Two, ...)})
    [difference] = compare({NAME: old}, {NAME: new})
    assert str(difference) == f"breaking: {NAME}: field kind was narrowed: 2 is no longer allowed"


def test_a_renamed_field_is_one_removed_and_one_new() -> None:
    assert changed(price=None, price_sun=(Amount, ...)) == [
        f"breaking: {NAME}: field price was removed",
        f"breaking: {NAME}: field price_sun is new and required, but records without it exist",
    ]


def test_a_new_message_is_compatible_and_a_removed_one_is_not() -> None:
    one = schema(OLD)
    assert [d.breaking for d in compare({}, {NAME: one})] == [False]
    assert [d.breaking for d in compare({NAME: one}, {})] == [True]
    assert [d.breaking for d in compare({NAME: one}, {NAME: one, "shop.events.Sold.v2": one})] == [False]


@pytest.fixture
def written(tmp_path: Path) -> Path:
    directory = tmp_path / "schemas"
    assert main(["--directory", str(directory)]) == 0
    return directory


def edit(file: Path, change: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads(file.read_text())
    change(content)
    file.write_text(text(content))


def test_every_message_has_a_file_named_by_its_type_and_the_check_is_content(written: Path) -> None:
    assert sorted(path.name for path in written.iterdir()) == sorted(f"{name}.json" for name in message_types())
    assert main(["--check", "--directory", str(written)]) == 0


def test_writing_twice_changes_nothing(written: Path) -> None:
    before = {path: path.read_bytes() for path in written.iterdir()}
    assert main(["--directory", str(written)]) == 0
    assert {path: path.read_bytes() for path in written.iterdir()} == before


def test_a_file_names_neither_this_machine_nor_python(written: Path) -> None:
    for path in written.iterdir():
        assert str(Path.cwd()) not in path.read_text()
        assert "contracts." not in path.read_text()


def test_the_check_fails_on_a_compatible_change_until_it_is_written(
    written: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = written / "rewards.events.VoteRecorded.v1.json"

    def forget_like(content: dict[str, Any]) -> None:
        del content["properties"]["like"]
        content["required"].remove("like")

    edit(file, lambda content: content.update(description="before"))
    assert main(["--check", "--directory", str(written)]) == 1
    assert "compatible: rewards.events.VoteRecorded.v1: only titles or descriptions changed" in capsys.readouterr().out
    assert main(["--directory", str(written)]) == 0
    assert main(["--check", "--directory", str(written)]) == 0

    edit(file, forget_like)  # to the files, `like` is now a new required field
    assert main(["--check", "--directory", str(written)]) == 1
    said = capsys.readouterr().out
    assert "breaking: rewards.events.VoteRecorded.v1: field like is new and required" in said


def test_a_break_is_not_written_either(written: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = written / "rewards.events.VoteRecorded.v1.json"
    edit(file, lambda content: content["properties"]["track_id"].update(type="integer"))
    before = file.read_bytes()
    assert main(["--directory", str(written)]) == 1
    assert file.read_bytes() == before
    assert "field track_id was retyped from integer to string" in capsys.readouterr().out


def test_a_removed_message_is_not_forgotten(written: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (written / "rewards.events.VoteRecorded.v0.json").write_text(text(schemas()["rewards.events.VoteRecorded.v1"]))
    assert main(["--directory", str(written)]) == 1
    assert "breaking: rewards.events.VoteRecorded.v0: the message was removed" in capsys.readouterr().out


def test_without_a_place_for_the_files_it_says_where_to_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--directory", str(tmp_path / "nowhere" / "schemas")]) == 2
    assert "run this where the repository is" in capsys.readouterr().out
