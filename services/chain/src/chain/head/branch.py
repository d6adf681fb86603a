"""What there is beyond the blocks that we have told: more of our chain, or a branch of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from chain.fetch import together
from chain.handover import Handover
from eventlog import NewEvent
from tron.client import NodeClient
from tron.errors import IncompleteAnswer, NodeBehind, NodeDisagrees
from tron.model import Block, TransactionInfo

WINDOW_BLOCKS = 128
"""How far back blocks are held against a node's; the chain solidifies some 20 blocks behind its head."""
MOST_BLOCKS = 50
"""Blocks of one look: what was missed is caught up in steps."""
FIRST_STEP_BACK = 4

_HEAD = "wallet/getnowblock"
_BLOCKS = "wallet/getblockbylimitnext"


@dataclass(frozen=True, slots=True)
class Window:
    """The newest blocks that we have told and not retracted: the hashes of the blocks from `first` on.

    What is at or below `solidified` never changes; -1: nothing is known to be solidified.
    """

    first: int
    hashes: tuple[str, ...]
    solidified: int

    @property
    def tip(self) -> int:
        """The newest block; `first` - 1 when there is none."""
        return self.first + len(self.hashes) - 1

    def hash(self, number: int) -> str | None:
        """The hash of a block, None outside the window."""
        return self.hashes[number - self.first] if self.first <= number <= self.tip else None

    def onto(self, branch: Branch) -> Window:
        """The window once a branch was told: without what it retracts, and no longer than it must be."""
        if not branch.blocks:
            return self
        kept = self.hashes[: max(0, branch.ancestor + 1 - self.first)]
        first = self.first if kept else branch.blocks[0].number
        hashes = (*kept, *(block.hash for block in branch.blocks))
        cut = max(0, len(hashes) - WINDOW_BLOCKS)
        return Window(first + cut, hashes[cut:], branch.solidified)


@dataclass(frozen=True, slots=True)
class Branch:
    """Blocks behind `ancestor`, the last that they share with ours; proven, linked.

    There may be more of them, up to `head`. `solidified` is what was solidified before, or more.
    """

    head: int
    ancestor: int
    blocks: Sequence[Block]
    solidified: int


@dataclass(frozen=True, slots=True)
class Shown(Branch):
    """What a node shows, with the receipts of each block."""

    node: NodeClient
    receipts: Sequence[Sequence[TransactionInfo]]


@dataclass(frozen=True, slots=True)
class Handed(Branch):
    """What the ingester hands over, with the events of each block."""

    events: Sequence[Sequence[NewEvent]]


async def read_branch(node: NodeClient, window: Window) -> Shown:
    """Looks at a node once. No blocks: it has nothing that is longer than our chain.

    Everything must be of one chain, also where a balancer hands each request to another node: the blocks link up to
    the node's head, they are still there after their receipts were read, and the solidified block is one of them.
    Raises NodeBehind for a node whose head is below ours, IncompleteAnswer for one that went over to another branch
    meanwhile (look again), NodeDisagrees for one whose chain has other blocks where ours are solidified.
    """
    head = await node.head()
    if window.hashes and head.number < window.tip:
        raise NodeBehind(node.url, _HEAD, f"its newest block is {head.number}, {window.tip} is known")
    if window.hashes and head.number == window.tip:
        return Shown(head.number, window.tip, (), window.solidified, node, ())  # another branch, too, is no longer
    blocks = await _above(node, window, head)
    if window.hashes:
        blocks = await _down_to_ours(node, window, blocks)
    receipts = await together([node.infos_of(block, solid=False) for block in blocks])
    solid = await node.solid_head()
    (again,) = await node.blocks(blocks[-1].number, blocks[-1].number, solid=False)
    if again.hash != blocks[-1].hash:
        raise _changed(node, blocks[-1])
    branch = Shown(head.number, blocks[0].number - 1, blocks, window.solidified, node, receipts)
    return replace(branch, solidified=_solidified(window, branch, solid))


def handed_branch(handover: Handover, window: Window) -> Handed | None:
    """What the ingester has handed over of the blocks that follow ours; None if it has none of them."""
    found = handover.after(window.tip, window.hashes[-1], MOST_BLOCKS) if window.hashes else []
    if not found:
        return None
    blocks, events = [one.block for one in found], [one.events for one in found]
    return Handed(max(handover.goal, blocks[-1].number), window.tip, blocks, blocks[-1].number, events)


async def _above(node: NodeClient, window: Window, head: Block) -> list[Block]:
    """The node's blocks above ours, the first `MOST_BLOCKS` of them; where we have none, its newest alone."""
    first = window.tip + 1 if window.hashes else head.number
    blocks = await node.blocks(first, min(head.number, first + MOST_BLOCKS - 1), solid=False)
    if blocks[-1].number == head.number and blocks[-1].hash != head.hash:
        raise _changed(node, head)
    return blocks


async def _down_to_ours(node: NodeClient, window: Window, blocks: list[Block]) -> list[Block]:
    """The same blocks, and below them those of the node that are not ours. Raises NodeDisagrees."""
    step = FIRST_STEP_BACK
    while blocks[0].number > window.first and window.hash(blocks[0].number - 1) != blocks[0].parent_hash:
        lower = max(window.first, blocks[0].number - step)
        older = await node.blocks(lower, blocks[0].number - 1, solid=False)
        if older[-1].hash != blocks[0].parent_hash:
            raise _changed(node, older[-1])
        blocks, step = older + blocks, step * 4
    other = [block for block in blocks if window.hash(block.number) != block.hash]
    if other[0].number <= window.solidified:
        problem = f"block {other[0].number} is {other[0].hash} there, {window.hash(other[0].number)} was solidified"
        raise NodeDisagrees(node.url, _BLOCKS, problem)
    if other[0].number == window.first and len(window.hashes) == WINDOW_BLOCKS:
        raise NodeDisagrees(node.url, _BLOCKS, f"none of the {WINDOW_BLOCKS} blocks up to {window.tip} is there")
    return other


def _solidified(window: Window, branch: Shown, solid: Block) -> int:
    """How far our chain with this branch is solidified, as far as that is certain. Raises IncompleteAnswer."""
    after = window.onto(branch)
    if solid.number > after.tip:
        return window.solidified  # it will be told with the blocks in between
    if solid.number >= after.first and after.hash(solid.number) != solid.hash:
        raise _changed(branch.node, solid)
    return max(window.solidified, solid.number)


def _changed(node: NodeClient, block: Block) -> IncompleteAnswer:
    return IncompleteAnswer(node.url, _BLOCKS, f"block {block.number} ({block.hash}) and its other answers do not link")
