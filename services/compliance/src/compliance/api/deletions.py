"""Requests for erasure, from their receipt to their end."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import AwareDatetime, Field

from compliance import domain, handlers, projections, queries
from compliance.api.common import (
    Eraser,
    Officer,
    OnChain,
    Owner,
    Requester,
    asking,
    by_slug,
    slugs,
)
from contracts.chain import Law
from contracts.values import SubjectId
from service import (
    After,
    Caller,
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
    not_found,
    sees,
)

RequestId = Annotated[str, Field(pattern=r"^([0-9a-f]{64}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})$")]
LawName = Annotated[Law, *by_slug(Law)]
DenialName = Annotated[domain.DenialReason, *by_slug(domain.DenialReason)]


class DeletionRequest(Strict):
    """`request_id` is a fresh random UUID of the caller's: repeating the request with it changes nothing."""

    request_id: UUID
    subject: SubjectId
    law: LawName


class Verified(Strict):
    verified: Literal[True]
    method: domain.Method


class NotVerified(Strict):
    verified: Literal[False]
    reason: domain.UnverifiedReason


Identity = Annotated[Verified | NotVerified, Field(discriminator="verified")]


class Denial(Strict):
    reason: DenialName


class Extension(Strict):
    """The subject was given notice of the extension, for this reason."""

    reason: domain.ExtensionReason


class DeletionStatus(OnChain):
    """A deletion request as of now. `joined_to` names the open request that this one is a duplicate of."""

    request_id: str
    subject: str
    law: str
    state: domain.State
    overdue: bool
    waiting_for: list[str] = Field(description="services that have yet to carry the erasure out")
    received_at: datetime
    due_at: datetime
    joined_to: str | None
    identity: str | None = Field(description="how the identity was verified, or why it was not")
    extension: str | None
    closed_at: datetime | None
    certificate_hash: str | None
    denial_reason: str | None
    closed_block_number: int | None
    closed_tx_id: str | None
    closed_log_index: int | None


def _status(row: dict[str, Any]) -> DeletionStatus:
    return DeletionStatus(**{**row, "denial_reason": denial_name(row["denial_reason"])})


def denial_name(reason: int | None) -> str | None:
    """A denial's reason by name; `code-77` for one that only the chain knows."""
    if reason is None:
        return None
    names = {member.value: name for name, member in slugs(domain.DenialReason).items()}
    return names.get(reason, f"code-{reason}")


def _may_see_request(caller: Caller, subject: str, request_id: str) -> None:
    if not sees(caller, subject):
        raise not_found("request", request_id)  # as if it were not there: an id is no secret to fish for


def routes(commands: Commands, reads: Queries, facts: handlers.Facts, services: tuple[str, ...]) -> APIRouter:
    router = APIRouter(route_class=Tagged)

    async def whose(request_id: str, caller: Caller) -> str:
        try:
            subject = await facts.subject_of(request_id)
        except domain.NotOnRecord:
            raise not_found("request", request_id) from None
        _may_see_request(caller, subject, request_id)
        return subject

    async def step(command: str, request_id: str, caller: Caller, key: str, make: handlers.MakeStep) -> Recorded:
        async with asking(commands, command, request_id, caller, key) as ask:
            subject = await facts.subject_of(request_id)
            return await commands.execute([handlers.deletion_step(subject, make(request_id, ask.at), ask.metadata)])

    @router.post("/deletion-requests", summary="Ask for erasure")
    async def request_deletion(body: DeletionRequest, caller: Requester, key: IdempotencyKey) -> Recorded:
        may_act_for(caller, body.subject)
        async with asking(commands, "request-deletion", body.subject, caller, key) as ask:
            command = domain.ReceiveDeletion(str(body.request_id), body.subject, body.law, ask.at, None)
            return await commands.execute(handlers.receive_deletion(command, ask.metadata))

    @router.get("/deletion-requests", summary="Deletion requests, due soonest first")
    async def list_requests(
        caller: Owner,
        paging: Paging,
        after: After,
        subject: SubjectId | None = None,
        law: LawName | None = None,
        state: domain.State | None = None,
        open: bool | None = None,
        overdue: bool | None = None,
    ) -> Page[DeletionStatus]:
        may_see(caller, subject)
        await reads.caught_up(after, projections.DeletionRequests)
        wanted = queries.RequestFilter(subject, None if law is None else law.label, state, open, overdue)
        seen = paging.after(AwareDatetime, str)
        rows = await reads.all(queries.deletion_requests(wanted, datetime.now(UTC), seen, paging.limit + 1))
        return paging.page([_status(row) for row in rows], lambda request: (request.due_at, request.request_id))

    @router.get("/deletion-requests/{request_id}", summary="A deletion request")
    async def get_request(request_id: RequestId, caller: Owner, after: After) -> DeletionStatus:
        await reads.caught_up(after, projections.DeletionRequests)
        row = await reads.one(queries.deletion_request(request_id, datetime.now(UTC)), "request", request_id)
        _may_see_request(caller, row["subject"], request_id)
        return _status(row)

    @router.post("/deletion-requests/{request_id}/verify", summary="Say whether the subject's identity is verified")
    async def verify(request_id: RequestId, body: Identity, caller: Officer, key: IdempotencyKey) -> Recorded:
        def make(name: str, at: datetime) -> domain.Step:
            if isinstance(body, Verified):
                return domain.VerifyIdentity(name, body.method, at)
            return domain.RejectIdentity(name, body.reason, at)

        return await step("verify-identity", request_id, caller, key, make)

    @router.post("/deletion-requests/{request_id}/start", summary="Order every service to erase")
    async def start(request_id: RequestId, caller: Eraser, key: IdempotencyKey, after: After) -> Recorded:
        """Of the subject, and of the wallets that it has proven: services may know it by any of these."""
        await reads.caught_up(after, projections.Wallets)
        async with asking(commands, "start-deletion", request_id, caller, key) as ask:
            subject = await facts.subject_of(request_id)
            wallets = [row["address"] for row in await reads.all(queries.wallets_of(subject))]
            command = domain.StartDeletion(request_id, (subject, *wallets), services, ask.at)
            return await commands.execute([handlers.start_deletion(subject, command, ask.metadata)])

    @router.get(
        "/deletion-requests/{request_id}/certificate",
        summary="What was erased where, and what is kept",
        response_class=Response,
        responses={200: {"content": {"application/json": {}}}},
    )
    async def get_certificate(request_id: RequestId, caller: Owner) -> Response:
        """The text itself, whose SHA-256 is the request's `certificate_hash`."""
        subject = await whose(request_id, caller)
        request = (await commands.state(handlers.deletion_stream(subject), domain.deletions))[request_id]
        if request.state is not domain.State.COMPLETED or not request.answers or request.waiting_for:
            raise not_found("certificate of request", request_id)
        text = domain.certificate_text(domain.certificate(request_id, subject, request.answers))
        return Response(text, media_type="application/json")

    @router.post("/deletion-requests/{request_id}/extend", summary="Extend the deadline once, with notice")
    async def extend(request_id: RequestId, body: Extension, caller: Officer, key: IdempotencyKey) -> Recorded:
        def make(name: str, at: datetime) -> domain.Step:
            return domain.ExtendRequest(name, body.reason, at)

        return await step("extend-deletion", request_id, caller, key, make)

    @router.post("/deletion-requests/{request_id}/deny", summary="Close a request: there is a legal ground against it")
    async def deny(request_id: RequestId, body: Denial, caller: Officer, key: IdempotencyKey) -> Recorded:
        def make(name: str, at: datetime) -> domain.Step:
            return domain.DenyDeletion(name, int(body.reason), at, None)

        return await step("deny-deletion", request_id, caller, key, make)

    return router
