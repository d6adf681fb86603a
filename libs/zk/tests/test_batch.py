"""The tree of a batch, against vectors of OpenZeppelin's rules computed step by step."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tron.address import keccak256, raw
from zk import Batch, Entry

ALICE, BOB = "THHsfg2eNiv6MSXC4y5d4t5wkvRVADRKiF", "TXYZopYRdj2D9XRtbG411XZZ3kM5VkAeBf"


def leaf(index: int, entry: Entry) -> bytes:
    encoded = index.to_bytes(32, "big") + bytes(12) + raw(entry.account) + entry.amount.to_bytes(32, "big")
    return keccak256(keccak256(encoded))


def climbed(node: bytes, siblings: list[bytes]) -> bytes:
    """The root that OpenZeppelin's MerkleProof comes to."""
    for sibling in siblings:
        node = keccak256(b"".join(sorted((node, sibling))))
    return node


def test_one_entry_is_its_own_root() -> None:
    batch = Batch([Entry(ALICE, 5)])
    assert (batch.root, batch.proof(0), batch.total) == (leaf(0, Entry(ALICE, 5)), [], 5)


def test_three_entries_stand_where_openzeppelin_puts_them() -> None:
    entries = [Entry(ALICE, 5), Entry(BOB, 7), Entry(ALICE, 5)]
    low, middle, high = sorted(leaf(index, entry) for index, entry in enumerate(entries))
    pair = keccak256(b"".join(sorted((low, middle))))
    assert Batch(entries).root == keccak256(b"".join(sorted((high, pair))))


@settings(max_examples=40)
@given(st.lists(st.builds(Entry, st.sampled_from([ALICE, BOB]), st.integers(1, 2**120)), min_size=1, max_size=40))
def test_every_entry_has_a_proof(entries: list[Entry]) -> None:
    batch = Batch(entries)
    for index, entry in enumerate(entries):
        assert climbed(leaf(index, entry), batch.proof(index)) == batch.root


def test_what_pays_nobody_is_no_batch() -> None:
    with pytest.raises(ValueError, match="expected at least one"):
        Batch([])
    with pytest.raises(ValueError, match="expected amounts above zero"):
        Batch([Entry(ALICE, 0)])
