"""What an account has taken out of the contracts that owed it money."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from contracts.chain import Source
from contracts.values import Address, Amount
from eventlog import Decider
from royalties.domain.books import (
    CUSTODY_DISTRIBUTOR,
    CUSTODY_MUSIC_NFT,
    DISTRIBUTOR,
    NOWHERE,
    Place,
    Posting,
    earnings,
    place,
    seller,
    transfer,
)


@dataclass(frozen=True, slots=True)
class PostWithdrawal:
    account: Address
    contract: str  # DISTRIBUTOR or MUSIC_NFT
    amount_sun: Amount
    source: Source


@dataclass(frozen=True, slots=True)
class WithdrawalPosted:
    """An account fetched what a contract owed it: earnings at RoyaltyDistributor, a seller's proceeds at MusicNFT.

    Whether it was owed as much can't be told here: the credits have other keys, so they may arrive later. Until then
    the account is overdrawn, for everyone to see.
    """

    account: Address
    contract: str
    amount_sun: Amount
    source: Source
    postings: tuple[Posting, ...]

    @property
    def line_kind(self) -> str:
        return "payout" if self.contract == DISTRIBUTOR else "proceeds-payout"


LastOf = Mapping[str, Place]  # the two contracts' messages are not ordered among each other


def decide(command: PostWithdrawal, last: LastOf) -> list[WithdrawalPosted]:
    if place(command.source) <= last.get(command.contract, NOWHERE):
        return []
    if command.contract == DISTRIBUTOR:
        owed, held = earnings(command.account), CUSTODY_DISTRIBUTOR
    else:
        owed, held = seller(command.account), CUSTODY_MUSIC_NFT
    postings = transfer(owed, held, command.amount_sun)
    return [WithdrawalPosted(command.account, command.contract, command.amount_sun, command.source, postings)]


def evolve(last: LastOf, event: WithdrawalPosted) -> LastOf:
    return {**last, event.contract: place(event.source)}


account: Decider[PostWithdrawal, LastOf, WithdrawalPosted] = Decider(MappingProxyType({}), decide, evolve)
