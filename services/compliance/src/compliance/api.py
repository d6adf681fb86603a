"""The HTTP side: a POST is a command and returns a token, a GET reads a read model and may wait for that token."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from pydantic import AwareDatetime

from compliance import bodies, domain, handlers, projections, queries
from compliance.bodies import RequestId
from contracts.chain import DocumentType
from eventlog import Metadata
from service import (
    After,
    Caller,
    Commands,
    CurrentCaller,
    IdempotencyKey,
    Page,
    Paging,
    Problem,
    Queries,
    Recorded,
    SubjectId,
    Tagged,
    metadata_of,
    not_found,
    require,
)

ON_BEHALF = frozenset({"service", "officer", "admin"})
SEES_ALL = ON_BEHALF | {"auditor"}

Subject = Annotated[Caller, Depends(require("user", "service", "admin"))]
Requester = Annotated[Caller, Depends(require("user", "service", "officer", "admin"))]
Reader = Annotated[Caller, Depends(require("user", "service", "officer", "auditor", "admin"))]
Officer = Annotated[Caller, Depends(require("officer", "admin"))]
Auditor = Annotated[Caller, Depends(require("officer", "auditor", "admin"))]
Reporter = Annotated[Caller, Depends(require("service", "officer", "admin"))]


async def _named_type(document_type: str, caller: CurrentCaller) -> DocumentType:  # who asks comes first: 401, then 404
    known = bodies.slugs(DocumentType)
    if document_type not in known:
        raise Problem(404, "not-found", "There is no such document type.", f"Expected one of {', '.join(known)}.")
    return known[document_type]


NamedType = Annotated[DocumentType, Depends(_named_type)]


async def _trail_filter(
    actor: SubjectId | None = None,
    subject: SubjectId | None = None,
    action: Annotated[str | None, Query(max_length=100)] = None,
    since: AwareDatetime | None = None,
    until: AwareDatetime | None = None,
) -> queries.TrailFilter:
    return queries.TrailFilter(actor, subject, action, since, until)


TrailFilter = Annotated[queries.TrailFilter, Depends(_trail_filter)]


@dataclass(frozen=True, slots=True)
class Asked:
    """A command on its way: when it was asked, and what its events will say of it."""

    at: datetime
    key: str
    metadata: Metadata


def routes(commands: Commands, reads: Queries, facts: handlers.Facts) -> APIRouter:
    """All routes of the service."""
    router = APIRouter(tags=["compliance"], route_class=Tagged)

    @asynccontextmanager
    async def asked(command: str, subject: str | None, caller: Caller, key: str) -> AsyncIterator[Asked]:
        """The clock of commands is read here and nowhere else. A refusal is put on record, then answered."""
        ask = Asked(datetime.now(UTC), key, metadata_of(caller, key))
        try:
            yield ask
        except domain.Refusal as refusal:
            refused = domain.CommandRefused(command, subject, refusal.code)
            await commands.execute([handlers.refused(refused, ask.at, key, ask.metadata)])
            status = 404 if isinstance(refusal, domain.NotOnRecord) else 409
            raise Problem(status, refusal.code, refusal.title, str(refusal)) from refusal

    async def step(command: str, request_id: str, caller: Caller, key: str, make: handlers.MakeStep) -> Recorded:
        async with asked(command, request_id, caller, key) as ask:
            subject = await facts.subject_of(request_id)
            return await commands.execute([handlers.deletion_step(subject, make(request_id, ask.at), ask.metadata)])

    # ---- documents

    @router.post("/documents", summary="Publish the next version of a document")
    async def publish_document(body: bodies.Publication, caller: Officer, key: IdempotencyKey) -> Recorded:
        async with asked("publish-document", None, caller, key) as ask:
            command = domain.PublishDocument(body.document_type, body.version, body.content_hash, body.uri, None)
            return await commands.execute([handlers.publish_document(command, ask.at, ask.metadata)])

    @router.get("/documents", summary="The documents in force")
    async def list_documents(caller: Reader, after: After) -> list[bodies.DocumentVersion]:
        await reads.caught_up(after, projections.Documents)
        return [bodies.DocumentVersion(**row) for row in await reads.all(queries.current_documents())]

    @router.get("/documents/{document_type}", summary="A document's versions, newest first")
    async def list_versions(
        document_type: NamedType, caller: Reader, paging: Paging, after: After
    ) -> Page[bodies.DocumentVersion]:
        await reads.caught_up(after, projections.Documents)
        name = projections.slug(document_type)
        rows = await reads.all(queries.versions(name, _before(paging), paging.limit + 1))
        return paging.page([bodies.DocumentVersion(**row) for row in rows], lambda version: (version.version,))

    @router.post("/documents/{document_type}/served", summary="Record that a subject was shown a text")
    async def record_served(
        document_type: NamedType, body: bodies.Serving, caller: Subject, key: IdempotencyKey
    ) -> Recorded:
        _may_act_for(caller, body.subject)
        async with asked("record-served", body.subject, caller, key) as ask:
            published = await facts.published_hash(document_type, body.version)
            command = domain.RecordServed(body.subject, document_type, body.version, body.content_hash, published)
            return await commands.execute([handlers.acceptance(command, ask.at, ask.metadata)])

    # ---- acceptances

    @router.post("/acceptances", summary="Record that a subject accepted a text")
    async def record_acceptance(body: bodies.Acceptance, caller: Subject, key: IdempotencyKey) -> Recorded:
        _may_act_for(caller, body.subject)
        async with asked("record-acceptance", body.subject, caller, key) as ask:
            published = await facts.published_hash(body.document_type, body.version)
            text = (body.subject, body.document_type, body.version, body.content_hash, published)
            command = domain.RecordAcceptance(*text, domain.How.API, None)
            return await commands.execute([handlers.acceptance(command, ask.at, ask.metadata)])

    @router.get("/acceptances", summary="Acceptances with their evidence, newest first")
    async def list_acceptances(
        caller: Reader,
        paging: Paging,
        after: After,
        subject: SubjectId | None = None,
        document_type: bodies.DocumentName | None = None,
    ) -> Page[bodies.AcceptanceRecord]:
        _may_see(caller, subject)
        await reads.caught_up(after, projections.AcceptanceRecords)
        name = None if document_type is None else projections.slug(document_type)
        rows = await reads.all(queries.acceptances(subject, name, _before(paging), paging.limit + 1))
        return paging.page([bodies.AcceptanceRecord(**row) for row in rows], lambda record: (record.position,))

    @router.get("/subjects/{subject}/accepted/{document_type}", summary="Whether a subject has accepted a document")
    async def has_accepted(
        subject: SubjectId,
        document_type: NamedType,
        caller: Reader,
        after: After,
        version: Annotated[int | None, Query(ge=1, lt=2**32, description="by default the one in force")] = None,
    ) -> bodies.Accepted:
        _may_see(caller, subject)
        await reads.caught_up(after, projections.Documents, projections.AcceptanceRecords, projections.ComplianceIndex)
        name = projections.slug(document_type)
        which = name if version is None else f"{name} version {version}"
        row = await reads.one(queries.accepted(subject, name, version), "published document", which)
        return bodies.Accepted(subject=subject, accepted=row["accepted_at"] is not None, **row)

    # ---- deletion requests

    @router.post("/deletion-requests", summary="Ask for erasure")
    async def request_deletion(body: bodies.DeletionRequest, caller: Requester, key: IdempotencyKey) -> Recorded:
        _may_act_for(caller, body.subject)
        async with asked("request-deletion", body.subject, caller, key) as ask:
            command = domain.ReceiveDeletion(str(body.request_id), body.subject, body.law, ask.at, None)
            return await commands.execute(handlers.receive_deletion(command, ask.metadata))

    @router.get("/deletion-requests", summary="Deletion requests, due soonest first")
    async def list_requests(
        caller: Reader,
        paging: Paging,
        after: After,
        subject: SubjectId | None = None,
        law: bodies.LawName | None = None,
        state: domain.State | None = None,
        open: bool | None = None,
        overdue: bool | None = None,
    ) -> Page[bodies.DeletionStatus]:
        _may_see(caller, subject)
        await reads.caught_up(after, projections.DeletionRequests)
        wanted = queries.RequestFilter(subject, None if law is None else law.label, state, open, overdue)
        seen = paging.after(AwareDatetime, str)
        rows = await reads.all(queries.deletion_requests(wanted, datetime.now(UTC), seen, paging.limit + 1))
        return paging.page([_status(row) for row in rows], lambda request: (request.due_at, request.request_id))

    @router.get("/deletion-requests/{request_id}", summary="A deletion request")
    async def get_request(request_id: RequestId, caller: Reader, after: After) -> bodies.DeletionStatus:
        await reads.caught_up(after, projections.DeletionRequests)
        row = await reads.one(queries.deletion_request(request_id, datetime.now(UTC)), "request", request_id)
        if not (caller.roles & SEES_ALL or row["subject"] == caller.subject):
            raise not_found("request", request_id)  # as if it were not there: an id is no secret to fish for
        return _status(row)

    @router.post("/deletion-requests/{request_id}/verify", summary="Say whether the subject's identity is verified")
    async def verify(request_id: RequestId, body: bodies.Identity, caller: Officer, key: IdempotencyKey) -> Recorded:
        def make(name: str, at: datetime) -> domain.Step:
            if isinstance(body, bodies.Verified):
                return domain.VerifyIdentity(name, body.method, at)
            return domain.RejectIdentity(name, body.reason, at)

        return await step("verify-identity", request_id, caller, key, make)

    @router.post("/deletion-requests/{request_id}/start", summary="Begin the erasure")
    async def start(request_id: RequestId, caller: Officer, key: IdempotencyKey) -> Recorded:
        return await step("start-deletion", request_id, caller, key, domain.StartDeletion)

    @router.post("/deletion-requests/{request_id}/extend", summary="Extend the deadline once, with notice")
    async def extend(request_id: RequestId, body: bodies.Extension, caller: Officer, key: IdempotencyKey) -> Recorded:
        def make(name: str, at: datetime) -> domain.Step:
            return domain.ExtendDeletion(name, body.reason, at)

        return await step("extend-deletion", request_id, caller, key, make)

    @router.post("/deletion-requests/{request_id}/complete", summary="Close a request: the data are erased")
    async def complete(
        request_id: RequestId, body: bodies.Completion, caller: Officer, key: IdempotencyKey
    ) -> Recorded:
        def make(name: str, at: datetime) -> domain.Step:
            return domain.CompleteDeletion(name, body.certificate_hash, at, None)

        return await step("complete-deletion", request_id, caller, key, make)

    @router.post("/deletion-requests/{request_id}/deny", summary="Close a request: there is a legal ground against it")
    async def deny(request_id: RequestId, body: bodies.Denial, caller: Officer, key: IdempotencyKey) -> Recorded:
        def make(name: str, at: datetime) -> domain.Step:
            return domain.DenyDeletion(name, int(body.reason), at, None)

        return await step("deny-deletion", request_id, caller, key, make)

    # ---- the trail

    @router.post("/audit-events", summary="Put an act on record")
    async def log_audit_event(body: bodies.AuditEvent, caller: Reporter, key: IdempotencyKey) -> Recorded:
        async with asked("log-audit-event", body.subject, caller, key) as ask:
            event = domain.AuditEventLogged(body.kind, body.subject, body.detail)
            return await commands.execute([handlers.log_audit_event(event, ask.at, ask.key, ask.metadata)])

    @router.get("/audit-events", summary="Who did what, newest first")
    async def list_audit_events(
        caller: Auditor, wanted: TrailFilter, paging: Paging, after: After
    ) -> Page[bodies.TrailEntry]:
        await reads.caught_up(after, projections.AuditTrail)
        rows = await reads.all(queries.audit_trail(wanted, _before(paging), paging.limit + 1))
        return paging.page([bodies.TrailEntry(**row) for row in rows], lambda entry: (entry.position,))

    @router.get("/admin-actions", summary="Acts of officers and administrators, newest first")
    async def list_admin_actions(
        caller: Auditor, wanted: TrailFilter, paging: Paging, after: After
    ) -> Page[bodies.TrailEntry]:
        await reads.caught_up(after, projections.AdminActions)
        rows = await reads.all(queries.administration(wanted, _before(paging), paging.limit + 1))
        return paging.page([bodies.TrailEntry(**row) for row in rows], lambda entry: (entry.position,))

    return router


def _may_act_for(caller: Caller, subject: str) -> None:
    if not caller.roles & ON_BEHALF and subject != caller.subject:
        raise Problem(403, "not-yourself", "A user may act for itself only.")


def _may_see(caller: Caller, subject: str | None) -> None:
    if not caller.roles & SEES_ALL and subject != caller.subject:
        raise Problem(403, "not-yourself", "A user may see its own records only.", "Expected subject = yourself.")


def _before(paging: Paging) -> int | None:
    seen: Sequence[int] | None = paging.after(int)
    return None if seen is None else seen[0]


def _status(row: dict[str, Any]) -> bodies.DeletionStatus:
    return bodies.DeletionStatus(**{**row, "denial_reason": bodies.denial_name(row["denial_reason"])})
