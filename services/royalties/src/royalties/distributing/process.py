"""The process manager of distributions: what is to be done next about each is read from the log, and done once.

It computes shares, credits them in slices, and closes what is paid. It keeps no state of its own: a process killed
anywhere leaves the log, and the next one goes on from there. Each step is a decision on the distribution's stream at
the version it has, so that two leaders at once, or the same step again, change nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from time import monotonic
from typing import Protocol

from contracts.values import Address
from eventlog import EventLog, Executor, RecordedEvent, Watermark
from messaging.leader import leadership, while_leading
from royalties import metrics
from royalties.distributing import intents
from royalties.distributing.holders import HoldersUnknown
from royalties.domain import distributions
from service import get_logger
from tron.errors import TronError

READ_AT_ONCE = 2_000
SLICE = 50
"""Shares credited at once. Another slice begins when fewer payments than these are on their way."""
log = get_logger("royalties.distributing")


class Snapshots(Protocol):
    """Who held what; see `Holders`."""

    async def at(self, holding: distributions.Holding, block: int) -> Mapping[str, int]: ...


class Payments(Protocol):
    """What the chain shows of payments; see `PaidOnChain`."""

    async def differing(
        self, made: Sequence[distributions.PaymentMade], token: Address | None
    ) -> Sequence[distributions.PaymentDiffers]: ...


@dataclass(slots=True)
class Run:
    """A distribution that has not ended, as far as the log was read."""

    state: distributions.Distribution = distributions.distribution.initial
    on_the_way: set[str] = field(default_factory=set)  # payments, by id
    failed: set[str] = field(default_factory=set)
    made: list[distributions.PaymentMade] = field(default_factory=list)
    given_up: int = 0

    @property
    def paid(self) -> int:
        return sum(payment.amount for payment in self.made)

    def take(self, event: distributions.DistributionEvent | distributions.PaymentEvent) -> None:
        match event:
            case distributions.PaymentAsked(payment_id=payment_id):
                self.failed.discard(payment_id)
                self.on_the_way.add(payment_id)
            case distributions.PaymentMade(payment_id=payment_id):
                self.on_the_way.discard(payment_id)
                self.made.append(event)
            case distributions.PaymentFailed(payment_id=payment_id):
                self.on_the_way.discard(payment_id)
                self.failed.add(payment_id)
            case distributions.PaymentGivenUp(payment_id=payment_id, amount=amount):
                self.failed.discard(payment_id)
                self.given_up += amount
            case _:
                self.state = distributions.distribution.evolve(self.state, event)


class DistributionProcess:
    """Brings every distribution to its end; a worker. Any number of instances may run: one leads, others stand by."""

    name = "distributions"

    def __init__(
        self,
        event_log: EventLog,
        executor: Executor,
        watermark: Watermark,
        snapshots: Snapshots,
        look_seconds: float = 10.0,
        slice_size: int = SLICE,
        payments: Payments | None = None,
    ) -> None:
        """Without `payments` nobody looks at the chain itself."""
        self._log = event_log
        self._executor = executor
        self._watermark = watermark
        self._snapshots = snapshots
        self._look_seconds = look_seconds
        self._slice = slice_size
        self._payments = payments
        self._begin()

    def _begin(self) -> None:
        """Forgets what this process knew: another may have led since."""
        self._position = 0
        self._runs: dict[str, Run] = {}
        self._looked = -self._look_seconds

    async def run(self) -> None:
        """Runs until cancelled."""
        async with leadership(self._log.pool, f"royalties:{self.name}") as lock:
            await while_leading(lock, self.proceed())

    async def proceed(self) -> None:
        """Runs until cancelled, without asking whether another one does: the streams' versions keep that harmless."""
        self._begin()
        horizon = await self._watermark.measure()
        while True:
            await self._read(horizon)
            self._measure()
            looks = monotonic() - self._looked >= self._look_seconds
            for distribution_id, run in list(self._runs.items()):
                await self._go_on(distribution_id, run, looks)
            if looks:
                self._looked = monotonic()
            horizon = await self._watermark.beyond(horizon, min(1.0, self._look_seconds))

    async def _read(self, horizon: int) -> None:
        """Takes in what happened to distributions and payments up to the horizon."""
        while self._position < horizon:
            found = await self._log.read(self._position, horizon, READ_AT_ONCE, streams=intents.FOLLOWED)
            for recorded in found:
                self._take(recorded)
            self._position = found[-1].position if found else horizon

    def _take(self, recorded: RecordedEvent) -> None:
        distribution_id: str = recorded.event.distribution_id
        run = self._runs.setdefault(distribution_id, Run())
        run.take(recorded.event)
        if run.state.end is not None:
            del self._runs[distribution_id]

    def _measure(self) -> None:
        runs = self._runs.values()
        metrics.OPEN.set(len(runs))
        metrics.PAYMENTS.labels("waiting").set(sum(len(run.on_the_way) for run in runs))
        metrics.PAYMENTS.labels("failed").set(sum(len(run.failed) for run in runs))
        metrics.CARRIED.set(sum(run.state.credited - run.state.totals.payments for run in runs))

    async def _go_on(self, distribution_id: str, run: Run, looks: bool) -> None:
        """One step, if there is one: what it led to is read before the next."""
        state = run.state
        if state.previewed is None:
            if looks:
                await self._preview(distribution_id, state.terms)
        elif state.is_approved and not state.is_credited:
            if len(run.on_the_way) < self._slice:
                await self._credit(distribution_id, state)
        elif state.is_credited and not run.on_the_way and not run.failed and (looks or self._payments is None):
            await self._finish(distribution_id, run)

    async def _preview(self, distribution_id: str, terms: distributions.Terms) -> None:
        try:
            holders = await self._snapshots.at(terms.holding, terms.block)
        except HoldersUnknown as unknown:
            log.warning("a distribution waits for its holders", distribution_id=distribution_id, reason=str(unknown))
            return
        await self._executor.execute([intents.preview(distribution_id, holders, datetime.now(UTC))])

    async def _credit(self, distribution_id: str, state: distributions.Distribution) -> None:
        upto = min(state.credited + self._slice, len(state.shares))
        shares = state.shares[state.credited : upto]
        await self._executor.execute([intents.credit(distribution_id, shares, upto, datetime.now(UTC))])

    async def _finish(self, distribution_id: str, run: Run) -> None:
        if distributions.reconcile(run.state, run.paid, run.given_up) is None:
            sums = {"totals": run.state.totals, "paid": run.paid, "given_up": run.given_up}
            log.error("a distribution does not add up, and stays open", distribution_id=distribution_id, **sums)
            return
        terms = run.state.terms
        try:
            differing = await self._payments.differing(run.made, terms.token) if self._payments is not None else None
        except TronError as error:
            log.warning("a distribution waits for a node", distribution_id=distribution_id, reason=str(error))
            return
        for one in differing or ():
            log.error("a payment is otherwise on the chain", **asdict(one))
        now = datetime.now(UTC)
        finish = intents.finish(distribution_id, terms, run.paid, run.given_up, now, differing)
        await self._executor.execute([finish])
