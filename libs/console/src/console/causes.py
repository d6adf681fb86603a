"""What led to an event and what it led to: a tree over all logs, from a chain's transaction or a command down.

An event names its cause: the message that a service acted on, whose id is that of the event it tells of; or a
transaction of the chain; or the key of a command. So the way up is a look at an index for each step, and the way
down a search in each log for each generation.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

from annals.services import installed
from console import logs
from console.logs import Stored

MOST = 400
GENERATIONS = 12
CLOCKS = timedelta(minutes=1)
"""By so much the clocks of two databases may differ."""
_TRANSACTION = re.compile(r"[0-9a-f]{64}")


@dataclass(slots=True)
class Node:
    """An event, or what is no event: a transaction or a command, where a tree begins."""

    id: str
    kind: str
    """`transaction`, `command`, `message` (of an event that is in no log), or `event`."""
    event: Stored | None = None
    effects: list[Node] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Tree:
    """The whole of it, the event that was asked for, and whether there may be more than is shown."""

    root: Node
    asked: str
    events: int
    cut: bool


async def tree_of(asked: Stored) -> Tree:
    """The tree that an event stands in."""
    line = await _causes(asked)
    first = line[0]
    since = min(event.recorded_at for event in line) - CLOCKS
    known = {event.event_id: event for event in line}
    frontier = {first.event_id} if first.cause is None else {first.cause}
    cut = True
    for _ in range(GENERATIONS):
        searched = [logs.effects(service, frontier, since) for service in installed().values()]
        found = [event for events in await asyncio.gather(*searched) for event in events]
        frontier = {event.event_id for event in found}
        known |= {event.event_id: event for event in found}
        if not frontier or len(known) > MOST:
            cut = bool(frontier)
            break
    return Tree(planted(first, known), asked.event_id, len(known), cut)


def planted(first: Stored, known: Mapping[str, Stored]) -> Node:
    """The tree of some events, whose first one is known; branches in the order in which they were recorded."""
    nodes = {event.event_id: Node(event.event_id, "event", event) for event in _in_order(known.values())}
    root = nodes[first.event_id] if first.cause is None else Node(first.cause, kind_of(first.cause))
    for node in nodes.values():
        cause = node.event.cause if node.event is not None else None
        if cause is not None and cause != node.id:
            (root if cause == root.id else nodes.get(cause, root)).effects.append(node)
    return root


def kind_of(cause: str) -> str:
    """What a cause is that is no event of any log."""
    if _TRANSACTION.fullmatch(cause):
        return "transaction"
    return "message" if _event_id(cause) is not None else "command"


async def _causes(event: Stored) -> list[Stored]:
    """The line of causes of an event up to the first that is an event, oldest first, with itself."""
    line = [event]
    for _ in range(GENERATIONS):
        named = _event_id(line[0].cause)
        found = await logs.find_event(named) if named is not None else None
        if found is None or found.event_id in {known.event_id for known in line}:
            break
        line.insert(0, found)
    return line


def _event_id(cause: str | None) -> UUID | None:
    try:
        return UUID(cause) if cause is not None and "-" in cause else None
    except ValueError:
        return None


def _in_order(events: Iterable[Stored]) -> list[Stored]:
    return sorted(events, key=lambda event: (event.recorded_at, event.service, event.position))
