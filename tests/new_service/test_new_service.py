"""`annals new-service demo`, in a copy of this checkout: what it makes passes whatever a service has to pass.

The packages that it changes come first on the path, the others are those of this checkout; so are the servers.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from local_stack.postgres import PostgresServer

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
SERVERS = """
import pytest
from local_stack.postgres import PostgresServer

@pytest.fixture(scope="session")
def postgres():
    return {postgres!r}

@pytest.fixture(scope="session")
def kafka():
    return {kafka!r}
"""
STANDARDS = "demo or dockerfile or compose or entry_point"


@dataclass(frozen=True, slots=True)
class Checkout:
    """A copy of this checkout."""

    folder: Path

    def run(self, *command: str | Path) -> str:
        """What a command says, with the copy's packages and those of this environment."""
        sources = ("contracts/messages/src", "services/compliance/src", "services/demo/src", "installed")
        path = os.pathsep.join(str(self.folder / source) for source in sources)
        env = os.environ | {"PYTHONPATH": path}
        done = subprocess.run(command, cwd=self.folder, env=env, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}"
        return done.stdout

    def python(self, *arguments: str) -> str:
        return self.run(sys.executable, *arguments)


def copied(folder: Path) -> Checkout:
    """The files of this checkout as they are now, in a repository of their own."""
    checkout = Checkout(folder)
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in listed.split("\0"):
        if (ROOT / name).is_symlink() or (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name, follow_symlinks=False)
    if (ROOT / ".mypy_cache").is_dir():  # of `make types`: what it has seen is not looked at again
        shutil.copytree(ROOT / ".mypy_cache", folder / ".mypy_cache")
    checkout.run("git", "init", "--quiet")
    checkout.run("git", "add", "--all")
    return checkout


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A checkout with a new service, installed, and its documents written."""
    checkout = copied(tmp_path_factory.mktemp("checkout"))
    made = json.loads(checkout.python("-m", "annals", "new-service", "demo", "--json"))
    assert made["next"] == ["make setup", "make schemas", "make test ARGS=services/demo"]
    offline = ("--quiet", "--offline", "--no-deps", "--no-build-isolation", "--python", sys.executable)
    checkout.run(BIN / "uv", "pip", "install", *offline, "--target", "installed", "services/demo")
    checkout.python("-m", "contracts.schemas")
    checkout.python("infra/ci/generated.py")
    checkout.run("git", "add", "--all", ":!installed")
    return checkout


def test_it_keeps_to_the_style_and_to_the_layers(demo: Checkout) -> None:
    demo.run(BIN / "ruff", "check", "--quiet", "--exclude", "installed")
    demo.run(BIN / "ruff", "format", "--quiet", "--check", "--exclude", "installed")
    demo.run(BIN / "lint-imports")


def test_its_types_are_right(demo: Checkout) -> None:
    demo.run(BIN / "mypy", "contracts/messages/src", "services/demo/src")


@pytest.mark.parametrize("file", ["docker-compose.yml", "infra/helm/annals/values.yaml"])
def test_it_has_what_every_service_has_where_services_are_run(demo: Checkout, file: str) -> None:
    before, after = (json.dumps(yaml.safe_load((of / file).read_text())).lower() for of in (ROOT, demo.folder))
    assert after.count("demo") - before.count("demo") == before.count("royalties") > 0


def test_no_two_services_have_one_port(demo: Checkout) -> None:
    services: Mapping[str, Any] = yaml.safe_load((demo.folder / "docker-compose.yml").read_text())["services"]
    ports = [port.partition(":-")[2] for service in services.values() for port in service.get("ports", [])]
    assert len(ports) == len({*ports})


def test_its_own_tests_and_those_of_all_services_pass(demo: Checkout, postgres: PostgresServer, kafka: str) -> None:
    with (demo.folder / "conftest.py").open("a") as conftest:
        conftest.write(SERVERS.format(postgres=postgres, kafka=kafka))
    tests = ("services/demo", "tests/architecture", "tests/access")
    said = demo.python("-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", STANDARDS, *tests)
    assert "passed" in said
