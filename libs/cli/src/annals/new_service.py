"""A new service: its files from the template, and its name wherever a checkout names every service.

`template/` is laid over the checkout. It holds a whole small service with a message of its own, and is called
`greetings`, a name that the new one's replaces. What exists already is edited by three rules:

- where all services are listed, in whatever spelling, the list grows;
- where `royalties` has an entry of its own in a YAML file, the new service has the same;
- tables for readers get a row.

All is worked out before anything is written.
"""

from __future__ import annotations

import importlib.util
import keyword
import re
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

TEMPLATE = Path(__file__).parent / "template"
TEMPLATE_NAME = "greetings"
NEIGHBOUR = "royalties"
"""A service without anything special: what it has, any service has."""
NAME = re.compile(r"[a-z]{2,30}")
COMPOSE = "docker-compose.yml"
ENTRIES = (COMPOSE, "infra/helm/annals/values.yaml")
MESSAGES = "contracts/messages/src/contracts/__init__.py"
ROWS = {
    "README.md": (
        "| [royalties](services/royalties) |",
        "| [greetings](services/greetings) | `compliance.events`, HTTP | `greetings.events` | who was welcomed |",
    ),
    "contracts/messages/README.md": ("| `royalties.events` |", "| `greetings.events` | `Welcomed` |"),
    "infra/gateway/README.md": ("| `/api/royalties/…` |", "| `/api/greetings/…` | greetings |"),
}
"""By file: how the row begins after which a row is added, and that row."""


class NewServiceError(Exception):
    """The service can't be made; the message says why."""


@dataclass(frozen=True, slots=True)
class Made:
    """What was made of a new service: files of the checkout, in order."""

    name: str
    written: Sequence[str]
    changed: Sequence[str]

    @property
    def next(self) -> Sequence[str]:
        """The commands to go on with."""
        return ("make setup", "make schemas", f"make test ARGS=services/{self.name}")


def make(name: str, checkout: Path) -> Made:
    """Writes the service into a checkout and enters it everywhere. Raises NewServiceError; then nothing is written."""
    if problem := flaw(name, checkout):
        raise NewServiceError(f"{name[:60]!r}: {problem}")
    written, changed = new_files(name), changed_files(name, checkout)
    for file, text in (written | changed).items():
        (checkout / file).parent.mkdir(parents=True, exist_ok=True)
        (checkout / file).write_text(text)
    tidy(checkout, [file for file in written | changed if file.endswith(".py")])
    return Made(name, sorted(written), sorted(changed))


def flaw(name: str, checkout: Path) -> str | None:
    """Why a service can't have this name; None if it can."""
    if not NAME.fullmatch(name):
        letters = re.sub("[^a-z]", "", name.lower())
        hint = f", such as {letters}" if NAME.fullmatch(letters) else ""
        return f"expected 2 to 30 letters from a to z, for it names a module, a database, a host and a path{hint}"
    if (checkout / "services" / name).exists():
        return f"services/{name} exists already"
    if keyword.iskeyword(name) or importlib.util.find_spec(name) is not None:
        return "Python knows this name already, as a word or a module"
    if (checkout / MESSAGES).with_name(f"{name}.py").exists():
        return f"contracts.{name} has messages already"
    if re.search(rf"^(x-|  ){name}:", (checkout / COMPOSE).read_text(), re.MULTILINE):
        return f"{COMPOSE} has it already"
    return None


# ---- what is new -------------------------------------------------------------------------------------------------


def new_files(name: str) -> dict[str, str]:
    """The template's files under the new name, by their place in the checkout."""
    files = (file for file in TEMPLATE.rglob("*") if file.is_file() and "__pycache__" not in file.parts)
    texts = {str(file.relative_to(TEMPLATE)): file.read_text() for file in files}
    return {renamed(file, TEMPLATE_NAME, name): renamed(text, TEMPLATE_NAME, name) for file, text in texts.items()}


def renamed(text: str, old: str, new: str) -> str:
    """The text with another name in all three spellings: greetings, Greetings, GREETINGS."""
    for spelt in (str.lower, str.capitalize, str.upper):
        text = text.replace(spelt(old), spelt(new))
    return text


# ---- what changes ------------------------------------------------------------------------------------------------


def changed_files(name: str, checkout: Path) -> dict[str, str]:
    """The files of the checkout that have to name the new service, too. Raises NewServiceError."""
    services = sorted(file.parent.name for file in checkout.glob("services/*/pyproject.toml"))
    texts = {file: text for file in committed(checkout) if (text := text_of(checkout / file)) is not None}
    if missing := {*ENTRIES, *ROWS, MESSAGES} - texts.keys():
        raise NewServiceError(f"{min(missing)}: expected to find {NEIGHBOUR} in it")
    changed = {file: listed(text, services, name) for file, text in texts.items()}
    for file in ENTRIES:
        changed[file] = with_entries(changed[file], name)
    for file, (beginning, row) in ROWS.items():
        changed[file] = with_row(file, changed[file], beginning, renamed(row, TEMPLATE_NAME, name))
    changed[COMPOSE] = with_port(changed[COMPOSE], name)
    changed[MESSAGES] = with_module(changed[MESSAGES], name)
    return {file: text for file, text in changed.items() if text != texts[file]}


def committed(checkout: Path) -> Iterable[str]:
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=checkout, capture_output=True, text=True)  # noqa: S607
    if listing.returncode:
        raise NewServiceError(f"{checkout}: expected a checkout of git, which says: {listing.stderr.strip()}")
    return listing.stdout.split("\0")[:-1]


def text_of(file: Path) -> str | None:
    """The text of a file that names services, None for all others."""
    content = file.read_bytes() if file.is_file() and not file.is_symlink() else b""
    return content.decode() if NEIGHBOUR.encode() in content.lower() and b"\0" not in content else None


def listed(text: str, services: Sequence[str], name: str) -> str:
    """With the new service in every list of all services: names in their order, with the same between them.

    `chain,rewards`, `"chain", "rewards"`, `CHAIN REWARDS` and `"chain:8000", "rewards:8000"` are such lists.
    """
    for spelt in (str.lower, str.upper):
        first, second, *others = map(spelt, services)
        pattern = rf"(?<![a-zA-Z]){first}(.{{1,24}}?){second}" + "".join(rf"\1{other}" for other in others)
        names = sorted(map(spelt, [*services, name]))
        whole = re.compile(pattern + "(?![a-zA-Z])", re.DOTALL)  # a formatter may give each name a line
        text = whole.sub(lambda match, names=names: match[1].join(names), text)  # type: ignore[misc]
    return text


def with_entries(text: str, name: str) -> str:
    """With what a YAML file has of royalties, keys and all below them, once more for the new service."""
    key = rf"(?:x-)?{NEIGHBOUR}|{NEIGHBOUR.upper()}_\w+"
    entries = rf"(?:^( *)(?:{key}):.*\n(?:\1 +\S.*\n)*)+"

    def twice(match: re.Match[str]) -> str:
        gap = "\n" if text[: match.start()].endswith("\n\n") else ""
        return match[0] + gap + renamed(match[0], NEIGHBOUR, name)

    return re.sub(entries, twice, text, flags=re.MULTILINE)


def with_port(compose: str, name: str) -> str:
    """With a port of the host that no other service has."""
    port = 1 + max(map(int, re.findall(r"_PORT:-(80\d\d)}", compose)))
    return re.sub(rf"(?<={name.upper()}_PORT:-)\d+", str(port), compose)


def with_row(file: str, text: str, beginning: str, row: str) -> str:
    lines = text.splitlines(keepends=True)
    after = [number for number, line in enumerate(lines, 1) if line.startswith(beginning)]
    if len(after) != 1:
        raise NewServiceError(f"{file}: expected one line that begins with {beginning!r}, found {len(after)}")
    return "".join([*lines[: after[0]], f"{row}\n", *lines[after[0] :]])


def with_module(text: str, name: str) -> str:
    """With the module of the new messages in the register; ruff puts it in its place."""
    text = text.replace("from contracts import ", f"from contracts import {name}, ", 1)
    return text.replace("__all__ = [\n", f'__all__ = [\n    "{name}",\n', 1)


def tidy(checkout: Path, files: Sequence[str]) -> None:
    """Sorts and formats as `make fmt` does: where an import belongs depends on the name. Raises NewServiceError."""
    for work in (["check", "--select", "I,RUF022", "--fix", "--quiet"], ["format", "--quiet"]):
        command = [sys.executable, "-m", "ruff", *work, *files]
        done = subprocess.run(command, cwd=checkout, capture_output=True, text=True)
        if done.returncode:
            raise NewServiceError(f"written, but ruff {work[0]} says: {done.stdout}{done.stderr}")
