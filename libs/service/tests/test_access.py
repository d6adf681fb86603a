"""Whose records a caller sees, for which purpose, and what is put on record of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any

import asyncpg
import httpx
import pytest
from fastapi import Depends
from pydantic import SecretStr

from eventlog import EventLog, EventTypes, Metadata, PersonalDataRead, RequestRefused, install_sql
from service import Caller, Problem, Router, ServiceSettings, create_api, may_act_for, may_see, refusals, require, sees
from service.access import Access, declared
from service.auth import CurrentCaller
from service.tokens import mint

Owner = Annotated[Caller, Depends(require("user", "support", "officer", "service", personal=True))]
Client = Callable[..., httpx.AsyncClient]


def routes() -> Router:
    router = Router()

    @router.get("/notes/{subject}")
    async def notes(subject: str, caller: Owner) -> str:
        may_see(caller, subject)
        return subject

    @router.get("/notes")
    async def all_notes(caller: Owner) -> str:
        may_see(caller, None)
        return "all"

    @router.get("/hidden/{subject}")
    async def hidden(subject: str, caller: Owner) -> bool:
        return sees(caller, subject)

    @router.get("/lost/{subject}")
    async def lost(subject: str, caller: Owner) -> str:
        may_see(caller, subject)
        raise Problem(404, "not-found", "There is no such note.")

    @router.post("/notes/{subject}")
    async def write(subject: str, caller: Owner) -> str:
        may_act_for(caller, subject)
        return subject

    @router.get("/open/{subject}")
    async def undeclared(subject: str, caller: Annotated[Caller, Depends(require("user"))]) -> str:
        may_see(caller, subject)
        return subject

    return router


@pytest.fixture
async def log(database: str) -> AsyncIterator[EventLog]:
    async with asyncpg.create_pool(database, min_size=1, max_size=2) as pool:
        await pool.execute(install_sql())
        yield EventLog(pool, EventTypes({}))


@pytest.fixture
def client(log: EventLog, keys: tuple[str, str]) -> Client:
    """`client("olga", "officer", purpose="review")`: asks an application of the routes above."""
    return _client(log, keys)


def _client(log: EventLog | None, keys: tuple[str, str]) -> Client:
    settings = ServiceSettings(jwt_public_key=keys[1], database_url=SecretStr("postgresql:///none"))
    api = create_api(settings, routes(), title="Notes", version="1", log=log)

    def of(subject: str, *roles: str, purpose: str | None = None) -> httpx.AsyncClient:
        headers = {"authorization": f"Bearer {mint(keys[0], subject, roles)}"}
        headers |= {"annals-purpose": purpose} if purpose is not None else {}
        transport = httpx.ASGITransport(api, raise_app_exceptions=False)
        return httpx.AsyncClient(transport=transport, base_url="http://notes", headers=headers)

    return of


async def on_record(log: EventLog, kind: str = "PersonalDataRead") -> list[tuple[Any, Metadata]]:
    return [(recorded.event, recorded.metadata) for recorded in await log.read(0, 100, types=[kind])]


async def asked(client: httpx.AsyncClient, path: str, method: str = "GET") -> tuple[int, Any]:
    answer = await client.request(method, path)
    return answer.status_code, answer.json()["type"].removeprefix("urn:annals:problem:") if answer.is_error else "ok"


async def test_a_user_sees_its_own_records_and_acts_for_itself_only_and_nothing_is_put_on_record(
    client: Client, log: EventLog
) -> None:
    async with client("ada", "user", purpose="audit") as ada:
        assert await asked(ada, "/notes/ada") == (200, "ok")
        assert await asked(ada, "/notes/ada", "POST") == (200, "ok")
        assert await asked(ada, "/notes/eve") == (403, "not-yourself")
        assert await asked(ada, "/notes/eve", "POST") == (403, "not-yourself")
        assert await asked(ada, "/notes") == (403, "not-yourself")
        assert (await ada.get("/hidden/eve")).json() is False
    assert await on_record(log) == []


async def test_the_staff_sees_records_of_others_for_a_purpose_and_each_read_is_on_record(
    client: Client, log: EventLog
) -> None:
    async with client("olga", "officer", purpose="investigation") as olga:
        assert await asked(olga, "/notes/ada") == (200, "ok")
        assert await asked(olga, "/notes") == (200, "ok")
        assert await asked(olga, "/notes/ada", "POST") == (200, "ok")  # what it leads to is on record by itself
        assert await asked(olga, "/lost/ada") == (404, "not-found")  # nothing was shown
    roles = ("officer",)
    assert [event for event, _ in await on_record(log)] == [
        PersonalDataRead("ada", "GET /notes/{subject}", "investigation", roles),
        PersonalDataRead(None, "GET /notes", "investigation", roles),
    ]
    assert {(metadata.actor, metadata.role) for _, metadata in await on_record(log)} == {("olga", "officer")}


async def test_without_a_purpose_the_staff_sees_nothing_that_it_would_not_see_as_a_user(client: Client) -> None:
    async with client("olga", "officer") as olga:
        assert await asked(olga, "/notes/ada") == (403, "purpose-required")
        assert await asked(olga, "/notes/olga") == (403, "purpose-required")
    async with client("olga", "officer", "user") as olga:
        assert await asked(olga, "/notes/ada") == (403, "not-yourself")
        assert await asked(olga, "/notes/olga") == (200, "ok")
    async with client("olga", "officer", purpose="curiosity") as olga:
        assert await asked(olga, "/notes/ada") == (422, "invalid-request")


async def test_a_role_that_the_route_does_not_admit_gives_no_right_there(client: Client) -> None:
    async with client("ada", "user", "admin", purpose="audit") as ada:
        assert await asked(ada, "/notes/eve") == (403, "not-yourself")


async def test_a_service_sees_those_of_whom_it_serves_and_needs_no_purpose(client: Client, log: EventLog) -> None:
    async with client("shop", "service") as shop:
        assert await asked(shop, "/notes/ada") == (200, "ok")
    assert await on_record(log) == []


async def test_what_cannot_be_put_on_record_is_not_shown(keys: tuple[str, str], log: EventLog) -> None:
    async with _client(None, keys)("olga", "officer", purpose="audit") as olga:
        assert await asked(olga, "/notes/ada") == (500, "internal")
    await log.pool.execute("DROP TABLE events CASCADE")
    async with _client(log, keys)("olga", "officer", purpose="audit") as olga:
        status, _ = await asked(olga, "/notes/ada")
        assert status >= 500


async def test_a_route_that_shows_somebodys_records_must_say_so(client: Client) -> None:
    async with client("ada", "user") as ada:
        assert await asked(ada, "/open/ada") == (500, "internal")


def test_what_is_declared_is_read_from_the_routes_and_told_by_the_openapi_document() -> None:
    api = create_api(ServiceSettings(), routes(), title="Notes", version="1")
    roles = ("user", "support", "officer", "service")
    found = {(access.method, access.path): access for access in declared(api)}
    read, write = found["GET", "/notes/{subject}"], found["POST", "/notes/{subject}"]
    assert read == Access("GET", "/notes/{subject}", "notes", roles, True)
    assert [read.of(role) for role in (*roles, "admin")] == ["own", "purpose", "purpose", "yes", ""]
    assert [write.of(role) for role in (*roles, "admin")] == ["own", "yes", "yes", "yes", ""]
    operation = api.openapi()["paths"]["/notes/{subject}"]["get"]
    assert (operation["x-roles"], operation["x-personal"]) == (list(roles), True)
    assert api.openapi() == api.openapi()


@pytest.mark.parametrize("needed", [CurrentCaller, Annotated[Caller, Depends(require("wizard"))], str])
def test_a_route_that_does_not_say_whom_it_admits_is_found(needed: Any) -> None:
    router = Router()

    async def anything(caller: Any) -> None: ...

    anything.__annotations__["caller"] = needed
    router.get("/anything")(anything)
    with pytest.raises(LookupError, match="GET /anything: expected"):
        declared(create_api(ServiceSettings(), router, title="Open", version="1"))


async def test_what_is_refused_is_on_record_with_who_and_why(client: Client, log: EventLog) -> None:
    async with client("eve", "user") as eve, client("zoe") as zoe:
        assert await asked(eve, "/notes/ada", "POST") == (403, "not-yourself")
        assert await asked(eve, "/notes/ada") == (403, "not-yourself")
        assert await asked(zoe, "/notes/zoe") == (403, "forbidden")
        assert await asked(eve, "/nowhere") == (404, "not-found")  # nothing was asked of anybody
        eve.headers["authorization"] = "Bearer forged"
        assert await asked(eve, "/notes/eve") == (401, "unauthorized")
    assert [(metadata.actor, event) for event, metadata in await on_record(log, "RequestRefused")] == [
        ("eve", RequestRefused("POST /notes/{subject}", 403, "not-yourself")),
        ("eve", RequestRefused("GET /notes/{subject}", 403, "not-yourself")),
        ("zoe", RequestRefused("GET /notes/{subject}", 403, "forbidden")),
        ("anonymous", RequestRefused("GET /notes/{subject}", 401, "unauthorized")),
    ]


async def test_a_flood_of_refusals_is_counted(client: Client, log: EventLog, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_000.0
    monkeypatch.setattr(refusals, "monotonic", lambda: now)
    async with client("eve", "user") as eve, client("zoe", "user") as zoe:
        for _ in range(refusals.MOST + 5):
            assert await asked(eve, "/notes/ada") == (403, "not-yourself")
        assert await asked(zoe, "/notes/ada") == (403, "not-yourself")
        assert len(await on_record(log, "RequestRefused")) == refusals.MOST + 1
        now += refusals.MINUTE
        assert await asked(zoe, "/notes/ada") == (403, "not-yourself")
    counted, last = (await on_record(log, "RequestRefused"))[-2:]
    assert (counted[1].actor, counted[0]) == ("eve", RequestRefused("any", 429, "more-refusals", 5))
    assert last[1].actor == "zoe"
