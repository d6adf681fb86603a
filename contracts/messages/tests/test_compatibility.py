"""What is called compatible is: shown with random classes, changed at random, and the records that they write."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import pytest
from hypothesis import HealthCheck, assume, event, given, settings
from hypothesis import strategies as st
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic_core import PydanticSerializationError

from contracts.compatibility import changes
from contracts.values import Amount

NAMES = ("a", "b", "c", "title")  # a field may well be called like a keyword of JSON Schema


@dataclass(frozen=True)
class Shape:
    """A type of a field, and a strategy for its values on the wire."""

    hint: Any
    values: st.SearchStrategy[Any]


SIMPLE = (
    Shape(int, st.integers(-5, 5)),
    Shape(Annotated[int, Field(ge=0, le=3)], st.integers(0, 3)),
    Shape(Annotated[int, Field(ge=1)], st.integers(1, 5)),
    Shape(float, st.sampled_from([0, 1, 1.5, -2])),
    Shape(bool, st.booleans()),
    Shape(str, st.sampled_from(["", "a", "b", "10", "2026-01-01T00:00:00Z"])),
    Shape(Annotated[str, Field(pattern="^a")], st.sampled_from(["a", "ab"])),
    Shape(Annotated[str, Field(max_length=2)], st.sampled_from(["", "ab"])),
    Shape(Amount, st.integers(0, 10).map(str)),
    Shape(AwareDatetime, st.just(datetime(2026, 1, 1, tzinfo=UTC).isoformat())),
    Shape(Literal["x"], st.just("x")),
    Shape(Literal["x", "y"], st.sampled_from("xy")),
    Shape(Literal[1, "x"], st.sampled_from([1, "x"])),
    Shape(type(None), st.none()),
    Shape(Any, st.sampled_from([None, 1, "a", [1]])),
)

Fields = Mapping[str, tuple[Shape, Any]]
"""Fields of a class: shape and default, ... if required."""


@st.composite
def fields(draw: st.DrawFn, depth: int) -> Fields:
    return {name: draw(field(depth)) for name in draw(st.lists(st.sampled_from(NAMES), unique=True, max_size=3))}


@st.composite
def field(draw: st.DrawFn, depth: int) -> tuple[Shape, Any]:
    shape = draw(shapes(depth))
    return shape, draw(st.one_of(st.just(...), shape.values))  # type checkers see to it that a default fits


@st.composite
def shapes(draw: st.DrawFn, depth: int) -> Shape:
    if depth == 0:
        return draw(st.sampled_from(SIMPLE))
    inner = draw(shapes(depth - 1))
    match draw(st.sampled_from(("simple", "optional", "list", "mapping", "pair", "union", "model"))):
        case "optional":
            return Shape(inner.hint | None, st.none() | inner.values)
        case "list":
            return Shape(tuple[inner.hint, ...], st.lists(inner.values, max_size=2))
        case "mapping":
            return Shape(dict[str, inner.hint], st.dictionaries(st.sampled_from(["k", "title"]), inner.values))
        case "pair":
            return Shape(tuple[inner.hint, int], st.tuples(inner.values, st.integers(0, 3)).map(list))
        case "union":
            other = draw(shapes(depth - 1))
            return Shape(inner.hint | other.hint, inner.values | other.values)
        case "model":
            return model(draw(fields(depth - 1)), draw(st.sampled_from(("ignore", "forbid"))))
        case _:
            return inner


def model(of: Fields, extra: Literal["ignore", "forbid"] = "ignore") -> Shape:
    """A class of these fields: records of it have all that are required, and may lack the others."""
    hints: dict[str, Any] = {name: (shape.hint, default) for name, (shape, default) in of.items()}
    cls = create_model("Some", __config__=ConfigDict(extra=extra, validate_default=True), **hints)
    needed = {name: shape.values for name, (shape, default) in of.items() if default is ...}
    optional = {name: shape.values for name, (shape, default) in of.items() if default is not ...}
    return Shape(cls, st.fixed_dictionaries(needed, optional=optional))


@st.composite
def changed(draw: st.DrawFn, old: Fields) -> Fields:
    """The fields after one or two changes of a release."""
    new = dict(old)
    for _ in range(draw(st.integers(1, 2))):
        name = draw(st.sampled_from(NAMES))
        match draw(st.sampled_from(("drop", "put", "put", "default"))):
            case "drop":
                new.pop(name, None)
            case "put":
                new[name] = draw(field(1))
            case _ if name in new:
                new[name] = (new[name][0], draw(st.one_of(st.just(...), new[name][0].values)))
    return new


def agree(one: Any, other: Any) -> bool:
    """Do two readers see the same in what both know?"""
    if isinstance(one, dict) and isinstance(other, dict):
        return all(agree(one[key], other[key]) for key in one.keys() & other.keys())
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(agree(a, b) for a, b in zip(one, other, strict=True))
    return type(one) is type(other) and one == other


def schema(cls: type[BaseModel]) -> dict[str, Any]:
    return cls.model_json_schema()


@pytest.mark.endurance
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_compatible_change_lets_either_release_read_what_the_other_wrote(data: st.DataObject) -> None:
    before = data.draw(fields(2))
    after = data.draw(changed(before))
    old, new = model(before), model(after)
    breaking = [change for change in changes(schema(old.hint), schema(new.hint)) if change.breaking]
    event("breaking" if breaking else "compatible")
    assume(not breaking)
    for writer, other in ((old.hint, new.hint), (new.hint, old.hint)):
        body = data.draw((old if writer is old.hint else new).values)
        try:
            written = json.loads(writer.model_validate(body).model_dump_json())
            own = [read(writer, body), read(writer, written)]
        except (ValidationError, PydanticSerializationError):
            continue  # an odd union may write what it can't read itself
        assert agree(own[0], read(other, body)), body
        assert agree(own[1], read(other, written)), written


def read(cls: type[BaseModel], record: object) -> dict[str, Any]:
    return cls.model_validate_json(json.dumps(record)).model_dump()


class Tree(BaseModel):
    value: int
    children: tuple[Tree, ...] = ()


def test_a_class_inside_itself_is_compared_once() -> None:
    before = schema(Tree)
    assert changes(before, json.loads(json.dumps(before))) == []
    after = json.loads(json.dumps(before))
    after["$defs"]["Tree"]["properties"]["value"]["type"] = "string"
    assert [(c.sentence, c.breaking) for c in changes(before, after)] == [
        ("field value was retyped from integer to string", True)
    ]


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int


class Dog(BaseModel):
    kind: Literal["dog"]


class LoudDog(Dog):
    volume: int | None = None


def pet(*options: type[BaseModel], tagged: bool) -> dict[str, Any]:
    hint: Any = options[0]
    for option in options[1:]:
        hint = hint | option
    return schema(create_model("Owner", pet=(Annotated[hint, Field(discriminator="kind" if tagged else None)], ...)))


def test_options_of_a_union_are_told_apart_by_their_tag_and_without_one_nothing_may_change() -> None:
    [change] = changes(pet(Cat, Dog, tagged=True), pet(Cat, LoudDog, tagged=True))
    assert (change.sentence, change.breaking) == ("field pet.volume is new and optional", False)
    [change] = changes(pet(Cat, Dog, tagged=False), pet(Cat, LoudDog, tagged=False))
    assert change.breaking
    assert "union whose options overlap" in change.sentence
    assert all(c.breaking for c in changes(pet(Dog, Dog, tagged=False), pet(Cat, Dog, tagged=True)))


@pytest.mark.parametrize(
    ("before", "after", "sentence"),
    [
        ({"additionalProperties": False}, {"additionalProperties": False, "properties": {"b": {}}},
         "field b is new, but readers of today refuse fields they don't know"),
        ({}, {"additionalProperties": False}, "the message changed its additionalProperties from none to false"),
        ({"properties": {"a": {"format": "date"}}}, {"properties": {"a": {"format": "time"}}},
         'field a changed its format from "date" to "time"'),
        ({"properties": {"a": {"additionalProperties": {"type": "string"}}}},
         {"properties": {"a": {"additionalProperties": {"type": "integer"}}}},
         "field a{} was retyped from string to integer"),
        ({"properties": {"a": {"default": {"title": 1}}}}, {"properties": {"a": {"default": {"title": 2}}}},
         'field a changed its default from {"title": 1} to {"title": 2}'),
        ({"properties": {"a": {"default": 1}}}, {"properties": {"a": {"default": True}}},
         "field a changed its default from 1 to true"),
        ({"properties": {"a": {"x-made-up": 1}}}, {"properties": {"a": {}}}, "field a changed its x-made-up"),
    ],
)  # fmt: skip
def test_rarer_changes_break_readers_too(before: dict[str, Any], after: dict[str, Any], sentence: str) -> None:
    [change] = changes(before, after)
    assert change.breaking
    assert change.sentence.startswith(sentence)
