"""Records sales off the chain and what is taken back of them: look up → load → decide → append, in one transaction.

A reference makes the id of the event that it leads to, so the log itself knows which references it has seen, however
long ago: the same again has the first result, and with other contents it is refused. A sale is decided on its
agreement, the platform's terms and its asset; only the agreement's stream grows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg

from eventlog import (
    Appended,
    Decider,
    DuplicateEvent,
    EventLog,
    Execution,
    Executor,
    Intent,
    JointIntent,
    Metadata,
    WrongExpectedVersion,
    derived_id,
    retry_on_conflict,
)
from royalties import domain
from royalties.domain import (
    SCALES,
    Reference,
    Refund,
    RefundPosted,
    Refused,
    Reversal,
    ReversalPosted,
    Sale,
    SalePosted,
    groups,
)
from royalties.domain.agreement import AgreementCommand
from royalties.domain.terms import in_force

TERMS = "terms"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)  # a reference's id must not depend on what it is told with

Told = Sale | Refund | Reversal
Posted = SalePosted | RefundPosted | ReversalPosted


@dataclass(frozen=True, slots=True)
class Reported:
    """What was told, when it took effect, and where it came from."""

    told: Told
    at: datetime
    metadata: Metadata = Metadata()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What each report has led to, now or when it came first, in order; or why not."""

    results: Sequence[Posted | Refused]
    execution: Execution

    @property
    def appended(self) -> Appended | None:
        return self.execution.appended


def agreement_stream(agreement: str) -> str:
    return f"agreement/{agreement}"


def asset_stream(asset: str) -> str:
    return f"asset/{asset}"


def groups_of(*agreements: str) -> Callable[[Mapping[str, Any]], Mapping[str, Decider[Any, Any, Any]]]:
    """The streams of agreements, and of all that share in them, as far as their states are known."""

    def also(states: Mapping[str, Any]) -> Mapping[str, Decider[Any, Any, Any]]:
        found = groups.reached(agreements, lambda name: states.get(agreement_stream(name)))
        return dict.fromkeys(map(agreement_stream, found), domain.agreement)

    return also


def decide_with_groups(
    command: AgreementCommand, agreement: str, states: Mapping[str, Any], at: datetime
) -> list[tuple[str, object]]:
    """What a command leads to in an agreement and in those that share in it, which go by their versions at `at`."""
    decided = groups.decide(command, agreement, lambda name: states[agreement_stream(name)], at)
    return [(agreement_stream(name), event) for name, event in decided]


def event_id_of(reference: Reference) -> UUID:
    """The id of the event that a reference leads to, whatever it is told with."""
    return derived_id(f"reference {reference}", _EPOCH)


class Recorder:
    """Decides about reports and records them."""

    def __init__(self, log: EventLog, executor: Executor) -> None:
        self._log = log
        self._executor = executor

    async def record(self, reported: Sequence[Reported]) -> Outcome:
        """All of them take effect, or none. Raises Refused."""

        async def decided() -> Outcome:
            async with self._log.pool.acquire() as conn, conn.transaction():
                return await self._record(reported, conn, apart=False)

        outcome = await retry_on_conflict(decided)
        outcome.execution.committed()
        return outcome

    async def record_apart(self, reported: Sequence[Reported], conn: asyncpg.Connection) -> Callable[[], None]:
        """In the caller's transaction, each for itself: what is refused goes on record. Returns what to call after the
        commit. A conflict raises WrongExpectedVersion."""
        outcome = await self._record(reported, conn, apart=True)
        refusals = [
            _refusal(one, result)
            for one, result in zip(reported, outcome.results, strict=True)
            if isinstance(result, Refused)
        ]
        recorded = await self._executor.execute(refusals, conn) if refusals else None

        def committed() -> None:
            for execution in (outcome.execution, recorded):
                if execution is not None:
                    execution.committed()

        return committed

    async def _record(self, reported: Sequence[Reported], conn: asyncpg.Connection, apart: bool) -> Outcome:
        known = await self._known([one.told for one in reported], conn)
        agreements = {one.told.reference: one.told.agreement for one in reported if isinstance(one.told, Sale)}
        intents = [_intent(one, known, agreements) for one in reported]
        try:
            execution = await self._executor.execute(intents, conn, apart=apart)
        except DuplicateEvent as error:  # somebody was faster with this reference, in another agreement
            raise WrongExpectedVersion("references", 0, 1) from error
        results: list[Posted | Refused] = []
        for number, one in enumerate(reported):
            refused = execution.refused.get(number)
            if refused is not None and not isinstance(refused, Refused):
                raise refused
            results.append(refused or known[one.told.reference])
        return Outcome(results, execution)

    async def _known(self, told: Sequence[Told], conn: asyncpg.Connection) -> dict[Reference, Posted]:
        """What the log has of these references, and of the sales that they are about."""
        known = await self._posted({reference for one in told for reference in _mentioned(one)}, conn)
        refunds = [posted for posted in known.values() if isinstance(posted, RefundPosted)]
        if missing := {refund.sale for refund in refunds} - known.keys():
            known |= await self._posted(missing, conn)
        return known

    async def _posted(self, references: Iterable[Reference], conn: asyncpg.Connection) -> dict[Reference, Posted]:
        found = await self._log.events(map(event_id_of, references), conn)
        return {recorded.event.reference: recorded.event for recorded in found.values()}


def _mentioned(told: Told) -> tuple[Reference, ...]:
    match told:
        case Sale():
            return (told.reference,)
        case Refund():
            return (told.reference, told.sale)
        case Reversal():
            return (told.reference, told.of)


def _intent(one: Reported, known: dict[Reference, Posted], agreements: Mapping[Reference, str]) -> JointIntent:
    """`known` grows with each decision, for those behind it; `agreements` are those of sales in the same batch."""
    told = one.told
    deciders: dict[str, Decider[Any, Any, Any]] = {}
    agreement = _agreement(told, known, agreements)
    if agreement is not None:
        deciders[agreement_stream(agreement)] = domain.agreement
    if isinstance(told, Sale):
        deciders[TERMS] = domain.terms
        if told.asset not in SCALES:
            deciders[asset_stream(told.asset)] = domain.asset

    def decided(states: Mapping[str, Any]) -> Sequence[tuple[str, object]]:
        if (before := known.get(told.reference)) is not None:
            if _told(before) != told:
                raise Refused("reference-conflict", f"{told.reference} was used before, with other contents")
            return []
        command = _command(told, known, states)
        sale = command.sale if isinstance(command, domain.PostSale) else command.sale.sale
        events = decide_with_groups(command, sale.agreement, states, sale.occurred_at)
        known[told.reference] = events[0][1]  # type: ignore[assignment]  # a posting comes first
        return events

    also = None if agreement is None else groups_of(agreement)
    return JointIntent(deciders, decided, one.at, one.metadata, first_id=event_id_of(told.reference), also=also)


def _agreement(told: Told, known: Mapping[Reference, Posted], agreements: Mapping[Reference, str]) -> str | None:
    """Of the sale, wherever it is."""
    if isinstance(told, Sale):
        return told.agreement
    about = told.sale if isinstance(told, Refund) else told.of
    match known.get(about):
        case SalePosted(sale=sale):
            return sale.agreement
        case RefundPosted(agreement=agreement):
            return agreement
        case _:
            return agreements.get(about)


def _told(posted: Posted) -> Told:
    match posted:
        case SalePosted(sale=sale):
            return sale
        case RefundPosted(refund=refund):
            return refund
        case ReversalPosted(reversal=reversal):
            return reversal


def _command(
    told: Told, known: Mapping[Reference, Posted], states: Mapping[str, Any]
) -> domain.PostSale | domain.PostRefund | domain.PostReversal:
    if isinstance(told, Sale):
        if told.asset not in SCALES and states[asset_stream(told.asset)] is None:
            raise Refused("asset-unknown", f"{told.asset}: expected an asset that is registered")
        terms = in_force(states[TERMS], told.occurred_at)
        return domain.PostSale(told, terms.version, terms.fees_bps.get(told.kind, 0))
    about = known.get(told.sale if isinstance(told, Refund) else told.of)
    sale = known.get(about.sale) if isinstance(about, RefundPosted) else about
    if not isinstance(sale, SalePosted) or (isinstance(told, Refund) and sale is not about):
        raise Refused("sale-unknown", f"{told.reference}: there is no such sale")
    if isinstance(told, Refund):
        return domain.PostRefund(told, sale)
    return domain.PostReversal(told, sale, about if isinstance(about, RefundPosted) else None)


def _refusal(one: Reported, refused: Refused) -> Intent:
    reference = one.told.reference
    fact = domain.CommandRefused(reference, refused.code, str(refused))
    return Intent(f"refusal/{reference}", domain.refusals, fact, one.at, one.metadata)
