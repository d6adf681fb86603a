"""A service as a process: start in any order, crash, restart, lose its database, stop gracefully."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import httpx
import pytest

from local_stack.proxy import Proxy
from service import migrate
from service.main import settings_class
from service.process import _bind

pytestmark = pytest.mark.endurance

Start = Callable[..., AbstractAsyncContextManager[Any]]
Command = Callable[..., Any]


async def count(dsn: str, table: str) -> int:
    connection = await asyncpg.connect(dsn)
    try:
        return int(await connection.fetchval(f"SELECT count(*) FROM {table}"))
    finally:
        await connection.close()


async def refused(url: httpx.URL) -> bool:
    """Whether nobody listens there any more."""
    async with httpx.AsyncClient(timeout=120) as stranger:
        try:
            await stranger.get(url)
        except httpx.TransportError as error:
            return isinstance(error, httpx.ConnectError)
    return False


async def test_sigterm_in_the_middle_of_a_request_and_of_a_batch_loses_neither(tiny: Any, database: str) -> None:
    await tiny.ready(200)
    connection = await asyncpg.connect(database)
    async with connection.transaction(), asyncio.timeout(240):
        await connection.execute("LOCK TABLE notes IN SHARE MODE")
        slow = asyncio.create_task(tiny.client.post("/slow?seconds=0.5"))
        await tiny.writing()
        tiny.terminate()
        await tiny.logged("stopping")
        while not await refused(tiny.client.base_url.join("/health")):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.05)
        assert not slow.done()
    await connection.close()
    answer = await slow
    assert (answer.status_code, answer.json()) == (200, "done")
    assert await tiny.exited() == 0
    assert await count(database, "notes") == 1
    ticks = await count(database, "ticks")
    assert ticks > 0
    assert ticks % 2 == 0  # whole batches only


async def test_sigint_stops_as_well_and_idle_connections_do_not_delay(start: Start, database: str) -> None:
    async with start(database, shutdown_seconds="300") as tiny:
        await tiny.ready(200)  # leaves a connection open
        tiny.process.send_signal(signal.SIGINT)
        assert await tiny.exited() == 0


async def test_a_request_that_outlasts_the_shutdown_is_cut_and_rolled_back(start: Start, database: str) -> None:
    async with start(database, shutdown_seconds="4") as tiny:
        await tiny.ready(200)
        slow = asyncio.create_task(tiny.client.post("/slow?seconds=300"))
        await tiny.writing()
        tiny.terminate()
        assert await tiny.exited() == 0
        answer = await slow
        assert (answer.status_code, answer.json()["type"]) == (503, "urn:annals:problem:stopping")
    assert await count(database, "notes") == 0


async def test_a_worker_that_ignores_its_cancellation_is_named_and_the_process_ended(
    start: Start, database: str
) -> None:
    async with start(database, shutdown_seconds="2", stubborn="true") as tiny:
        await tiny.ready(200)
        tiny.terminate()
        assert await tiny.exited() == 1
        line = await tiny.logged("shutdown took too long, the process is ended")
        assert "counter" in str(line["reason"])


async def test_a_database_that_is_silent_does_not_keep_a_process_from_its_end(start: Start, database: str) -> None:
    place = urlsplit(database)
    async with Proxy(0, place.port) as network:
        credentials, _, _ = place.netloc.rpartition("@")
        behind = place._replace(netloc=f"{credentials}@{network.address}").geturl()
        async with start(behind, shutdown_seconds="8") as tiny:
            await tiny.ready(200)
            async with network.silence():
                await asyncio.sleep(0.5)  # in a batch now, which waits for an answer
                tiny.terminate()
                assert await tiny.exited(seconds=8 + 4) == 0


async def test_a_second_signal_ends_the_process_at_once(start: Start, database: str) -> None:
    async with start(database, shutdown_seconds="300") as tiny:
        await tiny.ready(200)
        slow = asyncio.create_task(tiny.client.post("/slow?seconds=300"))
        await tiny.writing()
        tiny.terminate()
        await tiny.logged("stopping")
        tiny.terminate()
        assert await tiny.exited() == 128 + signal.SIGTERM
        with pytest.raises(httpx.HTTPError):
            await slow


async def test_a_worker_that_fails_of_a_passing_cause_is_restarted_and_shown(tiny: Any, database: str) -> None:
    await tiny.ready(200)
    await tiny.client.post("/fail/transient")
    line = await tiny.logged("worker failed, restarting")
    assert line["worker"] == "counter"
    assert "hunter2" not in str(line)
    checks = await tiny.ready(503)
    assert checks["worker:counter"]["ok"] is False
    assert "ConnectionError" in str(checks["worker:counter"]["detail"])
    assert "hunter2" not in str(checks)
    assert checks["database"]["ok"] is True
    assert (await tiny.client.get("/health")).status_code == 200  # alive: killing it would not help
    before = await count(database, "ticks")
    assert (await tiny.ready(200))["worker:counter"]["detail"] == "running"
    assert await count(database, "ticks") > before
    assert 'annals_worker_restarts_total{worker="counter"} 1.0' in (await tiny.client.get("/metrics")).text


@pytest.mark.parametrize(("how", "error"), [("fatal", "KeyError"), ("return", "expected it to run until cancelled")])
async def test_a_worker_with_an_error_of_the_program_ends_the_process(tiny: Any, how: str, error: str) -> None:
    await tiny.ready(200)
    await tiny.client.post(f"/fail/{how}")
    assert await tiny.exited() == 1
    line = await tiny.logged("worker failed for good, the process ends")
    assert (line["level"], line["worker"]) == ("critical", "counter")
    assert error in str(line["exception"])


async def test_started_before_its_migrations_it_says_so_and_goes_on_once_they_ran(start: Start, database: str) -> None:
    async with start(database, migrated=False) as tiny:
        checks = await tiny.ready(503, migrations="the database is at")
        assert checks["migrations"]["detail"] == "RuntimeError: the database is at migration none, expected 0002"
        assert checks["worker:counter"]["detail"] == "RuntimeError: starting"
        assert (await tiny.client.get("/health")).status_code == 200
        await migrate("tiny", tiny.migrations, database)
        await tiny.ready(200)


async def test_without_a_database_for_too_long_it_gives_up(start: Start, database: str) -> None:
    gone = database.rsplit(":", 1)[0] + ":1/none"  # nothing listens on port 1
    async with start(gone, migrated=False, start_seconds="1") as tiny:
        assert await tiny.exited() == 1
        line = await tiny.logged("cannot start")
        assert "gave up after 1 s" in str(line["reason"])


async def test_with_a_wrong_database_it_ends_at_once(start: Start, database: str) -> None:
    async with start(database + "_not_there", migrated=False) as tiny:
        assert await tiny.exited() == 1
        assert "InvalidCatalogNameError" in str((await tiny.logged("the process ends on an error"))["exception"])


async def test_a_port_in_use_is_a_clear_error(tiny: Any, command: Command, database: str) -> None:
    code, _, err = await command(database, http_port=str(tiny.client.base_url.port))
    assert code == 1
    assert "cannot listen on 127.0.0.1" in err


async def test_ready_turns_503_when_postgresql_stops_and_recovers_with_it(own_postgres: Any, start: Start) -> None:
    dsn = await own_postgres.start()
    async with start(dsn, http_request_seconds="120", http_patience_seconds="100") as tiny:
        assert (await tiny.ready(200))["database"]["ok"] is True
        await own_postgres.stop()
        checks = await tiny.ready(503)
        assert checks["database"]["ok"] is False
        assert checks["auth"]["ok"] is True
        waiting = asyncio.create_task(tiny.client.get("/notes", timeout=120))
        answer = await tiny.client.post("/slow?seconds=0")  # has no key, so it can't be repeated and doesn't wait
        assert (answer.status_code, answer.json()["type"]) == (503, "urn:annals:problem:unavailable")
        assert answer.headers["retry-after"] == "1"
        assert (await tiny.client.get("/health")).status_code == 200
        await own_postgres.start()
        await tiny.ready(200)
        assert (await waiting).status_code == 200
        assert await count(dsn, "ticks") % 2 == 0


async def test_ready_asks_kafka_for_its_topics(
    start: Start, database: str, kafka: str, create_topic: Callable[..., Any]
) -> None:
    topic = "service-ready-test"
    async with start(database, kafka="true", kafka_bootstrap=kafka, topic=topic) as tiny:
        await tiny.ready(503, kafka=f"topics missing: {topic}")
        await create_topic(topic)
        await tiny.ready(200, kafka="brokers")


async def test_ready_fails_without_kafka(start: Start, database: str) -> None:
    async with start(database, kafka="true", kafka_bootstrap="127.0.0.1:1") as tiny:
        await tiny.ready(503, kafka="KafkaConnectionError")


async def test_ready_fails_without_a_key_for_tokens(start: Start, database: str) -> None:
    async with start(database, jwt_public_key="") as tiny:
        await tiny.ready(503, auth="every token is refused")


async def test_openapi_is_printed_without_any_server(command: Command) -> None:
    code, out, err = await command("postgresql://127.0.0.1:1/none", "openapi")
    assert (code, err) == (0, "")
    assert "/notes" in json.loads(out)["paths"]


async def test_migrate_and_check_work_from_the_command_line(command: Command, database: str) -> None:
    code, out, _ = await command(database, "check")
    assert code == 1
    assert "FAILED  migrations" in out
    owner = {"owner_database_url": database}
    assert (await command("postgresql://127.0.0.1:1/none", "migrate", **owner))[:2] == (
        0,
        "tiny: the database is at migration 0002\n",
    )
    code, out, err = await command(database, "check")
    assert code == 0, err
    assert [line.split()[:2] for line in out.splitlines()] == [
        ["ok", name] for name in ("auth", "database", "migrations", "queries")
    ]


async def test_wrong_settings_are_named_as_variables_without_their_values(command: Command, database: str) -> None:
    code, _, err = await command(database, http_port="hunter2", pool_max="0", jwt_public_key="hunter3")
    assert code == 2
    assert [line.split(":")[0] for line in err.splitlines()] == [
        "TINY_POOL_MAX",
        "TINY_HTTP_PORT",
        "TINY_JWT_PUBLIC_KEY",
    ]
    assert "hunter" not in err


async def test_help_names_the_commands(command: Command) -> None:
    code, out, _ = await command("postgresql:///", "--help")
    assert code == 0
    assert all(name in out for name in ("run", "migrate", "openapi", "check", "TINY_", "ANNALS_"))


async def test_a_misspelt_variable_is_logged(start: Start, database: str) -> None:
    async with start(database, databse_url="x") as tiny:
        assert (await tiny.logged("unknown environment variable, misspelt?"))["variable"] == "TINY_DATABSE_URL"


def test_create_must_say_which_settings_it_takes() -> None:
    def create(config: object) -> Any:
        raise NotImplementedError

    with pytest.raises(TypeError, match="expected a parameter settings"):
        settings_class(create)


def test_an_answer_is_sent_at_once_and_not_held_back_for_an_acknowledgement() -> None:
    with _bind("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname(), timeout=30):
        listener.settimeout(30)
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
