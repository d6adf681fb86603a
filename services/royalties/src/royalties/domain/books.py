"""Double entry: accounts with a normal side, and postings that balance. Pure, like everything in this package.

The books are those of the two contracts that hold money: what they hold (custody) equals what they owe, per asset, at
any time. Amounts are in the asset's smallest unit; for TRX that is sun.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from contracts.chain import Source
from contracts.values import Address, Amount

TRX = "TRX"
SCALES: Mapping[str, int] = {TRX: 6}
"""Decimals of each asset: 1 TRX = 10^6 sun."""


class Side(StrEnum):
    DEBIT = "debit"
    CREDIT = "credit"


class AccountClass(StrEnum):
    """The part of an account's name before the colon."""

    CUSTODY = "custody"  # custody:<contract>: what a contract holds
    EARNINGS = "earnings"  # earnings:<address>: what RoyaltyDistributor owes to a collaborator
    SELLER = "seller"  # seller:<address>: what MusicNFT owes to a seller
    CARRY = "carry"  # carry:<track>/<split version>: received under a split and not given out yet
    PLATFORM_FEE = "platform-fee"  # what payments left to the platform

    @property
    def normal_side(self) -> Side:
        """The side on which accounts of this class grow: debit for what is held, credit for what is owed."""
        return Side.DEBIT if self is AccountClass.CUSTODY else Side.CREDIT


DISTRIBUTOR = "royalty-distributor"
MUSIC_NFT = "music-nft"

CUSTODY_DISTRIBUTOR = f"custody:{DISTRIBUTOR}"
CUSTODY_MUSIC_NFT = f"custody:{MUSIC_NFT}"
PLATFORM_FEE = "platform-fee"


def earnings(recipient: Address) -> str:
    """The account of what RoyaltyDistributor owes to a collaborator."""
    return f"earnings:{recipient}"


def seller(address: Address) -> str:
    """The account of what MusicNFT owes to a seller."""
    return f"seller:{address}"


def carry(track_id: int, split_version: int) -> str:
    """The account of what was received under a version of a split and not given out yet."""
    return f"carry:{track_id}/{split_version}"


def class_of(account: str) -> AccountClass:
    """The class that an account's name begins with. Raises ValueError for a name of no class."""
    return AccountClass(account.partition(":")[0])


@dataclass(frozen=True, slots=True)
class Posting:
    """One line of an entry. `amount` is positive; which way it goes says `side`."""

    account: str
    asset: str
    side: Side
    amount: Amount


def debit(account: str, amount: int, asset: str = TRX) -> Posting:
    return Posting(account, asset, Side.DEBIT, amount)


def credit(account: str, amount: int, asset: str = TRX) -> Posting:
    return Posting(account, asset, Side.CREDIT, amount)


def entry(*postings: Posting) -> tuple[Posting, ...]:
    """The postings of one event without those of nothing; raises ValueError unless they balance for each asset."""
    sums: Counter[str] = Counter()
    for posting in postings:
        if posting.amount < 0:
            raise ValueError(f"posting to {posting.account}: expected an amount of at least 0, got {posting.amount}")
        sums[posting.asset] += posting.amount if posting.side is Side.DEBIT else -posting.amount
    if unbalanced := {asset: difference for asset, difference in sums.items() if difference}:
        raise ValueError(f"postings do not balance: debits exceed credits by {unbalanced}")
    return tuple(posting for posting in postings if posting.amount)


class Contradiction(Exception):
    """The chain can't have done what the message says, given what it did before: the message is put aside."""


Place = tuple[int, int]
"""Where a fact stands on the chain: block number, log index."""
NOWHERE: Place = (-1, -1)


def place(source: Source) -> Place:
    """Messages of one key come in this order, so what stands at or before the last one is a repetition."""
    return (source.block_number, source.log_index)
