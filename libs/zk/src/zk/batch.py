"""Many small rewards under one Merkle root: the tree of `RewardVault.openBatch`.

Leaves and nodes are those of OpenZeppelin's StandardMerkleTree over (uint256, address, uint256): a leaf is hashed
twice, so it is no node; pairs are hashed in order of size, so a proof needs no sides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tron.address import keccak256, raw

_WORD = 32


@dataclass(frozen=True, slots=True)
class Entry:
    """What an account gets; in the token's smallest unit."""

    account: str
    amount: int


class Batch:
    """The tree of a batch. The index of an entry is its place in the sequence."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        if not entries:
            raise ValueError("entries: expected at least one")
        if small := [entry for entry in entries if entry.amount <= 0]:
            raise ValueError(f"entries: expected amounts above zero, got {small[0]}")
        self.entries = tuple(entries)
        leaves = [_leaf(index, entry) for index, entry in enumerate(entries)]
        self._places = {leaf: place for place, leaf in enumerate(sorted(leaves))}
        self._leaves = leaves
        # A complete tree in an array: the children of i are 2i + 1 and 2i + 2, the leaves come last, in reverse.
        tree = [b""] * (len(leaves) - 1) + sorted(leaves, reverse=True)
        for place in range(len(leaves) - 2, -1, -1):
            tree[place] = _node(tree[2 * place + 1], tree[2 * place + 2])
        self._tree = tree

    @property
    def root(self) -> bytes:
        """The 32 bytes to publish."""
        return self._tree[0]

    @property
    def total(self) -> int:
        """What all entries get."""
        return sum(entry.amount for entry in self.entries)

    def proof(self, index: int) -> list[bytes]:
        """Return the siblings from an entry's leaf up to the root."""
        place = len(self._tree) - 1 - self._places[self._leaves[index]]
        siblings = []
        while place > 0:
            siblings.append(self._tree[place + 1 if place % 2 else place - 1])
            place = (place - 1) // 2
        return siblings


def _leaf(index: int, entry: Entry) -> bytes:
    words = (index.to_bytes(_WORD, "big"), raw(entry.account).rjust(_WORD, b"\0"), entry.amount.to_bytes(_WORD, "big"))
    return keccak256(keccak256(b"".join(words)))


def _node(one: bytes, other: bytes) -> bytes:
    return keccak256(min(one, other) + max(one, other))
