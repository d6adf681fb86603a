"""What an address gets from a pool in a day: RewardVault limits that, so it is counted here before it refuses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

from contracts.chain import Pool
from contracts.values import Address, Amount, Hash
from eventlog import Decider
from rewards.domain.usage import Usage


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


def evolve_wallet(wallet: Usage, event: WalletEvent) -> Usage:
    match event:
        case WalletReserved(amount=amount):
            return wallet.reserve(amount)
        case WalletReleased(amount=amount):
            return wallet.release(amount)
        case WalletPaid(amount=amount, day=day):
            return (wallet.release(amount) if event.reserved else wallet).pay(amount, day)
        case never:
            assert_never(never)


wallet: Decider[object, Usage, WalletEvent] = Decider(Usage(), lambda _, __: (), evolve_wallet)
