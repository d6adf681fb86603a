"""The base of the messages, the register of their types, and every message on its way over the wire."""

from __future__ import annotations

import json
import re
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from contracts import Message, chain, envelope, message_class, message_types
from contracts.schemas import schemas
from contracts.testing import address, hash_of, source

SCHEMAS = schemas()
SOURCE = TypeAdapter(chain.Source).dump_python(source(7), mode="json")

# Other packages' tests register messages of their own, and may have been imported by this process.
PUBLIC = {name: cls for name, cls in message_types().items() if cls.__module__.startswith("contracts.")}


@pytest.fixture
def own_types(monkeypatch: pytest.MonkeyPatch) -> None:
    """Classes made in a test are forgotten after it."""
    monkeypatch.setattr(envelope, "_classes", dict(envelope._classes))


def sale(**changes: Any) -> dict[str, Any]:
    fields = {
        "source": SOURCE,
        "token_id": "1",
        "track_id": "2",
        "buyer": address(3),
        "artist": address(4),
        "price_sun": "1000000",
    }
    return fields | changes


def test_a_type_names_its_topic_and_is_found_again() -> None:
    assert chain.PrimarySale.type == "chain.music-nft.PrimarySale.v1"
    assert chain.PrimarySale.topic == "chain.music-nft"
    assert message_class("chain.music-nft.PrimarySale.v1") is chain.PrimarySale
    assert message_class("chain.music-nft.PrimarySale.v99") is None


def test_types_are_listed_in_order_and_bases_are_not_among_them() -> None:
    types = PUBLIC
    assert list(types) == sorted(types)
    assert chain.ChainMessage not in types.values()
    assert {name.split(".")[0] for name in types} >= {"audit", "chain", "compliance", "rewards", "royalties"}


@pytest.mark.usefixtures("own_types")
@pytest.mark.parametrize(
    "name",
    [
        "", "PrimarySale", "chain.PrimarySale.v1", "chain.music-nft.PrimarySale", "chain.music-nft.PrimarySale.v0",
        "chain.music-nft.PrimarySale.v01", "chain.music-nft.primarySale.v1", "Chain.music-nft.PrimarySale.v1",
        "chain.music_nft.PrimarySale.v1", "chain.music-nft.PrimarySale.v1\n", "chain.a.b.PrimarySale.v1",
    ],
)  # fmt: skip
def test_a_type_that_is_no_service_topic_name_and_version_is_refused(name: str) -> None:
    with pytest.raises(TypeError, match=re.escape("expected <service>.<topic>.<Name>.v<number>")):
        type("Odd", (Message,), {}, type=name)


@pytest.mark.usefixtures("own_types")
def test_two_classes_cannot_have_one_type() -> None:
    with pytest.raises(TypeError, match="is taken by PrimarySale"):
        type("Other", (Message,), {}, type="chain.music-nft.PrimarySale.v1")


@pytest.mark.usefixtures("own_types")
def test_a_second_version_stands_beside_the_first() -> None:
    second = type("PrimarySale2", (Message,), {}, type="chain.music-nft.PrimarySale.v2")
    assert message_class("chain.music-nft.PrimarySale.v2") is second
    assert message_class("chain.music-nft.PrimarySale.v1") is chain.PrimarySale


def test_unknown_fields_are_ignored_so_that_messages_can_grow() -> None:
    grown = chain.PrimarySale.model_validate(sale(discount_sun="5"))
    assert grown == chain.PrimarySale.model_validate(sale())
    assert "discount_sun" not in grown.model_dump()


def test_a_message_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        chain.PrimarySale.model_validate(sale()).price_sun = 1  # type: ignore[misc]  # that it must not be is the point


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("price_sun", 1.5), ("price_sun", "-1"), ("price_sun", None), ("price_sun", str(2**256)), ("token_id", "1.0"),
        ("buyer", "nobody"), ("source", None), ("source", {}),
        ("source", SOURCE | {"block_number": -1}),
        ("source", SOURCE | {"block_time": "2026-01-01T00:00:00"}),  # no time zone
    ],
)  # fmt: skip
def test_a_wrong_value_is_refused_and_its_field_named(field: str, value: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        chain.PrimarySale.model_validate(sale(**{field: value}))
    assert {error["loc"][0] for error in caught.value.errors()} == {field}


def test_an_event_of_the_chain_happened_when_its_block_did() -> None:
    assert chain.PrimarySale.model_validate(sale()).occurred_at == source(7).block_time


def test_a_place_on_the_chain_reads_as_a_sentence() -> None:
    assert str(source(7, 2)) == f"block 7, transaction {hash_of('tx', 7, 2)}, log 2"


def test_the_readme_lists_every_message() -> None:
    readme = (Path(__file__).parents[1] / "README.md").read_text()
    for cls in PUBLIC.values():
        row = re.search(rf"^\| `{re.escape(cls.topic)}` \|.*$", readme, re.MULTILINE)
        assert row, f"README.md has no row for {cls.topic}"
        assert f"`{cls.type.split('.')[2]}`" in row.group(), f"README.md does not name {cls.type}"


def bodies(schema: Any, root: Any) -> st.SearchStrategy[Any]:
    """Bodies that a JSON Schema of ours allows."""
    if "$ref" in schema:
        return bodies(root["$defs"][schema["$ref"].removeprefix("#/$defs/")], root)
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if "anyOf" in schema:
        return st.one_of([bodies(option, root) for option in schema["anyOf"]])
    match schema["type"]:
        case "object" if "properties" not in schema:
            of = schema.get("additionalProperties", True)
            anything = st.integers() | st.text() | st.booleans() | st.none()
            return st.dictionaries(st.text(), anything if of is True else bodies(of, root), max_size=4)
        case "object":
            fields = {name: bodies(field, root) for name, field in schema["properties"].items()}
            needed = {name: field for name, field in fields.items() if name in schema.get("required", ())}
            optional = {name: field for name, field in fields.items() if name not in needed}
            return st.fixed_dictionaries(needed, optional=optional)
        case "array":
            return st.lists(bodies(schema["items"], root), max_size=4)
        case "integer":
            high = schema.get("maximum", schema.get("exclusiveMaximum", 2**63) - 1)
            return st.integers(schema.get("minimum", -(2**63)), high)
        case "boolean":
            return st.booleans()
        case "null":
            return st.none()
        case "string":
            return texts(schema)
        case other:
            raise AssertionError(f"a schema of type {other}")


def texts(schema: Any) -> st.SearchStrategy[str]:
    match schema.get("format"), schema.get("pattern", ""):
        case "date-time", _:
            return st.datetimes(timezones=st.just(UTC)).map(lambda at: at.isoformat())
        case "uuid", _:
            return st.uuids().map(str)
        case _, "":
            return st.text(min_size=schema.get("minLength", 0), max_size=schema.get("maxLength"))
        case _, pattern if pattern.startswith("^T"):
            return st.integers(0, 99).map(address)
        case _, pattern if pattern.startswith("^(0|"):
            return st.integers(0, 2**256 - 1).map(str)
        case _, pattern:
            return st.from_regex(pattern, fullmatch=True)


@pytest.mark.parametrize("name", list(PUBLIC))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_what_a_schema_allows_is_read_and_comes_back_the_same(name: str, data: st.DataObject) -> None:
    schema, cls = SCHEMAS[name], message_types()[name]
    body = json.dumps(data.draw(bodies(schema, schema)))
    message = cls.model_validate_json(body)
    assert cls.model_validate_json(message.model_dump_json()) == message
