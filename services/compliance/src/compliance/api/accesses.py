"""Requests for a copy of one's data, from their receipt to the archive."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated
from uuid import UUID

from fastapi import Response
from pydantic import Field, SecretStr

from compliance import domain, handlers, projections, queries
from compliance.api.common import Requester, Reviewer, asking
from compliance.api.requests import (
    LawName,
    MakeStep,
    RequestId,
    RequestStatus,
    names_of,
    steps,
    views,
)
from compliance.archive import archive
from compliance.settings import ComplianceSettings
from contracts.compliance import PublicKey
from contracts.values import SubjectId
from privacy import BrokenBox, Copies, Copy
from service import (
    After,
    Caller,
    Commands,
    IdempotencyKey,
    Problem,
    Queries,
    Recorded,
    Router,
    Strict,
    may_act_for,
)


class AccessRequest(Strict):
    """`request_id` is a fresh random UUID of the caller's. `public_key`, X25519 in base64, is of a fresh pair, too: the
    archive is sealed to it, and only who has the private key can open it."""

    request_id: UUID
    subject: SubjectId
    law: LawName
    public_key: PublicKey


class Opening(Strict):
    """The private key, X25519 in base64, of the pair whose public key came with the request."""

    private_key: Annotated[SecretStr, Field(min_length=44, max_length=44)]


class AccessStatus(RequestStatus):
    """A request for a copy; `archive_expires_at` is there once it can be fetched."""

    archive_expires_at: datetime | None
    fetched_at: datetime | None


def routes(
    commands: Commands, reads: Queries, facts: handlers.Facts, copies: Copies, settings: ComplianceSettings
) -> Router:
    router = Router()  # answers have no ETag: nobody shall keep them

    async def step(command: str, request_id: str, caller: Caller, key: str, make: MakeStep) -> Recorded:
        async with asking(commands, command, request_id, caller, key) as ask:
            subject = await facts.subject_of(request_id)
            return await commands.execute([handlers.access_step(subject, make(request_id, ask.at), ask.metadata)])

    def deny(request_id: str, reason: int, at: datetime) -> domain.AccessStep:
        return domain.DenyAccess(request_id, domain.DenialReason(reason), at)

    @router.post("/access-requests", summary="Ask for a copy of all that is held of a subject")
    async def request_access(body: AccessRequest, caller: Requester, key: IdempotencyKey) -> Recorded:
        may_act_for(caller, body.subject)
        async with asking(commands, "request-access", body.subject, caller, key) as ask:
            command = domain.ReceiveAccess(str(body.request_id), body.subject, body.law, body.public_key, ask.at)
            return await commands.execute(handlers.receive_access(command, ask.metadata))

    views(router, queries.ACCESS, "a copy", AccessStatus, reads)
    steps(router, queries.ACCESS, step, deny)

    @router.post("/access-requests/{request_id}/start", summary="Order every service to gather what it holds")
    async def start(request_id: RequestId, caller: Reviewer, key: IdempotencyKey, after: After) -> Recorded:
        """Of the subject, and of the wallets that it has proven: services may know it by any of these."""
        if settings.exporting is None:
            raise Problem(503, "peers-unknown", "Not every service that holds data can be asked for it.")
        await reads.caught_up(after, projections.Wallets)
        async with asking(commands, "start-access", request_id, caller, key) as ask:
            subject = await facts.subject_of(request_id)
            expires_at = ask.at + timedelta(days=settings.archive_days)
            command = domain.StartAccess(
                request_id, await names_of(subject, reads), settings.exporting, expires_at, ask.at
            )
            return await commands.execute([handlers.access_step(subject, command, ask.metadata)])

    @router.post(
        "/access-requests/{request_id}/archive",
        summary="The archive, for whoever has its key: JSON and HTML in a ZIP",
        response_class=Response,
        responses={200: {"content": {"application/zip": {}}}},
    )
    async def open_archive(request_id: RequestId, body: Opening, caller: Requester, key: IdempotencyKey) -> Response:
        """On record before it is shown. As often as asked for, until it expires."""
        async with asking(commands, "open-archive", request_id, caller, key) as ask:
            subject = await facts.subject_of(request_id)
            may_act_for(caller, subject)
            accesses = await commands.state(handlers.access_stream(subject), domain.accesses)
            request = domain.request_of(accesses, request_id)
            kept = await copies.of(request_id)
            if not request.is_open_to(ask.at) or request.orders != {(copy.service, copy.subject) for copy in kept}:
                raise domain.NotOnRecord(f"archive of request {request_id}: not ready, expired or erased")
            packed = _opened(request_id, kept, body.private_key.get_secret_value())
            fetch = domain.RecordFetch(request_id, ask.at)
            await commands.execute([handlers.access_step(subject, fetch, ask.metadata)])
        headers = {"cache-control": "no-store", "content-disposition": f'attachment; filename="{request_id}.zip"'}
        return Response(packed, media_type="application/zip", headers=headers)

    return router


def _opened(request_id: str, kept: list[Copy], private_key: str) -> bytes:
    try:
        return archive(request_id, kept, private_key)
    except BrokenBox:
        raise domain.WrongKey(f"archive of request {request_id}: not sealed to this key") from None
