"""What happens to a track at RoyaltyDistributor, and what the chain says of it; `track.py` decides."""

from __future__ import annotations

from dataclasses import dataclass

from contracts.chain import PaymentKind, Source
from contracts.values import Address, Amount, Uint256
from royalties.domain.books import Posting
from royalties.domain.split import Share

# ---- events -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TrackRegistered:
    track_id: Uint256
    artist: Address
    title: str
    artist_name: str
    royalty_bps: int
    source: Source


@dataclass(frozen=True, slots=True)
class SplitControlAccepted:
    """From here on, `controller` sets the split; and is paid alone while there is none."""

    track_id: Uint256
    controller: Address
    source: Source


@dataclass(frozen=True, slots=True)
class SplitSet:
    track_id: Uint256
    version: int
    shares: tuple[Share, ...]
    source: Source


@dataclass(frozen=True, slots=True)
class PaymentPosted:
    """The fee is the platform's; the rest is held under the split in force until it is credited."""

    track_id: Uint256
    payment_id: Uint256
    payer: Address
    kind: PaymentKind
    amount_sun: Amount
    fee_sun: Amount
    split_version: int
    source: Source
    postings: tuple[Posting, ...]

    @property
    def line_kind(self) -> str:
        return "payment"


@dataclass(frozen=True, slots=True)
class RoyaltyPosted:
    """A collaborator's part of a payment. It can exceed the payment's share by dust that earlier ones left."""

    track_id: Uint256
    payment_id: Uint256
    recipient: Address
    amount_sun: Amount
    kind: PaymentKind
    split_version: int
    source: Source
    postings: tuple[Posting, ...]

    @property
    def line_kind(self) -> str:
        return f"royalty-{self.kind.name.lower()}"


@dataclass(frozen=True, slots=True)
class CarrySettlementPosted:
    """A version closes: a collaborator gets a sun of what rounding down has left."""

    track_id: Uint256
    split_version: int
    recipient: Address
    amount_sun: Amount
    source: Source
    postings: tuple[Posting, ...]

    @property
    def line_kind(self) -> str:
        return "carry"


@dataclass(frozen=True, slots=True)
class SplitDifferenceFound:
    """The chain credited another amount than the split says. It stands as the chain has it; a person should look."""

    track_id: Uint256
    split_version: int
    payment_id: Uint256 | None  # None: the settlement of the carry
    recipient: Address
    expected_sun: Amount
    credited_sun: Amount
    source: Source


TrackEvent = (
    TrackRegistered
    | SplitControlAccepted
    | SplitSet
    | PaymentPosted
    | RoyaltyPosted
    | CarrySettlementPosted
    | SplitDifferenceFound
)

# ---- commands ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SetSplit:
    track_id: Uint256
    version: int
    recipients: tuple[Address, ...]
    shares_ppm: tuple[int, ...]
    source: Source


@dataclass(frozen=True, slots=True)
class PostPayment:
    track_id: Uint256
    payment_id: Uint256
    payer: Address
    kind: PaymentKind
    amount_sun: Amount
    fee_sun: Amount
    split_version: int
    source: Source


@dataclass(frozen=True, slots=True)
class PostRoyalty:
    track_id: Uint256
    payment_id: Uint256
    recipient: Address
    amount_sun: Amount
    source: Source


@dataclass(frozen=True, slots=True)
class SettleCarry:
    track_id: Uint256
    split_version: int
    recipient: Address
    amount_sun: Amount
    source: Source


TrackCommand = TrackRegistered | SplitControlAccepted | SetSplit | PostPayment | PostRoyalty | SettleCarry
