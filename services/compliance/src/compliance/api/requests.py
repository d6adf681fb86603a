"""What an officer does with every kind of request, and the queue of all that is open."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Protocol

from pydantic import AwareDatetime, BaseModel, BeforeValidator, Field

from compliance import domain, queries
from compliance.api.common import Auditor, Officer, Owner, by_slug, slugs
from contracts.chain import Law
from contracts.values import SubjectId
from service import (
    After,
    Caller,
    IdempotencyKey,
    Page,
    Paging,
    Queries,
    Recorded,
    Router,
    Strict,
    may_see,
    not_found,
    sees,
)

RequestId = Annotated[str, Field(pattern=r"^([0-9a-f]{64}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})$")]
LawName = Annotated[Law, *by_slug(Law)]
DenialName = Annotated[domain.DenialReason, *by_slug(domain.DenialReason)]


def _denial_name(reason: int | None) -> str | None:
    """A denial's reason by name; `code-77` for one that only the chain knows."""
    if reason is None:
        return None
    names = {member.value: name for name, member in slugs(domain.DenialReason).items()}
    return names.get(reason, f"code-{reason}")


DenialShown = Annotated[str | None, BeforeValidator(_denial_name)]


class Verified(Strict):
    verified: Literal[True]
    method: domain.Method


class NotVerified(Strict):
    verified: Literal[False]
    reason: domain.UnverifiedReason


Identity = Annotated[Verified | NotVerified, Field(discriminator="verified")]


class Denial(Strict):
    reason: DenialName


class Extension(Strict):
    """The subject was given notice of the extension, for this reason."""

    reason: domain.ExtensionReason


class RequestStatus(BaseModel):
    """A request as of now. `joined_to` names the open request that this one is a duplicate of."""

    request_id: str
    subject: str
    law: str
    state: domain.State
    overdue: bool
    waiting_for: list[str] = Field(description="services that have yet to carry out what was ordered")
    received_at: datetime
    due_at: datetime
    joined_to: str | None
    identity: str | None = Field(description="how the identity was verified, or why it was not")
    extension: str | None
    closed_at: datetime | None
    denial_reason: DenialShown


class Queued(BaseModel):
    """An open request, as of now."""

    kind: str
    request_id: str
    subject: str
    law: str
    state: domain.State
    overdue: bool
    waiting_for: list[str]
    received_at: datetime
    due_at: datetime
    extension: str | None


def may_see_request(caller: Caller, subject: str, request_id: str) -> None:
    """Raises Problem 404 to whoever may not see it, as if it were not there: an id is no secret to fish for."""
    if not sees(caller, subject):
        raise not_found("request", request_id)


MakeStep = Callable[[str, datetime], Any]
"""Makes a step for a request id, at a time."""


async def names_of(subject: str, reads: Queries) -> tuple[str, ...]:
    """By which services may know a subject: itself, and the wallets that it has proven."""
    return (subject, *[row["address"] for row in await reads.all(queries.wallets_of(subject))])


def views(router: Router, kind: queries.Kind, what: str, status: type[RequestStatus], reads: Queries) -> None:
    """The routes that show requests of a kind: the request for `what`, as of now."""
    path = f"/{kind.name}-requests"

    @router.get(path, summary=f"Requests for {what}, due soonest first", response_model=Page[status])  # type: ignore[valid-type]  # made here
    async def list_requests(
        caller: Owner,
        paging: Paging,
        after: After,
        subject: SubjectId | None = None,
        law: LawName | None = None,
        state: domain.State | None = None,
        open: bool | None = None,
        overdue: bool | None = None,
    ) -> Page[Any]:
        may_see(caller, subject)
        await reads.caught_up(after, kind.projection)
        wanted = queries.RequestFilter(subject, None if law is None else law.label, state, open, overdue)
        seen = paging.after(AwareDatetime, str)
        rows = await reads.all(queries.requests(kind, wanted, datetime.now(UTC), seen, paging.limit + 1))
        return paging.page([status(**row) for row in rows], lambda request: (request.due_at, request.request_id))

    @router.get(f"{path}/{{request_id}}", summary=f"A request for {what}", response_model=status)
    async def get_request(request_id: RequestId, caller: Owner, after: After) -> Any:
        await reads.caught_up(after, kind.projection)
        row = await reads.one(queries.request(kind, request_id, datetime.now(UTC)), "request", request_id)
        may_see_request(caller, row["subject"], request_id)
        return status(**row)


class TakeStep(Protocol):
    """Has an officer take a step of a request; a refusal is put on record under the name of the command."""

    def __call__(
        self, command: str, request_id: str, caller: Caller, key: str, make: MakeStep
    ) -> Awaitable[Recorded]: ...


def steps(router: Router, kind: queries.Kind, take: TakeStep, deny: Callable[[str, int, datetime], Any]) -> None:
    """The routes of the steps that are alike for all kinds: `deny` makes the command of the kind."""
    path = f"/{kind.name}-requests/{{request_id}}"

    @router.post(f"{path}/verify", summary="Say whether the subject's identity is verified")
    async def verify(request_id: RequestId, body: Identity, caller: Officer, key: IdempotencyKey) -> Recorded:
        def make(name: str, at: datetime) -> domain.SharedStep:
            if isinstance(body, Verified):
                return domain.VerifyIdentity(name, body.method, at)
            return domain.RejectIdentity(name, body.reason, at)

        return await take("verify-identity", request_id, caller, key, make)

    @router.post(f"{path}/extend", summary="Extend the deadline once, with notice")
    async def extend(request_id: RequestId, body: Extension, caller: Officer, key: IdempotencyKey) -> Recorded:
        def make(name: str, at: datetime) -> domain.SharedStep:
            return domain.ExtendRequest(name, body.reason, at)

        return await take(f"extend-{kind.name}", request_id, caller, key, make)

    @router.post(f"{path}/deny", summary="Close a request: there is a legal ground against it")
    async def deny_it(request_id: RequestId, body: Denial, caller: Officer, key: IdempotencyKey) -> Recorded:
        def make(name: str, at: datetime) -> Any:
            return deny(name, int(body.reason), at)

        return await take(f"deny-{kind.name}", request_id, caller, key, make)


def routes(reads: Queries) -> Router:
    """The officer's queue."""
    router = Router()

    @router.get("/requests/queue", summary="What is open of all kinds: overdue first, then what is due next")
    async def get_queue(
        caller: Auditor, paging: Paging, kind: Literal["access", "deletion", "rectification"] | None = None
    ) -> Page[Queued]:
        may_see(caller, None)
        kinds = list(queries.KINDS.values()) if kind is None else [queries.KINDS[kind]]
        seen = paging.after(AwareDatetime, str, str)
        rows = await reads.all(queries.queue(kinds, datetime.now(UTC), seen, paging.limit + 1))
        return paging.page([Queued(**row) for row in rows], lambda one: (one.due_at, one.kind, one.request_id))

    return router
