"""What an address gets from a pool in a day: RewardVault limits that, so it is counted here before it refuses."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import assert_never

from contracts.chain import Pool
from contracts.values import Address, Amount, Hash
from eventlog import Decider


@dataclass(frozen=True, slots=True)
class WalletReserved:
    claim_id: Hash
    pool: Pool
    address: Address
    amount: Amount


@dataclass(frozen=True, slots=True)
class WalletReleased:
    claim_id: Hash
    pool: Pool
    address: Address
    amount: Amount


@dataclass(frozen=True, slots=True)
class WalletPaid:
    claim_id: Hash
    pool: Pool
    address: Address
    amount: Amount
    day: int  # days since 1970-01-01 UTC, as the vault counted them
    reserved: bool


WalletEvent = WalletReserved | WalletReleased | WalletPaid


@dataclass(frozen=True, slots=True)
class Wallet:
    """One address at one pool.

    What is on its way counts on every day, because nobody knows on which it will be paid. So whatever the order and
    the day of the payments, the vault never finds the limit exceeded by what this service has authorised.
    """

    reserved: int = 0
    day: int = 0  # the latest one on which something was paid
    paid_that_day: int = 0

    def used_on(self, day: int) -> int:
        """What counts towards the limit of a day."""
        return self.reserved + (self.paid_that_day if self.day == day else 0)


def evolve_wallet(wallet: Wallet, event: WalletEvent) -> Wallet:
    match event:
        case WalletReserved(amount=amount):
            return replace(wallet, reserved=wallet.reserved + amount)
        case WalletReleased(amount=amount):
            return replace(wallet, reserved=wallet.reserved - amount)
        case WalletPaid(amount=amount, day=day):
            reserved = wallet.reserved - (amount if event.reserved else 0)
            if day < wallet.day:  # events of two claims may come in another order than they were paid
                return replace(wallet, reserved=reserved)
            return Wallet(reserved, day, amount + (wallet.paid_that_day if wallet.day == day else 0))
        case never:
            assert_never(never)


wallet: Decider[object, Wallet, WalletEvent] = Decider(Wallet(), lambda _, __: (), evolve_wallet)
