"""Values that cross borders: one form each, everything else refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import is_dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar, get_origin, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter, ValidationError

from contracts import message_types
from contracts.testing import EPOCH, address, hash_of
from contracts.values import UINT256_MAX, Address, Amount, Hash, Time

amount: TypeAdapter[int] = TypeAdapter(Amount)
tron_address: TypeAdapter[str] = TypeAdapter(Address)
hex_hash: TypeAdapter[str] = TypeAdapter(Hash)
moment: TypeAdapter[datetime] = TypeAdapter(Time)


@given(st.integers(0, UINT256_MAX))
def test_an_amount_travels_as_decimal_digits_and_comes_back_exactly(value: int) -> None:
    wire = amount.dump_json(value)
    assert json.loads(wire) == str(value)
    assert amount.validate_json(wire) == value
    assert amount.validate_python(value) == value


@pytest.mark.parametrize(
    "value",
    [
        1.0, 0.1, float("nan"), float("inf"), 1e78,  # floats lose digits
        True, False, None, [], {}, b"1",
        -1, UINT256_MAX + 1, -(2**300),
        "", " ", "-1", "+1", "01", "00", "1.0", "1e3", "0x1", "1_000", " 1", "1 ", "1\n", "٣", "９",
        str(UINT256_MAX + 1), "9" * 78, "1" * 79, "1" * 100_000,
    ],
)  # fmt: skip
def test_an_amount_that_is_not_a_whole_number_of_256_bits_is_refused(value: Any) -> None:
    with pytest.raises(ValidationError):
        amount.validate_python(value)


@given(st.one_of(st.floats(), st.integers(max_value=-1), st.integers(min_value=UINT256_MAX + 1)))
def test_no_float_and_no_number_out_of_range_is_ever_an_amount(value: float) -> None:
    with pytest.raises(ValidationError):
        amount.validate_python(value)
    with pytest.raises(ValidationError):
        amount.validate_json(json.dumps(value))


@given(st.text())
def test_a_text_is_an_amount_only_if_it_is_the_amounts_own_form(text: str) -> None:
    try:
        value = amount.validate_python(text)
    except ValidationError:
        return
    assert str(value) == text


def test_the_refusal_of_an_amount_says_what_was_expected_and_shows_no_more_than_a_line() -> None:
    with pytest.raises(ValidationError, match="expected 1 to 78 decimal digits without leading zeros, got '0777'"):
        amount.validate_python("0777")
    with pytest.raises(ValidationError) as caught:
        amount.validate_python("9" * 1_000_000)
    assert len(caught.value.errors()[0]["msg"]) < 200


@given(st.integers(0, 10_000))
def test_an_address_stays_the_text_it_was(number: int) -> None:
    text = address(number)
    assert tron_address.validate_python(text) == text
    assert json.loads(tron_address.dump_json(text)) == text


@given(st.integers(0, 10_000), st.integers(1, 33), st.sampled_from("123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkm"))
def test_an_address_with_one_wrong_character_is_refused_by_its_checksum(number: int, place: int, other: str) -> None:
    text = address(number)
    changed = text[:place] + other + text[place + 1 :]
    if changed == text:
        return
    with pytest.raises(ValidationError, match="base58check"):
        tron_address.validate_python(changed)


@pytest.mark.parametrize(
    "value",
    [
        None, 1, b"T", "", "T", "T" * 34, "T" + "z" * 33, "T" + "0" * 33, "Tlll" + "1" * 30,
        "41" + "00" * 20,  # hex as nodes write it
        "0x" + "00" * 20,
        "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa",  # another chain's: valid checksum, other prefix
        "T9yD14Nj9j7xAB4dbGeiX9h8unkKHxuWwb ",
    ],
)  # fmt: skip
def test_what_is_no_tron_address_is_refused(value: Any) -> None:
    with pytest.raises(ValidationError):
        tron_address.validate_python(value)


def test_the_zero_address_is_an_address() -> None:
    assert tron_address.validate_python("T9yD14Nj9j7xAB4dbGeiX9h8unkKHxuWwb")


def test_a_hash_is_64_lower_case_hex_digits() -> None:
    assert hex_hash.validate_python(hash_of(1)) == hash_of(1)


@pytest.mark.parametrize(
    "value", ["", "0x" + "a" * 62, "0x" + "a" * 64, "A" * 64, "g" * 64, "a" * 63, "a" * 65, "a" * 64 + "\n", 1, None]
)
def test_what_is_no_hash_is_refused(value: Any) -> None:
    with pytest.raises(ValidationError):
        hex_hash.validate_python(value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-01T00:00:00Z", EPOCH),
        ("2026-01-01T01:30:00.5+01:30", EPOCH + timedelta(seconds=0.5)),
        ("2026-01-01T00:00:00.000001999Z", EPOCH + timedelta(microseconds=1)),
    ],
)
def test_a_time_is_rfc_3339(text: str, expected: datetime) -> None:
    assert moment.validate_json(json.dumps(text), strict=True) == expected
    assert moment.validate_json(moment.dump_json(expected), strict=True) == expected


NO_TIMES = ["7", 7, 7.5, "1767225600", "2026-01-01", "2026-01-01T00:00:00", "2026-01-01 00:00:00Z", "soon", "", None]


@pytest.mark.parametrize("value", [*NO_TIMES, "2026-13-01T00:00:00Z", "2026-01-01T00:00:00Z\n"])
def test_what_is_no_time_is_refused(value: Any) -> None:
    with pytest.raises(ValidationError):
        moment.validate_json(json.dumps(value), strict=True)


def fields(cls: type) -> Iterator[tuple[type, str, Any]]:
    """Every field of a class, and of the classes of its fields, with its type."""
    for name, kind in get_type_hints(cls, include_extras=True).items():
        if get_origin(kind) is not ClassVar:
            yield cls, name, kind
        if isinstance(kind, type) and (issubclass(kind, BaseModel) or is_dataclass(kind)):
            yield from fields(kind)


def test_no_message_takes_a_number_for_a_time() -> None:
    checked = 0
    found = {(cls, name): kind for message in message_types().values() for cls, name, kind in fields(message)}
    for place, kind in found.items():
        adapter: TypeAdapter[Any] = TypeAdapter(kind)
        if adapter.json_schema().get("format") == "date-time":
            checked += 1
            with pytest.raises(ValidationError):
                adapter.validate_json('"7"')
            assert adapter.validate_json('"2026-01-01T00:00:00Z"') == EPOCH, place
    assert checked >= 7
