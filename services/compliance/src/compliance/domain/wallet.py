"""A wallet and whose it is, proven by a signature of its key over a text that is made for this once.

One stream per address: a wallet belongs to one user at a time, and to take it over is one decision.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import assert_never

from compliance.domain.refusal import NotOnRecord, NotProven, TooLate
from contracts.values import Address
from eventlog import Decider

LIFETIME = timedelta(minutes=10)
"""How long a challenge can be answered."""


@dataclass(frozen=True, slots=True)
class ProveWallet:
    """`signer` is whose key signed the text of the challenge with this nonce; None if nobody's did."""

    address: Address
    subject: str
    nonce: str
    signature: str
    signer: Address | None
    at: datetime


@dataclass(frozen=True, slots=True)
class UnlinkWallet:
    address: Address
    subject: str


@dataclass(frozen=True, slots=True)
class WalletChallenged:
    """Somebody says that the wallet is theirs, and is asked to sign `text`. A command and its only event."""

    address: Address
    subject: str
    nonce: str  # fresh and random
    site: str  # who asks for the signature
    issued_at: datetime

    @property
    def expires_at(self) -> datetime:
        return self.issued_at + LIFETIME

    @property
    def text(self) -> str:
        """What the wallet has to sign, in the order of EIP-4361. It names everything that the proof is good for."""
        return (
            f"{self.site} wants you to prove that this TRON account is yours:\n{self.address}\n\n"
            f"It will be linked to the user {self.subject}. This moves nothing and costs nothing.\n\n"
            f"Nonce: {self.nonce}\n"
            f"Issued At: {self.issued_at.isoformat()}\n"
            f"Expiration Time: {self.expires_at.isoformat()}"
        )


@dataclass(frozen=True, slots=True)
class WalletLinked:
    """From here on the wallet is this subject's alone. With its challenge the signature can be checked again."""

    address: Address
    subject: str
    nonce: str
    signature: str
    taken_from: str | None


@dataclass(frozen=True, slots=True)
class WalletUnlinked:
    address: Address
    subject: str


WalletCommand = WalletChallenged | ProveWallet | UnlinkWallet
WalletEvent = WalletChallenged | WalletLinked | WalletUnlinked


@dataclass(frozen=True, slots=True)
class Wallet:
    """`nonce` is the one that proved it last; `challenges` are those that can be answered, by subject."""

    owner: str | None = None
    nonce: str | None = None
    challenges: Mapping[str, WalletChallenged] = field(default_factory=lambda: MappingProxyType({}))


def decide(command: WalletCommand, wallet: Wallet) -> list[WalletEvent]:
    match command:
        case WalletChallenged():
            return [command]
        case ProveWallet():
            return _prove(command, wallet)
        case UnlinkWallet(address, subject):
            if wallet.owner not in (subject, None):
                raise NotOnRecord(f"wallet {address}: not linked to {subject}")
            return [WalletUnlinked(address, subject)] if wallet.owner else []
        case never:
            assert_never(never)


def _prove(command: ProveWallet, wallet: Wallet) -> list[WalletEvent]:
    name = f"wallet {command.address}"
    if (wallet.owner, wallet.nonce) == (command.subject, command.nonce):
        return []
    challenge = wallet.challenges.get(command.subject)
    if challenge is None or challenge.nonce != command.nonce:
        raise NotProven(f"{name}: {command.subject} has no open challenge with this nonce")
    if command.at >= challenge.expires_at:
        raise TooLate(f"{name}: the challenge expired at {challenge.expires_at.isoformat()}")
    if command.signer != command.address:
        raise NotProven(f"{name}: expected its own signature, got {command.signer or 'nobody'}'s")
    taken_from = None if wallet.owner == command.subject else wallet.owner
    return [WalletLinked(command.address, command.subject, command.nonce, command.signature, taken_from)]


def evolve(wallet: Wallet, event: WalletEvent) -> Wallet:
    match event:
        case WalletChallenged():
            return replace(wallet, challenges={**wallet.challenges, event.subject: event})
        case WalletLinked():  # every other challenge ends here: who takes it back needs a fresh proof
            return Wallet(event.subject, event.nonce)
        case WalletUnlinked():
            return Wallet()
        case never:
            assert_never(never)


wallet: Decider[WalletCommand, Wallet, WalletEvent] = Decider(Wallet(), decide, evolve)
