"""The second wall: whatever a query asks for, the database shows it the rows of those whom the request may show.

Each service is migrated and wired as it runs; each table that its projections declare has a row of Ada's and one of
Eve's, made from its columns. Queries come by the service's own connections.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

import asyncpg
import httpx
import pytest
import sqlalchemy as sa
from pydantic import SecretStr
from sqlalchemy.exc import DBAPIError
from wiring import PRIVATE, SERVICES, wired

from compliance import queries as compliance_queries
from eventlog import EventLog, EventTypes, Watermark
from projections import Amount, Projection, Runner
from service import Caller, Service, find_migrations, migrate
from service.access import Visit, visit
from service.tokens import mint

BOTH = ["ada", "eve"]
SAMPLES = {bool: True, date: "2026-01-01", datetime: "2026-01-01T00:00:00Z", list: []}


def models(service: str) -> list[Projection]:
    return list(importlib.import_module(f"{service}.projections").ALL)


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
    """The service named by the parameter, without workers, with a row of Ada's and one of Eve's in each table."""
    name: str = request.param
    await migrate(name, find_migrations(name), database)
    types = EventTypes(importlib.import_module(f"{name}.domain").EVENTS)
    async with wired(name, database_url=SecretStr(database), query_pool=1).opened() as opened:
        assert opened.pool is not None
        watermark = Watermark(opened.pool)
        await Runner(opened.pool, EventLog(opened.pool, types), watermark, models(name)).create_missing()
        for model in models(name):
            for table in model.specs:
                place = f'"{model.schema}"."{table.name}"'
                for number, who in enumerate(BOTH):
                    made = json.dumps(row(table, who, number))
                    insert = f"INSERT INTO {place} SELECT * FROM jsonb_populate_record(NULL::{place}, $1)"
                    await opened.pool.execute(insert, made)
        yield opened


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
async def test_of_every_table_about_somebody_queries_see_whom_the_request_may_show_and_they_change_none(
    service: Service,
) -> None:
    walls = 0
    for model in models(service.name):
        for table in model.specs:
            column = model.whose.get(table)
            walls += column is not None
            for made, expected in VISITS:
                found = await asked(service, made, sa.select(model.live(table)))
                if column is None:
                    assert len(found) == len(BOTH), table.name
                else:
                    assert sorted(one[column] for one in found) == expected, (table.name, made)
            await refused(service, str(model.live(table)))
    assert walls >= {"chain": 0, "compliance": 10, "rewards": 7, "royalties": 1}[service.name]
    await refused(service, "events", "seals", "checkpoints", "readers", "alembic_version")


async def asked(service: Service, made: Visit | None, query: sa.Select[Any]) -> Sequence[Mapping[str, Any]]:
    """What a query by a request finds."""
    assert service.queries is not None
    token = visit.set(made)
    async with service.queries.connect() as connection:
        found = (await connection.execute(query)).mappings().all()
    visit.reset(token)
    return found


async def refused(service: Service, *tables: str) -> None:
    """No query changes these tables, also if it takes back that its connection is read only."""
    assert service.queries is not None
    async with service.queries.connect() as connection:
        await connection.execute(sa.text("SET default_transaction_read_only = off"))
        for table in tables:
            for change in (f"DELETE FROM {table}", f"TRUNCATE {table}", f"INSERT INTO {table} DEFAULT VALUES"):
                with pytest.raises(DBAPIError, match="permission denied"):
                    await connection.execute(sa.text(change))


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


async def test_a_login_of_their_own_leaves_queries_no_other_role(database: str) -> None:
    await migrate("rewards", find_migrations("rewards"), database)
    owner = await asyncpg.connect(database)
    await owner.execute("ALTER ROLE rewards_query LOGIN PASSWORD 'query'")
    place = database.rpartition("@")[2]
    connection = await asyncpg.connect(f"postgresql://rewards_query:query@{place}")
    for escape in (
        "SET ROLE rewards",
        "SET SESSION AUTHORIZATION rewards",
        "SELECT set_config('role', 'rewards', false)",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(escape)
    await connection.close()
    await owner.execute("ALTER ROLE rewards_query NOLOGIN PASSWORD NULL")
    await owner.close()
