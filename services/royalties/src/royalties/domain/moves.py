"""Two-phase moves: what a party is owed off the chain is reserved to be paid, and then posted, voided, or expired.

As pending transfers of a ledger: what is reserved can't be spent again, and each reservation ends once. The moves of a
party are one stream, so no two of them are made of the same money.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import assert_never

from eventlog import Decider
from royalties.domain import books
from royalties.domain.books import BooksMoved, Entries, Posting, Reference, Refused, postings_of

# ---- events -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Moved:
    reference: Reference
    asset: str
    entries: Entries

    @property
    def postings(self) -> tuple[Posting, ...]:
        return postings_of(self.asset, self.entries)


@dataclass(frozen=True, slots=True)
class MoveReserved(_Moved):
    """Set aside of what a party is owed in `account`, to go to `to` (a payout's means, for instance)."""

    party: str
    account: str
    to: str
    amount: int
    expires_at: datetime

    @property
    def line_kind(self) -> str:
        return "reserved"


@dataclass(frozen=True, slots=True)
class MovePosted(_Moved):
    """It took place, with `amount` of what was reserved; the rest is the party's again."""

    amount: int

    @property
    def line_kind(self) -> str:
        return "paid"


@dataclass(frozen=True, slots=True)
class MoveVoided(_Moved):
    reason: str

    @property
    def line_kind(self) -> str:
        return "void"


@dataclass(frozen=True, slots=True)
class MoveExpired(_Moved):
    @property
    def line_kind(self) -> str:
        return "expired"


MoveEvent = MoveReserved | MovePosted | MoveVoided | MoveExpired

# ---- commands ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Funds:
    """What an account held when its party had made so many moves; what is reserved is no longer in it."""

    amount: int
    moves: int


@dataclass(frozen=True, slots=True)
class ReserveMove:
    """`funds` are looked up when it is decided."""

    reference: Reference
    party: str
    account: str
    to: str
    asset: str
    amount: int
    expires_at: datetime
    funds: Funds = Funds(0, 0)


@dataclass(frozen=True, slots=True)
class PostMove:
    """`amount` is None for all that was reserved."""

    reference: Reference
    at: datetime
    amount: int | None = None


@dataclass(frozen=True, slots=True)
class VoidMove:
    reference: Reference
    reason: str


@dataclass(frozen=True, slots=True)
class ExpireMove:
    reference: Reference
    at: datetime


MoveCommand = ReserveMove | PostMove | VoidMove | ExpireMove


@dataclass(frozen=True, slots=True)
class Move:
    reserved: MoveReserved
    end: MovePosted | MoveVoided | MoveExpired | None = None


Moves = Mapping[Reference, Move]
"""All moves of a party."""


def decide(command: MoveCommand, moves: Moves) -> list[MoveEvent]:
    """Nothing for what was done before. Raises Refused for anything else once the move has ended, BooksMoved."""
    move = moves.get(command.reference)
    if isinstance(command, ReserveMove):
        return _reserve(command, move, len(moves))
    if move is None:
        raise Refused("not-reserved", f"move {command.reference} was never reserved")
    event = _end(command, move.reserved)
    if event is None or event == move.end:
        return []
    if move.end is not None:
        raise Refused("move-ended", f"move {command.reference} has ended: {move.end.line_kind}")
    if isinstance(command, PostMove) and command.at >= move.reserved.expires_at:
        raise Refused("move-expired", f"move {command.reference} was reserved until {move.reserved.expires_at}")
    return [event]


def _reserve(command: ReserveMove, before: Move | None, moves: int) -> list[MoveEvent]:
    amount, aside = command.amount, books.reserved(command.party)
    reserved = MoveReserved(
        command.reference, command.asset, books.balanced([(command.account, amount), (aside, -amount)]),
        command.party, command.account, command.to, amount, command.expires_at,
    )  # fmt: skip
    if before is not None:
        if before.reserved == reserved:
            return []
        raise Refused("move-conflict", f"move {command.reference} was reserved before, with other contents")
    if command.funds.moves != moves:
        raise BooksMoved(f"{command.party}: {moves} moves were made, not {command.funds.moves}")
    if not 0 < amount <= command.funds.amount:
        raise Refused("balance-too-small", f"asked for {amount}, available are {command.funds.amount}")
    return [reserved]


def _end(command: PostMove | VoidMove | ExpireMove, reserved: MoveReserved) -> MoveEvent | None:
    amount, aside = reserved.amount, books.reserved(reserved.party)
    back = books.balanced([(aside, amount), (reserved.account, -amount)])
    match command:
        case PostMove(amount=wanted):
            posted = amount if wanted is None else wanted
            if not 0 < posted <= amount:
                raise Refused("amount-invalid", f"expected 1 to {amount}, which are reserved, got {posted}")
            lines = [(aside, amount), (reserved.to, -posted), (reserved.account, posted - amount)]
            return MovePosted(reserved.reference, reserved.asset, books.balanced(lines), posted)
        case VoidMove(reason=reason):
            return MoveVoided(reserved.reference, reserved.asset, back, reason)
        case ExpireMove(at=at):
            return MoveExpired(reserved.reference, reserved.asset, back) if at >= reserved.expires_at else None
        case never:
            assert_never(never)


def evolve(moves: Moves, event: MoveEvent) -> Moves:
    if isinstance(event, MoveReserved):
        return {**moves, event.reference: Move(event)}
    return {**moves, event.reference: Move(moves[event.reference].reserved, event)}


moves: Decider[MoveCommand, Moves, MoveEvent] = Decider(MappingProxyType({}), decide, evolve)
