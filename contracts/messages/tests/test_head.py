"""The provisional chain put together from its messages, and streams of them that do not link."""

from __future__ import annotations

import pytest

from contracts.chain import PrimarySale
from contracts.head import BlockAdded, BlockRetracted, DoesNotLink, HeadChain, ProvisionalEvent
from contracts.testing import EPOCH, address, hash_of, source


def added(number: int, branch: str = "a", parent: str = "a", part: int = 1, parts: int = 1) -> BlockAdded:
    return BlockAdded(
        number=number,
        hash=hash_of(branch, number),
        parent=hash_of(parent, number - 1),
        time=EPOCH,
        transactions=0,
        solidified=max(-1, number - 20),
        part=part,
        parts=parts,
        events=(),
    )


def retracted(number: int, branch: str = "a") -> BlockRetracted:
    return BlockRetracted(number=number, hash=hash_of(branch, number))


def replayed(*messages: BlockAdded | BlockRetracted) -> list[tuple[int, str]]:
    chain = HeadChain()
    for message in messages:
        chain.apply(message)
    assert chain.complete
    return [(parts[0].number, parts[0].hash) for parts in chain.blocks]


def blocks(*names: tuple[int, str]) -> list[tuple[int, str]]:
    return [(number, hash_of(branch, number)) for number, branch in names]


def test_blocks_follow_their_parents_and_retractions_take_them_back_newest_first() -> None:
    found = replayed(added(7), added(8), added(9), retracted(9), retracted(8), added(8, "b"), added(9, "b", "b"))
    assert found == blocks((7, "a"), (8, "b"), (9, "b"))


def test_a_block_can_come_back() -> None:
    assert replayed(added(7), added(8), retracted(8), added(8, "b"), retracted(8, "b"), added(8)) == blocks(
        (7, "a"), (8, "a")
    )


def test_a_reader_may_begin_in_the_middle() -> None:
    assert replayed(retracted(9), retracted(8), added(8, "b")) == blocks((8, "b"))
    assert replayed(added(8, part=2, parts=3), added(8, part=3, parts=3), added(9)) == blocks((9, "a"))


def test_the_parts_of_a_block_are_kept_together_and_taken_back_together() -> None:
    chain = HeadChain()
    for part in (1, 2, 3):
        chain.apply(added(7, part=part, parts=3))
        assert chain.complete == (part == 3)
    assert [block.part for block in chain.blocks[0]] == [1, 2, 3]
    chain.apply(retracted(7))
    assert not chain.blocks


@pytest.mark.parametrize(
    ("first", "then", "said"),
    [
        ([added(7)], added(9), "expected block 8 with the parent"),
        ([added(7)], added(7), "expected block 8 with the parent"),
        ([added(7)], added(8, "b", "b"), "expected block 8 with the parent"),
        ([added(7), added(8)], retracted(7), "expected the newest block"),
        ([added(7)], retracted(7, "b"), "expected the newest block"),
        ([added(7, parts=2)], added(8), "expected part 2 of 2"),
        ([added(7, parts=2)], retracted(7), "expected part 2 of 2"),
        ([added(7, parts=3)], added(7, part=3, parts=3), "expected part 2"),
        ([added(7, parts=2)], added(7, "b", part=2, parts=2), "expected part 2"),
        ([added(7)], added(7, part=2), "which has 1"),
    ],
)
def test_messages_that_do_not_link_are_refused_and_change_nothing(
    first: list[BlockAdded], then: BlockAdded | BlockRetracted, said: str
) -> None:
    chain = HeadChain()
    for message in first:
        chain.apply(message)
    before = list(chain.blocks)
    with pytest.raises(DoesNotLink, match=said):
        chain.apply(then)
    assert list(chain.blocks) == before


def test_only_the_newest_blocks_are_kept_if_one_says_so() -> None:
    chain = HeadChain(keep=2)
    for number in range(5):
        chain.apply(added(number))
    chain.apply(retracted(4))
    assert [parts[0].number for parts in chain.blocks] == [3]


def test_an_event_is_the_message_that_it_will_be() -> None:
    sale = PrimarySale(source=source(7), token_id=1, track_id=2, buyer=address(3), artist=address(4), price_sun=5)
    event = ProvisionalEvent(type=sale.type, stream="music-nft/token/1", data=sale.model_dump(mode="json"))
    assert ProvisionalEvent.model_validate_json(event.model_dump_json()).message() == sale
    with pytest.raises(LookupError, match=r"chain\.music-nft\.Unheard\.v1"):
        ProvisionalEvent(type="chain.music-nft.Unheard.v1", stream="x", data={}).message()
