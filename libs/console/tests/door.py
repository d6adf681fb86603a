"""What the tests share: the console's door, and a service that has a log and no files."""

from __future__ import annotations

from dataclasses import dataclass

import httpx

from annals.services import Installed
from eventlog import EventTypes
from service import ServiceSettings
from service.tokens import mint


@dataclass(frozen=True)
class Played:
    """Something that happened."""

    what: str


TYPES = EventTypes({"Played.v1": Played})


@dataclass(frozen=True)
class Shop(Installed):
    """A service with a log, and no files."""

    database: str = ""
    types = TYPES

    def settings(self) -> ServiceSettings:
        return ServiceSettings(database_url=self.database)  # type: ignore[arg-type]  # pydantic makes it a secret


@dataclass(frozen=True)
class Door:
    """The console, and who comes to it."""

    url: str
    private_key: str
    transport: httpx.ASGITransport

    def visitor(self, **headers: str) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self.url, transport=self.transport, headers=headers)

    def token(self, *roles: str, subject: str = "ada") -> str:
        return mint(self.private_key, subject, roles)

    async def let_in(self, visitor: httpx.AsyncClient, *roles: str) -> httpx.Response:
        fields = {"token": self.token(*roles), "purpose": "review"}
        return await visitor.post("/login", data=fields)
