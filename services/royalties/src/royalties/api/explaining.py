"""Why a line is what it is: from the posting back to the events, the message and the transaction it came from."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

from fastapi import Path
from pydantic import BaseModel, Field

from contracts.chain import Source
from contracts.values import SignedAmount
from eventlog import EventLog, RecordedEvent
from royalties.api.common import Owner
from royalties.domain import MONEY_MOVED, GroupShared, Posting, Side, class_of
from royalties.domain.explaining import FORMULA, is_explained, rests_on, steps
from royalties.recorder import event_id_of
from service import Caller, Queries, Router, Tagged, not_found, sees_named


class Fact(BaseModel):
    """An event of the log, as it is stored; its numbers as texts."""

    position: int
    event_id: str
    type: str
    stream: str
    version: int
    occurred_at: datetime
    recorded_at: datetime
    data: Any
    message: str | None = Field(description="The id of the message, or the key of the request, that led to it.")
    actor: str | None = Field(description="Who asked for it, if somebody did.")


class Move(BaseModel):
    account: str
    asset: str
    side: Side
    amount: SignedAmount


class Share(BaseModel):
    """`amount` is what the formula gives for the other numbers."""

    split_version: int
    tier: int
    ppm: int
    total_before: SignedAmount
    total_after: SignedAmount
    amount: SignedAmount


class Why(BaseModel):
    kind: str
    account: str
    asset: str
    amount: SignedAmount = Field(description="What the account's balance on its normal side changed by.")
    formula: str | None = Field(description="How a split makes an amount; null where none does.")
    shares: list[Share]
    agrees: bool | None = Field(description="Whether the shares sum to the amount; the chain may have it otherwise.")
    source: Source | None = Field(description="Where on the chain it happened.")
    caller: str | None
    reference: str | None = Field(description="What the caller named it, where it happened off the chain.")
    postings: list[Move] = Field(description="All that moved with it; for each asset, debits and credits are the same.")
    fact: Fact
    rests_on: list[Fact] = Field(description="The split in force; the payment or sale that was divided.")


def routes(log: EventLog, reads: Queries) -> Router:
    router = Router(route_class=Tagged)

    @router.get("/lines/{position}/{posting}/why", summary="Why a line of a statement is what it is")
    async def why(
        position: Annotated[int, Path(ge=1, lt=2**63)], posting: Annotated[int, Path(ge=0, lt=2**31)], caller: Owner
    ) -> Why:
        found = await log.read(position - 1, position)
        if not found or not isinstance(found[0].event, MONEY_MOVED) or posting >= len(found[0].event.postings):
            raise not_found("line", f"{position}/{posting}")
        (recorded,) = found
        if not await _may_be_told(recorded, posting, caller, reads):
            raise not_found("line", f"{position}/{posting}")
        before: list[RecordedEvent] = []
        if is_explained(recorded.event) and recorded.version > 1:
            before = await log.read_stream(recorded.stream, limit=recorded.version - 1)
        rests = [one for one in before if rests_on(recorded.event, one.event)]
        if isinstance(recorded.event, GroupShared) and (origin := recorded.event.reference) is not None:
            rests = [*(await log.events([event_id_of(origin)])).values(), *rests]
        return _why(recorded, posting, before, rests)

    return router


async def _may_be_told(recorded: RecordedEvent, number: int, caller: Caller, reads: Queries) -> bool:
    """What happened on the chain is public; the rest is its party's, and the staff's."""
    if getattr(recorded.event, "source", None) is not None:
        return True
    return await sees_named(caller, recorded.event.postings[number].account.partition(":")[2], reads)


def _why(recorded: RecordedEvent, number: int, before: Sequence[RecordedEvent], rests: Sequence[RecordedEvent]) -> Why:
    event = recorded.event
    posting: Posting = event.postings[number]
    account_class, _, party = posting.account.partition(":")
    grew = posting.side is class_of(account_class).normal_side
    amount = posting.amount if grew else -posting.amount
    shares = [
        Share(
            split_version=step.split_version,
            tier=step.tier,
            ppm=step.ppm,
            total_before=step.total_before,
            total_after=step.total_after,
            amount=step.amount,
        )
        for step in (steps(event, [one.event for one in before], party) if account_class == "earnings" else ())
    ]
    reference = getattr(event, "reference", None)
    return Why(
        kind=event.line_kind,
        account=posting.account,
        asset=posting.asset,
        amount=amount,
        formula=FORMULA if shares else None,
        shares=shares,
        agrees=sum(share.amount for share in shares) == amount if shares else None,
        source=getattr(event, "source", None),
        caller=reference and reference.caller,
        reference=reference and reference.id,
        postings=[Move(**one._asdict()) for one in event.postings],
        fact=_fact(recorded),
        rests_on=[_fact(one) for one in rests],
    )


def _fact(recorded: RecordedEvent) -> Fact:
    return Fact(
        position=recorded.position,
        event_id=str(recorded.event_id),
        type=f"{recorded.type}.v{recorded.type_version}",
        stream=recorded.stream,
        version=recorded.version,
        occurred_at=recorded.occurred_at,
        recorded_at=recorded.recorded_at,
        data=json.loads(recorded.data, parse_int=str),
        message=recorded.metadata.causation_id,
        actor=recorded.metadata.actor,
    )
