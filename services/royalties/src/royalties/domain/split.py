"""How a payment is divided: cumulative floor, exactly as RoyaltyDistributor does it on the chain.

With T the net total paid under a version of a split so far, a recipient has been credited floor(T * share / 1,000,000):
nobody starves, nothing is taken back, and less than one unit per recipient waits as carry (0xSplits, audit M-02, tells
what happens otherwise).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

PPM = 1_000_000


@dataclass(frozen=True, slots=True)
class Share:
    recipient: str
    ppm: int


def shares_of(recipients: Sequence[str], shares_ppm: Sequence[int], least: int = 2) -> tuple[Share, ...]:
    """The split; raises ValueError unless `least` or more recipients have one share above 0 each, which sum to PPM."""
    if len(recipients) != len(shares_ppm) or len(set(recipients)) != len(recipients) or len(recipients) < least:
        raise ValueError(f"expected {least} or more recipients, each once and with a share")
    if min(shares_ppm) <= 0 or sum(shares_ppm) != PPM:
        raise ValueError(f"expected shares above 0 that sum to {PPM} ppm, got {', '.join(map(str, shares_ppm))}")
    return tuple(Share(recipient, ppm) for recipient, ppm in zip(recipients, shares_ppm, strict=True))


def parts(shares: Mapping[str, int], before: int, amount: int) -> dict[str, int]:
    """What each recipient gets of `amount` paid after `before`; those who get nothing yet are left out."""
    total = before + amount
    divided = {who: total * ppm // PPM - before * ppm // PPM for who, ppm in shares.items()}
    return {who: part for who, part in divided.items() if part}


def largest_remainders(shares: Mapping[str, int], total: int) -> list[str]:
    """Who gets a unit each of the carry that `total` leaves: the largest remainders, ties to the lowest name."""
    ranked = sorted(shares, key=lambda who: (-(total * shares[who] % PPM), who))
    return ranked[: total - sum(total * ppm // PPM for ppm in shares.values())]


def next_of_carry(shares: Mapping[str, int], total: int, settled: Collection[str]) -> str | None:
    """Who gets the next unit of carry when a version closes: the largest remainder, ties to the lowest address.

    Addresses in base58check sort like their bytes: the alphabet is in ASCII order and all have the same length.
    """
    ranked = sorted(shares, key=lambda who: (-(total * shares[who] % PPM), who))
    return next((who for who in ranked if who not in settled), None)
