"""All wiring of the console, top to bottom."""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

from annals.errors import Exit, UnknownName, exit_code, sentence
from console import rendering
from console.acts import Acts, Rebuilds
from console.observer import Observer
from console.pages import chain, events, letters, login, projections, queues, statements, topology
from console.services_api import ServicesApi
from console.sessions import NotLoggedIn
from console.settings import ConsoleSettings
from service import Problem, Service, create_api
from service.problems import http_problem

STATIC = Path(__file__).parent / "static"


def create(settings: ConsoleSettings) -> Service:
    """The console, for `service.run`: it needs no server to start, and shows what is away."""
    observer = Observer(settings.look_seconds, settings.late_seconds)
    services, rebuilds = ServicesApi(), Rebuilds()
    acts = Acts(services, rebuilds)
    api = create_api(
        settings,
        login.routes(settings),
        topology.routes(observer),
        events.routes(),
        projections.routes(observer, acts),
        letters.routes(acts),
        chain.routes(services),
        queues.routes(services),
        statements.routes(services),
        title="Annals console",
        version="0.1.0",
    )
    api.mount("/static", StaticFiles(directory=STATIC))
    _install_pages_of_problems(api)
    return Service(settings, api, workers=[rebuilds], resources=[services])


def _install_pages_of_problems(api: FastAPI) -> None:
    """People get pages instead of problem documents."""

    async def to_login(request: Request, _: Exception) -> Response:
        if request.headers.get("accept", "").startswith("text/event-stream"):
            return Response(status_code=204)  # by the standard a stream's client then stays away
        return RedirectResponse(f"/login?next={rendering.quoted(request.url.path)}", 303)

    async def shown(request: Request, error: Exception) -> Response:
        problem = _problem(error)
        return rendering.page(request, None, "problem", problem.status, problem=problem)

    api.add_exception_handler(NotLoggedIn, to_login)
    for kind in (Problem, HTTPException, RequestValidationError, UnknownName, LookupError, OSError):
        api.add_exception_handler(kind, shown)


def _problem(error: Exception) -> Problem:
    match error:
        case Problem():
            return error
        case HTTPException():
            return http_problem(error)
        case RequestValidationError():
            reasons = "; ".join(found["msg"] for found in error.errors())
            return Problem(422, "invalid-request", "The address is not valid.", reasons)
        case _ if exit_code(error) in (Exit.USAGE, Exit.WRONG):
            return Problem(404, "not-found", "Nothing is here.", sentence(error))
        case _ if exit_code(error) is Exit.UNREACHABLE:
            return Problem(503, "unavailable", "A server is away.", sentence(error))
        case _:
            raise error
