"""Double entry: accounts with a normal side, and postings that balance. Pure, like everything in this package.

What is held (by a contract: custody; by whom the platform is paid through: clearing) equals what is owed and what was
paid out, per asset, at any time. Amounts are in the asset's smallest unit; for TRX that is sun.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from contracts.chain import Source

TRX, USD, DCMX = "TRX", "USD", "DCMX"
SCALES: Mapping[str, int] = {TRX: 6, USD: 2, DCMX: 18}
"""Decimals of the assets that everybody knows: 1 TRX = 10^6 sun. Others are registered: a TRC-20 token by the
contract's address, a creator's coin as coin:<creator>."""


class Side(StrEnum):
    DEBIT = "debit"
    CREDIT = "credit"


class AccountClass(StrEnum):
    """The part of an account's name before the colon."""

    CUSTODY = "custody"  # custody:<contract>: what a contract holds
    CLEARING = "clearing"  # clearing:<source>: what was taken in off the chain, by whom
    EARNINGS = "earnings"  # earnings:<party>: what a collaborator is owed
    GROUP = "group"  # group:<agreement>: an agreement's share of another's money, on its way to those who share it
    SELLER = "seller"  # seller:<party>: what a seller is owed
    RESERVED = "reserved"  # reserved:<party>: set aside of what a party is owed, on its way to be paid
    PAID_OUT = "paid-out"  # paid-out:<means>: what left the books off the chain, by which means
    CARRY = "carry"  # carry:<track>/<version> or carry:<agreement>/<version>/<tier>: received, not given out yet
    PLATFORM_FEE = "platform-fee"  # what payments left to the platform
    POOL = "pool"  # pool:<pool>: revenue that is to be shared
    DISTRIBUTION = "distribution"  # distribution:<id>: set aside for one, not credited to anybody yet
    CARRIED = "carried"  # carried:<party>: shared, and waits for the next distribution: too little, or held
    RETURNED = "returned"  # returned:<party>: its payment failed; it waits for another attempt

    @property
    def normal_side(self) -> Side:
        """The side on which accounts of this class grow: debit for what is held, credit for what is owed."""
        return Side.DEBIT if self in (AccountClass.CUSTODY, AccountClass.CLEARING) else Side.CREDIT

    @property
    def of_party(self) -> bool:
        """Whether accounts of this class are a party's own, so that their lines are on its statement."""
        return self in PARTY_CLASSES


PARTY_CLASSES: frozenset[str] = frozenset(
    {
        AccountClass.EARNINGS,
        AccountClass.SELLER,
        AccountClass.RESERVED,
        AccountClass.CARRIED,
        AccountClass.RETURNED,
    }
)
"""The names of the classes whose accounts are a party's own."""

DISTRIBUTOR = "royalty-distributor"
MUSIC_NFT = "music-nft"

CUSTODY_DISTRIBUTOR = f"custody:{DISTRIBUTOR}"
CUSTODY_MUSIC_NFT = f"custody:{MUSIC_NFT}"
PLATFORM_FEE = "platform-fee"
TREASURY = "custody:treasury"
"""What is in the wallet that pays distributions."""


def clearing(source: str) -> str:
    """The account of what `source`, a payment provider for instance, has taken in off the chain."""
    return f"clearing:{source}"


def earnings(party: str) -> str:
    """The account of what a collaborator is owed: an address by RoyaltyDistributor, another party by the platform."""
    return f"earnings:{party}"


GROUP_PREFIX = "agreement:"
"""How a recipient is called that is an agreement itself: a band inside a split."""


def share_of(recipient: str) -> str:
    """The account that a share of money goes to: a party's earnings, or an agreement's, to be shared in turn."""
    return group(recipient.removeprefix(GROUP_PREFIX)) if recipient.startswith(GROUP_PREFIX) else earnings(recipient)


def group(agreement: str) -> str:
    """The account of an agreement's share of another's money, which is shared on in the same append."""
    return f"group:{agreement}"


def seller(party: str) -> str:
    """The account of what a seller is owed: an address by MusicNFT, another party by the platform."""
    return f"seller:{party}"


def reserved(party: str) -> str:
    """The account of what is set aside to be paid to a party."""
    return f"reserved:{party}"


def paid_out(means: str) -> str:
    """The account of what left the books off the chain by these means."""
    return f"paid-out:{means}"


def carry(of: int | str, version: int, tier: int | None = None) -> str:
    """The account of what was received under a version of a track's split, or in a tier of an agreement's version, and
    not given out yet."""
    return f"carry:{of}/{version}" if tier is None else f"carry:{of}/{version}/{tier}"


def pool_account(pool: str) -> str:
    """The account of what a revenue pool has to share."""
    return f"pool:{pool}"


def distribution(distribution_id: str) -> str:
    """The account of what is set aside for a distribution and not credited yet."""
    return f"distribution:{distribution_id}"


def carried(party: str) -> str:
    """The account of what a holder was credited and gets with a later distribution."""
    return f"carried:{party}"


def returned(party: str) -> str:
    """The account of what could not be paid to a holder, and may be tried again."""
    return f"returned:{party}"


_DEBIT, _CREDIT = Side  # asking an enum for a member takes longer than all else about a posting


def class_of(account: str) -> AccountClass:
    """The class that an account's name begins with. Raises ValueError for a name of no class."""
    return AccountClass(account.partition(":")[0])


class Posting(NamedTuple):  # half as long as an object in JSON, and a quarter of the time to make
    """One line of an entry. `amount` is positive; which way it goes says `side`."""

    account: str
    asset: str
    side: Side
    amount: int


def debit(account: str, amount: int, asset: str = TRX) -> Posting:
    return Posting(account, asset, _DEBIT, amount)


def credit(account: str, amount: int, asset: str = TRX) -> Posting:
    return Posting(account, asset, _CREDIT, amount)


def entry(*postings: Posting) -> tuple[Posting, ...]:
    """The postings of one event without those of nothing; raises ValueError unless they balance for each asset."""
    sums: dict[str, int] = {}
    for account, asset, side, amount in postings:
        if amount < 0:
            raise ValueError(f"posting to {account}: expected an amount of at least 0, got {amount}")
        sums[asset] = sums.get(asset, 0) + (amount if side is _DEBIT else -amount)
    if unbalanced := {asset: difference for asset, difference in sums.items() if difference}:
        raise ValueError(f"postings do not balance: debits exceed credits by {unbalanced}")
    return tuple([posting for posting in postings if posting.amount])


def transfer(debited: str, credited: str, amount: int, asset: str = TRX) -> tuple[Posting, ...]:
    """The entry that moves an amount from one account to another; raises ValueError below 0."""
    return entry(debit(debited, amount, asset), credit(credited, amount, asset))


def added(amounts: Mapping[str, int], asset: str, change: int) -> Mapping[str, int]:
    """Amounts by asset, one of which has changed."""
    return {**amounts, asset: amounts.get(asset, 0) + change}


Entries = tuple[tuple[str, int], ...]
"""An entry in one asset: each account once with its amount, debits above zero, credits below. Many lines, few bytes."""


def balanced(entries: Iterable[tuple[str, int]]) -> Entries:
    """The entries without those of nothing; raises ValueError unless they balance."""
    found = tuple([line for line in entries if line[1]])
    if difference := sum([amount for _, amount in found]):
        raise ValueError(f"entries do not balance: debits exceed credits by {difference}")
    return found


def postings_of(asset: str, entries: Entries) -> tuple[Posting, ...]:
    """The postings that entries stand for."""
    return tuple(
        [
            Posting(account, asset, _DEBIT, amount) if amount > 0 else Posting(account, asset, _CREDIT, -amount)
            for account, amount in entries
        ]
    )


def parts_of(entries: Entries, own: str | None = None) -> list[tuple[str, int]]:
    """What everybody's share changed by, groups under their names in splits; below zero where it was taken back.

    `own` is the group, if it is one, whose money is divided.
    """
    mine = f"{AccountClass.EARNINGS}:"
    parts = [(account.removeprefix(mine), -amount) for account, amount in entries if account.startswith(mine)]
    return parts + [(f"{GROUP_PREFIX}{name}", amount) for name, amount in group_parts(entries, own)]


def group_parts(entries: Entries, own: str | None = None) -> list[tuple[str, int]]:
    """What other agreements than `own` got to be shared on, by their names; below zero where it was taken back."""
    theirs = f"{AccountClass.GROUP}:"
    parts = [(account.removeprefix(theirs), -amount) for account, amount in entries if account.startswith(theirs)]
    return [(name, amount) for name, amount in parts if name != own]


@dataclass(frozen=True, slots=True)
class Reference:
    """Where a fact off the chain comes from, as `Source` is for those on it. Whoever tells of it chooses the id.

    It is the idempotency key: the same again has the first result, the same reference with other contents is refused.
    """

    caller: str
    id: str

    def __str__(self) -> str:
        return f"{self.caller}/{self.id}"


class Refused(Exception):
    """A command that can't be followed as things stand; `code` says why to programs, the message to people."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


class BooksMoved(Exception):
    """What a command was made from has changed meanwhile: it is to be made again."""


class Contradiction(Exception):
    """The chain can't have done what the message says, given what it did before: the message is put aside."""


Place = tuple[int, int]
"""Where a fact stands on the chain: block number, log index."""
NOWHERE: Place = (-1, -1)


def place(source: Source) -> Place:
    """Messages of one key come in this order, so what stands at or before the last one is a repetition."""
    return (source.block_number, source.log_index)
