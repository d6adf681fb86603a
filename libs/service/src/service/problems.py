"""Errors as RFC 9457 problem details (`application/problem+json`), for everything that can go wrong with a request."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response

from privacy import ErasedSubject, PrivacyError, VaultLocked
from service.logs import get_logger
from service.metrics import PROBLEMS

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:annals:problem:"
log = get_logger("service.problems")


class Problem(Exception):
    """An error meant for the caller. Raise it anywhere below a route.

    `type` is a short name that clients match on (`"daily-limit-reached"`; stable, sent as
    `urn:annals:problem:daily-limit-reached`), `title` is the same sentence for every occurrence, `detail` says what
    happened this time; `extra` become further members of the document. Nothing of it may be secret. Whoever has put it
    on record already sets `on_record`.
    """

    def __init__(
        self,
        status: int,
        type: str,
        title: str,
        detail: str = "",
        headers: Mapping[str, str] | None = None,
        **extra: Any,
    ) -> None:
        super().__init__(f"{status} {type}: {detail or title}")
        self.status = status
        self.type = type
        self.title = title
        self.detail = detail
        self.headers = dict(headers or {})
        self.extra = extra
        self.on_record = False


class ProblemDocument(BaseModel):
    """What a client receives for any error."""

    model_config = ConfigDict(extra="allow", title="Problem")

    type: str = Field(
        description="Identifies the kind of problem; match on this.", examples=[TYPE_PREFIX + "not-found"]
    )
    title: str
    status: int
    detail: str | None = None
    instance: str | None = Field(None, description="The path that was asked for.")
    trace_id: str | None = Field(None, description="Quote this to the operators.")


def problem_response(request: Request, problem: Problem) -> Response:
    """The response for `problem`, counted in `annals_problems_total`."""
    body: dict[str, Any] = {"type": TYPE_PREFIX + problem.type, "title": problem.title, "status": problem.status}
    if problem.detail:
        body["detail"] = problem.detail
    body["instance"] = request.url.path
    if trace_id := request.scope.get("annals.trace_id"):
        body["trace_id"] = trace_id
    body |= {key: value for key, value in problem.extra.items() if key not in body}
    if not problem.on_record:
        request.scope["annals.refusal"] = problem.type
    PROBLEMS.labels(problem.type, str(problem.status)).inc()
    # ASCII only: a lone surrogate from a query string could not be encoded as UTF-8.
    content = json.dumps(body, default=str).encode("ascii")
    return Response(content, problem.status, {"cache-control": "no-store", **problem.headers}, MEDIA_TYPE)


async def _on_problem(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, Problem)
    return problem_response(request, exc)


async def _on_http_exception(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, HTTPException)
    if exc.status_code in (204, 304):
        return Response(status_code=exc.status_code, headers=exc.headers)
    return problem_response(request, http_problem(exc))


async def _on_privacy(request: Request, exc: Exception) -> Response:
    if isinstance(exc, ErasedSubject):
        return problem_response(request, Problem(409, "subject-erased", "The subject was erased.", str(exc)))
    if isinstance(exc, VaultLocked):
        wait = {"retry-after": "5"}
        return problem_response(request, Problem(503, "vault-locked", "Erasures come first.", str(exc), wait))
    raise exc  # a broken box or a missing key is an error of ours


_HTTP_TYPES = {413: ("body-too-large", "The request body is too large."), 404: ("not-found", "Nothing is here.")}


def http_problem(exc: HTTPException) -> Problem:
    """The problem that a Starlette or FastAPI HTTPException stands for."""
    phrase = HTTPStatus(exc.status_code).phrase
    kind, title = _HTTP_TYPES.get(exc.status_code, (phrase.lower().replace(" ", "-"), phrase))
    detail = "" if exc.detail == phrase else str(exc.detail)
    return Problem(exc.status_code, kind, title, detail, exc.headers)


async def _on_invalid(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, RequestValidationError)
    errors: Sequence[Mapping[str, Any]] = exc.errors()
    if errors and errors[0]["type"] == "json_invalid":
        reason = errors[0].get("ctx", {}).get("error", "syntax error")
        detail = f"The body is not valid JSON: {reason} at character {errors[0]['loc'][-1]}."
        return problem_response(request, Problem(400, "malformed-json", "The body is not valid JSON.", detail))
    if isinstance(exc.body, bytes):  # FastAPI hands on the raw bytes if the type was not JSON
        got = request.headers.get("content-type", "no Content-Type")[:100]
        detail = f"Expected Content-Type application/json, got {got}."
        return problem_response(
            request,
            Problem(415, "unsupported-media-type", "The body must be JSON.", detail, {"accept": "application/json"}),
        )
    found = [_field_error(error) for error in errors[:50]]
    names = ", ".join(dict.fromkeys(error["field"] for error in found))
    return problem_response(
        request, Problem(422, "invalid-request", "The request is not valid.", f"Invalid: {names}.", errors=found)
    )


def _field_error(error: Mapping[str, Any]) -> dict[str, str]:
    """Which field and why; never the value, which may be personal or secret."""
    place, *path = error["loc"]
    field = ".".join(str(part) for part in path)[:200] or str(place)
    found = {"in": str(place), "field": field, "code": str(error["type"]), "detail": str(error["msg"])[:500]}
    if place == "body":
        found["pointer"] = "#" + "".join("/" + str(p).replace("~", "~0").replace("/", "~1") for p in path)[:200]
    return found


def install_problems(api: FastAPI) -> None:
    """Makes `api` answer its own and FastAPI's errors with problem+json."""
    api.add_exception_handler(Problem, _on_problem)
    api.add_exception_handler(PrivacyError, _on_privacy)
    api.add_exception_handler(HTTPException, _on_http_exception)
    api.add_exception_handler(RequestValidationError, _on_invalid)
