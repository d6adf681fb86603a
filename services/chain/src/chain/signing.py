"""One attempt at an operation: arguments checked, the call tried out, the fee limited, and signed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from chain.domain import operation as op
from chain.payloads import Payloads
from tron.contract import Call
from tron.errors import CallReverted, InvalidArgument, NodeRefused
from tron.sender import Sender
from tron.signers import Signer
from tron.transaction import MAX_FEE_LIMIT_SUN, Signed, Transfer, build

FEE_PERCENT = 120
"""The fee limit of an attempt, in per cent of the one before."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Limits:
    """`expiry_seconds`: how long a transaction is valid; `fee_sun`: the most it may burn for energy; `attempts`:
    signatures for one operation; `in_flight`: signed transactions that are not settled; `pauses`: seconds before the
    same is tried again, the last for all further times.
    """

    expiry_seconds: float = 60.0
    fee_sun: int = 1_000_000_000
    attempts: int = 5
    in_flight: int = 500
    pauses: Sequence[float] = (2.0, 4.0, 8.0, 16.0, 30.0)

    def pause(self, tries: int) -> float:
        """Seconds to wait after so many tries, from 1."""
        return self.pauses[min(tries, len(self.pauses)) - 1]


class Hopeless(Exception):
    """There is no use in signing: `kind` and the message say why."""

    def __init__(self, kind: op.Kind, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind


class NotSigned(Exception):
    """The signer gave no signature; it may be asked again, since nothing was signed."""


class Signing:
    """Makes transactions; what they are for, and whether they may be made, others know."""

    def __init__(self, wire: Sender, payloads: Payloads, limits: Limits) -> None:
        self._wire = wire
        self._payloads = payloads
        self._limits = limits
        self._last_ms = 0

    async def attempt(self, payload: op.Payload, number: int, signer: Signer) -> op.TransactionSigned:
        """Attempt `number` (from 1) at a payload, signed. Raises Hopeless; NodeError, NotSigned to be tried again."""
        try:
            prepared = self._payloads.prepare(payload)
            fee_limit = await self._fee_limit(prepared, signer.address, number)
            reference = await self._wire.reference()
        except (InvalidArgument, NodeRefused) as error:
            raise Hopeless("invalid", str(error)) from error
        except CallReverted as error:
            poor = "balance is not sufficient" in error.reason
            raise Hopeless("resources" if poor else "execution", str(error)) from error
        at = self._next_moment()
        expires_at = at + timedelta(seconds=self._limits.expiry_seconds)
        now_ms, expires_ms = milliseconds(at), milliseconds(expires_at)
        times = {"now_ms": now_ms, "expires_ms": expires_ms}
        try:
            unsigned = build(prepared, signer.address, reference, **times, fee_limit_sun=fee_limit)
        except InvalidArgument as error:
            raise Hopeless("invalid", str(error)) from error
        try:
            signed = unsigned.signed(await signer.sign(unsigned.digest))
        except Exception as error:  # a key service fails in ways of its own
            raise NotSigned(f"{type(error).__name__}: {error}") from error
        return op.TransactionSigned(
            attempt=number,
            tx_id=signed.tx_id,
            owner=signed.owner,
            wire=signed.wire.hex(),
            signed_at=at,
            expires_at=expires_at,
            reference_block=reference.number,
            fee_limit_sun=fee_limit,
        )

    async def _fee_limit(self, payload: Call | Transfer, owner: str, number: int) -> int:
        """The most that an attempt may burn for energy: by the estimate, and a fifth more with each attempt."""
        if isinstance(payload, Transfer):
            return 0
        estimate = await self._wire.estimate(payload, owner)
        most = min(self._limits.fee_sun, MAX_FEE_LIMIT_SUN)
        if estimate.energy_fee_sun > most:
            raise Hopeless("energy", f"fee: expected at most {most} sun, estimated {estimate.energy_fee_sun}")
        limit = estimate.fee_limit_sun
        for _ in range(1, number):
            limit = limit * FEE_PERCENT // 100
        return min(limit, most)

    def _next_moment(self) -> datetime:
        """Now, in whole milliseconds, but no moment twice: equal payments must not become one transaction."""
        self._last_ms = max(milliseconds(datetime.now(UTC)), self._last_ms + 1)
        return _EPOCH + timedelta(milliseconds=self._last_ms)


def as_signed(journalled: op.TransactionSigned) -> Signed:
    """The transaction as a node takes it, from the journal."""
    expires_ms, wire = milliseconds(journalled.expires_at), bytes.fromhex(journalled.wire)
    return Signed(journalled.tx_id, wire, journalled.owner, expires_ms, journalled.reference_block)


def milliseconds(moment: datetime) -> int:
    """Milliseconds since 1970."""
    return (moment - _EPOCH) // timedelta(milliseconds=1)
