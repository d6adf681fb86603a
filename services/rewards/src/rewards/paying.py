"""The process manager of claims: what is to be done next about each is read from its stream, and done once.

It signs what is reserved, books what the vault has paid, and gives back what the vault can no longer pay. It keeps no
state of its own: a process killed anywhere leaves the log, and the next one goes on from there. Each step is a decision
on the claim's stream at the version it has, so that two leaders at once, or the same step again, change nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic
from typing import Protocol

from contracts.chain import BlocksSolidified
from eventlog import EventLog, Executor, Intent, Together, Watermark
from messaging.leader import leadership, while_leading
from rewards import claiming, domain
from rewards.metrics import FAILED_PAYMENTS
from rewards.verifier import Verifier
from service import get_logger

READ_AT_ONCE = 2_000
STEPS_AT_ONCE = 48
NOTED_EVERY = 1_000
"""Claims that end between two notes of how far all have: about as many does a start look at for nothing."""
NOTES = "claims"
"""The stream of these notes."""
log = get_logger("rewards.paying")


class Past(Protocol):
    """How far the chain's time has come; see `ChainTime`."""

    async def reached(self) -> BlocksSolidified | None: ...

    async def put_aside(self, claim_ids: Collection[str]) -> set[str]: ...


@dataclass(slots=True)
class Open:
    """A claim that has not ended, as far as the log was read."""

    position: int  # of its first event
    state: domain.Claim


class ClaimProcess:
    """Brings every claim to its end; a worker. Any number of instances may run: one leads, the others stand by.

    Without a verifier nothing is signed, but what is paid or over is booked.
    """

    name = "claims"

    def __init__(
        self,
        event_log: EventLog,
        executor: Executor,
        together: Together,
        watermark: Watermark,
        verifier: Verifier | None,
        past: Past,
        look_seconds: float = 10.0,
    ) -> None:
        self._log = event_log
        self._executor = executor
        self._together = together
        self._watermark = watermark
        self._verifier = verifier
        self._past = past
        self._look_seconds = look_seconds
        self._begin(0)

    def _begin(self, position: int) -> None:
        """Forgets what this process knew: another may have led since."""
        self._position, self._ended = position, 0
        self._open: dict[str, Open] = {}
        self._looked = -self._look_seconds

    async def run(self) -> None:
        """Runs until cancelled."""
        async with leadership(self._log.pool, f"rewards:{self.name}") as lock:
            await while_leading(lock, self.proceed())

    async def proceed(self) -> None:
        """Runs until cancelled, without asking whether another one does: the streams' versions keep that harmless."""
        note = await self._log.last(NOTES)
        self._begin(note.event.position if note is not None else 0)
        horizon = await self._watermark.measure()
        while True:
            changed = await self._read(horizon)
            await self._sign(changed)
            await self._settle(changed)
            await self._release()
            await self._note()
            horizon = await self._watermark.beyond(horizon, min(1.0, self._look_seconds))

    async def _read(self, horizon: int) -> list[domain.Claim]:
        """Takes in what happened to claims up to the horizon; returns those that it happened to, as they are now."""
        changed: dict[str, domain.Claim] = {}
        while self._position < horizon:
            found = await self._log.read(self._position, horizon, READ_AT_ONCE, streams=claiming.CLAIMS)
            for recorded in found:
                claim_id = recorded.stream.removeprefix(claiming.CLAIMS)
                known = self._open.setdefault(claim_id, Open(recorded.position, domain.claim.initial))
                known.state = changed[claim_id] = domain.claim.evolve(known.state, recorded.event)
                if known.state.end is not None:
                    del self._open[claim_id]
                    self._ended += 1
            self._position = found[-1].position if found else horizon
        return list(changed.values())

    async def _sign(self, changed: Collection[domain.Claim]) -> None:
        if self._verifier is None:
            return
        now = datetime.now(UTC)
        unsigned = [claim for claim in changed if claim.authorised is None and claim.end is None]
        waiting = [claim.reserved for claim in unsigned if claim.proven is None]
        asked = [reserved for reserved in waiting if reserved is not None and now.timestamp() < reserved.deadline]
        for start in range(0, len(asked), STEPS_AT_ONCE):
            part = asked[start : start + STEPS_AT_ONCE]
            await self._executor.execute(
                [claiming.authorise(claim, await self._verifier.sign(claim), now) for claim in part]
            )

    async def _settle(self, changed: Collection[domain.Claim]) -> None:
        paid = [claim for claim in changed if claim.paid is not None and claim.end is None]
        for start in range(0, len(paid), STEPS_AT_ONCE):
            await asyncio.gather(*(self._settle_one(claim) for claim in paid[start : start + STEPS_AT_ONCE]))

    async def _settle_one(self, claim: domain.Claim) -> None:
        assert claim.paid is not None, "only what was paid is settled"
        user, promised = (asked.user, asked.claimant) if (asked := claim.reserved) is not None else (None, None)
        settle = claiming.settle(claim.paid, user, promised)
        await self._together.execute(settle, claiming.budget_stream(claim.paid.pool))

    async def _release(self) -> None:
        """Gives back what can no longer be paid, as soon as the chain's own time says so."""
        if monotonic() - self._looked < self._look_seconds:
            return
        self._looked, now = monotonic(), datetime.now(UTC).timestamp()
        payments = [known.state.payment for known in self._open.values()]
        FAILED_PAYMENTS.set(sum(isinstance(payment, domain.PaymentFailed) for payment in payments))
        unpaid = [known.state.reserved for known in self._open.values() if known.state.paid is None]
        over = [reserved for reserved in unpaid if reserved is not None and reserved.deadline < now]
        if not over or (reached := await self._past.reached()) is None:
            return
        unknown = await self._past.put_aside([reserved.claim_id for reserved in over])
        command = domain.ReleaseClaim(reached.last, reached.last_time)
        for reserved in over:
            if reserved.claim_id in unknown:
                log.warning("a claim is not released: a message of it is put aside", claim_id=reserved.claim_id)
            elif reserved.deadline < reached.last_time.timestamp():
                await self._together.execute(claiming.release(reserved, command), claiming.budget_stream(reserved.pool))

    async def _note(self) -> None:
        if self._ended < NOTED_EVERY:
            return
        self._ended = 0
        first = min((known.position - 1 for known in self._open.values()), default=self._position)
        note = Intent(NOTES, domain.notes, domain.ClaimsEnded(first), datetime.now(UTC))
        await self._executor.execute([note])
