"""In a Dockerfile: installs packages of the workspace with what they need, at the locked versions, hashes checked.

`install.py <new environment> <package> ... [--without <package> ...]`. Only what the packages need is taken from
requirements.lock, so an image has no test tools in it. `--without` leaves out what an image never uses.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

PATTERNS = ("contracts/messages", "infra/local", "libs/*", "services/*")
BUILD_TOOL = "hatchling"


def pip(python: Path | str, *arguments: str | Path) -> str:
    """Runs pip and returns what it prints."""
    command = [python, "-m", "pip", "--disable-pip-version-check", *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=900).stdout


def normalised(name: str) -> str:
    """Returns a distribution's name as indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


class Lock:
    """requirements.lock: for each distribution its version and hashes, as pip wants to read them."""

    def __init__(self, path: Path) -> None:
        blocks = re.split(r"^(?=[A-Za-z0-9])", path.read_text(), flags=re.MULTILINE)[1:]
        self.entries = {normalised(re.split(r"[=\[]", block, maxsplit=1)[0]): block for block in blocks}

    def pins(self) -> str:
        """Returns the versions alone, to be used as constraints."""
        return "\n".join(re.split(r"\s*\\?\n", block, maxsplit=1)[0] for block in self.entries.values()) + "\n"

    def of(self, names: Iterable[str]) -> str:
        """Returns the entries of some distributions. Raises KeyError for one that is not locked."""
        return "".join(self.entries[name] for name in sorted(names))


def needed(python: Path, wheels: Path, pins: Path, packages: Iterable[str]) -> set[str]:
    """Returns the names of everything that pip would install for `packages`, themselves included."""
    options = ("--dry-run", "--ignore-installed", "--quiet", "--report", "-", "--find-links", wheels, "-c", pins)
    report = json.loads(pip(python, "install", *options, *packages))
    return {normalised(item["metadata"]["name"]) for item in report["install"]}


def install(environment: Path, packages: list[str], without: set[str]) -> None:
    """Makes the environment. Raises CalledProcessError where pip fails, which has then said why."""
    lock = Lock(Path("requirements.lock"))
    subprocess.run([sys.executable, "-m", "venv", environment], check=True, timeout=120)
    python = environment / "bin" / "python"
    with tempfile.TemporaryDirectory() as scratch:
        wheels, pins, chosen = Path(scratch, "wheels"), Path(scratch, "pins.txt"), Path(scratch, "chosen.txt")
        pins.write_text(lock.pins())

        def from_lock(names: set[str]) -> None:
            chosen.write_text(lock.of(names))
            pip(python, "install", "--quiet", "--no-cache-dir", "--require-hashes", "--no-deps", "-r", chosen)

        tools = needed(python, wheels, pins, [BUILD_TOOL])
        from_lock(tools)
        folders = [file.parent for pattern in PATTERNS for file in sorted(Path().glob(f"{pattern}/pyproject.toml"))]
        pip(python, "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", wheels, *folders)

        wanted = needed(python, wheels, pins, packages) - without
        ours = {name for name in wanted if name.startswith("annals-")}
        from_lock(wanted - ours)
        pip(python, "install", "--quiet", "--no-deps", "--no-index", "--find-links", wheels, *sorted(ours))
        surplus = tools - wanted
        pip(python, "uninstall", "--quiet", "--yes", *sorted(surplus), "pip", "setuptools")
    print(f"{environment}: {', '.join(sorted(ours))} and {len(wanted - ours)} more")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("environment", type=Path)
    parser.add_argument("packages", nargs="+")
    parser.add_argument("--without", nargs="+", default=[])
    given = parser.parse_args()
    install(given.environment, given.packages, set(given.without))
