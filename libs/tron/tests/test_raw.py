"""What a transaction does stands in its raw bytes, which its id proves; what a node shows beside them may be a lie."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tron import parse, raw
from tron.transaction import content, number

Json = dict[str, Any]
FIXTURES = Path(__file__).parent / "fixtures"


def transactions() -> Iterator[Any]:
    """Every recorded transaction with raw bytes."""

    def inside(value: Any) -> Iterator[Json]:
        if isinstance(value, dict):
            if value.get("raw_data_hex") and "raw_data" in value:
                yield value
            for item in value.values():
                yield from inside(item)
        elif isinstance(value, list):
            for item in value:
                yield from inside(item)

    for path in sorted(FIXTURES.glob("*.json")):
        for index, found in enumerate(inside(json.loads(path.read_text()))):
            yield pytest.param(found, "genesis" in path.name, id=f"{path.name[:3]}-{index}")


@pytest.mark.parametrize(("source", "genesis"), [*transactions()])
def test_recorded_transactions_are_what_their_raw_bytes_say(source: Json, genesis: bool) -> None:
    told = raw.read(bytes.fromhex(source["raw_data_hex"]))
    found = parse.transaction(source, genesis=genesis)
    assert told is not None
    assert (told.kind, told.fee_limit) == (found.kind, found.fee_limit)
    assert told.owner == (None if genesis else found.owner)


OTHER = "41" + "11" * 20
LIES = {
    "another owner": ("owner_address", OTHER),
    "no owner": ("owner_address", None),
    "another contract": ("contract_address", OTHER),
    "other data": ("data", "a9059cbb"),
    "a value": ("call_value", 5),
    "a receiver": ("to_address", OTHER),
}


@pytest.mark.parametrize(("key", "value"), LIES.values(), ids=LIES)
def test_a_transaction_shown_as_another_s_is_a_lie(recorded: Callable[[str], Any], key: str, value: Any) -> None:
    source = recorded("297")["transactions"][0]
    source["raw_data"]["contract"][0]["parameter"]["value"][key] = value
    with pytest.raises(parse.Contradiction, match="is not what its raw data says"):
        parse.transaction(source)


def test_the_address_of_a_created_contract_follows_from_the_transaction(recorded: Callable[[str], Any]) -> None:
    source = recorded("086")
    parse.transaction(source)
    source["contract_address"] = OTHER
    with pytest.raises(parse.Contradiction, match="contract_address"):
        parse.transaction(source)


ADDRESS = b"\x41" + b"\x22" * 20
TRANSFER = content(1, b"type.googleapis.com/protocol.TransferContract")


@pytest.mark.parametrize(
    "raw_data",
    [
        b"", b"\x08", b"\x0b\x0c", b"\xff" * 11, content(11, b""), content(11, content(2, b"\x0a\x7f")),
        content(11, content(2, content(1, b"\xff"))), b"\x5a\xff\xff\xff\xff\x0f", b"\x09\x01",
    ],
    ids=repr,
)  # fmt: skip
def test_bytes_that_are_no_transaction_say_nothing(raw_data: bytes) -> None:
    assert raw.read(raw_data) is None


def test_of_a_field_that_is_there_twice_the_last_counts_and_unknown_ones_are_passed_over() -> None:
    value = content(1, b"\x41" + b"\x11" * 20) + content(1, ADDRESS) + content(2, ADDRESS) + number(3, 2**64 - 5)
    unknown = number(99, 1) + content(98, b"x") + b"\xc5\x06abcd" + b"\xc1\x06abcdefgh"
    raw_data = content(11, number(1, 1) + content(2, TRANSFER + content(2, unknown + value))) + number(18, 2**40)
    found = raw.read(raw_data)
    assert found is not None
    assert (found.owner == found.to, found.amount_sun, found.fee_limit) == (True, -5, 2**40)


def test_a_contract_to_create_that_stands_in_two_parts_is_both_of_them() -> None:
    kind = content(1, b"type.googleapis.com/protocol.CreateSmartContract")
    value = content(1, ADDRESS) + content(2, number(5, 7)) + content(2, content(4, b"code"))
    found = raw.read(content(11, content(2, kind + content(2, value))))
    assert found is not None
    assert found.call_value_sun == 7
