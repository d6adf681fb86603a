"""Who looks, and why."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from console import sessions
from console.rendering import HEADERS, page
from console.sessions import Form, Looking
from console.settings import ConsoleSettings
from service import Problem, Router
from service.access import Purpose


def routes(settings: ConsoleSettings) -> Router:
    router = Router(include_in_schema=False)

    def asked(request: Request, next: str, problem: Problem | None = None) -> HTMLResponse:
        status = 200 if problem is None else problem.status
        return page(request, None, "login", status, next=_local(next), problem=problem, purposes=list(Purpose))

    @router.get("/login")
    async def login(request: Request, next: str = "/") -> Response:
        return asked(request, next)

    @router.post("/login")
    async def logged_in(
        request: Request, fields: Annotated[dict[str, str], Depends(sessions.fields_of)], next: str = "/"
    ) -> Response:
        token = fields.get("token", "").strip().removeprefix("Bearer ")
        try:
            operator = sessions.admitted(request.app.state.verifier, token, fields.get("purpose", ""))
        except Problem as problem:
            return asked(request, next, problem)
        response = RedirectResponse(_local(next), 303, HEADERS)
        secure = settings.environment == "production" or request.url.scheme == "https"
        sessions.keep(response, operator, secure=secure)
        return response

    @router.post("/logout")
    async def logged_out(operator: Looking, fields: Form) -> Response:
        response = RedirectResponse("/login", 303, HEADERS)
        sessions.forget(response)
        return response

    return router


def _local(path: str) -> str:
    """A path of ours, never another site."""
    return path if path.startswith("/") and not path.startswith(("//", "/\\")) else "/"
