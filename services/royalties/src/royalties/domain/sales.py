"""Sales off the chain, as they are told and as they are posted; what is taken back of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from royalties.domain.books import Entries, Posting, Reference, Refused, postings_of
from royalties.domain.terms import BPS, SaleKind


@dataclass(frozen=True, slots=True)
class Sale:
    """What was sold, or given as a tip, off the chain; `agreement` says who shares it.

    A secondary sale has a seller, and only its royalty is shared. Buyers and sellers are opaque ids, never a person's.
    """

    reference: Reference
    agreement: str
    kind: SaleKind
    asset: str
    amount: int
    source: str  # who took the money in
    occurred_at: datetime
    track_id: int | None = None
    buyer: str | None = None
    seller: str | None = None
    royalty: int | None = None

    def check(self) -> None:
        """Raises Refused unless the parts fit together."""
        if self.amount <= 0:
            raise Refused("amount-invalid", f"expected an amount above 0, got {self.amount}")
        if self.kind is not SaleKind.SECONDARY:
            if self.seller is not None or self.royalty is not None:
                raise Refused("sale-invalid", f"only a secondary sale has a seller and a royalty, not a {self.kind}")
        elif self.seller is None or self.royalty is None or not 0 <= self.royalty < self.amount:
            raise Refused("sale-invalid", "a secondary sale has a seller, and a royalty below its amount")

    def divided(self, left: int, fee_bps: int) -> Division:
        """Where the money goes, if `left` of the amount stands; each part rounded down for the one before it.

        No part shrinks as `left` grows, so what a refund takes back is never below zero.
        """
        shared = left if self.royalty is None else self.royalty * left // self.amount
        fee = shared * fee_bps // BPS
        return Division(left - shared, fee, shared - fee)


@dataclass(frozen=True, slots=True)
class Refund:
    """A buyer got back some or all of what a sale had brought. `sale` has its reference."""

    reference: Reference
    sale: Reference
    amount: int
    reason: str
    occurred_at: datetime


@dataclass(frozen=True, slots=True)
class Reversal:
    """A correction: the sale or the refund `of` was recorded by mistake, says `author`."""

    reference: Reference
    of: Reference
    reason: str
    author: str


class Division(NamedTuple):
    to_seller: int
    fee: int
    net: int  # for those who share


@dataclass(frozen=True, slots=True)
class _Posted:
    """What moves money by the split of one version: the net by tier, and every line."""

    version: int
    tiers: tuple[tuple[int, int], ...]
    entries: Entries

    @property
    def split_version(self) -> int:
        return self.version


@dataclass(frozen=True, slots=True)
class SalePosted(_Posted):
    sale: Sale
    terms: int  # the version of the platform's terms; 0: there were none
    fee_bps: int

    @property
    def reference(self) -> Reference:
        return self.sale.reference

    @property
    def track_id(self) -> int | None:
        return self.sale.track_id

    @property
    def asset(self) -> str:
        return self.sale.asset

    @property
    def kind(self) -> SaleKind:
        return self.sale.kind

    @property
    def postings(self) -> tuple[Posting, ...]:
        return postings_of(self.sale.asset, self.entries)

    @property
    def line_kind(self) -> str:
        return f"{self.sale.kind}-sale"

    @property
    def division(self) -> Division:
        """Where all of the amount went."""
        return self.sale.divided(self.sale.amount, self.fee_bps)


@dataclass(frozen=True, slots=True)
class _Changed(_Posted):
    """Another amount of a sale stands than before: `left`."""

    sale: Reference
    agreement: str
    kind: SaleKind
    asset: str
    track_id: int | None
    left: int

    @property
    def postings(self) -> tuple[Posting, ...]:
        return postings_of(self.asset, self.entries)


@dataclass(frozen=True, slots=True)
class RefundPosted(_Changed):
    """Recipients who were paid their part before owe it: their earnings may fall below zero."""

    refund: Refund

    @property
    def reference(self) -> Reference:
        return self.refund.reference

    @property
    def line_kind(self) -> str:
        return f"{self.kind}-refund"


@dataclass(frozen=True, slots=True)
class ReversalPosted(_Changed):
    """What still stood of a sale is taken back, or a refund is undone; each once."""

    reversal: Reversal

    @property
    def reference(self) -> Reference:
        return self.reversal.reference

    @property
    def line_kind(self) -> str:
        return f"{self.kind}-reversal"


@dataclass(frozen=True, slots=True)
class CarryGivenOut:
    """A version was followed by another: what rounding down has left of it goes to the largest remainders."""

    agreement: str
    version: int
    tier: int
    asset: str
    entries: Entries

    @property
    def split_version(self) -> int:
        return self.version

    @property
    def postings(self) -> tuple[Posting, ...]:
        return postings_of(self.asset, self.entries)

    @property
    def line_kind(self) -> str:
        return "carry"


@dataclass(frozen=True, slots=True)
class GroupShared(_Posted):
    """An agreement's share of another's money went on to those who share it; below zero, it was taken back."""

    agreement: str
    path: str  # agreements with their versions, from that of the sale: song/1/band/2
    asset: str
    amount: int
    kind: SaleKind | None  # None: it was given out of carry
    reference: Reference | None  # of the sale, the refund or the correction that it comes from
    track_id: int | None

    @property
    def postings(self) -> tuple[Posting, ...]:
        return postings_of(self.asset, self.entries)

    @property
    def line_kind(self) -> str:
        return "carry" if self.kind is None else f"{self.kind}-share"


# ---- commands ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PostSale:
    sale: Sale
    terms: int
    fee_bps: int


@dataclass(frozen=True, slots=True)
class PostRefund:
    refund: Refund
    sale: SalePosted


@dataclass(frozen=True, slots=True)
class PostReversal:
    """`refund` is the one to undo; None: the sale itself."""

    reversal: Reversal
    sale: SalePosted
    refund: RefundPosted | None


SaleEvent = SalePosted | RefundPosted | ReversalPosted | CarryGivenOut | GroupShared
