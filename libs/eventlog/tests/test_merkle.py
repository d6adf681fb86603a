from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventlog import merkle

hashes = st.binary(min_size=merkle.HASH_BYTES, max_size=merkle.HASH_BYTES)
trees = st.lists(hashes, min_size=1, max_size=70)


def root_of_rfc_6962(leaves: list[bytes]) -> bytes:
    """The definition: split at the largest power of two below the number of leaves."""
    if len(leaves) == 1:
        return leaves[0]
    split = 1 << ((len(leaves) - 1).bit_length() - 1)
    left, right = root_of_rfc_6962(leaves[:split]), root_of_rfc_6962(leaves[split:])
    return sha256(b"\x01" + left + right).digest()


@given(trees)
def test_the_root_is_that_of_rfc_6962(leaves: list[bytes]) -> None:
    assert merkle.root(leaves) == root_of_rfc_6962(leaves)


@given(trees, st.data())
def test_every_leaf_climbs_to_the_root_by_its_path(leaves: list[bytes], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(leaves) - 1))
    path = merkle.path(leaves, index)
    assert merkle.climb(leaves[index], index, len(leaves), path) == merkle.root(leaves)
    assert len(path) <= (len(leaves) - 1).bit_length()


@given(trees, st.data())
def test_no_other_leaf_and_no_other_path_climbs_to_the_root(leaves: list[bytes], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(leaves) - 1))
    path, root = merkle.path(leaves, index), merkle.root(leaves)
    other = data.draw(hashes.filter(lambda leaf: leaf != leaves[index]))
    assert merkle.climb(other, index, len(leaves), path) != root
    if path:
        at = data.draw(st.integers(0, len(path) - 1))
        bit = 1 << data.draw(st.integers(0, 7))
        forged = [*path[:at], bytes([path[at][0] ^ bit]) + path[at][1:], *path[at + 1 :]]
        assert merkle.climb(leaves[index], index, len(leaves), forged) != root


@given(st.lists(hashes, min_size=2, max_size=70, unique=True), st.data())
def test_a_change_of_any_leaf_or_of_their_order_changes_the_root(leaves: list[bytes], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(leaves) - 1))
    root = merkle.root(leaves)
    assert merkle.root([*leaves[:index], bytes(32), *leaves[index + 1 :]]) != root or leaves[index] == bytes(32)
    assert merkle.root(leaves[:index] + leaves[index + 1 :]) != root
    shuffled = data.draw(st.permutations(leaves))
    assert (merkle.root(shuffled) == root) is (shuffled == leaves)


@pytest.mark.parametrize(
    ("index", "size", "path", "message"),
    [
        (3, 3, [], "expected a leaf from 0 to 2, got 3"),
        (-1, 3, [], "expected a leaf from 0 to 2, got -1"),
        (0, 3, [bytes(32)], "up to the root, got 1 entries"),
        (0, 2, [bytes(31)], "hashes of 32 bytes"),
        (0, 2, [bytes(32)] * 2, "expected fewer hashes for a tree of this size, got 2"),
        (0, 1, [bytes(32)], "expected fewer hashes"),
    ],
)
def test_a_path_that_fits_no_tree_of_that_size_is_refused(
    index: int, size: int, path: list[bytes], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        merkle.climb(bytes(32), index, size, path)


def test_a_tree_without_leaves_has_neither_root_nor_path() -> None:
    with pytest.raises(ValueError, match="at least one leaf"):
        merkle.root([])
    with pytest.raises(IndexError):
        merkle.path([bytes(32)], 1)


def test_what_is_hashed_for_one_purpose_means_nothing_for_another() -> None:
    content = bytes(8)
    hashed = {merkle.event_leaf(content), merkle.seal_hash(content), merkle.hole_leaf(0), sha256(content).digest()}
    assert len(hashed) == 4
