"""The second wall: whatever a query asks for, the database shows it the rows of those whom the request may show.

Each service is migrated and wired as it runs; each table that its projections declare to be about
somebody has a row of Ada's and one of Eve's, made from its columns. Queries come by the service's own connections.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

import asyncpg
import httpx
import pytest
import sqlalchemy as sa
from pydantic import SecretStr
from wiring import PRIVATE, SERVICES, make_read_models, models, wired

from compliance import queries as compliance_queries
from local_stack.postgres import PostgresServer
from projections import Amount
from rewards.projections.holds import Holds, holds
from service import Caller, Service, find_migrations, migrate
from service.access import Visit, visit
from service.tokens import mint

BOTH = ["ada", "eve"]
SAMPLES = {bool: True, date: "2026-01-01", datetime: "2026-01-01T00:00:00Z"}


def row(table: sa.Table, name: str, number: int) -> dict[str, Any]:
    """A row of the table: every text in it is the name."""

    def value(column: sa.Column[Any]) -> Any:
        if isinstance(column.type, sa.Text):
            return name
        if isinstance(column.type, sa.JSON):
            return {}
        return number if isinstance(column.type, Amount | sa.Integer) else SAMPLES[column.type.python_type]

    return {column.name: value(column) for column in table.columns}


@pytest.fixture
async def service(request: pytest.FixtureRequest, database: str) -> AsyncIterator[Service]:
    """The service named by the parameter, without workers, with its rows."""
    name: str = request.param
    await migrate(name, find_migrations(name), database)
    async with wired(name, database_url=SecretStr(database), query_pool=1).opened() as opened:
        await fill(opened)
        yield opened


async def fill(service: Service) -> None:
    """A row of Ada's and one of Eve's in each table about somebody."""
    assert service.pool is not None
    await make_read_models(service)
    for model in models(service.name):
        for table in model.whose:
            place = f'"{model.schema}"."{table.name}"'
            for number, who in enumerate(BOTH):
                insert = f"INSERT INTO {place} SELECT * FROM jsonb_populate_record(NULL::{place}, $1)"
                await service.pool.execute(insert, json.dumps(row(table, who, number)))


def by(subject: str, *roles: str, about: str | None = None, names: tuple[str, ...] = ()) -> Visit:
    caller = Caller(subject, frozenset(roles), datetime.now(UTC), "review")
    return Visit(caller, "GET /rows", about, names)


VISITS = [
    (None, []),  # no route that is about somebody; a worker
    (by("ada", "user"), ["ada"]),
    (by("ada", "user", "artist", about="eve"), ["ada"]),  # which the door refuses
    (by("tim", "user", about="tim"), []),
    (by("tim", "user", about="tim", names=("eve",)), ["eve"]),  # a wallet of Tim's
    (by("olga", "officer"), BOTH),
    (by("olga", "officer", about="eve"), ["eve"]),  # as it is put on record
    (by("olga", "officer", "user", about="tim"), []),
    (by("shop", "service", about="eve"), BOTH),
]


@pytest.mark.parametrize("service", SERVICES, indirect=True)
async def test_queries_see_whom_the_request_may_show_of_each_table_about_somebody_and_they_change_none(
    service: Service,
) -> None:
    walls = [(model.live(table), names[0]) for model in models(service.name) for table, names in model.whose.items()]
    assert len(walls) >= {"compliance": 11, "rewards": 12, "royalties": 5}.get(service.name, 0)
    for table, column in walls:
        for made, expected in VISITS:
            found = await asked(service, made, sa.select(table))
            assert sorted(one[column] for one in found) == expected, (table, made)
    read_models = {f"{model.schema}.{table.name}" for model in models(service.name) for table in model.specs}
    asked_of_chain = {"public.events", "public.progress", "public.dead_letters"} if service.name == "chain" else set()
    assert await may(service, "SELECT") == read_models | asked_of_chain
    assert await may(service, "INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER") == set()


async def may(service: Service, what: str) -> set[str]:
    """The tables and views of the database to which a query may do one of these things."""
    assert service.pool is not None
    found = await service.pool.fetch(
        """SELECT nspname || '.' || relname AS name FROM pg_class JOIN pg_namespace AS n ON n.oid = relnamespace
           WHERE relkind IN ('r', 'p', 'v', 'm', 'f') AND nspname NOT IN ('pg_catalog', 'information_schema')
             AND nspname NOT LIKE 'pg_toast%' AND has_table_privilege($1, pg_class.oid, $2)""",
        f"{service.name}_query",
        what,
    )
    return {record["name"] for record in found}


async def asked(service: Service, made: Visit | None, query: sa.Select[Any]) -> Sequence[Mapping[str, Any]]:
    """What a query by a request finds."""
    assert service.queries is not None
    token = visit.set(made)
    async with service.queries.connect() as connection:
        found = (await connection.execute(query)).mappings().all()
    visit.reset(token)
    return found


@pytest.mark.parametrize("service", ["compliance"], indirect=True)
async def test_a_route_whose_query_forgets_whom_it_is_about_shows_no_more_than_it_may(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = compliance_queries.acceptances
    monkeypatch.setattr(compliance_queries, "acceptances", lambda subject, *others: right(None, *others))

    async def shown(who: str, *roles: str, about: str) -> list[str]:
        headers = {"authorization": f"Bearer {mint(PRIVATE, who, roles)}", "annals-purpose": "review"}
        transport = httpx.ASGITransport(service.api)
        async with httpx.AsyncClient(transport=transport, base_url="http://test", headers=headers) as client:
            answer = await client.get("/acceptances", params={"subject": about})
        assert answer.status_code == 200, answer.text
        return sorted(record["subject"] for record in answer.json()["items"])

    assert await shown("ada", "user", about="ada") == ["ada"]
    assert await shown("eve", "artist", about="eve") == ["eve"]
    assert await shown("olga", "auditor", about="ada") == ["ada"]
    assert await shown("shop", "service", about="ada") == BOTH


async def test_queries_that_log_in_themselves_read_what_the_runtime_role_feeds_and_become_nobody_else(
    postgres: PostgresServer,
) -> None:
    passwords = {role: "secret" for role in ("rewards", "rewards_query", "rewards_owner")}
    place = (await postgres.provision(passwords, ["rewards"]))["rewards"]
    await migrate("rewards", find_migrations("rewards"), place.owner_url)
    urls = {"database_url": SecretStr(place.url), "query_database_url": SecretStr(place.query_url)}
    async with wired("rewards", **urls).opened() as service:
        await fill(service)
        for made, expected in VISITS:
            found = await asked(service, made, sa.select(Holds.live(holds)))
            assert sorted(one["user"] for one in found) == expected
    connection = await asyncpg.connect(place.query_url)
    for escape in (
        "SET ROLE rewards",
        "SET SESSION AUTHORIZATION rewards",
        "SELECT set_config('role', 'rewards', true)",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(escape)
    await connection.close()
