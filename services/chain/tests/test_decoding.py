"""Which ABI reads a log, what it becomes, and when an ABI is in force; pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from chain.decoding import ARTIFACTS, LogReader, public_message, typed_message
from chain.domain import AbiRegistered, ContractAdded, ContractEvent, ContractsWatched, LogDecoded, UndecodedLog
from chain.domain.watch import KnownAbi, watch
from contracts.chain import EventLogged, Source, TokenTransfer
from contracts.testing import address, hash_of
from tron.abi import Abi, Event
from tron.codec import codec, record
from tron.contract import artifact
from tron.model import Log

AT = address(7)


def event(name: str, *inputs: tuple[str, str], **more: Any) -> dict[str, Any]:
    return {"type": "event", "name": name, "inputs": [{"name": n, "type": kind, **more} for n, kind in inputs]}


def source(block: int) -> Source:
    return Source(
        contract=AT,
        block_number=block,
        block_hash=hash_of(f"block {block}"),
        block_time=datetime(2026, 1, 1, tzinfo=UTC),
        tx_id=hash_of("tx"),
        log_index=0,
    )


def log(entry: dict[str, Any], *values: Any) -> Log:
    topic0 = next(iter(Abi([entry]).events.values())).topic0 or ""
    return Log(AT, (topic0,), record(entry["inputs"]).write(values, "log").hex(), 0)


OLD, NEW = event("Set", ("oldName", "uint8")), event("Set", ("newName", "uint8"))


def names(reader: LogReader, block: int) -> list[str]:
    _, read = reader.read(log(OLD, 5), source(block))
    return list(read.args) if isinstance(read, ContractEvent) else []


def test_the_abi_of_the_block_reads_a_log_and_the_one_that_begins_last_goes_first() -> None:
    reader = LogReader("x", [KnownAbi([OLD], 10, 19, 0), KnownAbi([NEW], 30, None, 0)])
    assert [names(reader, block) for block in (9, 10, 19, 20, 29, 30)] == [
        [], ["old_name"], ["old_name"], [], [], ["new_name"],
    ]  # fmt: skip
    both = LogReader("x", [KnownAbi([NEW], 30, None, 0), KnownAbi([OLD], 0, None, 0)])
    assert [names(both, block) for block in (29, 30)] == [["old_name"], ["new_name"]]


def test_an_abi_that_came_later_does_not_read_what_was_recorded_before_but_reviews_it() -> None:
    reader = LogReader("x", [KnownAbi([event("Other", ("a", "bool"))], 0, None, 0), KnownAbi([NEW], 0, None, 50)])
    stream, raw = reader.read(log(NEW, 5), source(49))
    assert stream == "x/undecoded"
    assert isinstance(raw, UndecodedLog)
    assert reader.review(raw, "id") == LogDecoded("x", "Set", {"new_name": 5}, raw.source, "id")
    assert names(reader, 50) == ["new_name"]
    cut = UndecodedLog("x", raw.topics, raw.data[:-2], raw.data_bytes, "", raw.source)
    assert reader.review(cut, "id") is None


def test_what_was_logged_before_the_watch_began_has_a_stream_of_its_own() -> None:
    reader = LogReader("x", [KnownAbi([OLD], 0, None, 0)], since=100)
    assert [reader.read(log(OLD, 1), source(block))[0] for block in (99, 100)] == ["x/past", "x/events"]


def test_values_that_json_cannot_hold_are_texts_at_any_depth_and_no_two_arguments_share_a_name() -> None:
    pair = [
        {"name": "bigOne", "type": "uint256"},
        {"name": "list", "type": "int128[2][]"},
        {"name": "n", "type": "int64"},
    ]
    deep = {"name": "all", "type": "tuple[]", "components": pair}
    entry = event("Deep", ("fooBar", "uint256"), ("foo_bar", "ufixed128x18"))
    entry["inputs"] += [deep, {"name": "", "type": "trcToken"}]
    _, read = LogReader("x", [KnownAbi([entry], 0, None, 0)]).read(
        log(entry, 2**200, 3, [{"bigOne": 4, "list": [[-5, 6]], "n": -7}], 8), source(1)
    )
    assert isinstance(read, ContractEvent), read
    assert read.args == {
        "foo_bar": str(2**200),
        "foo_bar_1": "3.000000000000000000",
        "all": [{"big_one": "4", "list": [["-5", "6"]], "n": -7}],
        "_3": "8",
    }
    assert public_message(read) == EventLogged(contract="x", name="Deep", args=read.args, source=read.source)


def test_the_transfers_of_the_standards_have_the_standards_names_whatever_an_abi_calls_them() -> None:
    words = [f"{number:064x}" for number in (1, 2, 3)]

    def read(indexed: int, *names: str) -> list[str]:
        entry = event("Transfer", *zip(names, ("address", "address", "uint256"), strict=True))
        for parameter in entry["inputs"][:indexed]:
            parameter["indexed"] = True
        topic0 = next(iter(Abi([entry]).events.values())).topic0 or ""
        found = Log(AT, (topic0, *words[:indexed]), "".join(words[indexed:]), 0)
        _, told = LogReader("x", [KnownAbi([entry], 0, None, 0)]).read(found, source(1))
        assert isinstance(told, ContractEvent), told
        return list(told.args)

    assert read(2, "src", "dst", "wad") == ["from", "to", "value"]
    assert read(3, "from", "to", "value") == ["from", "to", "token_id"]  # each names one of a kind
    assert read(0, "_from", "_to", "_value") == ["_from", "_to", "_value"]


def test_no_abi_changes_what_the_five_contracts_say() -> None:
    transfer = event("Transfer", ("a", "address"), ("b", "address"), ("c", "uint256"))
    for parameter in transfer["inputs"][:2]:
        parameter["indexed"] = True
    overloaded, more = event("Approval", ("text", "string")), event("Upgraded", ("text", "string"))
    reader = LogReader("dcmx-token", [KnownAbi([transfer, overloaded, more], 0, None, 0)])
    topic0 = next(iter(Abi([transfer]).events.values())).topic0 or ""
    words = [f"{number:064x}" for number in (1, 2, 3)]
    stream, read = reader.read(Log(AT, (topic0, *words[:2]), words[2], 0), source(1))
    assert isinstance(read, ContractEvent)
    assert isinstance(public_message(read), TokenTransfer)
    assert stream.startswith("dcmx-token/account/")
    _, raw = reader.read(log(overloaded, "x"), source(1))
    assert isinstance(raw, UndecodedLog)
    assert "does not fit its message" in raw.reason
    assert reader.read(log(more, "x"), source(1))[0] == "dcmx-token/admin"
    late = LogDecoded("dcmx-token", "Upgraded", {"text": "x"}, source(1), "id")
    assert public_message(late) == EventLogged(
        contract="dcmx-token", name="Upgraded", args={"text": "x"}, late=True, source=source(1)
    )


def test_a_foreign_event_under_our_address_as_a_delegate_call_logs_it_is_kept_raw() -> None:
    foreign = event("PaymentReceived", ("payer", "address"), ("amount", "uint256"))  # another contract's, by its name
    topic0 = next(iter(Abi([foreign]).events.values())).topic0 or ""
    stream, read = LogReader("music-nft").read(Log(AT, (topic0,), "00" * 64, 0), source(1))
    assert isinstance(read, UndecodedLog)
    assert (stream, read.reason.split(" with ")[0]) == ("music-nft/undecoded", f"unknown event {topic0}")


def test_what_was_asked_for_is_in_force_from_the_first_blocks_that_the_ingester_noted_it_with() -> None:
    begun = ContractsWatched({"music-nft": address(1)}, "all", 0)
    asked = [ContractAdded("x", AT, 20), AbiRegistered("x", AT, [OLD], 0, None)]
    waiting = watch([begun, *asked]).contracts["x"]
    assert (waiting.since, waiting.waits, list(waiting.past)) == (None, True, [])
    noted = watch([begun, *asked, ContractsWatched({"x": AT}, "all", 100)])
    contract = noted.contracts["x"]
    assert (contract.since, contract.past, contract.waits) == (100, range(20, 100), False)
    assert [abi.since for abi in contract.abis] == [0]  # it reads the past, too
    later = [AbiRegistered("x", AT, [NEW], 30, 40), ContractsWatched({}, "all", 200)]
    more = watch([begun, *asked, ContractsWatched({"x": AT}, "all", 100), *later])
    assert [abi.since for abi in more.contracts["x"].abis] == [0, 200]
    assert (more.version, set(more.in_force)) == (6, {"music-nft", "x"})


EVENTS = [(name, event) for name, build in ARTIFACTS.items() for event in artifact(build).abi.events.values()]
READERS = {name: LogReader(name) for name in ARTIFACTS}
EXTREMES = [0, 1, 5, 255, 10_000, 2**32 - 1, 2**32, 2**63, 2**64 - 1, 2**256 - 1]


def values(kind: str) -> st.SearchStrategy[Any]:
    """What an argument of an ABI type may be, its limits above all."""
    if kind.endswith("[]"):
        return st.lists(values(kind[:-2]), max_size=3)
    if kind.startswith("uint"):
        return st.sampled_from([value for value in EXTREMES if value < 2 ** int(kind[4:])])
    plain = {"address": st.builds(address, st.integers(0, 2**30)), "bool": st.booleans(), "string": st.text()}
    return plain[kind] if kind in plain else st.binary(min_size=int(kind[5:]), max_size=int(kind[5:]))


@given(st.sampled_from(EVENTS), st.data())
def test_whatever_the_five_contracts_may_say_either_fits_its_message_or_is_kept_raw(
    known: tuple[str, Event], data: st.DataObject
) -> None:
    name, of = known
    drawn = [(parameter, data.draw(values(parameter["type"]))) for parameter in of.inputs]
    topics = [of.topic0 or ""]
    for parameter, value in drawn:
        if parameter.get("indexed"):
            topics.append(codec(parameter).write(value, "topic").hex() if parameter["type"] != "string" else "ab" * 32)
    rest = [(parameter, value) for parameter, value in drawn if not parameter.get("indexed")]
    content = record([parameter for parameter, _ in rest]).write([value for _, value in rest], "data")
    _, read = READERS[name].read(Log(AT, tuple(topics), content.hex(), 0), source(1))
    if isinstance(read, UndecodedLog):
        assert "does not fit its message" in read.reason
    else:
        typed_message(read)  # raises where it does not fit
