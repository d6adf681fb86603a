"""What the royalties service tells the others."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from contracts.chain import PaymentKind, Source
from contracts.envelope import Message
from contracts.values import Address, Amount, Hash, SignedAmount, Time, Uint256


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


class Part(BaseModel):
    """What a party's earnings changed by; below zero where it was taken back."""

    recipient: str = Field(description="opaque subject id, an address, or agreement:<name> (see GroupShared)")
    amount: SignedAmount


class SalePosted(Message, type="royalties.events.SalePosted.v1"):
    """A sale off the chain, or a tip, was divided and posted to the books."""

    caller: str
    sale_id: str
    agreement: str
    split_version: int = Field(ge=1)
    kind: Literal["purchase", "tip", "primary", "secondary"]
    asset: str
    amount: Amount
    fee: Amount
    track_id: Uint256 | None
    parts: tuple[Part, ...]
    occurred_at: Time


class RefundPosted(Message, type="royalties.events.RefundPosted.v1"):
    """Some or all of a sale off the chain was given back."""

    caller: str
    refund_id: str
    sale_id: str
    agreement: str
    asset: str
    amount: Amount
    left: Amount = Field(description="what still stands of the sale")
    parts: tuple[Part, ...]
    occurred_at: Time


class ReversalPosted(Message, type="royalties.events.ReversalPosted.v1"):
    """A sale off the chain, or a refund, had been recorded by mistake, and was undone."""

    caller: str = Field(description="of the sale")
    sale_id: str
    of_id: str = Field(description="the sale's or the refund's")
    agreement: str
    asset: str
    left: Amount = Field(description="what still stands of the sale")
    parts: tuple[Part, ...]
    reason: str


class GroupShared(Message, type="royalties.events.GroupShared.v1"):
    """An agreement's share of another's money was shared on; below zero, it was taken back."""

    agreement: str
    split_version: int = Field(ge=1)
    path: str = Field(description="agreements with their versions, from that of the sale: song/1/band/2")
    asset: str
    amount: SignedAmount
    caller: str | None
    reference: str | None = Field(description="of the sale, refund or correction; null: it came from carry")
    parts: tuple[Part, ...]


class CommandRefused(Message, type="royalties.events.CommandRefused.v1"):
    """A command of `royalties.commands` was not followed."""

    caller: str
    command_id: str
    code: str
    detail: str


class AssetRegistered(Message, type="royalties.events.AssetRegistered.v1"):
    """An asset beside TRX (6), USD (2) and DCMX (18): amounts are in units of 10^-scale."""

    asset: str
    scale: int = Field(ge=0)


class PeriodClosed(Message, type="royalties.events.PeriodClosed.v1"):
    """The statements of a period are issued; revisions above 1 hold those that late facts have changed.

    Who keeps the root can check any of these statements, years later and with nothing else.
    """

    period: str = Field(description="a month, a quarter or a year: 2026-01, 2026-Q1, 2026")
    since: Time
    until: Time = Field(description="the first moment that no longer belongs to it")
    revision: int = Field(ge=1)
    statements: int = Field(ge=1)
    root: Hash = Field(description="of the Merkle tree (RFC 6962) over the blinded hashes of these statements")


class DistributionOpened(Message, type="royalties.events.DistributionOpened.v1"):
    """Revenue is to be shared among holders; it may still be cancelled."""

    distribution_id: str
    pool: str = Field(description="platform, or the address of the artist whose revenue it is")
    period: str = Field(description="a quarter: 2026-Q3")
    asset: str
    amount: Amount
    holding: Literal["dcmx-token", "music-nft"]
    track_id: Uint256 | None = Field(description="of the editions that have a share, if only those")
    block_number: int = Field(ge=0, description="those share who held something after it")


class DistributionCancelled(Message, type="royalties.events.DistributionCancelled.v1"):
    """Nobody was paid, and nobody will be."""

    distribution_id: str


class DistributionPaid(Message, type="royalties.events.DistributionPaid.v1"):
    """A holder was paid its share, with what earlier ones had carried forward; final."""

    distribution_id: str
    recipient: Address
    asset: str
    amount: Amount
    tx_id: Hash
    block_number: int = Field(ge=0)


class DistributionReconciled(Message, type="royalties.events.DistributionReconciled.v1"):
    """It has ended: shared + brought = paid + given_up + carried."""

    distribution_id: str
    shared: Amount
    brought: Amount = Field(description="carried forward by earlier ones, and paid along")
    paid: Amount
    given_up: Amount = Field(description="could not be paid, and is carried forward")
    carried: Amount = Field(description="held, too little, or without a tax form: carried forward")
    dust: Amount = Field(description="rounding down has left it; it went back to the pool")
    differing: int | None = Field(None, description="payments that the chain shows otherwise; null: nobody has looked")
