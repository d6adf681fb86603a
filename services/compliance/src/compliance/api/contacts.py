"""How a person is reached."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import Header, Response
from pydantic import AfterValidator, Field, SecretStr

from compliance import domain, handlers, projections, queries
from compliance.api.common import Correspondent, Requester, Reviewer, asking
from compliance.details import FIELD, ContactDetails, given, opened
from contracts.values import SubjectId
from eventlog import Intent
from privacy import Sealed, Tokens, Vault
from service import After, Commands, IdempotencyKey, Queries, Recorded, Router, Strict, may_act_for, may_see, not_found


def _an_address(value: SecretStr) -> SecretStr:
    name, at, place = value.get_secret_value().rpartition("@")
    if not (name and at and "." in place) or any(letter.isspace() for letter in name + place):
        raise ValueError("expected an address for e-mail: name@example.org")
    return value


Name = Annotated[SecretStr, Field(min_length=1, max_length=200)]
Email = Annotated[SecretStr, Field(min_length=6, max_length=254), AfterValidator(_an_address)]
Wanted = Annotated[SecretStr, Header(description="The address.", min_length=6, max_length=254)]
Country = Annotated[SecretStr, Field(min_length=2, max_length=2)]


class Contact(Strict):
    """A person's name, address for e-mail and country (ISO 3166-1, two letters)."""

    name: Name
    email: Email
    country: Country


class GivenContact(ContactDetails):
    subject: str
    given_at: datetime


def routes(commands: Commands, reads: Queries, vault: Vault, emails: Tokens) -> Router:
    router = Router()  # answers have no ETag: nobody shall keep them

    @router.put("/subjects/{subject}/contact", summary="Say how a subject is reached, or correct it")
    async def give_contact(subject: SubjectId, body: Contact, caller: Requester, key: IdempotencyKey) -> Recorded:
        may_act_for(caller, subject)
        details = ContactDetails(**{name: getattr(body, name).get_secret_value() for name in Contact.model_fields})
        last = await commands.state(handlers.contact_stream(subject), domain.contact)
        if last is not None and await opened(last.details, vault) == details:
            return Recorded(events=0)
        async with asking(commands, "give-contact", subject, caller, key) as ask:
            fact = await given(subject, details, vault)
            intent = Intent(handlers.contact_stream(subject), domain.contact, fact, ask.at, ask.metadata)
            return await commands.execute([intent])

    @router.get("/subjects", summary="Who is reached by an address for e-mail")
    async def find_subjects(caller: Reviewer, annals_email: Wanted) -> list[str]:
        """In a header, for addresses of requests are written to logs on the way. Upper and lower case are the same."""
        found = await emails.find(annals_email)
        may_see(caller, found[0] if len(found) == 1 else None)
        return found

    @router.get("/subjects/{subject}/contact", summary="How a subject is reached")
    async def get_contact(subject: SubjectId, caller: Correspondent, after: After, response: Response) -> GivenContact:
        may_see(caller, subject)
        await reads.caught_up(after, projections.Contacts)
        row = await reads.one(queries.contact(subject), "contact", subject)
        details = None if row["box"] is None else await opened(Sealed(subject, FIELD, row["box"]), vault)
        if details is None:
            raise not_found("contact", subject)
        response.headers["cache-control"] = "no-store"
        return GivenContact(subject=subject, given_at=row["given_at"], **details.model_dump())

    return router
