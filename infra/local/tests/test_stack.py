"""A stack starts together, keeps its services apart, and never outlives its owner."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import asyncpg
import psutil
import pytest
from aiokafka.admin import AIOKafkaAdminClient

from local_stack import kafka, stack
from local_stack.paths import local
from local_stack.process import LocalStackError
from local_stack.stack import Addresses, Stack

pytestmark = pytest.mark.endurance

NAME = f"check-{os.getpid()}"


@pytest.fixture
def names() -> Iterator[Callable[[str], str]]:
    """Gives names of stacks of our own, whose data is deleted afterwards."""
    given = []

    def name(suffix: str) -> str:
        given.append(f"{NAME}-{suffix}")
        return given[-1]

    yield name
    for one in given:
        assert stack.remove_if_stopped(one)


@pytest.fixture
async def addresses(names: Callable[[str], str]) -> AsyncIterator[Addresses]:
    one = Stack(names("one"), durable=False)
    yield await one.start()
    await one.stop()


def open_port(address: str) -> bool:
    host, port = address.rsplit("@", 1)[-1].removeprefix("http://").split("/")[0].split(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


def run_owner(name: str) -> tuple[subprocess.Popen[bytes], Addresses]:
    """Starts a stack in a process of its own; returns when it is ready."""
    command = [sys.executable, "-m", "local_stack", "run", "--name", name, "--fast"]
    owner = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 200
    while (found := stack.running(name)) is None:
        assert owner.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return owner, found


def wait_until_unlocked(name: str, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while stack.is_locked(local() / name):
        assert time.monotonic() < deadline, f"{name} is still running"
        time.sleep(0.05)


def servers_below(pid: int) -> list[psutil.Process]:
    return psutil.Process(pid).children(recursive=True)


async def test_a_service_reads_and_writes_its_own_tables_but_does_not_own_them(addresses: Addresses) -> None:
    rewards = addresses.databases["rewards"]
    owner = await asyncpg.connect(rewards.owner_url)
    await owner.execute("CREATE TABLE claims (id bigserial PRIMARY KEY, amount numeric)")
    await owner.close()
    service = await asyncpg.connect(rewards.url)
    await service.execute("INSERT INTO claims (amount) VALUES (5)")
    assert await service.fetchval("SELECT amount FROM claims") == 5
    await service.execute("CREATE SCHEMA pool_status_v2")
    for refused in ("DROP TABLE claims", "TRUNCATE claims", "CREATE TABLE public.mine (id int)"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await service.execute(refused)
    await service.close()
    query = await asyncpg.connect(rewards.query_url)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await query.execute("SELECT * FROM claims")
    await query.close()


async def test_a_service_cannot_even_connect_to_the_database_of_another(addresses: Addresses) -> None:
    rewards = addresses.databases["rewards"]
    for role in (rewards.url, rewards.query_url, rewards.owner_url):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await asyncpg.connect(role.removesuffix("rewards") + "royalties")


async def test_nobody_connects_without_the_password(addresses: Addresses) -> None:
    url = addresses.postgres_url
    password = url.split(":")[2].split("@")[0]
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(url.replace(password, "wrong"))


async def test_two_stacks_run_side_by_side(addresses: Addresses, names: Callable[[str], str]) -> None:
    other = Stack(names("two"), services=("rewards",), durable=False)
    second = await other.start()
    try:
        assert second.kafka != addresses.kafka
        await kafka.create_topic(second.kafka, "only-here", partitions=1)
        await kafka.create_topic(addresses.kafka, "only-here", partitions=1)
        assert second.databases["rewards"].url != addresses.databases["rewards"].url
    finally:
        await other.stop()


async def test_a_name_that_is_taken_is_refused_and_the_first_goes_on(addresses: Addresses) -> None:
    with pytest.raises(LocalStackError, match="already running"):
        await Stack(addresses.name).start()
    assert open_port(addresses.postgres_url)
    assert stack.running(addresses.name) == addresses


async def test_the_data_outlives_a_stop_unless_a_fresh_start_is_asked_for(names: Callable[[str], str]) -> None:
    name = names("again")
    kept = []
    for fresh in (False, False, True):
        again = Stack(name, services=("rewards",), fresh=fresh)
        found = await again.start()
        try:
            connection = await asyncpg.connect(found.databases["rewards"].owner_url)
            kept.append(await connection.fetchval("SELECT to_regclass('kept') IS NOT NULL"))
            await connection.execute("CREATE TABLE IF NOT EXISTS kept ()")
            await connection.close()
        finally:
            await again.stop()
    assert kept == [False, True, False]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda how: how.name)
def test_when_the_owner_ends_nothing_is_left_running(how: signal.Signals, names: Callable[[str], str]) -> None:
    name = names(how.name.lower())
    owner, found = run_owner(name)
    below = servers_below(owner.pid)
    assert len(below) >= 6  # three guards, three servers
    owner.send_signal(how)
    owner.wait(60)
    wait_until_unlocked(name)
    assert not any(open_port(address) for address in (found.postgres_url, found.kafka, found.devnet_url))
    psutil.wait_procs(below, timeout=240)
    assert not any(process.is_running() for process in below)
    assert stack.running(name) is None
    assert not (local() / name / "stack.json").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="the parent-death signal is Linux's")
def test_a_server_ends_even_when_its_guard_is_killed(names: Callable[[str], str]) -> None:
    owner, found = run_owner(names("guard"))
    below = servers_below(owner.pid)
    for guard in [process for process in below if process.ppid() == owner.pid]:
        guard.kill()
    assert owner.wait(60) == 1  # it notices, says which server has ended, and stops
    _, alive = psutil.wait_procs(below, timeout=240)
    assert alive == []
    assert not open_port(found.kafka)


def test_up_status_env_and_down_from_the_command_line(names: Callable[[str], str]) -> None:
    name = names("cli")

    def command(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "local_stack", *arguments], capture_output=True, text=True, timeout=200
        )

    up = command("up", "--name", name, "--fast")
    try:
        assert up.returncode == 0, up.stderr
        assert {"PostgreSQL", "Kafka", "devnet"} <= set(up.stdout.split())
        assert name in command("status").stdout
        exports = command("env", "--name", name).stdout
        assert "export REWARDS_DATABASE_URL=postgresql://rewards:" in exports
        state = local() / name / "stack.json"
        assert state.stat().st_mode & 0o077 == 0  # it holds passwords
        assert json.loads(state.read_text())["name"] == name
    finally:
        down = command("down", "--name", name)
    assert down.stdout.startswith("stopped")
    assert command("env", "--name", name).returncode == 1


async def test_a_server_that_does_not_start_takes_the_others_with_it(names: Callable[[str], str]) -> None:
    broken = Stack(names("broken"), durable=False, devnet_options=("--no-such-option",))
    before = psutil.Process().children()
    with pytest.raises(LocalStackError, match="devnet ended while starting"):
        await broken.start()
    _, left = psutil.wait_procs(set(psutil.Process().children()) - set(before), timeout=10)  # `test -x` ends by itself
    assert not left
    assert not stack.is_locked(broken.folder)


def test_what_a_killed_test_run_left_is_deleted_by_the_next(names: Callable[[str], str]) -> None:
    left = local() / f"test-left-{os.getpid()}"
    left.mkdir()
    (left / "stack.lock").touch()
    (left / "big").write_text("data")
    with stack.scratch_folder(names("next")):
        assert not left.exists()


def test_a_strange_name_is_refused() -> None:
    for name in ("../other", "Capital", "", "kafka"):
        with pytest.raises(LocalStackError, match="stack name"):
            Stack(name)
    assert not Path(local(), "..", "other").exists()


async def test_a_killed_server_comes_back_where_it_was_and_with_its_data(names: Callable[[str], str]) -> None:
    one = Stack(names("restarted"), durable=False)
    addresses = await one.start()
    try:
        connection = await asyncpg.connect(addresses.postgres_url)
        await connection.execute("CREATE TABLE kept (number integer); INSERT INTO kept VALUES (7)")
        await connection.close()
        await kafka.create_topic(addresses.kafka, "kept", partitions=1)
        for server in ("PostgreSQL", "Kafka"):
            one.kill(server)
            await one.restart(server)
        assert one.failed() is None
        connection = await asyncpg.connect(addresses.postgres_url)
        assert await connection.fetchval("SELECT number FROM kept") == 7
        await connection.close()
        admin = AIOKafkaAdminClient(bootstrap_servers=addresses.kafka)
        await admin.start()
        assert "kept" in await admin.list_topics()
        await admin.close()
        with pytest.raises(LocalStackError, match="devnet cannot be started again"):
            await one.restart("devnet")
    finally:
        await one.stop()
