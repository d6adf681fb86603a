"""Distributions: opened by one person, approved by two others, paid by the process, shown to officers."""

from __future__ import annotations

import csv
from collections.abc import AsyncGenerator, AsyncIterator
from datetime import UTC, datetime
from io import StringIO
from typing import Annotated, Any, Literal

from fastapi import Header, Path
from fastapi.responses import Response, StreamingResponse
from pydantic import AwareDatetime, BaseModel, Field

from contracts.values import Address, Amount, Hash, SignedAmount, Uint256
from eventlog import EventLog, RecordedEvent, Watermark
from royalties import projections
from royalties.api import pools
from royalties.api.common import InAsset, Officer, Reason, Reviewer, preferred, refusals
from royalties.distributing import intents, queries
from royalties.domain.distributions import (
    ApproveDistribution,
    CancelDistribution,
    Distribution,
    Holding,
    OpenDistribution,
    Terms,
    distribution,
    why_withheld,
)
from royalties.settings import RoyaltiesSettings
from service import (
    After,
    Commands,
    EventStream,
    IdempotencyKey,
    LastEventId,
    Page,
    Paging,
    Problem,
    Queries,
    Recorded,
    Router,
    StreamEvent,
    Strict,
    Tagged,
    followed,
    may_see,
    metadata_of,
    not_found,
)

DistributionId = Annotated[str, Path(pattern=r"^[0-9a-f]{32}$")]
Status = Literal["listed", "carried", "asked", "failed", "paid", "given-up"]
CSV_ROWS = 5_000  # fetched at once


class HoldingRule(Strict):
    """What has to be held: DCMX, or editions, each of which counts once."""

    kind: Literal["dcmx-token", "music-nft"]
    track_id: Uint256 | None = Field(None, description="Only editions of this track count.")


class NewDistribution(Strict):
    """What to share with whom. The Idempotency-Key names it: the same again has the same answer."""

    pool: Literal["platform"] | Address
    asset: pools.Shareable
    amount: Amount
    period: str = Field(pattern=r"^\d{4}-Q[1-4]$", examples=["2026-Q3"])
    holding: HoldingRule
    block: int = Field(ge=0, lt=2**63, description="Those share who hold something after this block.")
    minimum: Amount = Field(0, description="Less than this is carried forward to the holder's next distribution.")
    tax_form_needed: bool = Field(True, description="Whether shares wait until a tax form is on file.")
    excluded: tuple[Address, ...] = Field((), max_length=1_000, description="Addresses that have no share.")


class Approval(Strict):
    digest: Hash = Field(description="Of the preview that was looked at.")


class Because(Strict):
    reason: Reason


class Opened(Recorded):
    distribution_id: str


class DistributionState(InAsset):
    """shared + dust = amount; once it is reconciled, shared + brought = paid + given_up + carried."""

    distribution_id: str
    pool: str
    period: str
    amount: Amount
    holding: str
    track_id: Uint256 | None
    block: int
    minimum: Amount
    tax_form_needed: bool
    excluded: list[str]
    status: Literal["opened", "previewed", "approved", "paying", "reconciled", "cancelled"]
    reason: str | None
    opened_by: str
    opened_at: datetime
    approved_by: str | None
    approved_too_by: str | None
    digest: str | None = Field(description="Of the terms and all shares: approvals name it.")
    holders: int
    held: Amount = Field(description="By all holders, in the smallest unit of what is held.")
    shared: Amount
    dust: Amount = Field(description="What rounding down leaves to the pool.")
    credited: int = Field(description="Shares credited so far.")
    brought: Amount = Field(description="Carried forward before, and paid along.")
    carried: Amount = Field(description="Of the shares: not paid now.")
    asked: Amount = Field(description="What the chain was asked to pay.")
    paid: Amount
    failed: SignedAmount
    given_up: Amount
    differing: int | None = Field(description="Payments that the chain shows otherwise; null: nobody has looked there.")
    reconciled_at: datetime | None


class ShareState(InAsset):
    party: str
    amount: Amount
    brought: Amount = Field(description="Carried forward before, and paid along; of a preview: what would be.")
    status: Status
    reason: str | None = Field(description="Why it is carried forward (of a preview: would be), or has failed.")
    payment_id: str | None
    attempt: int
    tx_id: str | None
    block_number: int | None


class Step(BaseModel):
    """What has happened to a distribution; the fields that the step has."""

    at: datetime
    officer: str | None = None
    reason: str | None = None
    digest: str | None = None
    credited: int | None = Field(None, description="shares, so far")
    of: int | None = Field(None, description="shares in all")
    paid: Amount | None = None


def routes(
    commands: Commands, reads: Queries, log: EventLog, watermark: Watermark, settings: RoyaltiesSettings
) -> Router:
    router = Router(route_class=Tagged)

    @router.post("/distributions", summary="Open a distribution")
    async def open_(body: NewDistribution, caller: Officer, key: IdempotencyKey) -> Opened:
        distribution_id = intents.distribution_id_of(key)
        command = OpenDistribution(distribution_id, _terms(body, settings), caller.subject)
        with refusals():
            done = await commands.execute([intents.open_(command, datetime.now(UTC), metadata_of(caller, key))])
        return Opened(distribution_id=distribution_id, events=done.events, token=done.token)

    @router.get("/distributions", summary="Distributions, newest first")
    async def all_(caller: Officer, paging: Paging, after: After, pool: str | None = None) -> Page[DistributionState]:
        await reads.caught_up(after, projections.Distributions)
        seen = paging.after(AwareDatetime, str)
        rows = await reads.all(queries.distributions(seen, paging.limit + 1, pool))
        return paging.page([DistributionState(**row) for row in rows], lambda one: (one.opened_at, one.distribution_id))

    @router.get("/distributions/{distribution_id}", summary="A distribution, and how far it has come")
    async def one(distribution_id: DistributionId, caller: Officer, after: After) -> DistributionState:
        await reads.caught_up(after, projections.Distributions)
        row = await reads.one(queries.distribution(distribution_id), "distribution", distribution_id)
        return DistributionState(**row)

    @router.get(
        "/distributions/{distribution_id}/shares",
        summary="Every holder's share: a preview before it is credited, then what became of it; JSON or CSV",
        response_model=Page[ShareState],
        responses={200: {"content": {"text/csv": {}}}},
    )
    async def shares(
        distribution_id: DistributionId,
        caller: Reviewer,
        paging: Paging,
        after: After,
        status: Status | None = None,
        accept: Annotated[str, Header(description="text/csv gives all shares as CSV.")] = "application/json",
    ) -> Page[ShareState] | Response:
        may_see(caller, None)  # whose pay is held back, and why
        await reads.caught_up(after, projections.Distributions, projections.Payees, projections.Ledger)
        if preferred(accept, "text/csv"):
            name = f'attachment; filename="distribution-{distribution_id}.csv"'
            headers = {"content-disposition": name, "vary": "accept"}
            rows = _as_csv(reads, distribution_id, status)
            return StreamingResponse(rows, media_type="text/csv", headers=headers)
        (seen,) = paging.after(str) or (None,)
        found = await reads.all(queries.shares(distribution_id, seen, paging.limit + 1, status))
        return paging.page([_share(row) for row in found], lambda share: (share.party,))

    @router.post("/distributions/{distribution_id}/approvals", summary="Approve what was previewed; two persons must")
    async def approve(
        distribution_id: DistributionId, body: Approval, caller: Officer, key: IdempotencyKey
    ) -> Recorded:
        command, metadata = ApproveDistribution(caller.subject, body.digest), metadata_of(caller, key)
        with refusals():
            return await commands.execute([intents.approve(distribution_id, command, datetime.now(UTC), metadata)])

    @router.post("/distributions/{distribution_id}/cancel", summary="Give everything back to the pool")
    async def cancel(distribution_id: DistributionId, body: Because, caller: Officer, key: IdempotencyKey) -> Recorded:
        terms = (await _known(commands, distribution_id)).terms
        command, metadata = CancelDistribution(caller.subject, body.reason), metadata_of(caller, key)
        intent = intents.cancel(distribution_id, terms, command, datetime.now(UTC), metadata)
        with refusals():
            return await commands.execute([intent])

    @router.get(
        "/distributions/{distribution_id}/events",
        summary="What happens to a distribution, as it happens",
        response_class=EventStream,
    )
    async def follow(distribution_id: DistributionId, caller: Officer, last_event_id: LastEventId = 0) -> EventStream:
        """Server-Sent Events, named like the steps; the stream ends with `reconciled` or `cancelled`."""
        await _known(commands, distribution_id)
        return EventStream(_told(log, watermark, distribution_id, last_event_id), caller)

    return router


def _terms(body: NewDistribution, settings: RoyaltiesSettings) -> Terms:
    token = {"TRX": None, "DCMX": settings.dcmx_token}.get(body.asset, body.asset)
    if body.asset == "DCMX" and token is None:
        raise Problem(409, "asset-not-payable", "The asset can't be paid.", "Expected the setting dcmx_token.")
    holding = Holding(body.holding.kind, body.holding.track_id)
    if holding.track_id is not None and holding.kind != "music-nft":
        raise Problem(422, "no-track-of-coins", "Only editions are of a track.", f"Got {holding.kind} of a track.")
    excluded = tuple(sorted(set(body.excluded)))
    shared = (body.pool, body.asset, token, body.amount, body.period)
    return Terms(*shared, holding, body.block, body.minimum, body.tax_form_needed, excluded)


async def _known(commands: Commands, distribution_id: str) -> Distribution:
    run = await commands.state(intents.run_stream(distribution_id), distribution)
    if run.opened is None:
        raise not_found("distribution", distribution_id)
    return run


def _share(row: dict[str, Any]) -> ShareState:
    if row["status"] != "listed":
        return ShareState(**row)
    before = row["carried_before"]
    why = why_withheld(
        row["amount"] + before, row["minimum"], held=row["held"], tax_form_missing=row["tax_form_missing"]
    )
    return ShareState(**{**row, "reason": why, "brought": 0 if why else before})


async def _as_csv(reads: Queries, distribution_id: str, status: Status | None) -> AsyncIterator[str]:
    """All shares (RFC 4180), fetched and written piece by piece."""
    after, head = None, True
    while True:
        rows = await reads.all(queries.shares(distribution_id, after, CSV_ROWS, status))
        text = StringIO()
        writer = csv.DictWriter(text, [*ShareState.model_fields, "scale"])
        if head:
            writer.writeheader()
        writer.writerows(_share(row).model_dump(mode="json") for row in rows)
        yield text.getvalue()
        if len(rows) < CSV_ROWS:
            return
        after, head = rows[-1]["party"], False


async def _told(
    log: EventLog, watermark: Watermark, distribution_id: str, after: int
) -> AsyncGenerator[StreamEvent, None]:
    run = distribution.initial
    async for recorded in followed(log, watermark, intents.run_stream(distribution_id)):
        run = distribution.evolve(run, recorded.event)
        if recorded.version > after and (step := _step(run, recorded)) is not None:
            yield StreamEvent(recorded.version, *step)
        if run.end is not None:
            return


STEPS = {
    "DistributionOpened": "opened",
    "DistributionPreviewed": "previewed",
    "DistributionApproved": "approved",
    "DistributionCancelled": "cancelled",
    "SharesCredited": "paying",
    "DistributionReconciled": "reconciled",
}


def _step(run: Distribution, recorded: RecordedEvent) -> tuple[str, Step] | None:
    if (name := STEPS.get(recorded.type)) is None:
        return None
    event = recorded.event
    fields = {field: getattr(event, field, None) for field in ("officer", "reason", "digest", "paid")}
    progress = {"credited": run.credited, "of": len(run.shares)} if name == "paying" else {}
    return name, Step(at=recorded.occurred_at, **fields, **progress)
