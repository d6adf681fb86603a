"""Agreements on who shares sales off the chain; the platform's terms; assets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import sqlalchemy as sa
from pydantic import BaseModel, Field

from contracts.sales import AssetName
from contracts.values import Amount, SubjectId
from eventlog import Decider, Intent, JointIntent
from royalties import domain, projections
from royalties.api.common import Moment, Party, Reporter, User, refusals
from royalties.domain.assets import MOST_DECIMALS
from royalties.domain.division import MOST_RECIPIENTS
from royalties.domain.terms import BPS
from royalties.projections.agreements import agreement_versions, agreements, assets, terms
from royalties.recorder import TERMS, agreement_stream, asset_stream, decide_with_groups, groups_of
from service import (
    After,
    Caller,
    Commands,
    IdempotencyKey,
    Queries,
    Recorded,
    Router,
    Strict,
    Tagged,
    may_act_for,
    metadata_of,
)


class Share(Strict):
    recipient: SubjectId = Field(description="Opaque subject id, or an address; agreement:<name> for a group.")
    ppm: int = Field(gt=0, le=1_000_000, strict=True, description="Parts per million.")


Shares = Annotated[list[Share], Field(min_length=1, max_length=MOST_RECIPIENTS)]


class Breakpoint(Strict):
    asset: AssetName
    above: Amount = Field(description="What is taken in under the version above this goes by these shares.")
    shares: Shares


class NewAgreement(Strict):
    agreement: SubjectId
    controller: SubjectId


class NewVersion(Strict):
    by: SubjectId = Field(description="Who controls the agreement.")
    effective_from: Moment
    shares: Shares
    breakpoints: list[Breakpoint] = Field([], max_length=100)


class Offer(Strict):
    by: SubjectId
    to: SubjectId


class Acceptance(Strict):
    by: SubjectId


class Version(BaseModel):
    version: int
    effective_from: datetime
    shares: list[Share]
    breakpoints: list[Breakpoint]


class AgreementShown(BaseModel):
    agreement: str
    controller: str
    offered_to: str | None = Field(description="Who controls it after accepting.")
    versions: list[Version] = Field(description="Oldest first; each holds until the next one begins.")


class NewTerms(Strict):
    effective_from: Moment
    fees_bps: dict[domain.SaleKind, Annotated[int, Field(ge=0, le=BPS, strict=True)]] = Field(
        description="Basis points of what is shared, by kind of sale; no fee for others."
    )


class TermsShown(BaseModel):
    version: int
    effective_from: datetime
    fees_bps: dict[str, int]


class NewAsset(Strict):
    asset: AssetName
    scale: int = Field(ge=0, le=MOST_DECIMALS, strict=True, description="Its decimals, for ever.")


class Asset(BaseModel):
    asset: str
    scale: int


def routes(commands: Commands, reads: Queries) -> Router:
    router = Router(route_class=Tagged)

    async def execute(
        stream: str, decider: Decider[Any, Any, Any], command: object, caller: Caller, key: str
    ) -> Recorded:
        with refusals():
            return await commands.execute(
                [Intent(stream, decider, command, datetime.now(UTC), metadata_of(caller, key))]
            )

    async def agree(agreement: str, command: object, caller: Caller, key: str) -> Recorded:
        return await execute(agreement_stream(agreement), domain.agreement, command, caller, key)

    async def agree_with_groups(
        agreement: str, command: domain.SetVersion | domain.CloseVersions, caller: Caller, key: str
    ) -> Recorded:
        """Decided on the agreements that share in it, too."""

        def decided(states: Mapping[str, Any]) -> Sequence[tuple[str, object]]:
            return decide_with_groups(command, agreement, states, command.at)

        stream, new = agreement_stream(agreement), command.groups if isinstance(command, domain.SetVersion) else ()
        also, metadata = groups_of(agreement, *new), metadata_of(caller, key)
        with refusals():
            return await commands.execute(
                [JointIntent({stream: domain.agreement}, decided, command.at, metadata, also=also)]
            )

    @router.post("/agreements", summary="Open an agreement, controlled by somebody")
    async def open_agreement(body: NewAgreement, caller: Reporter, key: IdempotencyKey) -> Recorded:
        opened = domain.AgreementOpened(body.agreement, body.controller)
        return await agree(body.agreement, opened, caller, key)

    @router.post("/agreements/{agreement}/versions", summary="Who shares, from a time on")
    async def set_version(agreement: SubjectId, body: NewVersion, caller: Party, key: IdempotencyKey) -> Recorded:
        may_act_for(caller, body.by)
        breakpoints = tuple(domain.Breakpoint(one.asset, one.above, _shares(one.shares)) for one in body.breakpoints)
        start, now = body.effective_from.astimezone(UTC), datetime.now(UTC)
        command = domain.SetVersion(agreement, body.by, start, _shares(body.shares), breakpoints, now)
        return await agree_with_groups(agreement, command, caller, key)

    @router.post("/agreements/{agreement}/offers", summary="Offer the control of an agreement to somebody")
    async def offer(agreement: SubjectId, body: Offer, caller: Party, key: IdempotencyKey) -> Recorded:
        may_act_for(caller, body.by)
        return await agree(agreement, domain.OfferControl(agreement, body.by, body.to), caller, key)

    @router.post("/agreements/{agreement}/acceptances", summary="Accept the control that was offered")
    async def accept(agreement: SubjectId, body: Acceptance, caller: Party, key: IdempotencyKey) -> Recorded:
        may_act_for(caller, body.by)
        return await agree(agreement, domain.ControlAccepted(agreement, body.by), caller, key)

    @router.post("/agreements/{agreement}/closings", summary="Give out the carry of versions that are over")
    async def close(agreement: SubjectId, caller: Reporter, key: IdempotencyKey) -> Recorded:
        return await agree_with_groups(agreement, domain.CloseVersions(datetime.now(UTC)), caller, key)

    @router.get("/agreements/{agreement}", summary="An agreement and every version of its split")
    async def get_agreement(agreement: SubjectId, caller: User, after: After) -> AgreementShown:
        await reads.caught_up(after, projections.Agreements)
        one, versions = projections.Agreements.live(agreements), projections.Agreements.live(agreement_versions)
        found = await reads.one(sa.select(one).where(one.c.agreement == agreement), "agreement", agreement)
        mine = sa.select(versions).where(versions.c.agreement == agreement).order_by(versions.c.version)
        return AgreementShown(**found, versions=[Version(**row) for row in await reads.all(mine)])

    @router.post("/terms", summary="What the platform keeps of sales off the chain, from a time on")
    async def set_terms(body: NewTerms, caller: Reporter, key: IdempotencyKey) -> Recorded:
        command = domain.SetTerms(body.fees_bps, body.effective_from.astimezone(UTC), datetime.now(UTC))
        return await execute(TERMS, domain.terms, command, caller, key)

    @router.get("/terms", summary="The platform's terms, oldest first")
    async def get_terms(caller: User, after: After) -> list[TermsShown]:
        await reads.caught_up(after, projections.Terms)
        table = projections.Terms.live(terms)
        return [TermsShown(**row) for row in await reads.all(sa.select(table).order_by(table.c.version))]

    @router.post("/assets", summary="Register a TRC-20 token or a creator's coin")
    async def register(body: NewAsset, caller: Reporter, key: IdempotencyKey) -> Recorded:
        registered = domain.AssetRegistered(body.asset, body.scale)
        return await execute(asset_stream(body.asset), domain.asset, registered, caller, key)

    @router.get("/assets", summary="All assets and their decimals")
    async def get_assets(caller: User, after: After) -> list[Asset]:
        await reads.caught_up(after, projections.Terms)
        table = projections.Terms.live(assets)
        known = [Asset(asset=asset, scale=scale) for asset, scale in domain.SCALES.items()]
        return known + [Asset(**row) for row in await reads.all(sa.select(table).order_by(table.c.asset))]

    return router


def _shares(given: list[Share]) -> tuple[domain.Share, ...]:
    return tuple(domain.Share(share.recipient, share.ppm) for share in given)
