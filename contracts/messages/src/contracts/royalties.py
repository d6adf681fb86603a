"""What the royalties service tells the others."""

from __future__ import annotations

from pydantic import Field

from contracts.chain import PaymentKind, Source
from contracts.envelope import Message
from contracts.values import Address, Amount, Uint256


class SaleRecorded(Message, type="royalties.events.SaleRecorded.v1"):
    """An edition changed hands for money; prices in sun."""

    token_id: Uint256
    track_id: Uint256
    seller: Address
    buyer: Address
    price_sun: Amount
    kind: PaymentKind
    source: Source


class RoyaltyEarned(Message, type="royalties.events.RoyaltyEarned.v1"):
    """A party's share of one payment, as posted to the books."""

    track_id: Uint256
    payment_id: Uint256
    recipient: Address
    amount_sun: Amount
    split_version: int = Field(ge=0)
    source: Source


class RoyaltyPaidOut(Message, type="royalties.events.RoyaltyPaidOut.v1"):
    """A party took out earnings; final."""

    recipient: Address
    amount_sun: Amount
    source: Source
