"""The personal data of a service: its key store, its vault, and the workers that carry out erasures and exports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

import asyncpg
from fastapi import Depends, Response

from eventlog import EventLog, RecordedEvent, Watermark, reset_session
from privacy import (
    DEVELOPMENT,
    Copies,
    Erasures,
    Exports,
    KekError,
    Keks,
    KeyStore,
    Letters,
    MonthKeys,
    Tokens,
    Vault,
    install,
)
from projections import Freshness, Projection
from service.access import require
from service.auth import Caller
from service.database import CONNECT_SECONDS, close_pool, connect_options, plain_dsn
from service.health import Check
from service.queries import not_found
from service.routing import Router
from service.settings import ServiceSettings, WrongSetting

KEY_CONNECTIONS = 4
Platform = Annotated[Caller, Depends(require("service"))]


class PersonalData:
    """What `app.py` hands to `Service`: it is opened, its key store waited for, its workers, check and route taken."""

    def __init__(
        self, settings: ServiceSettings, log: EventLog, watermark: Watermark, read_models: Sequence[Projection]
    ) -> None:
        self._settings = settings
        self._url = settings.keys_database_url or settings.database_url
        options = connect_options(settings) | {"dsn": plain_dsn(self._url)}
        self._keys_pool = asyncpg.create_pool(min_size=0, max_size=KEY_CONNECTIONS, reset=reset_session, **options)
        self.keys = KeyStore(self._keys_pool, keks_of(settings))
        self.vault = Vault(self.keys, seconds=settings.keys_remembered_seconds, locked=True)
        self.copies = Copies(self._keys_pool)
        self._log = log
        self._read_models = [model for model in read_models if model.personal]
        months = MonthKeys(self.keys, "letters")
        self.letters = Letters(self.vault, self.keys, months)
        self.workers = (
            Erasures(log, watermark, self.keys, self.vault, self._cleared),
            Exports(settings.name, log, watermark, self.keys, self.vault, self.copies),
            months,
        )

    def tokens(self, field: str) -> Tokens:
        """By which subjects are found who have a value in a field that is sealed."""
        return Tokens(self._keys_pool, self.keys, field)

    async def __aenter__(self) -> PersonalData:
        await self._keys_pool  # opens it; connections are made when they are needed
        return self

    async def __aexit__(self, *_: object) -> None:
        await close_pool(self._keys_pool)

    async def migrate(self) -> None:
        """Makes the key store, as the owner of its database."""
        url = self._settings.owner_keys_database_url or self._settings.keys_database_url
        owner = url or self._settings.owner_database_url or self._settings.database_url
        connection = await asyncpg.connect(plain_dsn(owner), timeout=CONNECT_SECONDS)
        try:
            await install(connection, self._settings.name)
        finally:
            await connection.close(timeout=CONNECT_SECONDS)

    def store_check(self) -> Check:
        """Fails unless the key store answers and is migrated."""

        async def probe() -> str:
            if (missing := await self.keys.missing()) is not None:
                raise RuntimeError(missing)
            return "migrated"

        return Check("keys", probe)

    def vault_check(self) -> Check:
        """Fails unless the vault is open, which our worker does once all are erased whom the log has erased."""

        async def probe() -> str:
            if self.vault.locked:
                raise RuntimeError("erasures of the log have yet to be carried out in the key store")
            return "the key store follows the log"

        return Check("vault", probe)

    def routes(self) -> Router:
        """Where compliance fetches the copies that it has ordered; what it gets, only their subjects can open."""
        router = Router(tags=["personal data"])

        @router.get(
            "/exports/{request_id}/{subject}",
            summary="The sealed copy of what is held of a subject",
            response_class=Response,
            responses={200: {"content": {"application/octet-stream": {}}}},
        )
        async def get_copy(request_id: str, subject: str, caller: Platform) -> Response:
            copy = await self.copies.find(request_id, subject, self._settings.name)
            if copy is None:
                raise not_found("copy", f"{request_id} of {subject}")
            return Response(copy.box, media_type="application/octet-stream", headers={"cache-control": "no-store"})

        return router

    async def _cleared(self, erased: RecordedEvent) -> Mapping[str, int] | None:
        rows = {}
        for model in self._read_models:
            if await Freshness(self._log.pool, model).position() < erased.position:
                return None
            for table, column in model.personal.items():
                count = f'SELECT count(*) FROM "{model.schema}"."{table.name}" WHERE "{column}" = $1'  # noqa: S608
                rows[table.name] = await self._log.pool.fetchval(count, erased.event.subject)
        return rows


def keks_of(settings: ServiceSettings) -> Keks:
    """The key-encryption keys; raises WrongSetting, which never holds one."""
    text = settings.keks.get_secret_value() if settings.keks is not None else DEVELOPMENT
    if settings.environment == "production" and DEVELOPMENT in text:
        raise WrongSetting("keks: expected keys of your own in production, got the one for development")
    try:
        return Keks.parse(text)
    except KekError as error:
        raise WrongSetting(f"keks: {error}") from None
