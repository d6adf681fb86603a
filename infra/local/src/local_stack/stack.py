"""A stack: the three servers under one name, their addresses in `.local/<name>/stack.json`."""

import asyncio
import fcntl
import json
import os
import re
import secrets
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import psutil

from local_stack import devnet, kafka, postgres
from local_stack.paths import local
from local_stack.postgres import PostgresServer, ServiceDatabase
from local_stack.process import LocalStackError, ServerProcess, free_port, remove_tree
from local_stack.proxy import Proxy

SERVICES = ("chain", "compliance", "rewards", "royalties")
SERVERS = ("PostgreSQL", "Kafka", "devnet")

Report = Callable[[str, str, str], None]
"""Is told (server, state, detail); the states are `starting`, `ready`, `failed`, `stopped`."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where a running stack's servers are, and the process that owns them."""

    name: str
    pid: int
    postgres_url: str
    databases: Mapping[str, ServiceDatabase]
    kafka: str
    devnet_url: str

    def environment(self) -> dict[str, str]:
        """Returns the variables that the services and tools read."""
        variables = {
            "ANNALS_STACK": self.name,
            "ANNALS_POSTGRES_URL": self.postgres_url,
            "ANNALS_KAFKA_BOOTSTRAP": self.kafka,
            "ANNALS_TRON_URL": self.devnet_url,
        }
        for service, database in self.databases.items():
            variables |= {
                f"{service.upper()}_DATABASE_URL": database.url,
                f"{service.upper()}_QUERY_DATABASE_URL": database.query_url,
                f"{service.upper()}_OWNER_DATABASE_URL": database.owner_url,
                f"{service.upper()}_KEYS_DATABASE_URL": database.keys_url,
                f"{service.upper()}_OWNER_KEYS_DATABASE_URL": database.owner_keys_url,
            }
        return variables

    def save(self, path: Path) -> None:
        """Writes the file in one step, readable by its owner only: it holds passwords."""
        _write_private(path, asdict(self))

    @classmethod
    def load(cls, path: Path) -> Self:
        stored = json.loads(path.read_text())
        databases = {service: ServiceDatabase(**both) for service, both in stored.pop("databases").items()}
        return cls(databases=databases, **stored)


class Stack:
    """Starts and stops the servers of one name. Several stacks run side by side, also of one process.

    stack = Stack("demo", fresh=True)
    addresses = await stack.start()
    ...
    await stack.stop()

    Should the process die instead, the servers stop by themselves.
    """

    def __init__(
        self,
        name: str = "local",
        *,
        services: Iterable[str] = SERVICES,
        fresh: bool = False,
        durable: bool = True,
        devnet_options: Iterable[str] = (),
    ) -> None:
        """`fresh` deletes the data of an earlier run (the devnet's chain is new in any case).

        `durable=False` trades safety against a power failure for speed. `devnet_options` are those of
        `python -m devnet`, such as ("--block-time", "1").
        """
        if not re.fullmatch(r"[a-z0-9][a-z0-9._-]*", name) or name == "kafka":
            raise LocalStackError(f"stack name {name!r}: expected lower-case letters, digits, dots and dashes")
        self.name = name
        self.folder = local() / name
        self._services = tuple(services)
        self._fresh = fresh
        self._durable = durable
        self._devnet_options = tuple(devnet_options)
        self._lock: int | None = None
        self._running: dict[str, ServerProcess] = {}

    async def start(self, report: Report = lambda *_: None) -> Addresses:
        """Starts the three servers at the same time; returns their addresses when all answer.

        Raises LocalStackError when the name is taken or a server does not start; then none is left running.
        """
        self._lock = take_lock(self.folder)
        try:
            if self._fresh:
                _empty(self.folder)
            databases: dict[str, ServiceDatabase] = {}

            async def start_postgres() -> str:
                server = await self._start_postgres()
                databases.update(await server.provision(self._passwords(), self._services))
                return server.url()

            async def start_kafka() -> str:
                return await self._start_kafka(lambda text: report("Kafka", "starting", text))

            async def start_devnet() -> str:
                self._running["devnet"], url = await devnet.start(
                    self.folder, options=self._devnet_options, hold=(self._held,)
                )
                return url

            async with asyncio.TaskGroup() as together:
                tasks = [
                    together.create_task(_reported(server, work, report))
                    for server, work in zip(SERVERS, (start_postgres(), start_kafka(), start_devnet()), strict=True)
                ]
            postgres_url, kafka_address, devnet_url = (task.result() for task in tasks)
        except BaseException as error:
            await self.stop(report)
            if isinstance(error, ExceptionGroup) and all(isinstance(one, LocalStackError) for one in error.exceptions):
                raise LocalStackError("\n".join(str(one) for one in error.exceptions)) from error
            raise
        addresses = Addresses(self.name, os.getpid(), postgres_url, databases, kafka_address, devnet_url)
        addresses.save(self.folder / "stack.json")
        return addresses

    async def stop(self, report: Report = lambda *_: None) -> None:
        """Stops what runs and forgets the addresses; the data stays. May be repeated."""

        async def stop_one(server: str) -> None:
            await self._running[server].stop()
            report(server, "stopped", "")

        (self.folder / "stack.json").unlink(missing_ok=True)
        await asyncio.gather(*(stop_one(server) for server in self._running))
        self._running.clear()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    async def _start_postgres(self, port: int | None = None) -> PostgresServer:
        self._running["PostgreSQL"], server = await postgres.start(
            self.folder,
            password=self._passwords()["postgres"],
            durable=self._durable,
            hold=(self._held,),
            port=port,
        )
        return server

    async def _start_kafka(
        self, say: Callable[[str], None], port: int | None = None, advertised: int | None = None
    ) -> str:
        self._running["Kafka"], address = await kafka.start(
            self.folder, durable=self._durable, hold=(self._held,), say=say, port=port, advertised=advertised
        )
        return address

    def kill(self, server: str) -> None:
        """Kills one of the servers, as a crash would; `restart` brings it back."""
        self._running[server].kill()

    async def restart(self, server: str) -> None:
        """Starts PostgreSQL or Kafka again where it was and with its data. The devnet's chain is gone with it.

        Raises LocalStackError.
        """
        port = self._port(server)
        await self._running[server].stop()
        if server == "PostgreSQL":
            await self._start_postgres(port)
        else:
            await self._start_kafka(lambda _: None, port)

    async def behind_proxy(self, server: str) -> Proxy:
        """Starts PostgreSQL or Kafka again on another port, with its data, and a proxy where it was; stop that first.

        Raises LocalStackError.
        """
        port, hidden = self._port(server), free_port()
        await self._running[server].stop()
        proxy = await Proxy(port, hidden).start()
        if server == "PostgreSQL":
            await self._start_postgres(hidden)
        else:
            await self._start_kafka(lambda _: None, hidden, advertised=port)
        return proxy

    def _port(self, server: str) -> int:
        addresses = Addresses.load(self.folder / "stack.json")
        ports = {"PostgreSQL": urlsplit(addresses.postgres_url).port, "Kafka": int(addresses.kafka.rpartition(":")[2])}
        if (port := ports.get(server)) is None:
            raise LocalStackError(f"{server} cannot be started again: expected PostgreSQL or Kafka")
        return port

    def failed(self) -> str | None:
        """Returns what happened if a server has ended by itself."""
        for server, process in self._running.items():
            if not process.alive:
                return f"{server} has ended; {process.log} says:\n{process.tail()}"
        return None

    @property
    def _held(self) -> int:
        assert self._lock is not None
        return self._lock

    def _passwords(self) -> dict[str, str]:
        """Returns this stack's passwords, random, drawn once and kept with its data."""
        path = self.folder / "passwords.json"
        known: dict[str, str] = json.loads(path.read_text()) if path.is_file() else {}
        roles = ["postgres", *(f"{service}{of}" for service in self._services for of in ("", "_query", "_owner"))]
        passwords = known | {role: secrets.token_hex(16) for role in roles if role not in known}
        if passwords != known:
            _write_private(path, passwords)
        return passwords


def running(name: str = "local") -> Addresses | None:
    """Returns the addresses of a running stack; None if there is none, removing what a dead one has left."""
    folder = local() / name
    state = folder / "stack.json"
    if not state.is_file():
        return None
    if not is_locked(folder):
        state.unlink(missing_ok=True)
        return None
    return Addresses.load(state)


def stacks() -> list[str]:
    """Returns the names of all stacks that have data here."""
    return sorted(lock.parent.name for lock in local().glob("*/stack.lock"))


def take_lock(folder: Path, *, wait_seconds: float = 25) -> int:
    """Returns a descriptor that marks `folder` as in use until it is closed here and in all who inherited it.

    The servers' guards inherit it. So a stack whose owner was killed stays locked while its servers are still
    stopping, and is free the moment the last is gone, without any bookkeeping. A stack that has a living owner
    is refused at once; one that is winding up is waited for.
    """
    deadline = time.monotonic() + wait_seconds
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = try_lock(folder)
        except FileNotFoundError:  # deleted that moment, with what a dead test run had left
            continue
        if descriptor is not None:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, str(os.getpid()).encode(), 0)
            return descriptor
        owner = owner_of(folder)
        if owner is not None or time.monotonic() > deadline:
            raise LocalStackError(
                f"the stack `{folder.name}` is already running (process {owner}); "
                f"`python -m local_stack down --name {folder.name}` stops it"
            )
        time.sleep(0.1)


def try_lock(folder: Path) -> int | None:
    """Returns the descriptor of the folder's lock; None if somebody else holds it."""
    path = folder / "stack.lock"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    # Between open and lock another process may have deleted the folder: then this is the lock of nothing.
    if not path.is_file() or not os.path.samestat(os.fstat(descriptor), path.stat()):
        os.close(descriptor)
        return None
    return descriptor


def is_locked(folder: Path) -> bool:
    """Whether a stack runs, starts or is still stopping there."""
    if not folder.is_dir():
        return False
    descriptor = try_lock(folder)
    if descriptor is not None:
        os.close(descriptor)
    return descriptor is None


def owner_of(folder: Path) -> int | None:
    """Returns the living process that last took the folder's lock."""
    path = folder / "stack.lock"
    text = path.read_text() if path.is_file() else ""
    if not text.isdigit():
        return None
    try:
        begun = psutil.Process(int(text)).create_time()
    except psutil.NoSuchProcess:
        return None
    return int(text) if begun <= path.stat().st_mtime + 1 else None  # begun later: another process of that number


@contextmanager
def scratch_folder(name: str) -> Iterator[tuple[Path, int]]:
    """Gives a locked folder in `.local` that is deleted afterwards, and first deletes those of dead test runs."""
    remove_dead_tests()
    folder = local() / name
    lock = take_lock(folder)
    try:
        yield folder, lock
    finally:
        remove_tree(folder)
        os.close(lock)


def remove_dead_tests() -> None:
    """Deletes what test runs have left that were killed; their stacks and folders are named `test-…`."""
    for name in stacks():
        if name.startswith("test-"):
            remove_if_stopped(name)


def remove_if_stopped(name: str) -> bool:
    """Deletes a stack's data unless the stack is running; returns whether it did."""
    folder = local() / name
    if not folder.is_dir():
        return True
    lock = try_lock(folder)
    if lock is None:
        return False
    try:
        remove_tree(folder)
    finally:
        os.close(lock)
    return True


async def _reported(server: str, work: Coroutine[Any, Any, str], report: Report) -> str:
    report(server, "starting", "")
    begun = time.monotonic()
    try:
        address = await work
    except asyncio.CancelledError:  # because another server failed, or somebody pressed Ctrl-C
        report(server, "stopped", "")
        raise
    except BaseException:
        report(server, "failed", "")
        raise
    shown = address.rsplit("@", 1)[-1]  # without the password
    report(server, "ready", f"{shown}  ({time.monotonic() - begun:.1f} s)")
    return address


def _empty(folder: Path) -> None:
    """Deletes everything in a stack's folder but what its owner has open."""
    for path in folder.iterdir():
        if path.name in ("stack.lock", "stack.log", "stack.progress"):
            continue
        if path.is_symlink() or path.is_file():
            remove_tree(path.resolve())
            path.unlink()
        else:
            remove_tree(path)


def _write_private(path: Path, content: Any) -> None:
    incoming = path.with_suffix(".incoming")
    incoming.unlink(missing_ok=True)
    with os.fdopen(os.open(incoming, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(content, file, indent=2)
    incoming.replace(path)
