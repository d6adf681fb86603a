"""Merkle trees as in RFC 6962, section 2: one root for many leaves, and a short proof that a leaf is among them.

Every kind of input is hashed with a first byte of its own, so that a node can't be passed off as a leaf, or an empty
position as an event. Pure: bytes in, bytes out.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from hashlib import sha256

HASH_BYTES = 32
EVENT, NODE, HOLE, SEAL = b"\x00", b"\x01", b"\x02", b"\x03"


def event_leaf(encoded: bytes) -> bytes:
    """The leaf of a position that holds an event, given in its encoding."""
    return sha256(EVENT + encoded).digest()


def hole_leaf(position: int) -> bytes:
    """The leaf of a position that was drawn and never committed."""
    return sha256(HOLE + struct.pack(">q", position)).digest()


def seal_hash(encoded: bytes) -> bytes:
    """The hash of a seal, which stands for everything that was sealed until then."""
    return sha256(SEAL + encoded).digest()


def root(leaves: Sequence[bytes]) -> bytes:
    """The root over at least one leaf. Raises ValueError for none."""
    if not leaves:
        raise ValueError("root: expected at least one leaf, got none")
    level = list(leaves)
    while len(level) > 1:
        level = _above(level)
    return level[0]


def path(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """The neighbours that leaf `index` needs to be hashed up to the root, from the bottom. Raises IndexError."""
    if not 0 <= index < len(leaves):
        raise IndexError(f"path: expected a leaf from 0 to {len(leaves) - 1}, got {index}")
    level, neighbours = list(leaves), []
    while len(level) > 1:
        if index ^ 1 < len(level):  # the last node of an odd level rises without a neighbour
            neighbours.append(level[index ^ 1])
        level, index = _above(level), index // 2
    return neighbours


def climb(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes:
    """The root of the tree of `size` leaves in which `leaf` has this index and path.

    Raises ValueError when no tree of that size has such an index, or such a path for it.
    """
    if not 0 <= index < size:
        raise ValueError(f"path: expected a leaf from 0 to {size - 1}, got {index}")
    neighbours, reached = iter(path), leaf
    while size > 1:
        if index ^ 1 < size:
            neighbour = next(neighbours, None)
            if neighbour is None or len(neighbour) != HASH_BYTES:
                raise ValueError(f"path: expected hashes of {HASH_BYTES} bytes up to the root, got {len(path)} entries")
            reached = _node(neighbour, reached) if index & 1 else _node(reached, neighbour)
        index, size = index // 2, (size + 1) // 2
    if next(neighbours, None) is not None:
        raise ValueError(f"path: expected fewer hashes for a tree of this size, got {len(path)}")
    return reached


def _node(left: bytes, right: bytes) -> bytes:
    return sha256(NODE + left + right).digest()


def _above(level: Sequence[bytes]) -> list[bytes]:
    """The level above; an odd last node rises as it is, which gives the very trees of RFC 6962."""
    above = [_node(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
    return [*above, level[-1]] if len(level) % 2 else above
