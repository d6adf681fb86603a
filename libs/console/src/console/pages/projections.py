"""Read models: where they are, and what is done to them."""

from __future__ import annotations

from fastapi import Request
from fastapi.responses import Response

from console.acts import Acts, Refused
from console.observer import Look, Observer
from console.pages.live import live
from console.rendering import back, fragment, page
from console.sessions import Acting, Form, Looking, Operator
from console.topology import model_state
from projections.generation import Suffix
from service import Router


def routes(observer: Observer, acts: Acts) -> Router:
    router = Router(include_in_schema=False)

    async def drawn(look: Look, operator: Operator) -> str:
        return fragment(
            "live/projections.html",
            look=look,
            operator=operator,
            rebuilds=acts.rebuilds.known,
            state=model_state,
            new=Suffix.NEW,
            old=Suffix.OLD,
        )

    @router.get("/projections")
    async def projections(request: Request, operator: Looking) -> Response:
        return page(request, operator, "projections", drawn=await drawn(await observer.look(), operator))

    @router.get("/live/projections")
    async def follow(operator: Looking) -> Response:
        return live(observer, operator, lambda look: drawn(look, operator))

    @router.get("/projections/{name}")
    async def projection(request: Request, name: str, operator: Acting) -> Response:
        service, _, model = name.partition(".")
        look = await observer.look(fresh=True)
        models = [m for s in look.services if s.name == service for m in s.projections if m.name == model]
        if not models:
            raise LookupError(f"{name}: there is no such read model, or its database does not answer")
        return page(request, operator, "projection", name=name, model=models[-1], new=Suffix.NEW, old=Suffix.OLD)

    @router.post("/projections/{name}/{act}")
    async def done(name: str, act: str, operator: Acting, fields: Form) -> Response:
        try:
            return back("/projections", await acts.on_projection(operator, act, name, fields))
        except Refused as refused:
            return back("/projections", str(refused), good=False)

    return router
