"""Whom we have welcomed: each subject once. Pure: no clock, no ids, no I/O."""

from __future__ import annotations

from dataclasses import dataclass

from eventlog import Decider
from privacy import EVENTS as ORDERS


@dataclass(frozen=True, slots=True)
class Welcome:
    """The command. `subject` is an opaque id or a public address, never a name."""

    subject: str


@dataclass(frozen=True, slots=True)
class Welcomed:
    subject: str


def decide(command: Welcome, is_welcomed: bool) -> list[Welcomed]:
    """Once: whoever asks again finds it done."""
    return [] if is_welcomed else [Welcomed(command.subject)]


def evolve(is_welcomed: bool, event: Welcomed) -> bool:
    return True


welcome: Decider[Welcome, bool, Welcomed] = Decider(False, decide, evolve)

EVENTS: dict[str, type] = {"Welcomed.v1": Welcomed, **ORDERS}
"""What the log may hold, by the name that is stored; a name stays when its class is renamed."""
