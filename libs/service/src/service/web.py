"""The HTTP application: FastAPI with problem details, limits, a trace id, a log line and a measurement per request."""

from __future__ import annotations

import asyncio
import contextlib
import re
import secrets
from functools import partial
from time import perf_counter
from typing import Any

import structlog
from fastapi import FastAPI
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from eventlog import EventLog
from service.access import Visit, Visits, described, visit
from service.auth import Verifier
from service.database import is_not_made, is_transient, is_unstorable_text
from service.logs import get_logger
from service.metrics import HTTP_IN_FLIGHT, HTTP_SECONDS
from service.patience import may_be_repeated, patiently
from service.problems import MEDIA_TYPE, Problem, ProblemDocument, http_problem, install_problems, problem_response
from service.refusals import Refusals, is_on_record
from service.routing import Router
from service.settings import ServiceSettings
from service.streams import MEDIA_TYPE as EVENT_STREAM
from service.streams import OpenStreams
from service.trace import Trace, request_trace

_PROBLEM_REF = {"$ref": "#/components/schemas/Problem"}
OPERATIONAL = ("/health", "/ready", "/metrics")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_DISCARD_SECONDS = 1.0
_DISCARD_TIMES = 4  # as much again as a body may have, and so on
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
log = get_logger("service.http")


class _Api(FastAPI):
    """Its document also says what a problem looks like, and whom each route admits."""

    def openapi(self) -> dict[str, Any]:
        document = super().openapi()
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        schemas["Problem"] = ProblemDocument.model_json_schema()
        return described(self, document)


def create_api(
    settings: ServiceSettings,
    *routers: Router,
    title: str,
    version: str,
    description: str = "",
    log: EventLog | None = None,
) -> FastAPI:
    """A FastAPI application that serves `routers`, with `/openapi.json` and `/docs`; every error is problem+json.

    `log` is where reads of somebody's records, and refusals, are put on record; without it such reads fail.
    """
    problem = {"description": "A problem (RFC 9457).", "content": {MEDIA_TYPE: {"schema": _PROBLEM_REF}}}
    api = _Api(
        title=title,
        version=version,
        description=description,
        redoc_url=None,
        # Bodies and arguments may hold personal data: FastAPI's own telemetry, which sees them, stays off.
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
        responses={"4XX": problem, "5XX": problem},
    )
    api.state.verifier = Verifier.from_settings(settings)
    api.state.streams = OpenStreams(settings)
    install_problems(api)
    for router in routers:
        router.serve_by(api)
    api.add_middleware(_Requests, settings=settings, log=log)
    return api


def _body_too_large(limit: int) -> HTTPException:
    # An HTTPException, for FastAPI turns any other one raised while it reads the body into a 400. The rest of the body
    # is not read to its end, so the connection can't be used again.
    return HTTPException(413, f"At most {limit} bytes are accepted.", {"connection": "close"})


async def _discard(receive: Receive, size: int) -> None:
    """Reads on for a moment: a client that is still sending would see a reset connection, and never the answer."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_DISCARD_SECONDS):
            while size > 0:
                message = await receive()
                size -= len(message.get("body", b""))
                if not message.get("more_body"):
                    return


class _Requests:
    """One ASGI middleware around everything: trace, limits of size, time and number, log line, metric, last resort."""

    def __init__(self, app: ASGIApp, settings: ServiceSettings, log: EventLog | None) -> None:
        self._app = app
        self._settings = settings
        self._visits = None if log is None else Visits(log)
        self._refusals = None if log is None else Refusals(log)
        self._in_flight = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        with request_trace(headers.get("traceparent"), kept=scope["path"] not in OPERATIONAL) as trace:
            await self._answer(scope, receive, send, headers, trace)

    async def _answer(self, scope: Scope, receive: Receive, send: Send, headers: Headers, trace: Trace) -> None:
        given = headers.get("x-request-id", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(16)
        scope["annals.trace_id"] = trace.trace_id
        visit.set(None)
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id, trace_id=trace.trace_id)
        status, counted = 0, True

        async def sent(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                answer = MutableHeaders(scope=message)
                answer["x-request-id"] = request_id
                if answer.get("content-type", "").startswith(EVENT_STREAM):
                    answered()  # it stays open, and is counted among its like
            await send(message)

        def answered() -> None:
            nonlocal counted
            if counted:
                counted = False
                self._in_flight -= 1
                HTTP_IN_FLIGHT.dec()
                _measure(scope, trace, status, perf_counter() - started)

        async def served(message: Message) -> None:
            if message["type"] == "http.response.start":
                if message["status"] < 400 and (made := visit.get()) is not None and made.is_on_record:
                    await self._recorded(made)
                elif "annals.refusal" in scope:
                    await self._refused(scope, message["status"])
                deadline.reschedule(None)  # a response that has started may stream for as long as it likes
            await sent(message)

        started = perf_counter()
        self._in_flight += 1
        HTTP_IN_FLIGHT.inc()
        try:
            async with asyncio.timeout(self._settings.http_request_seconds) as deadline:
                await patiently(partial(self._serve, scope, headers), receive, served, self._patience(scope, headers))
        except asyncio.CancelledError:  # the process stops and the request took too long for that
            if not status:
                await problem_response(Request(scope), _stopping())(scope, receive, sent)
            raise
        except Exception as error:
            if status:  # too late for another answer: the server cuts the connection, so that the client notices
                log.exception("response broken off")
                raise
            await problem_response(Request(scope), _unexpected(error))(scope, receive, sent)
        finally:
            answered()

    async def _recorded(self, made: Visit) -> None:
        """What can't be put on record is not shown."""
        if self._visits is None:
            raise RuntimeError(f"{made.route} shows somebody's records: expected create_api(..., log=...)")
        await self._visits.record(made)

    async def _refused(self, scope: Scope, status: int) -> None:
        reason: str = scope["annals.refusal"]
        if self._refusals is not None and is_on_record(scope["method"], status, reason):
            await self._refusals.record(scope, status, reason)

    def _patience(self, scope: Scope, headers: Headers) -> float:
        if scope["path"] in OPERATIONAL or not may_be_repeated(scope, headers):
            return 0
        return self._settings.http_patience_seconds

    async def _serve(self, scope: Scope, headers: Headers, receive: Receive, send: Send) -> None:
        if self._in_flight > self._settings.http_requests and scope["path"] not in OPERATIONAL:
            raise Problem(503, "overloaded", "Too many requests at once.", headers={"retry-after": "1"})
        limit = self._settings.http_body_bytes
        declared = headers.get("content-length", "")
        if declared.isascii() and declared.isdigit() and (len(declared) > 18 or int(declared) > limit):
            await _discard(receive, _DISCARD_TIMES * limit)
            raise _body_too_large(limit)
        size = 0

        async def received() -> Message:
            nonlocal size
            message = await receive()
            if message["type"] == "http.request":
                size += len(message.get("body", b""))
                if size > limit:
                    await _discard(receive, _DISCARD_TIMES * limit)
                    raise _body_too_large(limit)
            return message

        await self._app(scope, received, send)


def _stopping() -> Problem:
    headers = {"retry-after": "1", "connection": "close"}
    return Problem(503, "stopping", "The service is stopping.", "The request was cut off; repeat it.", headers)


def _unexpected(error: Exception) -> Problem:
    """What a caller may know about an exception that no handler took; the log has the rest, found by the trace id."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, HTTPException):
        return http_problem(error)
    if is_unstorable_text(error):
        return Problem(422, "unstorable-text", "A text has a character that cannot be stored, such as U+0000.")
    if is_transient(error):
        log.warning("request failed for now", exc_info=error)
        return Problem(503, "unavailable", "Something this service needs is away.", headers={"retry-after": "1"})
    if is_not_made(error):
        log.warning("asked before the tables were made", reason=str(error))
        return Problem(503, "not-made-yet", "What this reads from is not made yet.", headers={"retry-after": "1"})
    log.error("request failed", exc_info=error)
    return Problem(500, "internal", "Something went wrong here.", "Quote the trace id to the operators.")


def _measure(scope: Scope, trace: Trace, status: int, seconds: float) -> None:
    # The route's template, not the path: a path may name a person, and logs can't be erased.
    route = getattr(scope.get("route"), "path", None) or "unmatched"
    method = scope["method"] if scope["method"] in _METHODS else "other"
    HTTP_SECONDS.labels(method, route, str(status)).observe(seconds)
    trace.answered(method, route, status)
    write = log.debug if route in OPERATIONAL else log.info
    write("request", method=method, route=route, status=status, ms=round(seconds * 1000, 2))
