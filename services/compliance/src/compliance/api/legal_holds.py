"""Legal holds: what may not be erased, whoever asks."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Self

from pydantic import BaseModel, Field, StringConstraints, model_validator

from compliance import domain, handlers, projections, queries
from compliance.api.common import Auditor, Officer, asking
from contracts.values import SubjectId
from service import After, Commands, IdempotencyKey, Page, Paging, Queries, Recorded, Router, Strict, Tagged, may_see

CaseReference = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,63}$")]
"""Of a case, such as its file number: an opaque token, which tells nothing of anybody."""


class Hold(Strict):
    """A reason from the list, and the case. Each case is a hold of its own; `other` has to name one."""

    subject: SubjectId
    reason: domain.HoldReason
    reference: CaseReference | None = Field(None, description="of the case: its file number", examples=["17/26"])

    @model_validator(mode="after")
    def _names_its_case(self) -> Self:
        if self.reason is domain.HoldReason.OTHER and self.reference is None:
            raise ValueError("a hold for another reason: expected the reference of its case")
        return self


class Lift(Strict):
    reference: CaseReference | None = Field(None, description="under which the hold was placed")


class HoldInForce(BaseModel):
    subject: str
    reason: domain.HoldReason
    reference: str | None
    placed_at: datetime
    placed_by: str | None


def routes(commands: Commands, reads: Queries) -> Router:
    router = Router(route_class=Tagged)

    @router.post("/legal-holds", summary="Forbid that a subject is erased")
    async def place(body: Hold, caller: Officer, key: IdempotencyKey) -> Recorded:
        async with asking(commands, "place-legal-hold", body.subject, caller, key) as ask:
            placed = domain.LegalHoldPlaced(body.subject, body.reason, body.reference)
            return await commands.execute([handlers.hold(placed, ask.at, ask.metadata)])

    @router.post("/legal-holds/{subject}/lift", summary="Allow it again")
    async def lift(subject: SubjectId, caller: Officer, key: IdempotencyKey, body: Lift | None = None) -> Recorded:
        """The others that are placed on the subject stay."""
        async with asking(commands, "lift-legal-hold", subject, caller, key) as ask:
            lifted = domain.LegalHoldLifted(subject, None if body is None else body.reference)
            return await commands.execute([handlers.hold(lifted, ask.at, ask.metadata)])

    @router.get("/legal-holds", summary="Legal holds in force")
    async def list_holds(caller: Auditor, paging: Paging, after: After) -> Page[HoldInForce]:
        may_see(caller, None)
        await reads.caught_up(after, projections.LegalHolds)
        rows = await reads.all(queries.holds(paging.after(str, str), paging.limit + 1))
        holds = [HoldInForce(**row | {"reference": row["reference"] or None}) for row in rows]
        return paging.page(holds, lambda hold: (hold.subject, hold.reference or ""))

    return router
