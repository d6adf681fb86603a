"""Who did what: the trail of all services, and what others put on record."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import Depends, Query
from pydantic import AwareDatetime, Field, StrictBool, StrictInt

from compliance import domain, handlers, projections, queries
from compliance.api.common import Auditor, OnChain, Reporter, asking, before
from contracts.values import SubjectId
from service import After, Commands, IdempotencyKey, Page, Paging, Queries, Recorded, Router, Strict, Tagged, may_see

Code = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[a-z][a-z0-9]*([._-][a-z0-9]+)*$")]
Opaque = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[A-Za-z0-9._:/-]+$")]
Number = Annotated[StrictInt, Field(ge=-(2**53) + 1, lt=2**53)]


class AuditEvent(Strict):
    """An act to put on record. `kind` is a code; those that begin with `admin.` are acts of administration."""

    kind: Code
    subject: SubjectId | None = None
    detail: dict[Code, Opaque | StrictBool | Number] = Field(default_factory=dict, max_length=20)


class TrailEntry(OnChain):
    position: int
    at: datetime
    actor: str | None = Field(description="null where the chain does not tell")
    action: str
    subject: str | None
    service: str = Field(description="in whose log the event is")
    stream: str
    version: int
    event_id: str
    digest: str = Field(description="of the event: its leaf under the seals of the log")
    previous: str | None = Field(description="digest of the stream's event before; null for a first one")
    causation: str | None
    detail: dict[str, str | bool | int] | None


async def _trail_filter(
    actor: SubjectId | None = None,
    subject: SubjectId | None = None,
    action: Annotated[str | None, Query(max_length=100)] = None,
    service: Annotated[str | None, Query(max_length=100)] = None,
    since: AwareDatetime | None = None,
    until: AwareDatetime | None = None,
) -> queries.TrailFilter:
    return queries.TrailFilter(actor, subject, action, service, since, until)


TrailFilter = Annotated[queries.TrailFilter, Depends(_trail_filter)]


def routes(commands: Commands, reads: Queries) -> Router:
    router = Router(route_class=Tagged)

    @router.post("/audit-events", summary="Put an act on record")
    async def log_audit_event(body: AuditEvent, caller: Reporter, key: IdempotencyKey) -> Recorded:
        async with asking(commands, "log-audit-event", body.subject, caller, key) as ask:
            event = domain.AuditEventLogged(body.kind, body.subject, body.detail)
            return await commands.execute([handlers.log_audit_event(event, ask.at, ask.key, ask.metadata)])

    @router.get("/audit-events", summary="Who did what, newest first")
    async def list_audit_events(caller: Auditor, wanted: TrailFilter, paging: Paging, after: After) -> Page[TrailEntry]:
        may_see(caller, wanted.subject)
        await reads.caught_up(after, projections.AuditTrail)
        rows = await reads.all(queries.audit_trail(wanted, datetime.now(UTC), before(paging), paging.limit + 1))
        return paging.page([TrailEntry(**row) for row in rows], lambda entry: (entry.position,))

    @router.get("/admin-actions", summary="Acts of officers and administrators, newest first")
    async def list_admin_actions(
        caller: Auditor, wanted: TrailFilter, paging: Paging, after: After
    ) -> Page[TrailEntry]:
        may_see(caller, wanted.subject)
        await reads.caught_up(after, projections.AdminActions)
        rows = await reads.all(queries.administration(wanted, datetime.now(UTC), before(paging), paging.limit + 1))
        return paging.page([TrailEntry(**row) for row in rows], lambda entry: (entry.position,))

    return router
