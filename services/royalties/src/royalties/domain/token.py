"""A token's sales. A transfer without a sale moves no money and carries no royalty, so it is no event here."""

from __future__ import annotations

from dataclasses import dataclass

from contracts.chain import PaymentKind, Source
from contracts.values import Address, Amount, Uint256
from eventlog import Decider
from royalties.domain.books import (
    CUSTODY_MUSIC_NFT,
    NOWHERE,
    Contradiction,
    Place,
    Posting,
    credit,
    debit,
    entry,
    place,
)
from royalties.domain.books import seller as seller_account


@dataclass(frozen=True, slots=True)
class RecordSale:
    """`forwarded_sun` went on to RoyaltyDistributor: all of a primary sale's price, a secondary sale's royalty."""

    token_id: Uint256
    track_id: Uint256
    seller: Address
    buyer: Address
    price_sun: Amount
    forwarded_sun: Amount
    kind: PaymentKind
    source: Source


@dataclass(frozen=True, slots=True)
class SaleRecorded:
    """An edition was sold. The postings are what MusicNFT keeps for the seller: for a primary sale, nothing.

    What it forwarded is posted by the payment at RoyaltyDistributor, in the same transaction of the chain.
    """

    token_id: Uint256
    track_id: Uint256
    seller: Address
    buyer: Address
    price_sun: Amount
    forwarded_sun: Amount
    kind: PaymentKind
    source: Source
    postings: tuple[Posting, ...]

    @property
    def line_kind(self) -> str:
        return "sale"


def decide(command: RecordSale, last: Place) -> list[SaleRecorded]:
    if place(command.source) <= last:
        return []
    kept_sun = command.price_sun - command.forwarded_sun
    if kept_sun < 0:
        raise Contradiction(
            f"token {command.token_id}: a royalty of {command.forwarded_sun} sun exceeds the price of "
            f"{command.price_sun} sun ({command.source})"
        )
    return [
        SaleRecorded(
            command.token_id,
            command.track_id,
            command.seller,
            command.buyer,
            command.price_sun,
            command.forwarded_sun,
            command.kind,
            command.source,
            entry(debit(CUSTODY_MUSIC_NFT, kept_sun), credit(seller_account(command.seller), kept_sun)),
        )
    ]


token: Decider[RecordSale, Place, SaleRecorded] = Decider(NOWHERE, decide, lambda _, sale: place(sale.source))
