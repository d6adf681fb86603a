"""The stage of the drill: two PostgreSQL servers, Kafka, the service, and the processes that back the servers up."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import shutil
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from uuid import uuid4

import asyncpg
import httpx

from annals import http
from annals.backup import Server, Store, restore
from annals.directory import in_environment
from annals.services import Installed
from annals.town import COMPILED, START_SECONDS, until_ready
from eventlog import EventLog, NewEvent
from local_stack import kafka, postgres
from local_stack.postgres import PostgresServer
from local_stack.process import ServerProcess, free_port, run_program
from messaging import TopicSpec, ensure
from messaging.chain_time import BLOCKS
from privacy import DEVELOPMENT, Keks, KeyStore
from privacy.erasure import SubjectErased, erasure_stream
from service.tokens import generate_keys, mint

SUBJECT = "drill-subject"
WAL_SECONDS = 1.0
LOOK_SECONDS = 0.1
WAIT_SECONDS = 300.0


class Scene:
    """The servers, the service and its backups."""

    def __init__(self, service: Installed, folder: Path, lock: int) -> None:
        self._service = service
        self._name = service.name
        self._prefix = service.name.upper()
        self._folder = folder
        self._lock = lock
        self._processes: dict[str, ServerProcess] = {}
        self._servers: dict[str, PostgresServer] = {}
        self._private, public = generate_keys()
        self.url = f"http://127.0.0.1:{free_port()}"
        self.environment: dict[str, str] = {
            "ANNALS_JWT_PUBLIC_KEY": public.replace("\n", "\\n"),
            "ANNALS_KEYS_REMEMBERED_SECONDS": "1",
            f"{self._prefix}_HTTP_PORT": self.url.rpartition(":")[2],
        }

    @classmethod
    async def build(cls, service: Installed, folder: Path, lock: int, stack: contextlib.AsyncExitStack) -> Scene:
        scene = cls(service, folder, lock)
        stack.push_async_callback(scene._stop)
        await asyncio.gather(scene._start_kafka(), *(scene._start_server(name) for name in ("log", "keys")))
        await scene._provision()
        await run_program(
            [sys.executable, "-m", service.name, "migrate"],
            timeout_seconds=START_SECONDS,
            env=COMPILED | scene.environment,
        )
        async with scene._keys() as keys:
            await keys.make([SUBJECT])
        await scene.start()
        for name in scene._servers:
            scene._run(f"backup-{name}", ["annals", "backup", "run"], scene._backup_settings(name))
        await until(scene._backed_up)
        return scene

    async def start(self) -> None:
        """Starts the service and waits until it is ready."""
        process = self._run(self._name, [self._name], self.environment)
        await until_ready(process, self.url)

    def client(self) -> httpx.AsyncClient:
        headers = {"authorization": f"Bearer {mint(self._private, 'drill', ['admin', 'service'])}"}
        return http.client(base_url=self.url, headers=headers, timeout=30)

    async def erase(self) -> None:
        """Erases the subject after the last base backup of the keys, and waits until its key is destroyed."""
        request, now = str(uuid4()), datetime.now(UTC)
        with in_environment(self.environment):
            async with self._service.log() as log:
                fact = SubjectErased(request, SUBJECT, now)
                await log.append([NewEvent(erasure_stream(request, SUBJECT), fact, now)])
        await until(self._erased)

    async def destroy(self) -> None:
        """Kills both servers and deletes their data; the service and the backups can do nothing any more."""
        for name in self._servers:
            self._processes[name].kill()
            await self._processes[name].stop()
            shutil.rmtree(self._data(name))
        for name in (self._name, *(f"backup-{name}" for name in self._servers)):
            await self._processes.pop(name).stop()

    async def restore_keys(self) -> None:
        """From the base backup alone, as if what came after it was lost: then erasures since are missing."""
        await self._restore("keys", base_only=True)

    async def restore_log(self) -> None:
        await self._restore("log", base_only=False)

    async def missing(self, answered: Mapping[int, float]) -> set[int]:
        """Positions of answered commands that the log does not have."""
        async with self._log() as log:
            found = await log.pool.fetch("SELECT position FROM events WHERE position = ANY ($1)", list(answered))
        return answered.keys() - {row["position"] for row in found}

    async def events(self) -> int:
        async with self._log() as log:
            return int(await log.pool.fetchval("SELECT count(*) FROM events"))

    async def has_key(self) -> bool:
        async with self._keys() as keys:
            return SUBJECT in await keys.find([SUBJECT])

    async def caught_up(self) -> None:
        """Waits until every read model shows all that the log has."""
        async with self._log() as log:
            last = await log.pool.fetchval("SELECT max(position) FROM events")
            complete = "SELECT bool_and(position >= $1) FROM checkpoints"
            await until(lambda: log.pool.fetchval(complete, last))

    @contextlib.asynccontextmanager
    async def _log(self) -> AsyncIterator[EventLog]:
        async with asyncpg.create_pool(self._servers["log"].url(self._name), min_size=0, max_size=2) as pool:
            yield EventLog(pool, self._service.types)

    @contextlib.asynccontextmanager
    async def _keys(self) -> AsyncIterator[KeyStore]:
        async with asyncpg.create_pool(self._servers["keys"].url(f"{self._name}_keys"), min_size=0, max_size=2) as pool:
            yield KeyStore(pool, Keks.parse(DEVELOPMENT))

    async def _backed_up(self) -> bool:
        return all(self._store(name).bases() for name in self._servers)

    async def _erased(self) -> bool:
        return not await self.has_key()

    def _store(self, name: str) -> Store:
        return Store(self._folder / f"backups-{name}", Keks.parse(DEVELOPMENT))

    def _backup_settings(self, name: str) -> dict[str, str]:
        return {
            "ANNALS_BACKUP_URL": self._servers[name].url(),
            "ANNALS_BACKUP_STORE": str(self._folder / f"backups-{name}"),
            "ANNALS_BACKUP_SPOOL": str(self._folder / f"spool-{name}"),
            "ANNALS_BACKUP_WAL_SECONDS": str(WAL_SECONDS),
        }

    def _data(self, name: str) -> Path:
        return (self._folder / name / "postgres").resolve() / "data"

    async def _restore(self, name: str, *, base_only: bool) -> None:
        data = self._data(name)
        data.mkdir(mode=0o700)
        owner = data.parent.stat()
        os.chown(data, owner.st_uid, owner.st_gid)
        await restore(self._store(name), data, base_only=base_only)
        await self._start_server(name)
        async with Server(self._servers[name].url()).connected() as connection:
            await until(lambda: connection.fetchval("SELECT NOT pg_is_in_recovery()"))

    async def _start_server(self, name: str) -> None:
        former = self._servers.get(name)
        folder = self._folder / name
        folder.mkdir(exist_ok=True)
        self._processes[name], self._servers[name] = await postgres.start(
            folder,
            password=former.password if former else secrets.token_hex(16),
            hold=(self._lock,),
            port=former.port if former else None,
        )

    async def _start_kafka(self) -> None:
        self._processes["kafka"], address = await kafka.start(self._folder, durable=False, hold=(self._lock,))
        self.environment["ANNALS_KAFKA_BOOTSTRAP"] = address
        heard = [TopicSpec(name) for name in self._service.consumes if name.startswith("chain.")]
        await ensure(address, [*heard, TopicSpec(BLOCKS, partitions=1)])

    async def _provision(self) -> None:
        """Gives the service its log on one server and its keys on the other."""
        name = self._name
        passwords = {role: secrets.token_hex(16) for role in (name, f"{name}_owner", f"{name}_query")}
        made = {place: await server.provision(passwords, [name]) for place, server in self._servers.items()}
        log, keys = made["log"][name], made["keys"][name]
        self.environment |= {
            f"{self._prefix}_DATABASE_URL": log.url,
            f"{self._prefix}_QUERY_DATABASE_URL": log.query_url,
            f"{self._prefix}_OWNER_DATABASE_URL": log.owner_url,
            f"{self._prefix}_KEYS_DATABASE_URL": keys.keys_url,
            f"{self._prefix}_OWNER_KEYS_DATABASE_URL": keys.owner_keys_url,
        }

    def _run(self, name: str, module: list[str], environment: Mapping[str, str]) -> ServerProcess:
        """Runs `python -m` with these arguments."""
        command = [sys.executable, "-m", *module]
        log = self._folder / f"{name}.log"
        self._processes[name] = ServerProcess(name, command, log=log, env=COMPILED | dict(environment))
        return self._processes[name]

    async def _stop(self) -> None:
        await asyncio.gather(*(process.stop() for process in self._processes.values()))


async def until(check: Callable[[], Awaitable[bool]]) -> None:
    """Waits until `check` says yes. Raises TimeoutError after five minutes."""
    async with asyncio.timeout(WAIT_SECONDS):
        for _ in count():
            if await check():
                return
            await asyncio.sleep(LOOK_SECONDS)
