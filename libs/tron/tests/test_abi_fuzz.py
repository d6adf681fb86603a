"""Our codecs against eth-abi, on random types, random values and random damage."""

from __future__ import annotations

import contextlib
from decimal import Decimal
from typing import Any

import pytest
from eth_abi.abi import decode as eth_decode
from eth_abi.abi import encode as eth_encode
from eth_abi.exceptions import DecodingError
from hypothesis import given, settings
from hypothesis import strategies as st

from tron import address
from tron.abi import Abi, Decoded, Raw, read_all
from tron.codec import Undecodable, codec, record

Parameter = dict[str, Any]


def _integers(kind: str) -> st.SearchStrategy[int]:
    bits = int(kind.removeprefix("u").removeprefix("int"))
    low, high = (0, 2**bits - 1) if kind[0] == "u" else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    return st.integers(low, high)


BITS = st.integers(1, 32).map(lambda size: size * 8)
LEAVES = st.one_of(
    BITS.map(lambda bits: {"type": f"uint{bits}"}),
    BITS.map(lambda bits: {"type": f"int{bits}"}),
    st.integers(1, 32).map(lambda size: {"type": f"bytes{size}"}),
    st.sampled_from(["address", "bool", "string", "bytes", "function", "ufixed128x18"]).map(
        lambda kind: {"type": kind}
    ),
)


def _wrap(inner: st.SearchStrategy[Parameter]) -> st.SearchStrategy[Parameter]:
    arrays = st.tuples(inner, st.sampled_from(["[]", "[1]", "[3]"])).map(
        lambda pair: {**pair[0], "type": pair[0]["type"] + pair[1]}
    )
    tuples = st.lists(inner, min_size=1, max_size=3).map(lambda parts: {"type": "tuple", "components": _named(parts)})
    return st.one_of(arrays, tuples)


def _named(parts: list[Parameter]) -> list[Parameter]:
    return [{**part, "name": f"f{index}"} for index, part in enumerate(parts)]


PARAMETERS = st.lists(st.recursive(LEAVES, _wrap, max_leaves=5), min_size=1, max_size=4).map(_named)


def values(parameter: Parameter) -> st.SearchStrategy[Any]:
    """Values in the form that our decoder gives."""
    kind: str = parameter["type"]
    if kind.endswith("]"):
        element, _, size = kind.removesuffix("]").rpartition("[")
        inner = values({**parameter, "type": element})
        return st.lists(inner, max_size=3) if not size else st.lists(inner, min_size=int(size), max_size=int(size))
    if kind == "tuple":
        return st.fixed_dictionaries({part["name"]: values(part) for part in parameter["components"]})
    if kind == "address":
        return st.binary(min_size=20, max_size=20).map(address.base58)
    if kind == "bool":
        return st.booleans()
    if kind == "string":
        return st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=70)
    if kind == "ufixed128x18":
        return st.integers(0, 2**128 - 1).map(lambda number: Decimal(number).scaleb(-18))
    if kind.startswith(("uint", "int")):
        return _integers(kind)
    length = 24 if kind == "function" else int(kind.removeprefix("bytes") or 0)
    content = st.binary(min_size=length, max_size=length) if length else st.binary(max_size=70)
    return content.map(bytes.hex)


def theirs(parameter: Parameter, value: Any) -> Any:
    """Our form of a value in eth-abi's."""
    kind: str = parameter["type"]
    if kind.endswith("]"):
        element = {**parameter, "type": kind[: kind.rindex("[")]}
        return tuple(theirs(element, item) for item in value)
    if kind == "tuple":
        return tuple(theirs(part, value[part["name"]]) for part in parameter["components"])
    if kind == "address":
        return "0x" + address.raw(value).hex()
    return bytes.fromhex(value) if kind.startswith(("bytes", "function")) else value


def eth_type(parameter: Parameter) -> str:
    return codec(parameter).type


CASES = PARAMETERS.flatmap(
    lambda parameters: st.tuples(st.just(parameters), st.fixed_dictionaries({p["name"]: values(p) for p in parameters}))
)


@settings(max_examples=400, deadline=None)
@given(CASES)
def test_encoding_and_decoding_agree_with_eth_abi(case: tuple[list[Parameter], dict[str, Any]]) -> None:
    parameters, args = case
    whole = record(parameters)
    expected = eth_encode([eth_type(p) for p in parameters], [theirs(p, args[p["name"]]) for p in parameters])
    assert whole.write(args, "call") == expected
    assert read_all(whole, expected) == args


@settings(max_examples=400, deadline=None)
@given(CASES, st.data())
def test_damaged_data_never_decodes_to_something_that_eth_abi_does_not_see(
    case: tuple[list[Parameter], dict[str, Any]], data: st.DataObject
) -> None:
    parameters, args = case
    whole = record(parameters)
    damaged = bytearray(whole.write(args, "call"))
    for _ in range(data.draw(st.integers(1, 4))):
        if damaged:
            at = data.draw(st.integers(0, len(damaged) - 1))
            damaged[at] = data.draw(st.sampled_from([0, 1, 0x20, 0x40, 0x60, 0xFF]))
    del damaged[data.draw(st.integers(0, len(damaged))) if data.draw(st.booleans()) else len(damaged) :]
    try:
        ours = read_all(whole, bytes(damaged))
    except Undecodable:
        return
    try:
        decoded = eth_decode([eth_type(p) for p in parameters], bytes(damaged))
    except UnicodeDecodeError:
        return  # we keep such text, with replacement characters
    except DecodingError as error:
        pytest.fail(f"decoded {ours} where eth-abi says {error}")
    if "�" not in str(ours) and "\0" not in str(decoded):
        assert tuple(theirs(p, ours[p["name"]]) for p in parameters) == decoded


@settings(max_examples=300, deadline=None)
@given(PARAMETERS, st.binary(max_size=700))
def test_random_bytes_decode_or_are_refused_and_nothing_else(parameters: list[Parameter], data: bytes) -> None:
    with contextlib.suppress(Undecodable):
        read_all(record(parameters), data)


@settings(max_examples=200, deadline=None)
@given(CASES, st.booleans(), st.data())
def test_an_event_with_any_indexed_parameters_decodes_to_its_arguments_and_to_nothing_else(
    case: tuple[list[Parameter], dict[str, Any]], anonymous: bool, data: st.DataObject
) -> None:
    parameters, args = case
    flags = [data.draw(st.booleans()) for _ in parameters]
    flags[3:] = [False] * len(flags[3:])
    inputs = [{**p, "indexed": flag} for p, flag in zip(parameters, flags, strict=True)]
    abi = Abi([{"type": "event", "name": "E", "inputs": inputs, "anonymous": anonymous}])
    (event,) = abi.anonymous[sum(flags)] if anonymous else abi.events.values()
    topics, expected = [event.topic0] if event.topic0 else [], dict(args)
    for parameter, flag in zip(parameters, flags, strict=True):
        name, part = parameter["name"], codec(parameter)
        if flag and (part.dynamic or part.type[-1] in ")]"):
            expected[name] = "ab" * 32
            topics.append("ab" * 32)
        elif flag:
            topics.append(part.write(args[name], name).hex())
    rest = [p for p, flag in zip(parameters, flags, strict=True) if not flag]
    body = eth_encode([eth_type(p) for p in rest], [theirs(p, args[p["name"]]) for p in rest]).hex()
    assert abi.decode_event(topics, body) == Decoded("E", event.signature, expected)
    assert isinstance(abi.decode_event([*topics, "00" * 32], body), Raw)
    for longer in (body + "00", body + "00" * 32):
        assert isinstance(abi.decode_event(topics, longer), Raw)
    if body:
        assert isinstance(abi.decode_event(topics, body[:-2]), Raw)


@settings(max_examples=200, deadline=None)
@given(CASES, st.data())
def test_a_damaged_event_is_raw_or_what_its_bytes_say_again(
    case: tuple[list[Parameter], dict[str, Any]], data: st.DataObject
) -> None:
    """Whatever decodes is the one encoding of what it decodes to: no byte is left unread, none is read twice."""
    parameters, args = case
    abi = Abi([{"type": "event", "name": "E", "inputs": parameters}])
    (event,) = abi.events.values()
    body = bytearray(record(parameters).write(args, "E"))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(body) - 1))
        body[at] = data.draw(st.sampled_from([0, 1, 0x20, 0x40, 0x60, 0x80, 0xFF]))
    decoded = abi.decode_event([event.topic0 or ""], body.hex())
    if isinstance(decoded, Decoded) and "\ufffd" not in str(decoded.args):
        again = record(parameters).write(decoded.args, "E")
        assert _without_prefixes(again) == _without_prefixes(bytes(body))


def _without_prefixes(words: bytes) -> list[bytes]:
    """Words, without the 41 that early versions put before an address."""
    cut = [words[at : at + 32] for at in range(0, len(words), 32)]
    return [bytes(12) + word[12:] if word[:12] == bytes(11) + b"\x41" else word for word in cut]


HEX = st.text("0123456789abcdefg ", max_size=140)


@settings(max_examples=300, deadline=None)
@given(st.lists(HEX, max_size=4), HEX, st.booleans())
def test_no_log_whatsoever_raises(topics: list[str], data: str, known: bool) -> None:
    inputs = [{"name": "a", "type": "address", "indexed": True}, {"name": "s", "type": "string"}]
    abi = Abi([{"type": "event", "name": "E", "inputs": inputs}])
    ((topic0, _),) = abi.events
    result = abi.decode_event([topic0, *topics] if known else topics, data)
    assert isinstance(result, Raw | Decoded)
    assert isinstance(abi.decode_call(data), Raw)
    assert isinstance(abi.decode_error(data), Raw)
