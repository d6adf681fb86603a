from __future__ import annotations

from typing import Any

import pytest

from tron.abi import Abi, Decoded, Raw, decode_event
from tron.codec import Undecodable, codec
from tron.errors import InvalidArgument

ALICE = "THHsfg2eNiv6MSXC4y5d4t5wkvRVADRKiF"
BOB = "TEdea7WvtoCNceWPwaz7JbkBjbb6omTQcL"
TRANSFER = "ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
ALICE_WORD = "0000000000000000000000005050a4f4b3f9338c3472dcc01a87c76a144b3c9c"
BOB_WORD = "0000000000000000000000003325a78425f17a7e487eb5666b2bfd93abb06c70"


def param(kind: str, name: str = "value", *, indexed: bool = False) -> dict[str, Any]:
    return {"name": name, "type": kind, "indexed": indexed}


def event(name: str, *inputs: dict[str, Any], anonymous: bool = False) -> dict[str, Any]:
    return {"type": "event", "name": name, "inputs": list(inputs), "anonymous": anonymous}


def function(name: str, *inputs: dict[str, Any], outputs: tuple[dict[str, Any], ...] = ()) -> dict[str, Any]:
    return {"type": "function", "name": name, "inputs": list(inputs), "outputs": list(outputs)}


TRC20 = event(
    "Transfer", param("address", "from", indexed=True), param("address", "to", indexed=True), param("uint256")
)
TRC721 = event(
    "Transfer",
    param("address", "from", indexed=True),
    param("address", "to", indexed=True),
    param("uint256", "tokenId", indexed=True),
)


def word(value: int) -> str:
    return f"{value:064x}"


def test_an_event_is_told_by_its_topic_and_its_number_of_indexed_parameters() -> None:
    token, nft = Abi([TRC20]), Abi([TRC721])
    fungible = ([TRANSFER, ALICE_WORD, BOB_WORD], word(5))
    single = ([TRANSFER, ALICE_WORD, BOB_WORD, word(7)], "")
    assert token.decode_event(*fungible) == Decoded(
        "Transfer", "Transfer(address,address,uint256)", {"from": ALICE, "to": BOB, "value": 5}
    )
    assert isinstance(token.decode_event(*single), Raw)
    assert isinstance(nft.decode_event(*fungible), Raw)
    both = Abi([TRC20, TRC721])
    decoded = [both.decode_event(*log) for log in (fungible, single)]
    assert [list(d.args) for d in decoded if isinstance(d, Decoded)] == [
        ["from", "to", "value"],
        ["from", "to", "tokenId"],
    ]


@pytest.mark.parametrize(
    ("topics", "data", "reason"),
    [
        ([], word(1), "no topic: an anonymous event"),
        (["ab" * 32], "", f"unknown event {'ab' * 32} with 0 indexed parameters"),
        ([TRANSFER, ALICE_WORD, BOB_WORD], "", "96 bytes declared, 64 there"),
        ([TRANSFER, ALICE_WORD, BOB_WORD], word(1) + "00", "96 bytes declared, 97 there"),
        ([TRANSFER, "ff" * 32, BOB_WORD], word(1), "address with dirty padding"),
        ([TRANSFER, ALICE_WORD[:-2], BOB_WORD], word(1), "a topic is not 64 hex digits"),
        ([TRANSFER, ALICE_WORD, BOB_WORD], "zz", "non-hexadecimal"),
    ],
)
def test_what_does_not_decode_stays_raw_with_the_reason(topics: list[str], data: str, reason: str) -> None:
    result = Abi([TRC20]).decode_event(topics, data)
    assert isinstance(result, Raw)
    assert reason in result.reason


def test_arguments_keep_the_declared_order_when_indexed_ones_stand_between() -> None:
    abi = Abi([event("E", param("string", "text"), param("uint8", "kind", indexed=True), param("bool", "flag"))])
    ((topic0, _),) = abi.events
    data = word(64) + word(1) + word(2) + "6869" + "00" * 30
    decoded = abi.decode_event([topic0, word(3)], data)
    assert isinstance(decoded, Decoded)
    assert list(decoded.args.items()) == [("text", "hi"), ("kind", 3), ("flag", True)]


def test_unknown_types_are_refused_by_name_and_the_rest_works() -> None:
    abi = Abi(
        [
            event("Five", *[param("uint8", f"p{i}", indexed=True) for i in range(5)], anonymous=True),
            event("Struct", {"name": "s", "type": "tuple"}),
            event("Odd", param("uint7")),
            event("Many", *[param("uint8", f"p{i}", indexed=True) for i in range(4)]),
            TRC20,
        ]
    )
    assert abi.refused == {
        "event Five": "5 indexed parameters",
        "event Struct": "a tuple without components",
        "event Odd": "unknown type 'uint7'",
        "event Many": "4 indexed parameters",
    }
    assert len(abi.events) == 1


NOTE = event("Note", param("bytes4", "sig", indexed=True), param("address", "who", indexed=True), param("bytes"))
NOTE_ANONYMOUS = {**NOTE, "anonymous": True}


def test_an_anonymous_event_is_told_by_its_indexed_count_and_by_fitting_to_the_last_byte() -> None:
    abi = Abi([NOTE_ANONYMOUS, TRC20])
    topics = ["deadbeef" + "00" * 28, ALICE_WORD]
    body = word(32) + word(2) + "abcd" + "00" * 30
    assert abi.decode_event(topics, body) == Decoded(
        "Note", "Note(bytes4,address,bytes)", {"sig": "deadbeef", "who": ALICE, "value": "abcd"}
    )
    for wrong in ([topics[0]], [*topics, BOB_WORD], [topics[1], topics[1]], []):
        assert isinstance(abi.decode_event(wrong, body), Raw)
    for damaged in (body + "00" * 32, body[:-2], body[:-2] + "01", word(64) + "00" * 32 + body[64:]):
        assert isinstance(abi.decode_event(topics, damaged), Raw)


def test_an_anonymous_event_without_parameters_in_topics_is_found_by_its_data_alone() -> None:
    abi = Abi([event("Ping", param("bool"), anonymous=True)])
    assert abi.decode_event([], word(1)) == Decoded("Ping", "Ping(bool)", {"value": True})
    assert isinstance(abi.decode_event([], word(2)), Raw)


def test_of_two_anonymous_events_that_both_fit_none_is_chosen() -> None:
    number, text = event("Number", param("uint256"), anonymous=True), event("Flag", param("bool"), anonymous=True)
    abi = Abi([number, text, number])
    assert abi.decode_event([], word(2)) == Decoded("Number", "Number(uint256)", {"value": 2})
    assert abi.decode_event([], word(1)) == Raw("ambiguous: Number(uint256), Flag(bool) fit")
    assert abi.decode_event([], "") == Raw("none of 2 events fits")


def test_a_log_with_the_topic_of_a_named_event_is_never_an_anonymous_one() -> None:
    four = [param("bytes32", f"p{i}", indexed=True) for i in range(3)]
    abi = Abi([event("Any", *four, param("uint256"), anonymous=True), TRC20])
    log = ([TRANSFER, ALICE_WORD, BOB_WORD], word(5))
    assert abi.decode_event(*log).name == "Transfer"  # type: ignore[union-attr]
    broken = abi.decode_event([TRANSFER, "ff" * 32, BOB_WORD], word(5))
    assert broken == Raw("Transfer(address,address,uint256): address with dirty padding")
    assert abi.decode_event(["ab" * 32, *log[0][1:]], word(5)).name == "Any"  # type: ignore[union-attr]


def test_events_that_share_topic_and_count_are_told_apart_by_what_fits() -> None:
    first = event("E", param("address", "a", indexed=True), param("uint256", "b"))
    other = event("E", param("address", "a"), param("uint256", "b", indexed=True))
    abi = Abi([first, other])
    ((topic0, _),) = abi.events
    big = "ff" * 32
    assert abi.decode_event([topic0, ALICE_WORD], big) == Decoded(
        "E", "E(address,uint256)", {"a": ALICE, "b": 2**256 - 1}
    )
    assert abi.decode_event([topic0, big], ALICE_WORD) == Decoded(
        "E", "E(address,uint256)", {"a": ALICE, "b": 2**256 - 1}
    )
    assert "ambiguous" in abi.decode_event([topic0, ALICE_WORD], BOB_WORD).reason  # type: ignore[union-attr]


def test_overloaded_events_keep_their_own_parameters() -> None:
    abi = Abi([event("Set", param("uint8", "small")), event("Set", param("string", "text"))])
    small, text = (entry.topic0 or "" for entry in abi.events.values())
    decoded = [abi.decode_event([small], word(7)), abi.decode_event([text], word(32) + word(1) + "61" + "00" * 31)]
    assert [(d.signature, d.args) for d in decoded if isinstance(d, Decoded)] == [
        ("Set(uint8)", {"small": 7}),
        ("Set(string)", {"text": "a"}),
    ]


def test_of_several_abis_the_first_that_knows_a_log_reads_it_and_names_go_before_anonymity() -> None:
    renamed = event(
        "Transfer", *[param("address", name, indexed=True) for name in ("payer", "payee")], param("uint256")
    )
    new, old = Abi([renamed, NOTE_ANONYMOUS]), Abi([TRC20, event("Old", param("uint256", indexed=True))])
    transfer = ([TRANSFER, ALICE_WORD, BOB_WORD], word(5))
    assert list(decode_event([new, old], *transfer).args) == ["payer", "payee", "value"]  # type: ignore[union-attr]
    assert list(decode_event([old, new], *transfer).args) == ["from", "to", "value"]  # type: ignore[union-attr]
    topic0 = next(key[0] for key in old.events if key[1] == 1)
    log = ([topic0, word(3)], "")
    assert decode_event([new, old], *log) == old.decode_event(*log)
    assert isinstance(new.decode_event(*log), Raw)


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (7, "expected an object"),
        ({"type": "event"}, "expected a name, got None"),
        ({"type": "event", "name": "a b"}, "expected a name, got 'a b'"),
        ({"type": "event", "name": "E", "inputs": "x"}, "inputs: expected parameters"),
        ({"type": "event", "name": "E", "inputs": [{"name": 5, "type": "bool"}]}, "inputs: expected parameters"),
        ({"type": "event", "name": "E", "inputs": [{"name": "a"}]}, "not an ABI type: None"),
        ({"type": "event", "name": "E", "inputs": [{"type": "uint8[" + "9" * 5000 + "]"}]}, "unknown type"),
        ({"type": "event", "name": "E", "inputs": [{"type": "uint" + "8" * 5000}]}, "unknown type"),
        ({"type": "odd", "name": "E"}, "unknown kind of entry 'odd'"),
    ],
)
def test_an_entry_that_is_none_is_refused_with_the_reason_and_never_raises(entry: Any, reason: str) -> None:
    abi = Abi([entry, TRC20])
    ((refused),) = abi.refused.values()
    assert reason in refused
    assert len(abi.events) == 1


def test_overlapping_parts_are_refused_so_that_a_kilobyte_cannot_become_gigabytes() -> None:
    depth, width = 6, 6
    kind = codec({"type": "uint256" + "[]" * depth})
    # Every level's offsets point at the same next level: width ** depth values in a few words, if it were followed.
    level = [word(width) + "".join(word(width * 32) for _ in range(width)) for _ in range(depth - 1)]
    bomb = bytes.fromhex("".join(level) + word(width) + word(1) * width)
    with pytest.raises(Undecodable, match="another part"):
        kind.read(bomb, 0)


@pytest.mark.parametrize("length", [2**255, 2**64, 10_000_000])
def test_a_huge_declared_length_is_refused_before_anything_is_allocated(length: int) -> None:
    for kind in ("uint8[]", "bytes", "string", "string[]"):
        with pytest.raises(Undecodable):
            codec({"type": kind}).read(bytes.fromhex(word(length) + word(1)), 0)


def test_text_that_no_database_can_hold_gets_replacement_characters() -> None:
    read = codec({"type": "string"}).read
    assert read(bytes.fromhex(word(4) + "61ff0062" + "00" * 28), 0) == ("a\ufffd\ufffdb", 64)


def test_the_abi_that_a_node_answers_is_understood_though_it_is_recased_and_sparse() -> None:
    abi = Abi(
        [
            {"name": "counter", "type": "Function", "stateMutability": "View", "outputs": [{"type": "uint256"}]},
            {"name": "Note", "type": "Event", "inputs": [{"indexed": True, "name": "id", "type": "uint256"}]},
            {"type": "Constructor", "inputs": [{"name": "n", "type": "string"}]},
            {"type": "Receive"},
        ]
    )
    counter = abi.function("counter")
    assert (counter.mutability, counter.result(bytes.fromhex(word(9)))) == ("view", 9)
    assert len(abi.events) == 1
    assert not abi.refused


def test_calls_are_named_and_their_arguments_decoded() -> None:
    abi = Abi([function("transfer", param("address", "to"), param("uint256"))])
    data = "a9059cbb" + BOB_WORD + word(12345)
    assert abi.decode_call(data) == Decoded("transfer", "transfer(address,uint256)", {"to": BOB, "value": 12345})
    assert abi.function("transfer").encode([BOB, 12345]).hex() == data
    assert abi.function("transfer").encode({"to": BOB, "value": 12345}).hex() == data
    for broken in ("", "a9059c", "deadbeef", data[:-2], "zz"):
        assert isinstance(abi.decode_call(broken), Raw)


def test_overloaded_functions_are_told_apart_by_signature() -> None:
    abi = Abi([function("mint", param("address")), function("mint", param("address"), param("uint256", "n"))])
    with pytest.raises(KeyError, match="mint"):
        abi.function("mint")
    assert abi.function("mint(address)").inputs.type == "(address)"
    with pytest.raises(KeyError, match="no function burn"):
        abi.function("burn")


def test_reverts_are_explained() -> None:
    error = {"type": "error", "name": "Insufficient", "inputs": [param("address", "who"), param("uint256", "have")]}
    abi = Abi([error])
    selector = next(s for s, e in abi.errors.items() if e.name == "Insufficient").hex()
    assert abi.reason(selector + BOB_WORD + word(3)) == f"Insufficient(who={BOB}, have=3)"
    assert abi.reason("08c379a0" + word(32) + word(2) + "6e6f" + "00" * 30) == "no"
    assert abi.reason("4e487b71" + word(0x12)) == "panic 0x12: division by zero"
    assert abi.reason("") == "reverted without a known reason (no error selector)"


@pytest.mark.parametrize(
    ("kind", "value", "problem"),
    [
        ("uint8", 256, "f.value: expected uint8 (0..255), got 256"),
        ("uint256", -1, "f.value: expected uint256, got -1"),
        ("uint256", 2**256, "f.value: expected uint256"),
        ("uint256", 1.0, "f.value: expected uint256, got 1.0"),
        ("uint256", True, "f.value: expected uint256, got True"),
        ("uint256", "1", "f.value: expected uint256, got '1'"),
        ("int8", 128, "f.value: expected int8 (-128..127), got 128"),
        ("address", ALICE[:-1] + "G", "f.value: expected an address"),
        ("address", None, "f.value: expected an address, got None"),
        ("bool", 1, "f.value: expected bool, got 1"),
        ("bytes32", "ab", "f.value: expected 32 bytes, got 'ab'"),
        ("bytes32", "xy", "f.value: expected bytes32 (bytes or hex), got 'xy'"),
        ("bytes", "abc", "f.value: expected bytes (bytes or hex), got 'abc'"),
        ("string", b"x", "f.value: expected a text, got b'x'"),
        ("string", "\ud800", "f.value: expected a text without lone surrogates"),
        ("uint32[]", [1, -2], "f.value[1]: expected uint32"),
        ("uint32[]", "12", "f.value: expected a list of uint32, got '12'"),
        ("uint32[2]", [1], "f.value: expected a list of 2 uint32, got [1]"),
    ],
)
def test_a_wrong_argument_is_refused_with_its_path(kind: str, value: object, problem: str) -> None:
    abi = Abi([function("f", param(kind))])
    with pytest.raises(InvalidArgument) as caught:
        abi.function("f").encode([value])
    assert str(caught.value).startswith(problem)


def test_missing_and_unknown_fields_are_refused() -> None:
    f = Abi([function("f", param("uint8", "a"), param("uint8", "b"))]).function("f")
    with pytest.raises(InvalidArgument, match=r"f: expected 2 values \(a, b\)"):
        f.encode([1])
    with pytest.raises(InvalidArgument, match=r"f: expected the fields \['a', 'b'\]"):
        f.encode({"a": 1, "c": 2})


def test_bytes_are_taken_as_bytes_or_hex_with_or_without_prefix() -> None:
    f = Abi([function("f", param("bytes4"))]).function("f")
    assert f.encode(["0xdeadbeef"]) == f.encode(["deadbeef"]) == f.encode([bytes.fromhex("deadbeef")])


def test_results_are_bare_alone_and_named_together() -> None:
    abi = Abi(
        [
            function("none"),
            function("one", outputs=(param("bool", ""),)),
            function("two", outputs=(param("uint8", "a"), param("uint8", "a"))),
        ]
    )
    assert abi.function("none").result(b"") is None
    assert abi.function("one").result(bytes.fromhex(word(1))) is True
    assert abi.function("two").result(bytes.fromhex(word(1) + word(2))) == {"a": 1, "a_1": 2}
    with pytest.raises(Undecodable, match="64 bytes declared, 32 there"):
        abi.function("two").result(bytes.fromhex(word(1)))
