"""How long entries of the trail are shown."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, Field, StrictInt

from compliance import domain, handlers, projections, queries
from compliance.api.common import Auditor, Officer, asking
from service import After, Commands, IdempotencyKey, Queries, Recorded, Router, Strict, Tagged

Action = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[A-Za-z][A-Za-z0-9._-]*$")]


class Policy(Strict):
    """Older entries of this action are not shown, unless their subject is on legal hold; null: shown for ever."""

    action: Action
    days: Annotated[StrictInt, Field(ge=1, le=36_500)] | None


class PolicyInForce(BaseModel):
    action: str
    days: int | None
    set_at: datetime
    set_by: str | None


def routes(commands: Commands, reads: Queries) -> Router:
    router = Router(route_class=Tagged)

    @router.post("/retention-policies", summary="Say how long entries of an action are shown")
    async def set_policy(body: Policy, caller: Officer, key: IdempotencyKey) -> Recorded:
        async with asking(commands, "set-retention", None, caller, key) as ask:
            wanted = domain.RetentionSet(body.action, body.days)
            return await commands.execute([handlers.retention(wanted, ask.at, ask.metadata)])

    @router.get("/retention-policies", summary="How long entries of the trail are shown, by action")
    async def list_policies(caller: Auditor, after: After) -> list[PolicyInForce]:
        await reads.caught_up(after, projections.RetentionPolicies)
        return [PolicyInForce(**row) for row in await reads.all(queries.retention())]

    return router
