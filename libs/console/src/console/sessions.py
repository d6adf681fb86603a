"""Who looks: a token of the platform's issuer in a cookie that no script can read, checked at each request anew.

Nothing is kept here, so any process may answer and a restart logs nobody out. A form proves by `csrf`, which follows
from the token, that it comes from a page of ours; the cookie itself is not sent from other sites (SameSite=Strict).
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Annotated
from urllib.parse import parse_qsl

from fastapi import Depends, Request, Response

from service import Caller, Problem, Verifier
from service.access import STAFF, Purpose

TOKEN, PURPOSE = "annals-console", "annals-console-purpose"


class NotLoggedIn(Exception):
    """There is no token, or it has ended."""


@dataclass(frozen=True, slots=True)
class Operator:
    """A member of the staff, for the time of a request; `caller.purpose` is why they look."""

    caller: Caller
    token: str

    @property
    def name(self) -> str:
        return self.caller.subject

    @property
    def may_act(self) -> bool:
        """Whether they may do more than look."""
        return "admin" in self.caller.roles

    @property
    def may_read_events(self) -> bool:
        """Whether they see what events say."""
        return bool(self.caller.roles & {"admin", "officer", "auditor"})

    @property
    def csrf(self) -> str:
        """What a form must bring back."""
        return hmac.digest(self.token.encode(), b"csrf", "sha256").hex()


def admitted(verifier: Verifier, token: str, purpose: str) -> Operator:
    """Whose token it is. Raises Problem: 401 for no valid one, 403 for nobody of the staff or without a purpose."""
    caller = verifier.verify(token)
    roles = caller.roles & STAFF
    if not roles:
        needed = ", ".join(sorted(STAFF))
        raise Problem(403, "forbidden", "The console is for the staff.", f"Needs one of the roles {needed}.")
    if purpose not in set(Purpose):
        raise Problem(403, "purpose-required", "Say why you look.", f"Expected one of {', '.join(Purpose)}.")
    return Operator(replace(caller, roles=roles, purpose=purpose), token)


async def _operator(request: Request) -> Operator:
    try:
        return admitted(request.app.state.verifier, request.cookies.get(TOKEN, ""), request.cookies.get(PURPOSE, ""))
    except Problem as problem:
        raise NotLoggedIn from problem


Looking = Annotated[Operator, Depends(_operator)]
"""For a route: whoever of the staff looks."""


async def _reading(operator: Looking) -> Operator:
    if not operator.may_read_events:
        raise Problem(403, "forbidden", "Events are read by admin, officer and auditor.")
    return operator


Reading = Annotated[Operator, Depends(_reading)]
"""For a route: whoever may see what events say."""


async def _acting(operator: Looking) -> Operator:
    if not operator.may_act:
        raise Problem(403, "forbidden", "Only an administrator acts.", "Needs the role admin.")
    return operator


Acting = Annotated[Operator, Depends(_acting)]
"""For a route: an administrator."""


async def fields_of(request: Request) -> Mapping[str, str]:
    """The fields of a form."""
    return dict(parse_qsl((await request.body()).decode(errors="replace"), max_num_fields=50))


async def _submitted(request: Request, operator: Looking) -> Mapping[str, str]:
    fields = await fields_of(request)
    if not hmac.compare_digest(fields.get("csrf", "").encode(), operator.csrf.encode()):
        raise Problem(403, "foreign-form", "The form is not of this session.", "Load the page again.")
    return fields


Form = Annotated[Mapping[str, str], Depends(_submitted)]
"""For a route: the fields of a form of ours."""


def keep(response: Response, operator: Operator, *, secure: bool) -> None:
    """Log somebody in, until their token ends."""
    seconds = max(0, int((operator.caller.expires_at - datetime.now(UTC)).total_seconds()))
    for name, value in ((TOKEN, operator.token), (PURPOSE, str(operator.caller.purpose))):
        response.set_cookie(name, value, max_age=seconds, httponly=True, samesite="strict", secure=secure)


def forget(response: Response) -> None:
    """Log out."""
    for name in (TOKEN, PURPOSE):
        response.delete_cookie(name, httponly=True, samesite="strict")
