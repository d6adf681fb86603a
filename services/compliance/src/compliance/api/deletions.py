"""Requests for erasure, from their receipt to their end."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from fastapi import Response

from compliance import domain, handlers, projections, queries
from compliance.api.common import OnChain, Owner, Requester, Reviewer, asking
from compliance.api.requests import (
    LawName,
    MakeStep,
    RequestId,
    RequestStatus,
    may_see_request,
    names_of,
    steps,
    views,
)
from contracts.values import SubjectId
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
    not_found,
)


class DeletionRequest(Strict):
    """`request_id` is a fresh random UUID of the caller's: repeating the request with it changes nothing."""

    request_id: UUID
    subject: SubjectId
    law: LawName


class DeletionStatus(RequestStatus, OnChain):
    """A request for erasure."""

    certificate_hash: str | None
    closed_block_number: int | None
    closed_tx_id: str | None
    closed_log_index: int | None


def routes(commands: Commands, reads: Queries, facts: handlers.Facts, services: tuple[str, ...]) -> Router:
    router = Router(route_class=Tagged)

    async def whose(request_id: str, caller: Caller) -> str:
        try:
            subject = await facts.subject_of(request_id)
        except domain.NotOnRecord:
            raise not_found("request", request_id) from None
        may_see_request(caller, subject, request_id)
        return subject

    async def step(command: str, request_id: str, caller: Caller, key: str, make: MakeStep) -> Recorded:
        async with asking(commands, command, request_id, caller, key) as ask:
            subject = await facts.subject_of(request_id)
            return await commands.execute([handlers.deletion_step(subject, make(request_id, ask.at), ask.metadata)])

    @router.post("/deletion-requests", summary="Ask for erasure")
    async def request_deletion(body: DeletionRequest, caller: Requester, key: IdempotencyKey) -> Recorded:
        may_act_for(caller, body.subject)
        async with asking(commands, "request-deletion", body.subject, caller, key) as ask:
            command = domain.ReceiveDeletion(str(body.request_id), body.subject, body.law, ask.at, None)
            return await commands.execute(handlers.receive_deletion(command, ask.metadata))

    views(router, queries.DELETION, "erasure", DeletionStatus, reads)

    def deny(request_id: str, reason: int, at: datetime) -> domain.Step:
        return domain.DenyDeletion(request_id, reason, at, None)

    steps(router, queries.DELETION, step, deny)

    @router.post("/deletion-requests/{request_id}/start", summary="Order every service to erase")
    async def start(request_id: RequestId, caller: Reviewer, key: IdempotencyKey, after: After) -> Recorded:
        """Of the subject, and of the wallets that it has proven: services may know it by any of these."""
        await reads.caught_up(after, projections.Wallets)
        async with asking(commands, "start-deletion", request_id, caller, key) as ask:
            subject = await facts.subject_of(request_id)
            command = domain.StartDeletion(request_id, await names_of(subject, reads), services, ask.at)
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

    return router
