"""Legal holds: what may not be erased, whoever asks."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel

from compliance import domain, handlers, projections, queries
from compliance.api.common import Auditor, Officer, asking
from contracts.values import SubjectId
from service import After, Commands, IdempotencyKey, Page, Paging, Queries, Recorded, Router, Strict, Tagged, may_see


class Hold(Strict):
    subject: SubjectId
    reason: domain.HoldReason


class HoldInForce(BaseModel):
    subject: str
    reason: domain.HoldReason
    placed_at: datetime
    placed_by: str | None


def routes(commands: Commands, reads: Queries) -> Router:
    router = Router(route_class=Tagged)

    @router.post("/legal-holds", summary="Forbid that a subject is erased")
    async def place(body: Hold, caller: Officer, key: IdempotencyKey) -> Recorded:
        async with asking(commands, "place-legal-hold", body.subject, caller, key) as ask:
            placed = domain.LegalHoldPlaced(body.subject, body.reason)
            return await commands.execute([handlers.hold(placed, ask.at, ask.metadata)])

    @router.post("/legal-holds/{subject}/lift", summary="Allow it again")
    async def lift(subject: SubjectId, caller: Officer, key: IdempotencyKey) -> Recorded:
        async with asking(commands, "lift-legal-hold", subject, caller, key) as ask:
            lifted = domain.LegalHoldLifted(subject)
            return await commands.execute([handlers.hold(lifted, ask.at, ask.metadata)])

    @router.get("/legal-holds", summary="Legal holds in force")
    async def list_holds(caller: Auditor, paging: Paging, after: After) -> Page[HoldInForce]:
        may_see(caller, None)
        await reads.caught_up(after, projections.LegalHolds)
        (seen,) = paging.after(str) or (None,)
        rows = await reads.all(queries.holds(seen, paging.limit + 1))
        return paging.page([HoldInForce(**row) for row in rows], lambda hold: (hold.subject,))

    return router
