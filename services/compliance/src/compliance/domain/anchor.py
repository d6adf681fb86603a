"""Anchors of a log on the chain: the hash of one of its seals stands for all that was sealed until then.

One stream for each log. A wish that was not granted is repeated at the next turn; the contract takes a segment once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import assert_never

from compliance.domain.refusal import Contradiction
from contracts.chain import Source
from contracts.values import Hash
from eventlog import Decider


@dataclass(frozen=True, slots=True)
class AnchorSeal:
    """To be anchored unless it is already, or something of this log was asked for less than `pause` ago."""

    log_id: Hash
    segment: int  # the number of the seal
    root: Hash  # its hash
    at: datetime
    pause: timedelta


@dataclass(frozen=True, slots=True)
class AnchorAsked:
    """The chain service was asked to anchor a seal, for the `attempt`-th time."""

    log_id: Hash
    segment: int
    root: Hash
    attempt: int
    at: datetime


@dataclass(frozen=True, slots=True)
class RootAnchored:
    """The root of a sealed segment of a log stands on the chain."""

    log_id: Hash
    segment: int
    root: Hash
    source: Source


AnchorCommand = AnchorSeal | RootAnchored
AnchorEvent = AnchorAsked | RootAnchored


@dataclass(frozen=True, slots=True)
class Anchors:
    roots: Mapping[int, Hash] = field(default_factory=lambda: MappingProxyType({}))
    asked: AnchorAsked | None = None


def decide(command: AnchorCommand, state: Anchors) -> list[AnchorEvent]:
    match command:
        case RootAnchored(segment=segment, root=root):
            _expect(command, state.roots.get(segment, root))
            return [] if segment in state.roots else [command]
        case AnchorSeal():
            return _ask(command, state)
        case never:
            assert_never(never)


def _ask(command: AnchorSeal, state: Anchors) -> list[AnchorEvent]:
    _expect(command, state.roots.get(command.segment, command.root))
    if command.segment <= (last := max(state.roots, default=0)):
        if command.segment == last:
            return []
        raise Contradiction(f"log {command.log_id}: expected seal {last}, which is anchored, got {command.segment}")
    asked = state.asked
    if asked is not None and command.at < asked.at + command.pause:
        return []
    attempt = asked.attempt + 1 if asked is not None and asked.segment == command.segment else 1
    return [AnchorAsked(command.log_id, command.segment, command.root, attempt, command.at)]


def _expect(command: AnchorCommand, anchored: Hash) -> None:
    if anchored != command.root:
        name = f"log {command.log_id} segment {command.segment}"
        raise Contradiction(f"{name}: expected the root {anchored}, got {command.root}")


def evolve(state: Anchors, event: AnchorEvent) -> Anchors:
    match event:
        case AnchorAsked():
            return replace(state, asked=event)
        case RootAnchored():
            return replace(state, roots={**state.roots, event.segment: event.root})
        case never:
            assert_never(never)


anchors: Decider[AnchorCommand, Anchors, AnchorEvent] = Decider(Anchors(), decide, evolve)
