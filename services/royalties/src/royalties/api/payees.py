"""Those who are paid by distributions: holds, tax forms, what each was credited; payments that failed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal, Self

from fastapi import Path
from pydantic import AwareDatetime, BaseModel, Field, model_validator

from contracts.values import Address, Amount, Hash, SubjectId
from royalties import projections
from royalties.api.common import InAsset, Officer, Owner, Reason, Reviewer, refusals
from royalties.distributing import intents, queries
from royalties.domain.distributions import (
    HoldPlaced,
    HoldReleased,
    TaxFormRecorded,
    payment,
)
from service import (
    After,
    Caller,
    Commands,
    IdempotencyKey,
    Page,
    Paging,
    Queries,
    Recorded,
    Router,
    Strict,
    Tagged,
    may_see,
    may_see_named,
    metadata_of,
    not_found,
)

PaymentId = Annotated[str, Path(pattern=r"^[0-9a-f]{30}$")]


Reference = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,63}$", examples=["17/26"])]
"""Of a case, such as its file number: an opaque token. What is said of a party stays in the log, so it is no text."""


class Hold(Strict):
    """`other` has to name a case."""

    reason: Literal["dispute", "investigation", "litigation", "regulator", "sanctions", "tax", "other"]
    reference: Reference | None = Field(None, description="of the case")

    @model_validator(mode="after")
    def _names_its_case(self) -> Self:
        if self.reason == "other" and self.reference is None:
            raise ValueError("a hold for another reason: expected the reference of its case")
        return self


class Release(Strict):
    reason: Literal["mistaken", "ordered", "settled"]
    reference: Reference | None = Field(None, description="of the case")


class Because(Strict):
    reason: Reason


class TaxForm(Strict):
    """Where a form is filed, as a code that says nothing of whom it is, and the hash of what was filed."""

    reference: str = Field(pattern=r"^[A-Za-z0-9._:/-]{1,200}$", examples=["2026/4711"])
    sha256: Hash


class Payee(BaseModel):
    party: str
    held_for: str | None = Field(None, description="Why nothing is paid to the party: a reason, and (its case).")
    held_by: str | None = None
    held_since: datetime | None = None
    tax_form: str | None = Field(None, description="Where it is filed.")
    tax_form_sha256: str | None = None


class CreditedShare(InAsset):
    """A party's share of a distribution."""

    distribution_id: str
    pool: str
    period: str
    opened_at: datetime
    amount: Amount
    brought: Amount = Field(description="Carried forward before, and paid along with it.")
    status: str
    reason: str | None
    payment_id: str | None
    attempt: int
    tx_id: str | None
    block_number: int | None


def routes(commands: Commands, reads: Queries) -> Router:
    router = Router(route_class=Tagged)

    async def noted(command: HoldPlaced | HoldReleased | TaxFormRecorded, caller: Caller, key: str) -> Recorded:
        with refusals():
            return await commands.execute([intents.note(command, datetime.now(UTC), metadata_of(caller, key))])

    @router.post("/holds/{party}", summary="Pay nothing to a party until it is released")
    async def hold(party: SubjectId, body: Hold, caller: Officer, key: IdempotencyKey) -> Recorded:
        return await noted(HoldPlaced(party, _told(body), caller.subject), caller, key)

    @router.post("/holds/{party}/release", summary="Pay a party again: what waits comes with the next distribution")
    async def release(party: SubjectId, body: Release, caller: Officer, key: IdempotencyKey) -> Recorded:
        return await noted(HoldReleased(party, _told(body), caller.subject), caller, key)

    @router.get("/holds", summary="Parties that are held, the longest first")
    async def holds(caller: Reviewer, paging: Paging, after: After) -> Page[Payee]:
        await reads.caught_up(after, projections.Payees)
        seen = paging.after(AwareDatetime, str)
        rows = await reads.all(queries.holds(seen, paging.limit + 1))
        return paging.page([Payee(**row) for row in rows], lambda payee: (payee.held_since, payee.party))

    @router.post("/parties/{party}/tax-form", summary="Record that a party's tax form is on file")
    async def tax_form(party: Address, body: TaxForm, caller: Officer, key: IdempotencyKey) -> Recorded:
        return await noted(TaxFormRecorded(party, body.reference, body.sha256, caller.subject), caller, key)

    @router.get("/parties/{party}", summary="Whether a party is held, and where its tax form is filed")
    async def party(party: SubjectId, caller: Reviewer, after: After) -> Payee:
        may_see(caller, party)
        await reads.caught_up(after, projections.Payees)
        return Payee(**({"party": party} | await reads.first(queries.payee(party))))

    @router.get("/parties/{party}/distributions", summary="What distributions have credited to a party, newest first")
    async def distributions(party: Address, caller: Owner, paging: Paging, after: After) -> Page[CreditedShare]:
        await may_see_named(caller, party, reads)
        await reads.caught_up(after, projections.Distributions)
        seen = paging.after(AwareDatetime, str)
        rows = await reads.all(queries.shares_of(party, seen, paging.limit + 1))
        shares = [CreditedShare(**row) for row in rows]
        return paging.page(shares, lambda share: (share.opened_at, share.distribution_id))

    @router.post("/payments/{payment_id}/retry", summary="Try a payment again that has failed for good")
    async def retry(payment_id: PaymentId, caller: Officer, key: IdempotencyKey) -> Recorded:
        party, now = await _party(commands, payment_id), datetime.now(UTC)
        with refusals():
            return await commands.execute([intents.retry(payment_id, party, now, metadata_of(caller, key))])

    @router.post("/payments/{payment_id}/give-up", summary="Carry forward what could not be paid")
    async def give_up(payment_id: PaymentId, body: Because, caller: Officer, key: IdempotencyKey) -> Recorded:
        party, metadata = await _party(commands, payment_id), metadata_of(caller, key)
        decision = intents.give_up(payment_id, party, caller.subject, body.reason, datetime.now(UTC), metadata)
        with refusals():
            return await commands.execute([decision])

    return router


def _told(why: Hold | Release) -> str:
    return why.reason if why.reference is None else f"{why.reason} ({why.reference})"


async def _party(commands: Commands, payment_id: str) -> str:
    known = await commands.state(intents.payment_stream(payment_id), payment)
    if known.asked is None:
        raise not_found("payment", payment_id)
    return known.asked.party
