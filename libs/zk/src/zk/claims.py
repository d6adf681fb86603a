"""What is committed to, claimed and proven. Field elements are ints here, and `0x` with 64 hex digits in files."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

from tron.address import keccak256, normalise, raw
from tron.errors import InvalidAddress

CIRCUIT = "listening-v1"
"""The circuit of which everything here is, as files name it."""

FIELD = 0x30644E72E131A029B85045B68181585D2833E84879B9709143E1F593F0000001
"""Order of BN254's scalar field: what is public in a proof is less."""

BASE_FIELD = 0x30644E72E131A029B85045B68181585D97816A916871CA8D3C208C16D87CFD47
"""Order of its base field: the coordinates of a proof's points are less."""

MAX_SECONDS = 2**32 - 1

_WORD = re.compile(r"0x[0-9a-fA-F]{64}")


class Reason(StrEnum):
    """Why a claim is refused; the values are stable."""

    MALFORMED = "malformed"
    WRONG_CIRCUIT = "wrong-circuit"
    NOT_IN_FIELD = "not-in-field"
    WRONG_PERIOD = "wrong-period"
    WRONG_COMMITMENT = "wrong-commitment"
    BELOW_THRESHOLD = "below-threshold"
    WRONG_THRESHOLD = "wrong-threshold"
    WRONG_RECIPIENT = "wrong-recipient"
    ALREADY_CLAIMED = "already-claimed"
    MALFORMED_POINTS = "malformed-points"
    PROOF_INVALID = "proof-invalid"
    NOT_COMMITTED = "not-committed"
    DUPLICATE_MEMBER = "duplicate-member"


class Refused(Exception):
    """A claim, a proof or a period's records are not what they should be; `reason` is for programs."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


def scope(vault: str, chain_id: int, period: int) -> int:
    """Return what a period's commitment and nullifiers are made for: `RewardVault.periodScope`, computed here.

    The upper 184 bits are of the chain and the vault, so that nothing of one vault is good in another.
    """
    if not 0 <= period < 2**64:
        raise ValueError(f"period: expected 0 to 2^64-1, got {period}")
    place = keccak256(chain_id.to_bytes(32, "big") + raw(vault).rjust(32, b"\0"))
    return int.from_bytes(place, "big") >> 72 << 64 | period


@dataclass(frozen=True, slots=True)
class Secret:
    """A listener's secret, which never leaves it, and the member that it registers once."""

    secret: int
    member: int


@dataclass(frozen=True, slots=True)
class Record:
    """What the platform knows of a member in a period."""

    member: int
    seconds: int


@dataclass(frozen=True, slots=True)
class Commitment:
    """A period's commitment, with all its leaves, so that listeners find theirs without asking for it."""

    scope: int
    commitment: int
    leaves: tuple[int, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the form in which it is published, and which the prover reads."""
        leaves = [word(leaf) for leaf in self.leaves]
        return {"circuit": CIRCUIT, "scope": word(self.scope), "commitment": word(self.commitment), "leaves": leaves}

    @classmethod
    def from_dict(cls, source: Mapping[str, Any]) -> Self:
        """Return what `to_dict` gave. Raises `Refused`."""
        _expect(source, "circuit", "scope", "commitment", "leaves")
        leaves = tuple(_number(leaf, "leaf") for leaf in source["leaves"])
        return cls(_number(source["scope"], "scope"), _number(source["commitment"], "commitment"), leaves)


@dataclass(frozen=True, slots=True)
class Claim:
    """What a listener wants and knows; `recipient` should be an address that nobody links with it."""

    secret: int
    seconds: int
    threshold: int
    recipient: str

    def to_dict(self) -> dict[str, Any]:
        """Return the form that the prover reads."""
        rest = {"seconds": self.seconds, "threshold": self.threshold}
        return {"secret": word(self.secret), "recipient": account(self.recipient), **rest}


@dataclass(frozen=True, slots=True)
class Period:
    """A period as RewardVault has it: what a proof has to be of."""

    scope: int
    commitment: int
    threshold: int


@dataclass(frozen=True, slots=True)
class Proof:
    """A proof with all that is public in it. `points` are A, B and C as the pairing precompile takes them."""

    commitment: int
    scope: int
    threshold: int
    nullifier: int
    recipient: str
    points: tuple[int, ...]

    @property
    def claim_id(self) -> str:
        """The id of the claim in RewardVault and its events: the nullifier, as hex without 0x."""
        return f"{self.nullifier:064x}"

    @property
    def inputs(self) -> tuple[int, ...]:
        """The public values in the order in which the verifying contract takes them."""
        recipient = int.from_bytes(raw(self.recipient), "big")
        return self.commitment, self.scope, self.threshold, self.nullifier, recipient

    def to_dict(self) -> dict[str, Any]:
        """Return the form that the prover writes."""
        return {
            "circuit": CIRCUIT,
            "commitment": word(self.commitment),
            "scope": word(self.scope),
            "threshold": self.threshold,
            "nullifier": word(self.nullifier),
            "recipient": account(self.recipient),
            "proof": [word(point) for point in self.points],
        }

    @classmethod
    def from_dict(cls, source: Mapping[str, Any]) -> Self:
        """Return the proof of a file that anybody may have written. Raises `Refused`: malformed, wrong circuit."""
        _expect(source, "circuit", "commitment", "scope", "threshold", "nullifier", "recipient", "proof")
        threshold, points = source["threshold"], source["proof"]
        if type(threshold) is not int or not 0 <= threshold <= MAX_SECONDS:
            raise Refused(Reason.MALFORMED, f"threshold: expected 0 to {MAX_SECONDS}, got {threshold!r:.80}")
        if not isinstance(points, Sequence) or isinstance(points, str) or len(points) != 8:
            raise Refused(Reason.MALFORMED, f"proof: expected 8 numbers, got {points!r:.80}")
        return cls(
            commitment=_number(source["commitment"], "commitment"),
            scope=_number(source["scope"], "scope"),
            threshold=threshold,
            nullifier=_number(source["nullifier"], "nullifier"),
            recipient=_recipient(source["recipient"]),
            points=tuple(_number(point, f"proof[{index}]") for index, point in enumerate(points)),
        )


def word(number: int) -> str:
    """Return a number of 256 bits as files have it."""
    return f"0x{number:064x}"


def account(address: str) -> str:
    """Return an address as files have it."""
    return "0x" + raw(address).hex()


def _expect(source: Any, *names: str) -> None:
    if not isinstance(source, Mapping) or set(source) != set(names):
        got = ", ".join(map(str, source)) if isinstance(source, Mapping) else type(source).__name__
        raise Refused(Reason.MALFORMED, f"expected {', '.join(names)}; got {got:.200}")
    if source["circuit"] != CIRCUIT:
        raise Refused(Reason.WRONG_CIRCUIT, f"expected circuit {CIRCUIT}, got {source['circuit']!r:.80}")


def _number(text: Any, name: str) -> int:
    if not isinstance(text, str) or not _WORD.fullmatch(text):
        raise Refused(Reason.MALFORMED, f"{name}: expected 0x and 64 hex digits, got {text!r:.80}")
    return int(text, 16)


def _recipient(text: Any) -> str:
    """The prover writes 0x and 40 hex digits; a TRON address is as good."""
    try:
        return normalise(text)
    except InvalidAddress:
        raise Refused(Reason.MALFORMED, f"recipient: expected an address, got {text!r:.80}") from None
