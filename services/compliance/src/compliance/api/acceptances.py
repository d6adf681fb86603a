"""Who was shown a text, who accepted it, and whether somebody has."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel

from compliance import domain, handlers, projections, queries
from compliance.api.common import (
    DocumentName,
    NamedType,
    OnChain,
    Owner,
    Subject,
    VersionNumber,
    asking,
    before,
)
from compliance.projections.common import slug
from contracts.values import Hash, SubjectId
from service import (
    After,
    Commands,
    IdempotencyKey,
    Page,
    Paging,
    Queries,
    Recorded,
    Strict,
    Tagged,
    may_act_for,
    may_see,
)


class Serving(Strict):
    """A text that was shown to a subject."""

    subject: SubjectId
    version: VersionNumber
    content_hash: Hash


class Acceptance(Strict):
    """A text that a subject accepted. `content_hash` is that of what was shown: it must be the published one."""

    subject: SubjectId
    document_type: DocumentName
    version: VersionNumber
    content_hash: Hash


class AcceptanceRecord(OnChain):
    subject: str
    document_type: str
    version: int
    content_hash: str
    how: str
    accepted_at: datetime
    recorded_by: str | None
    position: int


class Accepted(BaseModel):
    """Whether a subject has accepted `version`: the one asked for, else the one in force."""

    subject: str
    document_type: str
    version: int
    accepted: bool
    accepted_at: datetime | None
    current_version: int
    latest_accepted_version: int | None
    latest_served_version: int | None


def routes(commands: Commands, reads: Queries, facts: handlers.Facts) -> APIRouter:
    router = APIRouter(route_class=Tagged)

    @router.post("/documents/{document_type}/served", summary="Record that a subject was shown a text")
    async def record_served(document_type: NamedType, body: Serving, caller: Subject, key: IdempotencyKey) -> Recorded:
        may_act_for(caller, body.subject)
        async with asking(commands, "record-served", body.subject, caller, key) as ask:
            published = await facts.published_hash(document_type, body.version)
            command = domain.RecordServed(body.subject, document_type, body.version, body.content_hash, published)
            return await commands.execute([handlers.acceptance(command, ask.at, ask.metadata)])

    @router.post("/acceptances", summary="Record that a subject accepted a text")
    async def record_acceptance(body: Acceptance, caller: Subject, key: IdempotencyKey) -> Recorded:
        may_act_for(caller, body.subject)
        async with asking(commands, "record-acceptance", body.subject, caller, key) as ask:
            published = await facts.published_hash(body.document_type, body.version)
            text = (body.subject, body.document_type, body.version, body.content_hash, published)
            command = domain.RecordAcceptance(*text, domain.How.API, None)
            return await commands.execute([handlers.acceptance(command, ask.at, ask.metadata)])

    @router.get("/acceptances", summary="Acceptances with their evidence, newest first")
    async def list_acceptances(
        caller: Owner,
        paging: Paging,
        after: After,
        subject: SubjectId | None = None,
        document_type: DocumentName | None = None,
    ) -> Page[AcceptanceRecord]:
        may_see(caller, subject)
        await reads.caught_up(after, projections.AcceptanceRecords)
        name = None if document_type is None else slug(document_type)
        rows = await reads.all(queries.acceptances(subject, name, before(paging), paging.limit + 1))
        return paging.page([AcceptanceRecord(**row) for row in rows], lambda record: (record.position,))

    @router.get("/subjects/{subject}/accepted/{document_type}", summary="Whether a subject has accepted a document")
    async def has_accepted(
        subject: SubjectId,
        document_type: NamedType,
        caller: Owner,
        after: After,
        version: Annotated[int | None, Query(ge=1, lt=2**32, description="by default the one in force")] = None,
    ) -> Accepted:
        may_see(caller, subject)
        await reads.caught_up(after, projections.Documents, projections.AcceptanceRecords, projections.ComplianceIndex)
        name = slug(document_type)
        which = name if version is None else f"{name} version {version}"
        row = await reads.one(queries.accepted(subject, name, version), "published document", which)
        return Accepted(subject=subject, accepted=row["accepted_at"] is not None, **row)

    return router
