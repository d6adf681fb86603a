"""The books held against the contracts themselves: when that was done, and where they differ.

The books follow what the contracts say in events; what a contract really holds is another matter. A difference is a
fact for people to look into: it changes no balance.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from contracts.values import Amount, SignedAmount
from eventlog import Decider


@dataclass(frozen=True, slots=True)
class Compared:
    """An account as the books have it and as its contract has it, both as of a solidified block."""

    account: str
    block_number: int
    booked_sun: SignedAmount
    held_sun: Amount

    @property
    def surplus_sun(self) -> int:
        """What the contract has more than the books; below zero, what it lacks."""
        return self.held_sun - self.booked_sun


@dataclass(frozen=True, slots=True)
class ReconciliationDone:
    """All accounts were compared. `block_number` is the lowest block that one was read at."""

    block_number: int
    accounts: int
    differing: int


@dataclass(frozen=True, slots=True)
class DifferenceFound:
    """An account differs that did not before, or now differs by another amount.

    Both were the same as of `agreed_block`; None: they never were when somebody looked.
    """

    found: Compared
    agreed_block: int | None
    done_block: int  # the comparison that found it


@dataclass(frozen=True, slots=True)
class DifferenceSettled:
    """An account that differed as of `found_block` is as the books say, or differs by another amount."""

    account: str
    found_block: int
    block_number: int


ReconciliationEvent = ReconciliationDone | DifferenceFound | DifferenceSettled


@dataclass(frozen=True, slots=True)
class RecordReconciliation:
    """`differences` are those of all accounts compared that are not the same."""

    block_number: int
    accounts: int
    differences: tuple[Compared, ...]


@dataclass(frozen=True, slots=True)
class Reconciled:
    """How the books stood against the contracts when they were last compared."""

    block_number: int | None = None
    differing: Mapping[str, DifferenceFound] = field(default_factory=lambda: MappingProxyType({}))

    def agreed(self, account: str) -> int | None:
        """The last block as of which the account was seen to be the same."""
        known = self.differing.get(account)
        return known.agreed_block if known is not None else self.block_number


def decide(command: RecordReconciliation, state: Reconciled) -> list[ReconciliationEvent]:
    if state.block_number is not None and command.block_number <= state.block_number:
        return []  # somebody has looked at a later state
    surpluses = {difference.account: difference.surplus_sun for difference in command.differences}
    known = {account: known.found.surplus_sun for account, known in state.differing.items()}
    settled = [
        DifferenceSettled(account, state.differing[account].found.block_number, command.block_number)
        for account, surplus_sun in known.items()
        if surpluses.get(account) != surplus_sun
    ]
    found = [
        DifferenceFound(difference, state.agreed(difference.account), command.block_number)
        for difference in command.differences
        if known.get(difference.account) != difference.surplus_sun
    ]
    done = ReconciliationDone(command.block_number, command.accounts, len(command.differences))
    return [*settled, *found, done]


def evolve(state: Reconciled, event: ReconciliationEvent) -> Reconciled:
    match event:
        case ReconciliationDone():
            return replace(state, block_number=event.block_number)
        case DifferenceFound():
            return replace(state, differing={**state.differing, event.found.account: event})
        case DifferenceSettled():
            left = {account: known for account, known in state.differing.items() if account != event.account}
            return replace(state, differing=left)


RECONCILIATION = "reconciliation"
"""The stream of it."""
reconciliation: Decider[RecordReconciliation, Reconciled, ReconciliationEvent] = Decider(Reconciled(), decide, evolve)
