"""Who may call a route, and whose records it shows them: declared beside the route, and read from there by all.

`require("user", "officer")` admits callers with one of these roles. With `personal=True` the route is about somebody:
users and artists act for themselves and see their own records only, services those of whom they serve; the staff
names a purpose when it reads, and each such read is on record before anything is shown.
"""

# No `from __future__ import annotations`: FastAPI reads the signatures of these dependencies, which are objects.

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any

from fastapi import FastAPI, Header, Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, iter_route_contexts

from eventlog import EventLog, Metadata, NewEvent, PersonalDataRead
from projections import NOBODY
from service.auth import Caller, CurrentCaller
from service.commands import office_of
from service.problems import Problem
from service.trace import current_traceparent

OWN = frozenset({"user", "artist"})
"""Roles of those whose records they are."""
STAFF = frozenset({"support", "officer", "auditor", "admin"})
"""Roles of people who see records of others."""
ROLES = ("user", "artist", "support", "officer", "auditor", "admin", "service")
"""All roles, in the order in which they are shown."""


class Purpose(StrEnum):
    """Why a member of the staff looks at somebody's records."""

    SUPPORT = "support"
    REVIEW = "review"
    SUBJECT_REQUEST = "subject-request"
    INVESTIGATION = "investigation"
    AUDIT = "audit"
    LEGAL_OBLIGATION = "legal-obligation"


AnnalsPurpose = Annotated[
    Purpose | None, Header(description="Why the staff reads somebody's records; put on record with the read.")
]


@dataclass(slots=True)
class Visit:
    """A request to a route that is about somebody: who makes it, and whose records it shows."""

    caller: Caller
    route: str
    subject: str | None = None  # as long as nobody is named: of many
    names: tuple[str, ...] = ()  # by which the subject is known, too

    @property
    def is_on_record(self) -> bool:
        return self.caller.purpose is not None and self.subject != self.caller.subject

    @property
    def shows(self) -> Sequence[str] | None:
        """Whose rows the database shows it: a user's its own, the staff those that are put on record; None: all."""
        if self.caller.roles <= OWN:
            return (self.caller.subject, *self.names)
        if self.subject is None or "service" in self.caller.roles:
            return None
        return (self.subject, *self.names)


visit: ContextVar[Visit | None] = ContextVar("visit", default=None)
"""Of the request at hand, None unless its route is about somebody."""
_sees_all: ContextVar[bool] = ContextVar("sees_all", default=False)


@dataclass(frozen=True)
class Require:
    """Dependency: the caller, with those of its roles that the route admits. 401 without a valid token, 403 without."""

    roles: tuple[str, ...]

    async def __call__(self, caller: CurrentCaller) -> Caller:
        return self.admitted(caller)

    def admitted(self, caller: Caller) -> Caller:
        """Raises Problem 403."""
        roles = caller.roles.intersection(self.roles)
        if not roles:
            wanted = " or ".join(self.roles)
            challenge = 'Bearer realm="annals", error="insufficient_scope"'
            raise Problem(
                403,
                "forbidden",
                "The caller lacks the role.",
                f"Needs the role {wanted}.",
                headers={"www-authenticate": challenge},
                roles=list(self.roles),
            )
        return replace(caller, roles=roles)


class RequirePersonal(Require):
    """The same for a route that is about somebody; 403 for the staff that reads without a purpose."""

    async def __call__(  # type: ignore[override]  # FastAPI calls it, by its signature
        self, request: Request, caller: CurrentCaller, annals_purpose: AnnalsPurpose = None
    ) -> Caller:
        admitted = self.admitted(caller)
        if request.method == "GET":  # who commands is on record by the events of the command
            admitted = _with_purpose(admitted, annals_purpose)
        visit.set(Visit(admitted, f"{request.method} {request.scope['route'].path}"))
        return admitted


def require(*roles: str, personal: bool = False) -> Require:
    """Dependency: a caller with at least one of `roles`; 401 without a valid token, 403 without the role.

    `admin: Annotated[Caller, Depends(require("admin"))]`. `personal`: the route is about somebody; its function says
    whom, by `may_see` or `may_act_for`.
    """
    if not roles:
        raise ValueError("require: expected at least one role; to admit any caller use `caller`")
    return (RequirePersonal if personal else Require)(roles)


def _with_purpose(caller: Caller, purpose: Purpose | None) -> Caller:
    """A member of the staff acts as such with a purpose, without one in its other roles only. Raises Problem 403."""
    if not caller.roles & STAFF:
        return caller
    if purpose is not None:
        return replace(caller, purpose=purpose.value)
    if not (others := caller.roles - STAFF):
        detail = f"Expected the header Annals-Purpose: {', '.join(Purpose)}."
        raise Problem(403, "purpose-required", "Somebody's records are read for a purpose only.", detail)
    return replace(caller, roles=others)


def may_act_for(caller: Caller, *subjects: str) -> None:
    """Raises Problem 403 unless the caller acts for others, or all of `subjects` are the caller."""
    _visit()
    if caller.roles <= OWN and set(subjects) != {caller.subject}:
        raise Problem(403, "not-yourself", "A user may act for itself only.")


def sees(caller: Caller, subject: str | None) -> bool:
    """Whether the caller sees the records of `subject` (None: of everybody), which is put on record if it should be."""
    made = _visit()
    made.subject, made.names = subject, ()
    return subject == caller.subject or not caller.roles <= OWN


def may_see(caller: Caller, subject: str | None) -> None:
    """Raises Problem 403 unless the caller sees the records of `subject`."""
    if not sees(caller, subject):
        raise Problem(403, "not-yourself", "A user may see its own records only.")


def known_as(*names: str) -> None:
    """The subject that `may_see` named is known by these names, too: rows under them are its own."""
    _visit().names = names


def shown() -> Sequence[str] | None:
    """Whose rows the database shows to the request at hand: nobody's unless its route is about somebody."""
    made = visit.get()
    if made is None:
        return None if _sees_all.get() else NOBODY
    return made.shows


@contextmanager
def seeing_all() -> Iterator[None]:
    """Queries inside see everybody's rows: for a worker, an operator, or a route that shows everybody what all have.

    Of no effect in a route that is about somebody.
    """
    token = _sees_all.set(True)
    try:
        yield
    finally:
        _sees_all.reset(token)


def _visit() -> Visit:
    if (found := visit.get()) is None:
        raise RuntimeError("the route is about somebody: expected require(..., personal=True)")
    return found


class Visits:
    """Puts the reads of the staff on record, in the service's own log."""

    def __init__(self, log: EventLog) -> None:
        self._log = log

    async def record(self, made: Visit) -> None:
        """What the log raises passes through: what can't be put on record is not shown."""
        caller = made.caller
        read = PersonalDataRead(made.subject, made.route, str(caller.purpose), tuple(sorted(caller.roles & STAFF)))
        metadata = Metadata(actor=caller.subject, role=office_of(caller), traceparent=current_traceparent())
        stream = "personal-reads" if made.subject is None else f"personal-reads/{made.subject}"
        await self._log.append([NewEvent(stream, read, datetime.now(UTC), metadata=metadata)])


# ---- what is declared --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Access:
    """Who may call a route. `personal`: it is about somebody."""

    method: str
    path: str
    summary: str
    roles: tuple[str, ...]
    personal: bool

    def of(self, role: str) -> str:
        """What a role may do: nothing (empty), `own` records, those of others for a `purpose`, or `yes`."""
        if role not in self.roles:
            return ""
        if self.personal and role in OWN:
            return "own"
        return "purpose" if self.personal and role in STAFF and self.method == "GET" else "yes"


def declared(api: FastAPI) -> list[Access]:
    """The access to each route, in the order of paths. Raises LookupError for a route that doesn't say whom it admits.

    `/health`, `/ready` and `/metrics` are no part of it: a gateway keeps them inside.
    """
    found = []
    for route, method in _operations(api):
        needed = _requirement(route.dependant)
        if needed is None:
            raise LookupError(f"{method} {route.path_format}: expected a dependency require(...)")
        if unknown := set(needed.roles) - set(ROLES):
            raise LookupError(f"{method} {route.path_format}: expected known roles, got {', '.join(sorted(unknown))}")
        personal = isinstance(needed, RequirePersonal)
        found.append(Access(method, route.path_format, route.summary or route.name, needed.roles, personal))
    return sorted(found, key=lambda access: (access.path, access.method))


def described(api: FastAPI, document: dict[str, Any]) -> dict[str, Any]:
    """The OpenAPI document, with `x-roles` and `x-personal` of each operation."""
    for route, method in _operations(api):
        if (needed := _requirement(route.dependant)) is not None and route.include_in_schema:
            operation = document["paths"][route.path_format][method.lower()]
            operation["x-roles"] = list(needed.roles)
            operation["x-personal"] = isinstance(needed, RequirePersonal)
    return document


def _operations(api: FastAPI) -> Iterator[tuple[Any, str]]:
    """The routes with their methods, but for those of the operators."""
    for route in iter_route_contexts(api.routes):
        if isinstance(route.original_route, APIRoute) and "operations" not in route.tags:
            yield from ((route, method) for method in sorted(route.methods or ()))


def _requirement(dependant: Dependant) -> Require | None:
    for dependency in dependant.dependencies:
        found = dependency.call if isinstance(dependency.call, Require) else _requirement(dependency)
        if found is not None:
            return found
    return None
