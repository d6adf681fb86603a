"""What the pages say without being run: links lead somewhere, commands and options exist, code can be read."""

from __future__ import annotations

import ast
import json
import re
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
import typer
from pages import PAGES, ROOT, SHELL, committed, fences, title

from annals.cli import app

EVERY = [path for path in committed() if path.suffix == ".md"]
COMMANDS: Any = typer.main.get_command(app)
TARGETS = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))

NOT_RUN = {
    "docs/adding-a-service.md": 3,
    "docs/consuming.md": 1,
    "docs/deploying.md": 2,
    "docs/operations.md": 2,
    "infra/gateway/README.md": 1,
    "infra/helm/README.md": 1,
    "infra/local/README.md": 1,
}
"""How many blocks of commands of each page are not run; each says why."""
COMMAND = re.compile(r"^(?:annals|make|python|pip|curl|kcat|docker|helm|eval|export|infra/\S+) ", re.MULTILINE)


def prose(page: Path) -> str:
    """A page without its blocks of code."""
    return re.sub(r"^ *```.*?^ *```$", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """The headings of a page as links name them."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", EVERY, ids=title)
def test_links_lead_to_a_file_and_a_heading_that_are_there(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = unquote(target).partition("#")
        linked = (page.parent / name).resolve() if name else page
        assert linked.exists(), f"{target}: no such file"
        assert not anchor or anchor in anchors(linked), f"{target}: no such heading"


def test_the_index_names_every_page() -> None:
    index = ROOT / "docs" / "README.md"
    linked = {(index.parent / target).resolve() for target in re.findall(r"\]\(([^)#\s]+)", index.read_text())}
    assert {page for page in EVERY if page.is_relative_to(index.parent)} <= {index, *linked}


def test_what_the_concepts_point_at_is_where_they_say() -> None:
    for pointer in re.findall(r"^→ (.+)$", (ROOT / "docs/concepts.md").read_text(), re.MULTILINE):
        sources = [ROOT / "docs" / folder / "src" for folder in re.findall(r"\]\((\S+)/README\.md\)", pointer)]
        files = {file.name: file.read_text() for source in sources for file in source.rglob("*.py")}
        for name in re.findall(r"`([\w.]+)`", pointer):
            defined = re.compile(rf"^ *(?:class|(?:async )?def) {name}\b", re.MULTILINE)
            assert name in files or any(map(defined.search, files.values())), f"{name}: not in {pointer}"


@pytest.mark.parametrize("page", EVERY, ids=title)
def test_commands_that_are_named_exist_with_their_options(page: Path) -> None:
    text = page.read_text()
    for line in re.findall(r"`(annals [^`]+)`", prose(page)) + re.findall(r"^(?:\$ )?(annals .+)$", text, re.MULTILINE):
        check_command(line.partition("  ")[0])
    for target in re.findall(r"\bmake ([a-z]+)(?=[`\s])", " ".join(re.findall(r"`[^`\n]+`", prose(page)))):
        assert target in TARGETS, f"make {target}"


def check_command(line: str) -> None:
    """Raises AssertionError unless the words name a command, and its options are those that it has."""
    line = re.split(r" [#|>]", re.sub(r"\$\(.*?\)", "…", line))[0]
    command = COMMANDS
    words = [word for word in line.split()[1:] if word != "…"]
    while words and hasattr(command, "commands") and not words[0].startswith("-"):
        assert words[0] in command.commands, f"{line}: no command {words[0]!r}"
        command = command.commands[words.pop(0)]
    known = {name for option in command.params for name in (*option.opts, *option.secondary_opts)} | {"--help"}
    given = {word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)}
    assert given <= known, f"{line}: no option {', '.join(given - known)}"


@pytest.mark.parametrize("page", PAGES, ids=title)
def test_commands_are_marked_as_such_and_few_are_not_run(page: Path) -> None:
    found = list(fences(page))
    others = [fence for fence in found if fence.language != SHELL]
    unmarked = [fence.first for fence in others if COMMAND.search(fence.text)]
    assert unmarked == [], "these lines begin blocks of commands, and are not marked as `sh`"
    assert sum(fence.not_run is not None for fence in found) == NOT_RUN.get(title(page), 0)


@pytest.mark.parametrize("page", EVERY, ids=title)
def test_code_in_other_languages_can_be_read(page: Path) -> None:
    for fence in fences(page):
        match fence.language:
            case "python":
                compile(fence.text, title(page), "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT | ast.PyCF_ONLY_AST)
            case "json":
                json.loads(fence.text)
            case "toml":
                tomllib.loads(fence.text)
            case "" | "sh" | "mermaid":
                pass
            case other:
                pytest.fail(f"line {fence.first}: {other} is a language that nobody here reads")
