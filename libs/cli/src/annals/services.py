"""The installed services, found by the entry points of group `annals.services`; nothing here names one of them."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import entry_points
from typing import Any, Self

import asyncpg
from pydantic import SecretStr

from annals.errors import UnknownName
from eventlog import EventLog, EventTypes, RecordedEvent
from messaging import Publication
from projections import Projection
from service import Service, ServiceSettings, connect_pool, connect_queries, seeing_all
from service.access import Access, declared
from service.database import CONNECT_SECONDS, plain_dsn
from service.main import settings_class

GROUP = "annals.services"
PROGRAMS = "annals.programs"
"""Entry points of programs that run beside the services, as they do, and own no log: the console."""


@dataclass(frozen=True)
class Installed:
    """A service of this environment. All services have the same files, so its parts are found by their names."""

    name: str
    package: str

    @cached_property
    def create(self) -> Callable[[Any], Service]:
        """`create(settings)` of its app.py."""
        found: Callable[[Any], Service] = self.part("app").create
        return found

    @cached_property
    def projections(self) -> Sequence[Projection]:
        found: Sequence[Projection] = self.part("projections").ALL
        return found

    @cached_property
    def types(self) -> EventTypes:
        domain = self.part("domain")
        return EventTypes(domain.EVENTS, getattr(domain, "UPCASTERS", None))

    @cached_property
    def publish(self) -> Callable[[RecordedEvent], Publication | None]:
        """What it tells the others of an event of its log."""
        found: Callable[[RecordedEvent], Publication | None] = self.part("publish").publish
        return found

    @cached_property
    def topics(self) -> list[str]:
        """The names of the topics that it publishes to."""
        return [topic.name for topic in self.part("publish").TOPICS]

    @cached_property
    def relayed(self) -> Mapping[str, str]:
        """Its relays by name, and the table that each publishes: its log's, and those beside it."""
        return {self.name: "events"} | getattr(self.part("publish"), "RELAYED", {})

    @cached_property
    def consumes(self) -> Sequence[str]:
        """The names of the topics that it reads; the service at the root reads none."""
        found: Sequence[str] = getattr(self.part("handlers"), "TOPICS", ())
        return found

    def load(self) -> Self:
        """Imports all of it. That takes seconds in which a process hears no answer: so it is done before it asks."""
        self.create, self.projections, self.types, self.relayed  # noqa: B018 - found by being imported
        return self

    def settings(self) -> ServiceSettings:
        """Its settings, from the environment."""
        found: ServiceSettings = settings_class(self.create)()
        return found

    async def access(self) -> list[Access]:
        """Who may call which of its routes, as the code declares it; no server is asked."""
        return declared(self.create(self.settings()).api)

    def projection(self, name: str) -> Projection:
        for projection in self.projections:
            if projection.name == name:
                return projection
        raise UnknownName.among(f"{self.name} has no projection", name, [known.name for known in self.projections])

    @contextlib.asynccontextmanager
    async def log(self) -> AsyncIterator[EventLog]:
        """Its event log, over a pool that is open inside the block."""
        async with connect_pool(self.settings()) as pool:
            yield EventLog(pool, self.types)

    async def read(self, query: Any) -> list[dict[str, Any]]:
        """The rows of one of its queries, as an operator sees them: everybody's."""
        engine = connect_queries(self.settings())
        try:
            with seeing_all():
                async with engine.connect() as connection:
                    return [dict(row) for row in (await connection.execute(query)).mappings()]
        finally:
            await engine.dispose()

    def part(self, module: str) -> Any:
        """A module of it, such as `simulation` of a service whose rules are data."""
        return importlib.import_module(f"{self.package}.{module}")


def installed() -> dict[str, Installed]:
    """All services of this environment, sorted by name."""
    found = sorted(entry_points(group=GROUP), key=lambda entry: entry.name)
    return {entry.name: Installed(entry.name, entry.value) for entry in found}


def programs() -> dict[str, Callable[[Any], Service]]:
    """`create(settings)` of each program of this environment that is no service, sorted by name."""
    return {entry.name: entry.load() for entry in sorted(entry_points(group=PROGRAMS), key=lambda entry: entry.name)}


def find(name: str) -> Installed:
    """The service `name`. Raises UnknownName."""
    services = installed()
    if name not in services:
        raise UnknownName.among("no service", name, services)
    return services[name]


def chosen(names: Sequence[str] | None) -> list[Installed]:
    """The services of these names, or all where there are none. Raises UnknownName."""
    return [find(name) for name in names or installed()]


def find_projection(name: str) -> tuple[Installed, Projection]:
    """The projection named `service.projection`. Raises UnknownName."""
    service_name, dot, projection = name.partition(".")
    if not dot:
        raise UnknownName(f"{name!r}: expected service.projection, such as rewards.pool_status")
    service = find(service_name)
    return service, service.projection(projection)


@contextlib.asynccontextmanager
async def as_itself(service: Installed, application: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection as the service itself, without time limits: a long log takes long."""
    async with _connected(service.settings().database_url, application) as connection:
        yield connection


@contextlib.asynccontextmanager
async def as_owner(service: Installed, application: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection as the owner of the service's database, without time limits."""
    settings = service.settings()
    async with _connected(settings.owner_database_url or settings.database_url, application) as connection:
        yield connection


@contextlib.asynccontextmanager
async def _connected(url: SecretStr, application: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(
        plain_dsn(url), timeout=CONNECT_SECONDS, server_settings={"application_name": application}
    )
    try:
        yield connection
    finally:
        await connection.close()
