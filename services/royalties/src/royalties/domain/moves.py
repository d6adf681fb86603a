"""Two-phase moves: money of a party is reserved, and later posted, voided, or given up when its time is over.

As pending transfers of a ledger: what is reserved can't be spent again, and each reservation ends once.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import assert_never

from eventlog import Decider
from royalties.domain import books
from royalties.domain.books import Entries, Posting, Reference, Refused, postings_of

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
class ReserveMove:
    """`available` is what the account holds, as far as its owner's books are known to whoever asks."""

    reference: Reference
    party: str
    account: str
    to: str
    asset: str
    amount: int
    available: int
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class PostMove:
    """None: all that was reserved."""

    at: datetime
    amount: int | None = None


@dataclass(frozen=True, slots=True)
class VoidMove:
    reason: str


@dataclass(frozen=True, slots=True)
class ExpireMove:
    at: datetime


MoveCommand = ReserveMove | PostMove | VoidMove | ExpireMove


@dataclass(frozen=True, slots=True)
class Move:
    reserved: MoveReserved | None = None
    end: MovePosted | MoveVoided | MoveExpired | None = None


def decide(command: MoveCommand, move: Move) -> list[MoveEvent]:
    """Nothing for what was done before. Raises Refused for anything else once the move has ended."""
    if isinstance(command, ReserveMove):
        return _reserve(command, move)
    if move.reserved is None:
        raise Refused("not-reserved", "there is no such reservation")
    event = _end(command, move.reserved)
    if event is None or event == move.end:
        return []
    if move.end is not None:
        raise Refused("move-ended", f"move {move.reserved.reference} has ended: {move.end.line_kind}")
    if isinstance(command, PostMove) and command.at >= move.reserved.expires_at:
        raise Refused("move-expired", f"move {move.reserved.reference} was reserved until {move.reserved.expires_at}")
    return [event]


def _reserve(command: ReserveMove, move: Move) -> list[MoveEvent]:
    amount, aside = command.amount, books.reserved(command.party)
    reserved = MoveReserved(
        command.reference, command.asset, books.balanced([(command.account, amount), (aside, -amount)]),
        command.party, command.account, command.to, amount, command.expires_at,
    )  # fmt: skip
    if move.reserved == reserved:
        return []
    if move.reserved is not None:
        raise Refused("move-conflict", f"move {command.reference} was reserved before, with other contents")
    if not 0 < amount <= command.available:
        raise Refused("balance-too-small", f"asked for {amount}, available are {command.available}")
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


def evolve(move: Move, event: MoveEvent) -> Move:
    return Move(reserved=event) if isinstance(event, MoveReserved) else Move(move.reserved, event)


move: Decider[MoveCommand, Move, MoveEvent] = Decider(Move(), decide, evolve)
