"""The books of a period are closed: a numbered statement for every party that had a line in it, and one root for all.

A fact that comes late changes no statement. Closing the period once more makes new ones, which name those before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from contracts.values import Hash
from eventlog import Decider
from royalties.domain.books import BooksMoved


@dataclass(frozen=True, slots=True)
class StatementIssued:
    """What a party was owed, as it was known at a position of the log. The document follows from this and the log."""

    number: str  # of the year in which it is issued, without holes: 2026-000001
    period: str
    revision: int
    position: int  # what the log has after it is not in the statement
    leaf: int  # its place in the tree of all statements of this revision, from 0
    party: str
    asset: str
    opening: int
    closing: int
    count: int  # of lines
    sha256: Hash  # of the document in its canonical form
    replaces: str | None  # the number of the party's statement of this period in an earlier revision


@dataclass(frozen=True, slots=True)
class PeriodClosed:
    """All statements of a revision are out. The seed blinds their hashes in the tree: it is never told to anybody."""

    period: str
    revision: int
    position: int
    statements: int
    root: Hash
    seed: Hash


@dataclass(frozen=True, slots=True)
class AnchorAsked:
    """The chain service is to write the root of a revision into ComplianceRegistry, where nobody can change it."""

    period: str
    revision: int
    segment: int  # of the log of statements; the year and the number of the revision's first statement
    root: Hash


@dataclass(frozen=True, slots=True)
class NumbersDrawn:
    """The year's numbers from `first` to `last` belong to the statements of a revision."""

    year: int
    first: int
    last: int
    period: str
    revision: int


@dataclass(frozen=True, slots=True)
class CloseBooks:
    """What has been made of revision - 1 of the period, and of the numbers before `first`."""

    year: int
    first: int
    statements: Sequence[StatementIssued]
    closed: PeriodClosed
    is_anchored: bool


@dataclass(frozen=True, slots=True)
class Closed:
    """How far the books of a period are closed: revision 0 means never."""

    revision: int = 0
    position: int = 0


PeriodEvent = StatementIssued | PeriodClosed | AnchorAsked


def evolve(closed: Closed, event: PeriodEvent) -> Closed:
    return Closed(event.revision, event.position) if isinstance(event, PeriodClosed) else closed


period: Decider[object, Closed, PeriodEvent] = Decider(Closed(), lambda _, __: (), evolve)
numbers: Decider[object, int, NumbersDrawn] = Decider(0, lambda _, __: (), lambda _, drawn: drawn.last)
"""The last number of the year that is taken."""


def number_of(year: int, count: int) -> str:
    return f"{year}-{count:06}"


def segment_of(year: int, count: int) -> int:
    """The number of the segment that begins with a statement: unique, as the statement's own is, and growing."""
    return year * 10**9 + count


def period_stream(name: str) -> str:
    return f"period/{name}"


def numbers_stream(year: int) -> str:
    return f"numbers/{year}"


def close_books(command: CloseBooks, states: Mapping[str, Any]) -> list[tuple[str, object]]:
    """The events of both streams. Raises BooksMoved when somebody else closed the period, or drew the numbers."""
    closed, of_period, of_year = command.closed, period_stream(command.closed.period), numbers_stream(command.year)
    if (states[of_period].revision, states[of_year]) != (closed.revision - 1, command.first - 1):
        raise BooksMoved(
            f"period {closed.period}: expected revision {closed.revision - 1} and number {command.first - 1} to be the "
            f"last, found {states[of_period].revision} and {states[of_year]}"
        )
    last = command.first + len(command.statements) - 1
    drawn = NumbersDrawn(command.year, command.first, last, closed.period, closed.revision)
    segment = segment_of(command.year, command.first)
    anchor = [AnchorAsked(closed.period, closed.revision, segment, closed.root)] if command.is_anchored else []
    of_this = (*command.statements, closed, *anchor)
    return [(of_year, drawn), *((of_period, event) for event in of_this)]
