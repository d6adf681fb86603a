"""`annals new-service`: what it refuses, and how it enters a name where services are named."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from annals.cli import app
from annals.new_service import NewServiceError, listed, make, renamed, with_entries, with_port, with_row

SERVICES = ["bakery", "cellar", "dairy"]


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The little that is looked at before anything is made."""
    (tmp_path / "services" / "bakery").mkdir(parents=True)
    messages = tmp_path / "contracts" / "messages" / "src" / "contracts"
    messages.mkdir(parents=True)
    (messages / "parcels.py").touch()
    (tmp_path / "docker-compose.yml").write_text("x-spices: &spices\nservices:\n  postgres:\n")
    monkeypatch.setenv("ANNALS_HOME", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("name", "saying"),
    [
        ("my-Service", "for it names a module, a database, a host and a path, such as myservice"),
        ("x", "expected 2 to 30 letters"),
        ("ölmühle", "expected 2 to 30 letters"),
        ("../demo", "such as demo"),
        ("bakery", "services/bakery exists already"),
        ("class", "Python knows this name already"),
        ("json", "Python knows this name already"),
        ("eventlog", "Python knows this name already"),
        ("parcels", "contracts.parcels has messages already"),
        ("postgres", "docker-compose.yml has it already"),
        ("spices", "docker-compose.yml has it already"),
    ],
)  # fmt: skip
def test_a_name_that_cannot_be_a_services_is_refused_with_the_reason(checkout: Path, name: str, saying: str) -> None:
    before = sorted(checkout.rglob("*"))
    told = CliRunner().invoke(app, ["new-service", name])
    assert told.exit_code == 1
    assert saying in " ".join(told.output.split())
    assert sorted(checkout.rglob("*")) == before


def test_a_folder_that_is_no_checkout_is_refused(checkout: Path) -> None:
    with pytest.raises(NewServiceError, match="expected a checkout of git"):
        make("demo", checkout)


def test_a_file_that_is_not_as_expected_is_named_and_nothing_is_written(checkout: Path) -> None:
    subprocess.run(["git", "init", "--quiet"], cwd=checkout, check=True)
    before = sorted(checkout.rglob("*"))
    with pytest.raises(NewServiceError, match=r"README\.md: expected to find royalties in it"):
        make("demo", checkout)
    assert sorted(checkout.rglob("*")) == before


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("bakery,cellar,dairy", "bakery,cellar,corner,dairy"),
        ('["bakery", "cellar", "dairy"]', '["bakery", "cellar", "corner", "dairy"]'),
        ('"bakery:1", "cellar:1", "dairy:1", "else:2"', '"bakery:1", "cellar:1", "corner:1", "dairy:1", "else:2"'),
        ("BAKERY CELLAR DAIRY", "BAKERY CELLAR CORNER DAIRY"),
        ("`BAKERY_PORT`, `CELLAR_PORT`, `DAIRY_PORT`", "`BAKERY_PORT`, `CELLAR_PORT`, `CORNER_PORT`, `DAIRY_PORT`"),
        ('    "bakery",\n    "cellar",\n    "dairy",', '    "bakery",\n    "cellar",\n    "corner",\n    "dairy",'),
        ("bakery, dairy, cellar", "bakery, dairy, cellar"),  # in no order
        ("bakery,cellar", "bakery,cellar"),
        ("oldbakery,cellar,dairy", "oldbakery,cellar,dairy"),
    ],
)
def test_where_all_services_are_listed_the_list_grows_in_its_own_spelling(before: str, after: str) -> None:
    assert listed(before, SERVICES, "corner") == after


def test_what_royalties_has_in_a_yaml_file_the_new_service_has_too() -> None:
    before = """# for development

x-royalties: &royalties
  ROYALTIES_URL: a
  ROYALTIES_KEY: b

x-all:
  <<: *royalties
  ROYALTIES_OWNER: c

services:
  chain:
    ports: ["${CHAIN_PORT:-8001}"]

  royalties:
    <<: *process
    ports: ["${ROYALTIES_PORT:-8004}"]
"""
    after = """# for development

x-royalties: &royalties
  ROYALTIES_URL: a
  ROYALTIES_KEY: b

x-demo: &demo
  DEMO_URL: a
  DEMO_KEY: b

x-all:
  <<: *royalties
  ROYALTIES_OWNER: c
  DEMO_OWNER: c

services:
  chain:
    ports: ["${CHAIN_PORT:-8001}"]

  royalties:
    <<: *process
    ports: ["${ROYALTIES_PORT:-8004}"]

  demo:
    <<: *process
    ports: ["${DEMO_PORT:-8005}"]
"""
    assert with_port(with_entries(before, "demo"), "demo") == after


def test_a_row_goes_after_the_one_that_is_named() -> None:
    assert with_row("README.md", "| a |\n| b |\n| c |\n", "| b", "| new |") == "| a |\n| b |\n| new |\n| c |\n"
    with pytest.raises(NewServiceError, match=r"README\.md: expected one line that begins with '\| x', found 0"):
        with_row("README.md", "| a |\n", "| x", "| new |")


def test_a_name_is_replaced_in_all_its_spellings() -> None:
    assert renamed("greetings GREETINGS_URL GreetingsSettings", "greetings", "demo") == "demo DEMO_URL DemoSettings"
