"""Who was shown a text, who accepted it and who took that back; whether somebody has, and who still must."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Query
from pydantic import BaseModel, Field

from compliance import domain, handlers, projections, queries
from compliance.api.common import (
    DocumentName,
    NamedType,
    OnChain,
    Overseer,
    Owner,
    Platform,
    Subject,
    VersionNumber,
    asking,
    before,
)
from compliance.projections.common import slug
from contracts.chain import DocumentType
from contracts.values import Hash, SubjectId
from service import (
    After,
    Commands,
    IdempotencyKey,
    Page,
    Paging,
    Queries,
    Recorded,
    Router,
    Strict,
    Tagged,
    Token,
    known_as,
    may_act_for,
    may_see,
    not_found,
    shown,
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


class Withdrawal(Strict):
    """A subject no longer consents, whichever version it has accepted by its id or its wallets.

    `withdrawal_id` is a fresh random UUID of the caller's: repeating the withdrawal with it changes nothing.
    """

    withdrawal_id: UUID
    subject: SubjectId
    document_type: DocumentName


class Question(Strict):
    """Whether these subjects have accepted a document: `version`, else the one in force."""

    subjects: list[SubjectId] = Field(min_length=1, max_length=1000)
    document_type: DocumentName
    version: VersionNumber | None = None


class AcceptanceRecord(OnChain):
    subject: str
    document_type: str
    version: int
    content_hash: str
    how: str
    accepted_at: datetime
    recorded_by: str | None
    position: int


class Discrepancy(AcceptanceRecord):
    finding: Literal["not-published", "wrong-text", "not-on-chain"]


class Outstanding(BaseModel):
    """A subject that must accept again; `person` is whose wallet it is, else the subject itself."""

    subject: str
    person: str
    accepted_version: int
    accepted_at: datetime


class Accepted(BaseModel):
    """Whether a subject has, by its id or a wallet, accepted `version`: the one asked for, else the one in force."""

    subject: str
    document_type: str
    version: int
    accepted: bool
    accepted_at: datetime | None
    current_version: int | None = Field(description="the one in force, if there is one")
    latest_accepted_version: int | None
    latest_served_version: int | None
    withdrawn_at: datetime | None


STANDING = (projections.Documents, projections.AcceptanceRecords, projections.ComplianceIndex, projections.Wallets)
"""What the answer to who has accepted what is read from."""


def routes(commands: Commands, reads: Queries, facts: handlers.Facts) -> Router:
    router = Router(route_class=Tagged)

    async def accepted(
        query: queries.Query, document_type: DocumentType, version: int | None, after: Token | None, **asked: Any
    ) -> dict[str, Accepted]:
        """The answers by subject. Raises Problem 404 for a document that isn't there."""
        await reads.caught_up(after, *STANDING)
        name = slug(document_type)
        rows = await reads.all(query, document_type=name, version=version, now=datetime.now(UTC), **asked)
        if not rows:
            raise not_found("published document", f"{name} version {version}" if version else f"{name} in force")
        return {row["subject"]: Accepted(accepted=row["accepted_at"] is not None, **row) for row in rows}

    @router.post("/documents/{document_type}/served", summary="Record that a subject was shown a text")
    async def record_served(document_type: NamedType, body: Serving, caller: Subject, key: IdempotencyKey) -> Recorded:
        may_act_for(caller, body.subject)
        async with asking(commands, "record-served", body.subject, caller, key) as ask:
            published = await facts.published(document_type, body.version)
            command = domain.RecordServed(body.subject, document_type, body.version, body.content_hash, published)
            return await commands.execute([handlers.acceptance(command, ask.at, ask.metadata)])

    @router.post("/acceptances", summary="Record that a subject accepted a text")
    async def record_acceptance(body: Acceptance, caller: Subject, key: IdempotencyKey) -> Recorded:
        may_act_for(caller, body.subject)
        async with asking(commands, "record-acceptance", body.subject, caller, key) as ask:
            published = await facts.published(body.document_type, body.version)
            text = (body.subject, body.document_type, body.version, body.content_hash, published)
            command = domain.RecordAcceptance(*text, domain.How.API, None)
            return await commands.execute([handlers.acceptance(command, ask.at, ask.metadata)])

    @router.post("/withdrawals", summary="Withdraw consent to a document")
    async def withdraw_consent(body: Withdrawal, caller: Subject, key: IdempotencyKey) -> Recorded:
        may_act_for(caller, body.subject)
        async with asking(commands, "withdraw-consent", body.subject, caller, key) as ask:
            withdrawal = str(body.withdrawal_id)
            command = domain.WithdrawConsent(body.subject, body.document_type, withdrawal, ask.at)
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
        await reads.caught_up(after, projections.Wallets)
        if shown() is not None:  # what was accepted by a wallet is its owner's, too
            known_as(*[row["address"] for row in await reads.all(queries.wallets_of(subject))])
        return (await accepted(queries.has_accepted(), document_type, version, after, subject=subject))[subject]

    @router.post("/accepted", summary="Whether each of many subjects has accepted a document")
    async def have_accepted(body: Question, caller: Platform, after: After) -> list[Accepted]:
        may_see(caller, None)
        subjects = list(dict.fromkeys(body.subjects))
        found = await accepted(queries.have_accepted(), body.document_type, body.version, after, subjects=subjects)
        return [found[subject] for subject in subjects]

    @router.get("/documents/{document_type}/outstanding", summary="Who accepted an earlier version only")
    async def list_outstanding(
        document_type: NamedType,
        caller: Overseer,
        paging: Paging,
        after: After,
        version: Annotated[int, Query(ge=1, lt=2**32)],
    ) -> Page[Outstanding]:
        may_see(caller, None)
        await reads.caught_up(after, projections.ComplianceIndex, projections.Wallets)
        (seen,) = paging.after(str) or (None,)
        rows = await reads.all(queries.outstanding(slug(document_type), version, seen, paging.limit + 1))
        return paging.page([Outstanding(**row) for row in rows], lambda one: (one.subject,))

    @router.get("/documents/{document_type}/discrepancies", summary="Acceptances that chain and API don't agree on")
    async def list_discrepancies(
        document_type: NamedType, caller: Overseer, paging: Paging, after: After
    ) -> Page[Discrepancy]:
        may_see(caller, None)
        await reads.caught_up(after, projections.Documents, projections.AcceptanceRecords, projections.Wallets)
        rows = await reads.all(queries.discrepancies(slug(document_type), before(paging), paging.limit + 1))
        return paging.page([Discrepancy(**row) for row in rows], lambda record: (record.position,))

    return router
