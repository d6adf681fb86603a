from __future__ import annotations

import asyncio
from pathlib import Path

import asyncpg
import pytest
from alembic.script import ScriptDirectory

from local_stack.postgres import PostgresServer
from service import find_migrations, grant_runtime, migrate
from service.migrations import Release

SCRIPTS = Path(__file__).parent / "tiny" / "migrations"
ROLE = "tiny"


async def test_migrating_reaches_the_newest_and_may_be_repeated(database: str) -> None:
    assert await migrate("tiny", SCRIPTS, database) == "0002"
    assert await migrate("tiny", SCRIPTS, database) == "0002"


async def test_processes_that_migrate_at_once_take_turns(database: str) -> None:
    assert await asyncio.gather(*(migrate("tiny", SCRIPTS, database) for _ in range(5))) == ["0002"] * 5


async def test_a_migration_that_fails_changes_nothing(database: str, tmp_path: Path) -> None:
    versions = tmp_path / "versions"
    versions.mkdir()
    (tmp_path / "env.py").write_text("from service.migrations import run_env\nrun_env()\n")
    for number, sql in (
        ("0001", "CREATE TABLE a (n int); CREATE TABLE b (n int)"),
        ("0002", "CREATE TABLE c (n nonsense)"),
    ):
        (versions / f"{number}.py").write_text(
            f"from service.migrations import run_sql\nrevision = {number!r}\n"
            f"down_revision = {'0001' if number == '0002' else None!r}\n"
            f"def upgrade() -> None:\n    run_sql({sql!r})\n"
        )
    with pytest.raises(asyncpg.UndefinedObjectError):
        await migrate("broken", tmp_path, database)
    connection = await asyncpg.connect(database)
    assert await connection.fetchval("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == 0
    await connection.close()
    assert await migrate("broken", tmp_path, database, target="0001") == "0001"


async def test_a_url_written_for_sqlalchemy_is_understood(database: str) -> None:
    assert await migrate("tiny", SCRIPTS, database.replace("postgresql://", "postgresql+asyncpg://")) == "0002"


async def test_the_runtime_role_appends_to_the_log_and_can_never_change_it(database: str) -> None:
    await migrate("tiny", SCRIPTS, database)
    connection = await asyncpg.connect(database)
    await connection.execute(f"SET ROLE {ROLE}")
    await connection.execute("INSERT INTO events (data) VALUES ('{}')")
    assert await connection.fetchval("SELECT last_value FROM events_position_seq") == 1
    for forbidden in (
        "UPDATE events SET data = '[]'",
        "DELETE FROM events",
        "TRUNCATE events",
        "UPDATE seals SET number = 2",
        "DELETE FROM seals",
        "TRUNCATE seals",
        "DROP TABLE events",
        "ALTER TABLE events DISABLE TRIGGER ALL",
        "UPDATE alembic_version SET version_num = 'x'",
        "CREATE TABLE public.mine (n int)",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(forbidden)
    await connection.close()


async def test_the_runtime_role_works_with_tables_of_later_migrations_and_makes_schemas(database: str) -> None:
    await migrate("tiny", SCRIPTS, database)
    connection = await asyncpg.connect(database)
    await connection.execute(f"SET ROLE {ROLE}")
    await connection.execute("INSERT INTO ticks DEFAULT VALUES; UPDATE ticks SET id = DEFAULT; DELETE FROM ticks")
    await connection.execute("CREATE SCHEMA totals_g2; CREATE TABLE totals_g2.totals (n int)")
    await connection.execute("ALTER SCHEMA totals_g2 RENAME TO totals")
    assert await connection.fetchval("SELECT version_num FROM alembic_version") == "0002"
    await connection.close()


@pytest.mark.parametrize("role", ["", "a b", 'a"; DROP TABLE events; --', "rôle"])
def test_a_role_with_a_strange_name_is_refused(role: str) -> None:
    with pytest.raises(ValueError, match="expected ASCII letters"):
        grant_runtime(role)


def test_a_release_accepts_its_own_migration_and_a_newer_releases() -> None:
    release = Release.of(SCRIPTS)
    assert release.head == "0002"
    assert release.shortfall("0002") is None
    assert release.shortfall("0003-of-the-next-release") is None
    assert release.shortfall("0001") == "the database is at migration 0001, expected 0002"
    assert release.shortfall(None) == "the database is at migration none, expected 0002"


def test_what_a_release_says_of_itself_is_what_alembic_comes_to() -> None:
    assert Release.of(SCRIPTS).head == ScriptDirectory(str(SCRIPTS)).get_current_head()


@pytest.mark.parametrize("names", [("ticks.py",), ("0001_notes.py", "0001_ticks.py")])
def test_a_script_without_a_number_of_its_own_is_refused(tmp_path: Path, names: tuple[str, ...]) -> None:
    (tmp_path / "versions").mkdir()
    for name in names:
        (tmp_path / "versions" / name).touch()
    with pytest.raises(ValueError, match=r"expected the name NNNN_what\.py"):
        Release.of(tmp_path)


def test_migrations_are_found_in_the_package_or_beside_src() -> None:
    assert find_migrations("tiny") == SCRIPTS
    with pytest.raises(FileNotFoundError, match="not installed"):
        find_migrations("no_such_service")
    with pytest.raises(FileNotFoundError, match=r"expected env\.py"):
        find_migrations("json")


async def test_an_owner_without_other_rights_migrates_for_a_role_that_logs_in(postgres: PostgresServer) -> None:
    passwords = {ROLE: "runtime", f"{ROLE}_query": "query", f"{ROLE}_owner": "owner"}
    addresses = (await postgres.provision(passwords, [ROLE]))[ROLE]
    assert await migrate("tiny", SCRIPTS, addresses.owner_url) == "0002"
    connection = await asyncpg.connect(addresses.url)
    await connection.execute("INSERT INTO events (data) VALUES ('{}'); INSERT INTO ticks DEFAULT VALUES")
    for forbidden in ("UPDATE events SET data = '[]'", "DELETE FROM events", "TRUNCATE events", "DROP TABLE ticks"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(forbidden)
    await connection.close()
