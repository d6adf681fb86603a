"""What was put aside: messages that no consumer could take in, events that no projection could."""

from __future__ import annotations

from fastapi import Request
from fastapi.responses import Response

from annals import dlq
from annals.services import installed
from console.acts import Acts, Refused
from console.rendering import back, page
from console.sessions import Acting, Form, Looking
from service import Router

MOST = 200


def routes(acts: Acts) -> Router:
    router = Router(include_in_schema=False)

    @router.get("/letters")
    async def letters(request: Request, operator: Looking, service: str = "", reason: str = "") -> Response:
        chosen = dlq.Chosen([service] if service else (), None, reason or None)
        found = await dlq.entries(chosen, MOST)
        return page(request, operator, "letters", letters=found, services=list(installed()))

    @router.get("/letters/{name:path}")
    async def letter(request: Request, name: str, operator: Looking) -> Response:
        place, _, _ = name.partition("/")
        entry = next((entry for entry in await dlq.entries(dlq.Chosen([place])) if entry.name == name), None)
        if entry is None:
            raise LookupError(f"{name}: nothing is put aside under this name")
        return page(request, operator, "letter", letter=entry, behind=await dlq.behind(name))

    @router.post("/letters/{act}/{name:path}")
    async def done(act: str, name: str, operator: Acting, fields: Form) -> Response:
        try:
            return back("/letters", await acts.on_letter(operator, act, name, fields))
        except Refused as refused:
            return back("/letters", str(refused), good=False)

    return router
