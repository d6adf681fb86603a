"""Claims that are proven: paid to whom the proof names, without anybody here learning whose listening it was."""

from __future__ import annotations

from datetime import UTC, datetime
from math import ceil
from time import monotonic
from typing import Any

from fastapi import Depends
from pydantic import Field

from contracts.chain import Pool
from contracts.values import Address
from rewards import claiming, domain
from rewards.api import claims
from rewards.api.common import Relay
from rewards.api.zk import PeriodNumber
from rewards.periods import Periods, PeriodsError, period_stream
from rewards.rulebook import Rules
from service import Caller, Commands, Problem, Router, Strict, unnamed
from zk import Proof, Reason, Refused

TITLES = claims.TITLES | {"already-claimed": "The listener's claim for this period was made."}

CALLERS = 10_000


class Pace:
    """Lets `rate` through a second, and `burst` at once; a check holds this process's event loop for 10 ms."""

    def __init__(self, rate: float, burst: int) -> None:
        self._each = 1 / rate
        self._ahead = burst * self._each
        self._reached: dict[str, float] = {}  # the time until which a caller has used up its share

    def wait(self, caller: str) -> float:
        """0 if the caller may pass, which counts; else the seconds after which it may."""
        now = monotonic()
        reached = max(self._reached.get(caller, now), now)
        if (early := reached + self._each - self._ahead - now) > 0:
            return early
        if len(self._reached) >= CALLERS:
            self._reached = {name: until for name, until in self._reached.items() if until > now}
        self._reached[caller] = reached + self._each
        return 0.0


def _not_too_many(caller: Caller, each: Pace, together: Pace) -> None:
    """Raises Problem 429, 503. A service relays for many listeners, so only what all may have limits it."""
    if not caller.roles & {"service", "admin"} and (wait := each.wait(caller.subject)):
        headers = {"retry-after": str(ceil(wait))}
        raise Problem(429, "too-many-proofs", "You have brought too many proofs at once.", headers=headers)
    if wait := together.wait("all"):
        raise Problem(503, "busy", "Too many proofs come at once.", headers={"retry-after": str(ceil(wait))})


class ProvenClaim(Strict):
    period: PeriodNumber
    recipient: Address = Field(description="the address that is paid: one that nobody links with the listener")
    proof: dict[str, Any] = Field(description="the file that `annals-prover prove` writes")


def routes(commands: Commands, periods: Periods, rules: Rules) -> Router:
    router = Router()
    each, together = Pace(rate=4, burst=20), Pace(rate=32, burst=128)

    @router.post(
        "/claims/zk",
        summary="Have a proven listening claim paid; the nullifier names it",
        dependencies=[Depends(unnamed)],
    )
    async def claim(body: ProvenClaim, caller: Relay) -> claims.Claimed:
        """Who calls is not recorded, and need not be the listener: any relay may bring a proof."""
        now, book = datetime.now(UTC), await rules.recent()
        opened = await _open_period(commands, body.period, now)
        try:
            proof = Proof.from_dict(body.proof)
            known = await commands.state(claiming.claim_stream(proof.claim_id), domain.claim)
            _not_too_many(caller, each, together)
            periods.check(proof, opened, body.recipient, claimed=known.paid is not None)
            command = domain.BringProof(
                proof.claim_id,
                body.period,
                proof.recipient,
                opened.terms.amount,
                opened.terms.deadline,
                proof.points,
                now,
                domain.pool_rule(book[Pool.LISTENING].at(now)),
            )
            budget = claiming.budget_stream(Pool.LISTENING)
            done = await commands.execute_together(claiming.bring_proof(command), budget)
        except Refused as refused:
            status = 409 if refused.reason is Reason.ALREADY_CLAIMED else 422
            raise Problem(status, refused.reason, "The proof is not accepted.", refused.detail) from None
        except domain.ClaimRefused as refused:
            raise Problem(409, refused.code, TITLES[refused.code], str(refused)) from None
        except PeriodsError as error:
            raise Problem(503, "no-vault", "This process can't check proofs.", str(error)) from None
        return claims.Claimed(claim_id=proof.claim_id, events=done.events, token=done.token)

    return router


async def _open_period(commands: Commands, period: int, at: datetime) -> domain.PeriodOpened:
    """Raises Problem 409."""
    state = await commands.state(period_stream(period), domain.period)
    if state.opened is None:
        raise Problem(409, "period-not-open", "The vault does not know the period yet.")
    if state.is_closed or at.timestamp() > state.opened.terms.deadline:
        raise Problem(409, "period-over", "The vault pays no more claims of this period.")
    return state.opened
