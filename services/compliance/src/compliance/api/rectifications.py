"""Requests to correct what is held of a subject: its contact, which is all that says, here or anywhere, who it is.

What shall be corrected is sealed like the contact itself, from the request on.
"""

from __future__ import annotations

import json
from datetime import datetime
from uuid import UUID

from fastapi import Response
from pydantic import BaseModel, SecretStr, model_validator

from compliance import domain, handlers, queries
from compliance.api.common import Correspondent, Requester, Reviewer, asking
from compliance.api.contacts import Country, Email, Name
from compliance.api.requests import LawName, MakeStep, RequestId, RequestStatus, may_see_request, steps, views
from compliance.details import given, opened
from contracts.values import SubjectId
from privacy import Personal, Vault
from service import Caller, Commands, IdempotencyKey, Queries, Recorded, Router, Strict, may_act_for, not_found

FIELD = "corrections"


class Corrections(Strict):
    """The parts of the contact that shall be others; at least one."""

    name: Name | None = None
    email: Email | None = None
    country: Country | None = None

    @model_validator(mode="after")
    def _of_something(self) -> Corrections:
        if not self.in_clear():
            raise ValueError(f"expected at least one of {', '.join(Corrections.model_fields)}")
        return self

    def in_clear(self) -> dict[str, str]:
        return {name: value.get_secret_value() for name, value in self if value is not None}


class RectificationRequest(Strict):
    """`request_id` is a fresh random UUID of the caller's: repeating the request with it changes nothing."""

    request_id: UUID
    subject: SubjectId
    law: LawName
    corrections: Corrections


class WantedContact(BaseModel):
    """What a request and its duplicates ask for, in clear; null is what stays as it is. Every reading is on record."""

    name: str | None = None
    email: str | None = None
    country: str | None = None


def routes(commands: Commands, reads: Queries, facts: handlers.Facts, vault: Vault) -> Router:
    router = Router()  # answers have no ETag: nobody shall keep them

    async def step(command: str, request_id: str, caller: Caller, key: str, make: MakeStep) -> Recorded:
        async with asking(commands, command, request_id, caller, key) as ask:
            subject = await facts.subject_of(request_id)
            decided = handlers.rectification_step(subject, make(request_id, ask.at), ask.metadata)
            return await commands.execute([decided])

    def deny(request_id: str, reason: int, at: datetime) -> domain.RectificationStep:
        return domain.DenyRectification(request_id, domain.DenialReason(reason), at)

    async def wanted(request_id: str, subject: str) -> dict[str, str]:
        """The corrections in clear, of two of one part the later; none once the subject is erased."""
        requests = await commands.state(handlers.rectification_stream(subject), domain.rectifications)
        parts = await vault.open(domain.request_of(requests, request_id).corrections)
        return {name: value for part in parts if part for name, value in json.loads(part.get_secret_value()).items()}

    @router.post("/rectification-requests", summary="Ask for a correction")
    async def request_rectification(body: RectificationRequest, caller: Requester, key: IdempotencyKey) -> Recorded:
        may_act_for(caller, body.subject)
        async with asking(commands, "request-rectification", body.subject, caller, key) as ask:
            clear = SecretStr(json.dumps(body.corrections.in_clear()))
            [sealed] = await vault.seal([Personal(body.subject, FIELD, clear)])
            command = domain.ReceiveRectification(str(body.request_id), body.subject, body.law, sealed, ask.at)
            return await commands.execute(handlers.receive_rectification(command, ask.metadata))

    views(router, queries.RECTIFICATION, "a correction", RequestStatus, reads)
    steps(router, queries.RECTIFICATION, step, deny)

    @router.get("/rectification-requests/{request_id}/corrections", summary="What shall be corrected")
    async def get_corrections(request_id: RequestId, caller: Correspondent, response: Response) -> WantedContact:
        try:
            subject = await facts.subject_of(request_id)
        except domain.NotOnRecord:
            raise not_found("request", request_id) from None
        may_see_request(caller, subject, request_id)
        response.headers["cache-control"] = "no-store"
        return WantedContact(**await wanted(request_id, subject))

    @router.post("/rectification-requests/{request_id}/complete", summary="Correct what was asked for")
    async def complete(request_id: RequestId, caller: Reviewer, key: IdempotencyKey) -> Recorded:
        """The officer finds it right. Contact and request change together, or neither."""
        async with asking(commands, "complete-rectification", request_id, caller, key) as ask:
            subject = await facts.subject_of(request_id)
            contact = await commands.state(handlers.contact_stream(subject), domain.contact)
            details = None if contact is None else await opened(contact.details, vault)
            if contact is None or details is None:
                raise domain.NotOnRecord(f"contact of {subject}: never given, or erased")
            corrected = await given(subject, details.model_copy(update=await wanted(request_id, subject)), vault)
            command = domain.CompleteRectification(request_id, ask.at)
            decision = handlers.complete_rectification(command, contact, corrected, ask.metadata)
            return await commands.execute([decision])

    return router
