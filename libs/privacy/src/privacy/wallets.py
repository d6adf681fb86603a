"""Whose a wallet is, as the log of a service has it that shows people what concerns their wallets. Pure.

Compliance, to which wallets are proven, tells the others; what is known of a wallet is a subject's opaque id.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

from eventlog import Decider


@dataclass(frozen=True, slots=True)
class WalletProven:
    """The wallet is the subject's, and nobody else's any more."""

    address: str
    subject: str


@dataclass(frozen=True, slots=True)
class WalletGivenUp:
    address: str
    subject: str


WalletFact = WalletProven | WalletGivenUp
WALLETS: dict[str, type] = {"WalletProven.v1": WalletProven, "WalletGivenUp.v1": WalletGivenUp}
"""Services that hear of wallets have these among their events."""


def owner_stream(address: str) -> str:
    return f"wallet-owner/{address}"


def decide(fact: WalletFact, owner: str | None) -> list[WalletFact]:
    match fact:
        case WalletProven(subject=subject):
            return [] if owner == subject else [fact]
        case WalletGivenUp(subject=subject):
            return [fact] if owner == subject else []
        case never:
            assert_never(never)


wallet_owner: Decider[WalletFact, str | None, WalletFact] = Decider(
    None, decide, lambda _, fact: fact.subject if isinstance(fact, WalletProven) else None
)
