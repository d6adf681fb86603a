"""The pure part: a block's logs and transactions become events, and nothing a contract logs can stop that."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from chain import domain
from chain.decoding import ARTIFACTS, MAX_DECODED_BYTES, MAX_RAW_DIGITS, public_message
from chain.domain import ContractEvent, TransactionSolidified, UndecodedLog
from chain.handlers import Translator
from chain.publish import TOPICS, publish
from contracts import Message, message_class, message_types
from contracts.testing import address, hash_of
from eventlog import MAX_EVENT_BYTES, EventTypes, NewEvent, RecordedEvent
from messaging.cloudevents import Encoded
from tron.abi import Event
from tron.contract import artifact
from tron.model import Block, InternalTransfer, Log, Transaction, TransactionInfo

AT = {name: address(100 + number) for number, name in enumerate(domain.CONTRACTS)}
TYPES = EventTypes(domain.EVENTS)
UNREAD = EventTypes({})
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def event_of(contract: str, name: str) -> Event:
    return next(event for event in artifact(ARTIFACTS[contract]).abi.events.values() if event.name == name)


def word(value: int) -> str:
    return f"{value:064x}"


def translated(*logs: Log, internal: tuple[InternalTransfer, ...] = (), **changes: Any) -> list[Any]:
    """The events of a block with one transaction that logged `logs`."""
    transaction = Transaction(hash_of("tx"), "TriggerSmartContract", address(1), None, 0, 5, "", AT["music-nft"], 0)
    info = TransactionInfo(
        transaction.tx_id, 7, 7000, True, "SUCCESS", "", 3, 4, 0, 0, 0, transaction.contract_address, "", logs, internal
    )
    block = Block(7, hash_of("block"), hash_of("parent"), 7000, (transaction,))
    ingested = Translator(AT, "all").block(block, [info])
    for new in ingested.events:  # everything can be stored and read back as it is
        name, version, data = TYPES.encode(new.event)
        assert TYPES.decode(name, version, data) == new.event
        assert len(data.encode()) < MAX_EVENT_BYTES
    return ingested.events


def test_every_event_of_every_contract_has_a_stream_and_those_with_a_message_fit_it() -> None:
    with_message = set()
    for contract, name in ARTIFACTS.items():
        entries = [entry for entry in artifact(name).entries if entry["type"] == "event"]
        for entry in entries:
            sample = {"address": word(5), "string": "", "bool": word(1), "bytes32": "ab" * 32}
            topics = [event_of(contract, entry["name"]).topic0]
            topics += [sample.get(i["type"], word(1)) for i in entry["inputs"] if i["indexed"]]
            rest = [i["type"] for i in entry["inputs"] if not i["indexed"]]
            data = encoded(rest)
            _, new = translated(Log(AT[contract], tuple(topics), data, 0))
            assert isinstance(new.event, ContractEvent), (contract, entry["name"], new.event)
            assert new.stream.startswith(f"{contract}/")
            assert "{" not in new.stream
            if (message := public_message(new.event)) is not None:
                with_message.add(message.type)
                assert published(new) == message
                assert not new.stream.endswith("/admin")
    of_contracts = tuple(f"chain.{contract}." for contract in ARTIFACTS)
    assert with_message == {name for name in message_types() if name.startswith(of_contracts)}
    topics = {name.rsplit(".", 2)[0] for name in with_message}
    assert {topic.name for topic in TOPICS} == topics | {"chain.operations", "chain.events", "chain.blocks"}


def published(new: NewEvent) -> Message:
    """The message of an event of the five contracts as its consumers read it; the relay had no need to decode it."""
    name, version, data = TYPES.encode(new.event)
    told = publish(RecordedEvent(1, new.stream, 1, new.event_id, name, version, data, "{}", NOW, NOW, types=UNREAD))
    assert told is not None
    assert isinstance(told.message, Encoded)
    cls = message_class(told.message.type)
    assert cls is not None
    assert told.topic == cls.topic
    return cls.model_validate_json(told.message.body, strict=True)


def encoded(types: list[str]) -> str:
    """ABI-encoded samples of types: 1, "ab", [1]."""
    head, tail = [], ""
    for kind in types:
        if kind == "string" or kind.endswith("[]"):
            head.append(word(32 * len(types) + len(tail) // 2))
            tail += word(2) + "6162".ljust(64, "0") if kind == "string" else word(1) + word(1)
        else:
            head.append(word(1))
    return "".join(head) + tail


@pytest.mark.parametrize(
    ("log", "reason"),
    [
        (Log(AT["music-nft"], (), "", 0), "no topic"),
        (Log(AT["music-nft"], (hash_of("?"),), "00", 0), "unknown event"),
        (Log(AT["music-nft"], (event_of("music-nft", "Listed").topic0,), "", 0), "unknown event"),
        (Log(AT["dcmx-token"], (event_of("dcmx-token", "Transfer").topic0, word(1), word(2)), "ff", 0), "65 there"),
        (Log(AT["reward-vault"], (event_of("reward-vault", "PoolSwept").topic0, word(9), word(2)), word(1), 0), "pool"),
        (
            Log(AT["reward-vault"], (event_of("reward-vault", "PoolSwept").topic0, word(1), "1" * 64), word(1), 0),
            "padding",
        ),
    ],
)
def test_a_log_that_says_nothing_we_know_is_kept_raw_with_the_reason(log: Log, reason: str) -> None:
    _, new = translated(log)
    assert isinstance(new.event, UndecodedLog)
    assert reason in new.event.reason
    assert (new.event.topics, new.event.data, new.event.source.log_index) == (log.topics, log.data, log.index_in_block)
    assert new.stream == f"{new.event.contract}/undecoded"


def test_a_log_too_large_to_publish_is_kept_raw_and_cut() -> None:
    topic = event_of("music-nft", "TrackReleased").topic0
    data = "01" * (MAX_DECODED_BYTES + 500_000)
    _, new = translated(Log(AT["music-nft"], (topic, word(1), word(2)), data, 0))
    assert isinstance(new.event, UndecodedLog)
    assert (len(new.event.data), new.event.data_bytes) == (MAX_RAW_DIGITS, len(data) // 2)


def test_logs_of_strangers_are_passed_over() -> None:
    assert len(translated(Log(address(9), (hash_of("?"),), "", 0))) == 1


def test_ids_are_those_of_the_block_so_reading_it_again_gives_the_same_events() -> None:
    log = Log(AT["music-nft"], (hash_of("?"),), "", 0)
    assert translated(log) == translated(log)
    assert len({new.event_id for new in translated(log, Log(AT["music-nft"], (hash_of("?"),), "", 1))}) == 3


def test_internal_transfers_are_summed_and_spread_over_events_when_there_are_many() -> None:
    many = [InternalTransfer(address(1), address(1000 + n), 1, "call", False) for n in range(domain.MAX_INTERNAL + 5)]
    twice = InternalTransfer(address(2), address(3), 4, "call", False)
    undone = InternalTransfer(address(2), address(4), 4, "call", True)
    first, second = translated(internal=(twice, twice, undone, *many))
    assert isinstance(first.event, TransactionSolidified)
    assert first.event.internal[0].amount_sun == 8
    assert len(first.event.internal) == domain.MAX_INTERNAL
    moved = [*first.event.internal, *second.event.internal]
    assert sum(transfer.amount_sun for transfer in moved) == 8 + len(many)
    assert first.stream == second.stream == f"account/{address(1)}"


def test_amounts_beyond_64_bits_are_digits() -> None:
    topic = event_of("dcmx-token", "Transfer").topic0
    _, new = translated(Log(AT["dcmx-token"], (topic, word(0), word(2)), "f" * 64, 0))
    stored = json.loads(TYPES.encode(new.event)[2])
    assert stored["args"]["value"] == str(2**256 - 1)
    assert new.stream == f"dcmx-token/account/{stored['args']['to']}"  # minted: from nobody
