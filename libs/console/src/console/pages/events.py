"""The explorer: events of one log by page, one event, and the tree of what led to it and what it led to."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from fastapi import Query, Request
from fastapi.responses import Response

from annals.services import Installed, find, installed
from console import logs
from console.causes import tree_of
from console.logs import Stored, Wanted
from console.rendering import page
from console.sessions import Looking, Operator, Reading
from service import Problem, Router
from service.access import Visit, Visits

Text = Annotated[str, Query(max_length=300)]


def routes() -> Router:
    router = Router(include_in_schema=False)

    @router.get("/events")
    async def events(
        request: Request,
        operator: Looking,
        service: str = "",
        stream: Text = "",
        type: Text = "",
        correlation: Text = "",
        since: Text = "",
        until: Text = "",
        before: Annotated[int | None, Query(ge=1, lt=2**63)] = None,
    ) -> Response:
        known = list(installed())
        wanted = Wanted(stream, type, correlation, _moment(since), _moment(until), before)
        found = await logs.search(find(service or known[0]), wanted)
        older = str(request.url.include_query_params(before=found[-1].position)) if len(found) == logs.PAGE else None
        return page(
            request, operator, "events", events=found, services=known, chosen=service or known[0], wanted=wanted,
            since=since, until=until, older=older,
        )  # fmt: skip

    @router.get("/events/{service}/{event_id}")
    async def event(request: Request, service: str, event_id: UUID, operator: Reading) -> Response:
        found = await _found(find(service), event_id)
        await _put_on_record(found, operator)
        return page(request, operator, "event", event=found)

    @router.get("/events/{service}/{event_id}/tree")
    async def tree(request: Request, service: str, event_id: UUID, operator: Looking) -> Response:
        return page(request, operator, "tree", tree=await tree_of(await _found(find(service), event_id)))

    return router


async def _found(service: Installed, event_id: UUID) -> Stored:
    if (found := await logs.event(service, event_id)) is None:
        raise LookupError(f"{service.name}: no event has the id {event_id}")
    return found


async def _put_on_record(event: Stored, operator: Operator) -> None:
    """What an event says may be about somebody: the look at it is on record in its own log, before it is shown."""
    async with find(event.service).log() as log:
        await Visits(log).record(Visit(operator.caller, "console: GET /events/{service}/{event_id}"))


def _moment(text: str) -> datetime | None:
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise Problem(
            422, "no-time", "That is no time.", f"Expected 2026-05-01T12:00 (UTC), got {text!r:.40}"
        ) from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
