"""Agreements that share in agreements: a band inside a split.

What a group gets of a sale is divided in turn, in the same append, by the group's version in force when the sale
happened: with its tiers, its running totals and its carry, as if it had been sold under the group's own agreement. So
every level rounds for itself, a refund takes back the same way, and nothing stays between two levels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from royalties.domain import books
from royalties.domain.agreement import Agreement, AgreementCommand, AgreementEvent, agreement, closed_before
from royalties.domain.books import Refused, group_parts
from royalties.domain.division import AgreementVersionSet, give_out
from royalties.domain.sales import CarryGivenOut, GroupShared, RefundPosted, ReversalPosted, SalePosted

MOST_LEVELS = 4
MOST_EVENTS = 200
"""Of one command: they are one append."""
Moved = SalePosted | RefundPosted | ReversalPosted | CarryGivenOut | GroupShared
StateOf = Callable[[str], Agreement]


def reached(names: Iterable[str], state_of: Callable[[str], Agreement | None]) -> set[str]:
    """These agreements, and all that have, or had, a share in one of them, as far as states are known."""
    found: set[str] = set()
    new = set(names)
    while new:
        found |= new
        new = {group for one in new if (state := state_of(one)) is not None for group in state.groups} - found
    return found


def decide(command: AgreementCommand, name: str, state_of: StateOf, at: datetime) -> list[tuple[str, AgreementEvent]]:
    """What a command leads to: in the agreement, then in the groups that it reaches, by their versions at `at`.

    Each event comes with the name of its agreement. Raises Refused.
    """
    events = agreement.decide(command, state_of(name))
    decided: list[tuple[str, AgreementEvent]] = [(name, event) for event in events]
    passing = _Passing(state_of, at, decided)
    for event in events:
        if isinstance(event, AgreementVersionSet):
            _check(event, state_of)
        elif isinstance(event, Moved) and state_of(name).groups:
            passing.on(event, f"{name}/{event.version}")
    return decided


def _check(version: AgreementVersionSet, state_of: StateOf) -> None:
    """Raises Refused where a group can't share yet, or a share would come back to its own."""
    level, levels = set(version.groups), 0
    while level:
        levels += 1
        if version.agreement in level:
            raise Refused("split-cycle", f"agreement {version.agreement} would have a share in itself")
        if levels > MOST_LEVELS:
            raise Refused("split-too-deep", f"expected at most {MOST_LEVELS} levels of agreements in agreements")
        if unready := [group for group in sorted(level) if not state_of(group).versions]:
            raise Refused("no-split", f"agreement {unready[0]}, which is to have a share, has no split itself")
        level = {group for one in level for group in state_of(one).groups}


@dataclass(slots=True)
class _Passing:
    """Passes on what groups got, adding to what is decided."""

    state_of: StateOf
    at: datetime
    decided: list[tuple[str, AgreementEvent]]
    changed: dict[str, Agreement] = field(default_factory=dict)  # by what was decided

    def on(self, event: Moved, path: str) -> None:
        """Raises Refused."""
        own = event.agreement if isinstance(event, GroupShared) else None
        for group, amount in group_parts(event.entries, own):
            if len(self.decided) > MOST_EVENTS:
                raise Refused("split-too-wide", f"{path}: expected at most {MOST_EVENTS} shares of agreements")
            state = self.changed.get(group) or self.state_of(group)
            for following in self._shared(group, state, amount, event, path):
                self.decided.append((group, following))
                state = self.changed[group] = agreement.evolve(state, following)
                self.on(following, f"{path}/{group}/{following.version}")

    def _shared(
        self, group: str, state: Agreement, amount: int, event: Moved, path: str
    ) -> Iterator[GroupShared | CarryGivenOut]:
        version = state.in_force(self.at)
        if version is None:
            raise Refused("no-split", f"agreement {group}, which has a share, has no split for {self.at}")
        lines = {books.group(group): amount}
        tiers = give_out(version, state.taken, event.asset, amount, lines)
        path, entries = f"{path}/{group}/{version.version}", books.balanced(lines.items())
        origin = (None,) * 3 if isinstance(event, CarryGivenOut) else (event.kind, event.reference, event.track_id)
        yield GroupShared(version.version, tiers, entries, group, path, event.asset, amount, *origin)
        yield from closed_before(version, state)
