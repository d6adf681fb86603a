"""The house's rules that no linter knows. Who may import whom is in pyproject.toml, checked by `make lint`."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import json
import os
import re
import subprocess
import sys
import tomllib
import types
import typing
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import sqlalchemy as sa

from contracts import message_types
from projections import Projection
from service import ServiceSettings
from service.main import settings_class

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = sorted(
    file.parent for pattern in ("contracts/messages", "infra/local", "libs/*", "services/*")
    for file in ROOT.glob(f"{pattern}/pyproject.toml")
)  # fmt: skip
SERVICES = [package for package in PACKAGES if package.parent.name == "services"]
NAMES = [service.name for service in SERVICES]

PYTHON_LINES = 400
LONGER: dict[str, str] = {
    "contracts/messages/src/contracts/chain.py": "a class of some lines for each event of the five contracts",
}
"""Python files that may be longer than PYTHON_LINES, and why."""

IMPURE = {"asyncio", "os", "random", "secrets", "socket", "subprocess", "threading", "time", "uuid"}
CLOCKS = {"now", "today", "utcnow"}


def committed() -> list[Path]:
    """The files of the repository."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True, timeout=600
    )
    return [path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def folder(path: Path) -> str:
    return str(path.relative_to(ROOT))


def project(package: Path) -> dict[str, Any]:
    found: dict[str, Any] = tomllib.loads((package / "pyproject.toml").read_text())["project"]
    return found


def source(package: Path) -> Path:
    """The folder that is imported."""
    [found] = [path.parent for path in (package / "src").glob("*/__init__.py")]
    return found


# ---- packages ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("package", PACKAGES, ids=folder)
def test_a_package_is_described_licensed_typed_and_tested(package: Path) -> None:
    declared = project(package)
    assert declared["license"] == "Apache-2.0"
    assert declared["requires-python"] == ">=3.11"
    assert declared["name"].startswith("annals-")
    assert declared["description"].strip()
    assert (source(package) / "py.typed").is_file()
    assert sorted((package / "tests").glob("test_*.py")), "a package has tests of its own"
    assert len((package / "README.md").read_text().splitlines()) >= 20, "README.md is about a page"


@pytest.mark.parametrize("package", PACKAGES, ids=folder)
def test_the_tools_know_every_package(package: Path) -> None:
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
    name = source(package).name
    assert name in tools["importlinter"]["root_packages"]
    assert [pattern for pattern in tools["ruff"]["src"] if (package / "src").match(pattern)]


@pytest.mark.parametrize("package", PACKAGES, ids=folder)
def test_a_package_declares_what_it_imports(package: Path) -> None:
    """Of our own packages; others are seen by the isolated installs."""
    ours = {source(other).name: project(other)["name"] for other in PACKAGES}
    extras = project(package).get("optional-dependencies", {})
    declared = {*project(package)["dependencies"], *(name for extra in extras.values() for name in extra)}
    for file in source(package).rglob("*.py"):
        for name in imported(file):
            if (needed := ours.get(name.partition(".")[0])) and name.partition(".")[0] != source(package).name:
                assert needed in declared, f"{folder(file)} imports {name}"


def imported(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=str(module)):
                yield module
            case _:
                pass


# ---- services ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("service", SERVICES, ids=folder)
def test_all_services_have_the_same_files(service: Path) -> None:
    package = service / "src" / service.name
    wanted = ["pyproject.toml", "README.md", "Dockerfile", "migrations/env.py"]
    wanted += [f"src/{service.name}/{file}" for file in ("__init__.py", "__main__.py", "py.typed")]
    assert [name for name in wanted if not (service / name).is_file()] == []
    modules = ("api", "app", "domain", "handlers", "projections", "publish", "settings")
    assert [
        name
        for name in modules
        if not (package / f"{name}.py").is_file() and not (package / name / "__init__.py").is_file()
    ] == []
    assert sorted((service / "migrations" / "versions").glob("0001_*.py"))


def test_all_services_have_the_same_dockerfile_but_for_their_name_and_libraries_and_the_prover_of_rewards() -> None:
    def common(name: str) -> list[str]:
        text = (ROOT / "services" / name / "Dockerfile").read_text()
        lines = re.sub(r"^FROM \S+ AS prover\n.*?\n\n", "", text, flags=re.DOTALL | re.MULTILINE).splitlines()
        kept = (line for line in lines if not line.startswith("COPY libs/") and "prover" not in line)
        return [line.replace(name, "service").replace(name.upper(), "SERVICE") for line in kept if line]

    assert all(common(name) == common(NAMES[0]) for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_an_image_contains_the_libraries_that_its_service_needs(name: str) -> None:
    dockerfile = (ROOT / "services" / name / "Dockerfile").read_text()
    ours = {project(package)["name"]: package for package in PACKAGES}
    needed = {dependency for dependency in project(ROOT / "services" / name)["dependencies"] if dependency in ours}
    copied = set(re.findall(r"^COPY (libs/\w+|contracts/messages) ", dockerfile, re.MULTILINE))
    assert copied == {folder(ours[dependency]) for dependency in needed}


def test_every_service_is_in_the_compose_file() -> None:
    compose = (ROOT / "docker-compose.yml").read_text()
    assert [name for name in NAMES if f"dockerfile: services/{name}/Dockerfile" not in compose] == []


def test_every_service_is_found_by_its_entry_point() -> None:
    found = {entry.name: entry.value for entry in entry_points(group="annals.services")}
    assert found == {name: name for name in NAMES}


@pytest.mark.parametrize("service", SERVICES, ids=folder)
def test_a_domain_is_pure(service: Path) -> None:
    """Only the standard library, values of messages, sealed ones and the Decider; no clock, no chance, no I/O."""
    package = service / "src" / service.name
    files = [package / "domain.py"] if (package / "domain.py").is_file() else sorted((package / "domain").rglob("*.py"))
    for file in files:
        problems = list(impurities(ast.parse(file.read_text()), service.name))
        assert problems == [], folder(file)


def impurities(tree: ast.Module, service: str) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                for alias in names:
                    if not allowed(alias.name, set(), service):
                        yield f"line {node.lineno}: import {alias.name}"
            case ast.ImportFrom(module=str(module), names=names):
                if not allowed(module, {alias.name for alias in names}, service):
                    yield f"line {node.lineno}: from {module} import {', '.join(alias.name for alias in names)}"
            case ast.AsyncFunctionDef() | ast.Await():
                yield f"line {node.lineno}: async"
            case ast.Call(func=ast.Name(id="open" | "print" | "input" as called)):
                yield f"line {node.lineno}: {called}()"
            case ast.Call(func=ast.Attribute(attr=called)) if called in CLOCKS:
                yield f"line {node.lineno}: a clock, .{called}()"


def allowed(module: str, names: set[str], service: str) -> bool:
    top = module.partition(".")[0]
    return (
        (top in sys.stdlib_module_names and top not in IMPURE)
        or module in {"contracts.values", "contracts.chain"}
        or (module == "eventlog" and names == {"Decider"})
        or (module == "privacy" and names <= {"EVENTS", "WALLETS", "Sealed"})
        or module == f"{service}.domain"
        or module.startswith(f"{service}.domain.")
    )


@pytest.mark.parametrize("name", NAMES)
def test_every_setting_is_described(name: str) -> None:
    settings: type[ServiceSettings] = settings_class(importlib.import_module(f"{name}.app").create)
    assert [field for field, info in settings.model_fields.items() if not info.description] == []


# ---- money ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_no_read_model_has_a_column_of_floating_point(name: str) -> None:
    models: list[Projection] = list(importlib.import_module(f"{name}.projections").ALL)
    columns = [column for model in models for table in (*model.tables, *model.totals) for column in table.columns]
    assert columns
    assert [str(column) for column in columns if isinstance(column.type, sa.Float)] == []
    # Numeric without a scale of its own takes any fraction.
    assert [str(column) for column in columns if type(column.type) is sa.Numeric and column.type.scale is None] == []


@pytest.mark.parametrize("name", NAMES)
def test_no_stored_event_holds_a_float(name: str) -> None:
    events: dict[str, type] = importlib.import_module(f"{name}.domain").EVENTS
    assert events
    for stored, cls in events.items():
        for field, hint in typing.get_type_hints(cls).items():
            assert not mentions_float(hint), f"{stored}: {field}"


def mentions_float(hint: Any) -> bool:
    if hint is float:
        return True
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return any(mentions_float(part) for part in typing.get_type_hints(hint).values())
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is not None:
        return any(mentions_float(part) for part in typing.get_args(hint))
    return False


def test_no_public_message_holds_a_float() -> None:
    for name, cls in message_types().items():
        assert '"type": "number"' not in json.dumps(cls.model_json_schema()), name


@pytest.mark.parametrize("file", sorted(ROOT.glob("libs/*/src/*/*.sql")), ids=folder)
def test_no_table_of_a_library_has_a_column_of_floating_point(file: Path) -> None:
    statements = re.sub(r"--.*", "", file.read_text())
    assert not re.search(r"\b(double precision|real|float[48]?|money)\b", statements, re.IGNORECASE)


# ---- what is committed ------------------------------------------------------------------------------------------


def test_python_files_stay_short_enough_to_read() -> None:
    lengths = {folder(path): len(path.read_text().splitlines()) for path in committed() if path.suffix == ".py"}
    assert {name: lines for name, lines in lengths.items() if lines > PYTHON_LINES and name not in LONGER} == {}
    assert [name for name in LONGER if lengths.get(name, 0) <= PYTHON_LINES] == [], "no longer needs its reason"


def test_no_file_names_a_package_registry_or_a_path_of_one_machine() -> None:
    hosts = {  # written apart, because this file must not name them either
        ".".join(host)
        for host in (
            ("pypi", "org"), ("files", "pythonhosted", "org"), ("registry", "npmjs", "org"), ("repo1", "maven", "org"),
            ("repo", "maven", "apache", "org"), ("proxy", "golang", "org"), ("deb", "debian", "org"),
        )
    }  # fmt: skip
    for variable in ("PIP_INDEX_URL", "UV_INDEX_URL", "UV_DEFAULT_INDEX", "NPM_CONFIG_REGISTRY", "GOPROXY"):
        hosts |= {host for url in os.environ.get(variable, "").split(",") if (host := urlsplit(url).hostname)}
    hosts -= {"localhost", "127.0.0.1"}
    places = [re.escape(host) for host in hosts]
    places += [re.escape(f"{path}{os.sep}") for path in (ROOT, Path.home()) if len(path.parts) > 2]
    places += [f"/{home}/" + r"[a-z_]\w*/" for home in ("home", "Users")] + [f"/{name}/" for name in ("root", "work")]
    pattern = re.compile(rf"(?<![\w.-])({'|'.join(places)})".encode())
    found = [f"{folder(path)}: {hit.group().decode()}" for path in committed() if (hit := pattern.search(read(path)))]
    assert found == []


def read(path: Path) -> bytes:
    content = path.read_bytes()
    return b"" if b"\0" in content else content


def test_no_file_holds_a_key_or_password_by_accident() -> None:
    pattern = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----\s+[A-Za-z0-9+/=]{40}")
    assert [folder(path) for path in committed() if pattern.search(read(path))] == []


def test_no_file_holds_the_marks_of_an_unfinished_merge() -> None:
    pattern = re.compile(rb"^(<{7}|>{7}) ", re.MULTILINE)
    assert [folder(path) for path in committed() if pattern.search(read(path))] == []


def test_the_lock_pins_everything_with_hashes_and_no_addresses() -> None:
    text = (ROOT / "requirements.lock").read_text()
    assert "://" not in text
    assert "--index-url" not in text
    assert "--find-links" not in text
    blocks = re.split(r"^(?=[A-Za-z0-9])", text, flags=re.MULTILINE)[1:]
    assert len(blocks) > 50
    for block in blocks:
        assert re.match(r"[A-Za-z0-9._-]+(\[[a-z,]+\])?==\S+", block), block.splitlines()[0]
        assert "--hash=sha256:" in block, block.splitlines()[0]


def test_the_contracts_that_are_deployed_are_those_that_the_chain_service_watches() -> None:
    deployment = importlib.import_module("annals.deployment")
    decoding = importlib.import_module("chain.decoding")
    assert deployment.NAMES == decoding.ARTIFACTS


def test_the_lock_of_npm_pins_everything_with_hashes_and_no_addresses() -> None:
    (path,) = [path for path in committed() if path.name == "package-lock.json"]
    text = path.read_text()
    packages = {name: package for name, package in json.loads(text)["packages"].items() if name}
    assert len(packages) > 30
    assert [name for name, package in packages.items() if not package["integrity"].startswith("sha512-")] == []
    assert "resolved" not in text
    assert not re.search(r"https?://[^\"]*registry", text)
