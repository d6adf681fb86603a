"""Of the head, what needs no server: how a block becomes messages, and when to look again."""

from __future__ import annotations

import pytest
from head_stage import message_of

from chain.decoding import Recorded
from chain.domain import ContractEvent, UndecodedLog
from chain.head.branch import Branch, Window
from chain.head.follow import LEAST_PAUSE_SECONDS, PART_BYTES, Pace, additions, retractions
from contracts.head import BlockAdded, HeadChain
from contracts.testing import address, hash_of, source
from messaging.topics import MAX_VALUE_BYTES
from tron.model import Block


def block(number: int, branch: str = "a") -> Block:
    return Block(number, hash_of(branch, number), hash_of(branch, number - 1), 0, ())


def released(number: int, title: str) -> Recorded:
    args = {"track_id": "1", "artist": address(1), "title": title, "artist_name": "", "content_hash": "ab" * 32}
    args |= {"max_editions": 1, "price_sun": "1", "royalty_bps": 1}
    return "music-nft/track/1", ContractEvent("music-nft", "TrackReleased", args, source(7, number))


def told(*logs: Recorded) -> list[BlockAdded]:
    """The messages of block 7 with these logs, of which 3 is solidified."""
    messages = [message_of(entry.type, entry.data) for entry in additions(block(7), logs, 3)]
    return [message for message in messages if isinstance(message, BlockAdded)]


def test_a_block_with_many_events_is_told_in_parts_that_fit_into_records() -> None:
    parts = told(*(released(number, "x" * 90_000) for number in range(23)))
    assert len(parts) > 1
    assert [(one.part, one.parts) for one in parts] == [(n, len(parts)) for n in range(1, len(parts) + 1)]
    assert all(len(one.model_dump_json()) < PART_BYTES + 100_000 < MAX_VALUE_BYTES for one in parts)
    places = [event.data["source"]["log_index"] for one in parts for event in one.events]
    assert places == list(range(23))
    chain = HeadChain()
    for one in parts:
        chain.apply(one)
    assert chain.complete


def test_one_event_that_is_larger_than_a_part_has_one_of_its_own() -> None:
    parts = told(released(0, ""), released(1, "\x01" * 99_000), released(2, ""))
    assert [len(one.events) for one in parts] == [1, 1, 1]
    assert max(len(one.model_dump_json()) for one in parts) < MAX_VALUE_BYTES


def test_a_block_without_public_events_is_told_empty() -> None:
    (only,) = told(("music-nft/undecoded", UndecodedLog("music-nft", (), "", 0, "unknown event", source(7))))
    assert (only.number, only.hash, only.parent) == (7, block(7).hash, block(7).parent_hash)
    assert (only.part, only.parts, only.events) == (1, 1, ())


def test_retractions_are_newest_first_and_never_of_what_was_not_told() -> None:
    window = Window(5, tuple(block(number).hash for number in range(5, 10)), 4)
    for ancestor, expected in ((9, []), (7, [9, 8]), (4, [9, 8, 7, 6, 5])):
        branch = Branch(11, ancestor, [block(number, "b") for number in range(ancestor + 1, 12)], 4)
        assert [one.number for one in retractions(window, branch)] == expected
        after = window.onto(branch)
        assert (after.first, after.tip) == (5, 11)
        assert [after.hash(number) for number in range(5, ancestor + 1)] == list(window.hashes[: ancestor - 4])
        assert after.hash(ancestor + 1) == block(ancestor + 1, "b").hash


@pytest.mark.parametrize("interval", [3.0, 0.2])
@pytest.mark.parametrize("skew", [0.0, 40.0, -40.0])  # of the node's clock
def test_the_next_look_is_just_before_the_next_block_and_then_often(interval: float, skew: float) -> None:
    pace = Pace(0.5)
    for slot in (0, 1, 2, 5, 9):  # nobody filled the others
        pace.saw([interval * slot], interval * slot + 0.1 + skew + (2 if slot == 5 else 0))  # one look was late
    seen = 9 * interval + 0.1 + skew
    assert pace.after(seen) == pytest.approx(0.95 * interval)
    assert pace.after(seen + 0.95 * interval) == pytest.approx(max(LEAST_PAUSE_SECONDS, interval / 30))
    assert pace.after(seen + 20 * interval) == 0.5  # a lull: at leisure


def test_a_late_look_makes_the_next_one_no_later() -> None:
    pace = Pace(0.5)
    for slot in range(5):
        pace.saw([3.0 * slot], 3.0 * slot)
    pace.saw([15.0], 17.5)
    assert pace.after(17.5) == pytest.approx(0.35)
    assert Pace(0.5).after(1_000.0) <= 0.5
