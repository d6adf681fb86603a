"""What runs all the time: the server's log is followed, a base backup taken when one is due, old ones deleted."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import asyncpg
from prometheus_client import start_http_server

from annals.backup import metrics
from annals.backup.errors import BackupError
from annals.backup.receiving import Receiver
from annals.backup.server import Server
from annals.backup.settings import BackupSettings
from annals.backup.store import Base, Store
from annals.backup.taking import take
from service.logs import get_logger

RETRY_SECONDS = 5.0
log = get_logger("annals.backup")


async def run(settings: BackupSettings) -> None:
    """Runs until cancelled. A server that is away is tried again; what was missed meanwhile it has kept."""
    server, store = Server(settings.url.get_secret_value()), Store(settings.store, settings.open_keks())
    if settings.metrics_port:
        start_http_server(settings.metrics_port)
    while True:
        try:
            await _follow(server, store, settings)
        except* (BackupError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as group:
            metrics.failures.inc()
            log.warning("the backup is interrupted", reason="; ".join(str(error) for error in group.exceptions))
        await asyncio.sleep(RETRY_SECONDS)


async def _follow(server: Server, store: Store, settings: BackupSettings) -> None:
    async with Receiver(server, store, settings.spool) as receiver, asyncio.TaskGroup() as together:
        together.create_task(receiver.follow(settings.wal_seconds))
        together.create_task(_bases(server, store, settings))


async def _bases(server: Server, store: Store, settings: BackupSettings) -> None:
    keep, every = timedelta(days=settings.keep_days), timedelta(hours=settings.base_hours)
    last = await _last(server, store)
    while True:
        if last is not None:
            metrics.based.set(last.ended_at.timestamp())
            await asyncio.sleep(max(0.0, (last.begun_at + every - datetime.now(UTC)).total_seconds()))
        last = await take(server, store)
        pruned = store.prune(datetime.now(UTC), keep)
        log.info("base backup", name=last.name, bytes=last.bytes, deleted=pruned.bases)


async def _last(server: Server, store: Store) -> Base | None:
    """The last base backup of this server as it is now: a restored one has none, for it goes on differently."""
    async with server.connected() as connection:
        timeline = await connection.fetchval("SELECT timeline_id FROM pg_control_checkpoint()")
        system = await connection.fetchval("SELECT system_identifier::text FROM pg_control_system()")
    of_it = [base for base in store.bases() if base.system == system and int(base.first_segment[:8], 16) == timeline]
    return of_it[-1] if of_it else None
