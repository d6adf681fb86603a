"""The HTTP side: a POST is a command and returns a token, a GET reads a read model and may wait for that token."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import Depends
from pydantic import BaseModel

from contracts.values import SubjectId
from greetings import domain, handlers, projections, queries
from service import (
    After,
    Caller,
    Commands,
    IdempotencyKey,
    Queries,
    Recorded,
    Router,
    Tagged,
    may_act_for,
    may_see,
    metadata_of,
    require,
)

Requester = Annotated[Caller, Depends(require("user", "admin", "service", personal=True))]
Owner = Annotated[Caller, Depends(require("user", "support", "auditor", "admin", "service", personal=True))]


class Welcome(BaseModel):
    subject: str
    welcomed_at: datetime


def routes(commands: Commands, reads: Queries) -> Router:
    """All routes of the service."""
    router = Router(tags=["greetings"], route_class=Tagged)

    @router.post("/subjects/{subject}/welcome", summary="Welcome a subject")
    async def welcome(subject: SubjectId, caller: Requester, key: IdempotencyKey) -> Recorded:
        may_act_for(caller, subject)
        intent = handlers.welcome(domain.Welcome(subject), datetime.now(UTC), metadata_of(caller, key))
        return await commands.execute([intent])

    @router.get("/subjects/{subject}/welcome", summary="When a subject was welcomed")
    async def get_welcome(subject: SubjectId, caller: Owner, after: After) -> Welcome:
        may_see(caller, subject)
        await reads.caught_up(after, projections.Welcomes)
        return Welcome(**await reads.one(queries.welcome_of(subject), "welcome", subject))

    return router
