"""The worker that does operations on the chain, each once.

Every step is an event in the operation's stream before the next is taken, and what to do next is read from there: a
process killed anywhere leaves a journal that the next one goes on with. A signature is in the log before the first node
has it; the same bytes are handed in again until our own log, which holds every solidified block, says what has become
of them (`chain.witness`). Another instance does no harm: of two signatures for one attempt the log takes one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from math import inf
from time import monotonic
from typing import Any

from chain import metrics
from chain.domain import TransactionSolidified
from chain.domain import operation as op
from chain.payloads import Payloads
from chain.signing import Hopeless, Limits, NotSigned, Signing, as_signed
from chain.witness import Head, Reached, Witness
from eventlog import DuplicateEvent, EventLog, Executor, Intent, NewEvent, Watermark
from messaging.leader import leadership, while_leading
from service import get_logger
from service.health import Check
from tron.breaker import CircuitBreaker
from tron.client import Client
from tron.contract import Call
from tron.errors import BroadcastRefused, InvalidArgument, NodeError, NodeRefused, TransactionFailed, TronError
from tron.retry import Retry
from tron.sender import Sender, check
from tron.signers import Signer

STEPS_AT_ONCE = 16
SETTLED_EVERY = 1_000
"""Operations that end between two notes of how far all have: about as many does a start look at for nothing."""
_UNKNOWN = op.Operation()
_UNANSWERED: tuple[op.Kind, str] = ("network", "no node has answered")
_DUPLICATE: tuple[op.Kind, str] = ("duplicate", "a node has known it, but it is in no block")
_OPEN: Mapping[str, int] = {"closed": 0, "half-open": 1, "open": 2}
log = get_logger("chain.sender")


@dataclass(slots=True, eq=False)
class Flight:
    """An operation that is not final, as this process knows it; what it doesn't know, the log does."""

    id: str
    position: int  # of its first event
    state: op.Operation = _UNKNOWN
    handed_in: int = 0  # times, in this attempt
    due: float = 0.0  # when to hand it in again, by the monotonic clock; not while it is being handed in
    problem: tuple[op.Kind, str] = _UNANSWERED

    @property
    def intended(self) -> op.OperationIntended:
        assert self.state.intended is not None, "an operation begins with its intention"
        return self.state.intended


class OperationSender:
    """Signs, hands in and follows the operations in `event_log` with `signers` (name -> signer); a worker.

    One queue per key: its operations are signed and first handed in one after the other, in the order they were asked
    for. Any number of instances may run: one leads, the others stand by.
    """

    name = "sender"

    def __init__(
        self,
        event_log: EventLog,
        executor: Executor,
        watermark: Watermark,
        node: Client,
        payloads: Payloads,
        signers: Mapping[str, Signer],
        limits: Limits,
        poll_seconds: float = 0.5,
    ) -> None:
        self._log = event_log
        self._executor = executor
        self._watermark = watermark
        self._node = node
        self._wire = Sender(node, retry=Retry(attempts=1))
        self._payloads = payloads
        self._signers = signers
        self._signing = Signing(self._wire, payloads, limits)
        self._limits = limits
        self._poll_seconds = poll_seconds
        self._breaker = CircuitBreaker(first=limits.pauses[0], longest=limits.pauses[-1])
        self._begin(0)

    def _begin(self, position: int) -> None:
        """Forgets what this process knew: another may have led since."""
        self._discovered, self._finished = position, 0
        self._flights: dict[str, Flight] = {}
        self._by_tx: dict[str, Flight] = {}  # those with a signature that is not settled
        self._queues: dict[str, asyncio.Queue[Flight]] = {name: asyncio.Queue() for name in self._signers}
        self._unsigned: dict[str, str] = {}  # keys that don't sign, and why
        self._head, self._witness = Head(self._node), Witness(self._log)

    async def run(self) -> None:
        """Runs until cancelled."""
        async with leadership(self._log.pool, f"chain:{self.name}") as lock:
            metrics.SENDER_LEADER.set(1)
            try:
                await while_leading(lock, self.send())
            finally:
                metrics.SENDER_LEADER.set(0)

    async def send(self) -> None:
        """Runs until cancelled, without asking whether another one does: the journal keeps that harmless."""
        await self._recover()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._discover())
            group.create_task(self._hand_in_again())
            group.create_task(self._follow())
            for name, signer in self._signers.items():
                group.create_task(self._serve(name, signer))

    def check(self) -> Check:
        """A readiness check that fails while the circuit breaker is open, or a key's signer fails."""

        async def probe() -> str:
            if self._breaker.state == "open":
                raise RuntimeError("the node does not answer: nothing is handed in for a while")
            if self._unsigned:
                raise RuntimeError("; ".join(f"{name} does not sign: {why}" for name, why in self._unsigned.items()))
            return f"{len(self._flights)} operations under way"

        return Check("sender", probe)

    # ---- which operations there are -------------------------------------------------------------------------------

    async def _recover(self) -> None:
        """Takes up every operation that is not final where its journal ends."""
        settled = await self._log.read_stream(op.SETTLED)
        upto = await self._watermark.measure()
        self._begin(settled[-1].event.upto if settled else 0)
        while self._discovered < upto:
            await self._discover_to(upto)
        await self._witness.look(self._owners())  # from here on it tells what comes; what came before is looked up
        for flight in list(self._by_tx.values()):
            flight.handed_in = 1  # perhaps: the process before may have done it
            await self._settle_if_found(flight)
        await self._note_settled()

    async def _discover(self) -> None:
        while True:
            horizon = await self._watermark.beyond(self._discovered, timeout=1.0)
            if horizon > self._discovered:
                await self._discover_to(horizon)
            if self._finished >= SETTLED_EVERY:
                await self._note_settled()

    async def _discover_to(self, horizon: int, limit: int = 1_000) -> None:
        """Takes up operations that were intended up to `horizon`, at most `limit` of them."""
        names = self._log.types.names([op.OperationIntended])
        found = await self._log.read(self._discovered, horizon, limit, types=names, streams=op.OPERATIONS)
        flights = {recorded.stream: Flight(recorded.event.operation_id, recorded.position) for recorded in found}
        for recorded in await self._log.read_streams(dict.fromkeys(flights, 0)):
            flight = flights[recorded.stream]
            flight.state = op.evolve(flight.state, recorded.event)
        for flight in flights.values():
            if flight.state.status not in op.FINAL:
                self._flights[flight.id] = flight
                self._place(flight)
        self._discovered = found[-1].position if len(found) == limit else horizon

    def _place(self, flight: Flight) -> None:
        """Puts an operation where its state belongs: into its key's queue, under way, or nowhere any more."""
        state, sender = flight.state, flight.intended.sender
        if state.status in op.FINAL:
            del self._flights[flight.id]
            self._finished += 1
            metrics.SENDER_SETTLED.labels(state.status).inc()
            log.info("operation ended", operation=flight.id, outcome=state.status, attempts=state.attempts)
        elif state.signed is not None:
            self._by_tx[state.signed.tx_id] = flight
        elif sender in self._queues:
            self._queues[sender].put_nowait(flight)
        else:
            log.error("no key for an operation: it waits", operation=flight.id, sender=sender)
            self._unsigned[sender] = "no such key is configured, and an operation waits for it"
        metrics.SENDER_IN_FLIGHT.set(len(self._by_tx))

    async def _note_settled(self) -> None:
        """Records where the oldest operation that is not final stands, so that the next start need not look before."""
        self._finished = 0
        upto = min([self._discovered, *(flight.position - 1 for flight in self._flights.values())])
        await self._log.append([NewEvent(op.SETTLED, op.OperationsSettled(upto), datetime.now(UTC))])

    async def _do(
        self, flight: Flight, command: op.Command, key: str | None = None, at: datetime | None = None
    ) -> None:
        """Takes a step in the journal. Afterwards the flight is as the journal says, whoever wrote that."""
        before, stream = flight.state.signed, op.operation_stream(flight.id)
        execution = await self._executor.execute(
            [Intent(stream, op.operation, command, at or datetime.now(UTC), key=key)]
        )
        if execution.appended is not None and execution.appended.repeated:  # a rival made the very same signature
            journal = await self._log.read_stream(stream)
            flight.state = op.operation.fold([recorded.event for recorded in journal])
        else:
            flight.state = execution.state(stream)
        if flight.state.status in op.FINAL or flight.state.signed != before:
            if before is not None:
                self._by_tx.pop(before.tx_id, None)
            flight.handed_in, flight.due, flight.problem = 0, 0.0, _UNANSWERED
            if flight.id in self._flights:
                self._place(flight)

    # ---- one queue per key: sign, and hand in for the first time --------------------------------------------------

    async def _serve(self, name: str, signer: Signer) -> None:
        queue = self._queues[name]
        while True:
            metrics.SENDER_QUEUED.labels(name).set(queue.qsize())
            flight = await queue.get()
            while len(self._by_tx) >= self._limits.in_flight:  # noqa: ASYNC110 - what ends them has no event
                await asyncio.sleep(self._poll_seconds)
            tries = 0
            while flight.state.status == "intended":
                if not await self._sign(flight, name, signer):
                    tries += 1
                    await asyncio.sleep(self._limits.pause(tries))
            if flight.state.signed is not None and flight.id in self._flights:
                await self._hand_in(flight, flight.state.signed)

    async def _sign(self, flight: Flight, name: str, signer: Signer) -> bool:
        """Signs the next attempt, or gives the operation up; False when that must wait."""
        if (records_from := await self._witness.records_from(signer.address)) is None:
            log.info("waits until the log records what this key sends", sender=name)
            return False
        try:
            async with self._asking():
                signed = await self._signing.attempt(flight.intended.payload, flight.state.attempts + 1, signer)
        except Hopeless as error:
            await self._do(flight, op.GiveUp(error.kind, str(error)))
            return True
        except (NodeError, NotSigned) as error:
            log.warning("not signed yet", operation=flight.id, sender=name, reason=str(error))
            if isinstance(error, NotSigned):
                self._unsigned[name] = str(error)
            return False
        self._unsigned.pop(name, None)
        if signed.reference_block + 1 < records_from:  # or what it came to could not be proven
            log.info("waits until the log records what this key sends", sender=name, from_block=records_from)
            return False
        try:  # the id of this event follows from that of the transaction: no two operations can share one
            await self._do(flight, op.Sign(signed), key=f"signed/{signed.tx_id}", at=signed.signed_at)
        except DuplicateEvent:
            return True  # two operations were equal to the millisecond; this one is signed anew
        metrics.SENDER_SIGNED.labels(name).inc()
        return True

    # ---- handing in, as often as it takes -------------------------------------------------------------------------

    async def _hand_in_again(self) -> None:
        """What is in no block yet is handed in again, the same bytes, while they are valid."""
        while True:
            now, moment = monotonic(), datetime.now(UTC)
            due = [
                (flight, signed)
                for flight in self._by_tx.values()
                if flight.handed_in and flight.due <= now and flight.state.status in ("signed", "broadcast")
                if (signed := flight.state.signed) is not None and signed.expires_at > moment
            ]
            if due:
                await asyncio.gather(*(self._hand_in(*one) for one in due[:STEPS_AT_ONCE]))
            else:
                await asyncio.sleep(self._poll_seconds)

    async def _hand_in(self, flight: Flight, signed: op.TransactionSigned) -> None:
        flight.handed_in += 1
        flight.due = inf
        try:
            async with self._asking():
                new = await self._wire.broadcast(as_signed(signed))
                known = new or await self._node.transaction_info(signed.tx_id) is not None
        except BroadcastRefused as error:
            flight.problem = (error.kind, f"{error.code}: {error.message}")
        except NodeError as error:
            flight.problem = ("network", str(error))
        else:
            flight.problem = ("expired", "taken by a node, but put into no block") if known else _DUPLICATE
            metrics.SENDER_BROADCASTS.labels("taken" if new else "duplicate").inc()
            await self._do(flight, op.RecordBroadcast(signed.tx_id))
            return
        finally:
            flight.due = monotonic() + self._limits.pause(flight.handed_in)
        kind, reason = flight.problem
        metrics.SENDER_BROADCASTS.labels(kind).inc()
        log.warning("not taken", operation=flight.id, tx_id=signed.tx_id, kind=kind, reason=reason)

    @asynccontextmanager
    async def _asking(self) -> AsyncIterator[None]:
        """Waits while the circuit breaker is open, and tells it how the questions to the node ended."""
        while wait := self._breaker.enter():
            metrics.SENDER_BREAKER.set(_OPEN[self._breaker.state])
            await asyncio.sleep(wait)
        try:
            yield
        except TronError as error:
            busy = isinstance(error, BroadcastRefused) and error.kind == "network"
            unanswered = isinstance(error, NodeError) and not isinstance(error, NodeRefused)
            (self._breaker.failed if busy or unanswered else self._breaker.succeeded)()
            raise
        except BaseException:
            self._breaker.abandoned()
            raise
        else:
            self._breaker.succeeded()
        finally:
            metrics.SENDER_BREAKER.set(_OPEN[self._breaker.state])

    # ---- what has become of them ----------------------------------------------------------------------------------

    async def _follow(self) -> None:
        while True:
            if self._by_tx:
                await self._look()
            await asyncio.sleep(self._poll_seconds)

    async def _look(self) -> None:
        reached, results = await self._witness.look(self._owners())
        known = [(flight, result) for result in results if (flight := self._by_tx.get(result.tx_id)) is not None]
        await _together(self._settle(*one) for one in known)
        try:
            await self._head.look()
        except NodeError as error:
            log.warning("the newest blocks are not known", reason=str(error))
        followed = [(flight, flight.state.signed) for flight in self._by_tx.values()]
        await _together(self._look_at(flight, signed, reached) for flight, signed in followed if signed is not None)

    async def _look_at(self, flight: Flight, signed: op.TransactionSigned, reached: Reached | None) -> None:
        place, block = self._head.place(signed.tx_id), flight.state.block
        if reached is not None and reached.time >= signed.expires_at:
            if not await self._settle_if_found(flight):
                lapse = op.RecordLapse(signed.tx_id, reached.number, *flight.problem, self._limits.attempts)
                await self._do(flight, lapse)
        elif place is not None and place != block:
            await self._do(flight, op.RecordInclusion(signed.tx_id, *place))
        elif place is None and block is not None and self._head.lacks(block):
            log.warning("block reorganised away", operation=flight.id, tx_id=signed.tx_id, block=block[0])
            await self._do(flight, op.RecordRetraction(signed.tx_id))
            flight.due = 0.0

    async def _settle_if_found(self, flight: Flight) -> bool:
        """Settles a transaction that the log holds; False if it doesn't."""
        signed = flight.state.signed
        if signed is None or (result := await self._witness.find(flight.id, signed)) is None:
            return False
        await self._settle(flight, result)
        return True

    async def _settle(self, flight: Flight, result: TransactionSolidified) -> None:
        failure = None if result.success else await self._why(flight, result)
        block, cost = (result.block_number, result.block_hash), (result.fee_sun, result.energy_used)
        await self._do(flight, op.RecordResult(result.tx_id, *block, *cost, failure, self._limits.attempts))

    async def _why(self, flight: Flight, result: TransactionSolidified) -> tuple[op.Kind, str]:
        """Kind and reason of a failure on the chain: the log has the result, the node the contract's own words."""
        said = TransactionFailed(result.tx_id, result.result, result.result, result.fee_sun)
        try:
            info = await self._node.transaction_info(result.tx_id, solid=True)
            payload = self._payloads.prepare(flight.intended.payload)
            if info is not None and isinstance(payload, Call):
                check(info, payload.abi)
        except TransactionFailed as error:
            return said.kind, error.reason
        except (NodeError, InvalidArgument) as error:
            log.warning("reason of a failure not known", operation=flight.id, reason=str(error))
        return said.kind, said.reason

    def _owners(self) -> set[str]:
        """Whose transactions are followed: the keys', and those of keys that are gone."""
        signed = (flight.state.signed for flight in self._by_tx.values())
        return {signer.address for signer in self._signers.values()} | {one.owner for one in signed if one is not None}


async def _together(steps: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Takes steps of different operations, some at once: their appends share commits."""
    waiting = iter(steps)  # made only when it is taken: a step that is cancelled before was never begun
    while some := list(islice(waiting, STEPS_AT_ONCE)):
        await asyncio.gather(*some)
