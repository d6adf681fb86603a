"""In a Dockerfile: installs packages of the workspace with what they need, at the locked versions, hashes checked.

`install.py <new environment> <package> ... [--without <package> ...]`. Only what the packages need is taken from
requirements.lock, so an image has no test tools in it, and no pip. `--without` leaves out what an image never uses.
Images that are built one after another share what is downloaded, if they mount a cache at XDG_CACHE_HOME.
What is in it says `sbom.cdx.json` there, a bill of materials in CycloneDX's form, for scanners and auditors.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

PATTERNS = ("contracts/messages", "infra/local", "libs/*", "services/*")
TOOLS = ("hatchling", "cyclonedx-bom")
BILL = "sbom.cdx.json"


def run(*command: Path | str) -> str:
    """Returns what a command prints. Raises CalledProcessError where it fails; it has then said why."""
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=900).stdout


def normalised(name: str) -> str:
    """Returns a distribution's name as indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


class Lock:
    """requirements.lock: for each distribution its version and hashes, as installers want to read them."""

    def __init__(self, path: Path) -> None:
        blocks = re.split(r"^(?=[A-Za-z0-9])", path.read_text(), flags=re.MULTILINE)[1:]
        self.entries = {normalised(re.split(r"[=\[]", block, maxsplit=1)[0]): block for block in blocks}

    def pins(self) -> str:
        """Returns the versions alone, to be used as constraints."""
        return "\n".join(re.split(r"\s*\\?\n", block, maxsplit=1)[0] for block in self.entries.values()) + "\n"

    def of(self, names: Iterable[str]) -> str:
        """Returns the entries of some distributions. Raises KeyError for one that is not locked."""
        return "".join(self.entries[name] for name in sorted(names))


class Environment:
    """A virtual environment without pip; uv fills it from the lock and from our own wheels."""

    def __init__(self, path: Path, lock: Lock, scratch: Path) -> None:
        run(sys.executable, "-m", "venv", "--without-pip", path)
        self.python = path / "bin" / "python"
        self._lock, self._scratch, self.wheels = lock, scratch, scratch / "wheels"

    def install(self, packages: Iterable[str], without: Iterable[str] = ()) -> set[str]:
        """Installs packages with everything that they need; returns the names of all."""
        wanted = self._needed(packages) - set(without)
        ours = {name for name in wanted if name.startswith("annals-")}
        chosen = self._file("chosen.txt", self._lock.of(wanted - ours))
        self.uv("install", "--require-hashes", "--no-deps", "--compile-bytecode", "-r", chosen)
        if ours:
            self.uv("install", "--no-deps", "--no-index", "--find-links", self.wheels, *sorted(ours))
        return wanted

    def _needed(self, packages: Iterable[str]) -> set[str]:
        asked, pins = self._file("asked.txt", "\n".join(packages)), self._file("pins.txt", self._lock.pins())
        found = self.uv("compile", "--no-header", "--no-annotate", "--find-links", self.wheels, "-c", pins, asked)
        return {normalised(line.partition("==")[0]) for line in found.splitlines() if "==" in line}

    def uv(self, command: str, *arguments: str | Path) -> str:
        """Runs `uv pip` for this environment and returns what it prints."""
        uv = self._scratch / "uv" / "bin" / "uv"
        return run(uv, "--quiet", "pip", command, "--python", self.python, *arguments)

    def _file(self, name: str, content: str) -> Path:
        (path := self._scratch / name).write_text(content)
        return path


def fetch_uv(lock: Lock, scratch: Path) -> None:
    """Installs uv below `scratch` by pip, which checks its hashes: it is some ten times as fast."""
    (pinned := scratch / "uv.txt").write_text(lock.of(["uv"]))
    run(sys.executable, "-m", "pip", "install", "--quiet", "--require-hashes", "--target", scratch / "uv", "-r", pinned)


def install(target: Path, packages: list[str], without: set[str]) -> None:
    """Makes the environment and its bill of materials."""
    lock = Lock(Path("requirements.lock"))
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        fetch_uv(lock, scratch)
        (scratch / "wheels").mkdir()
        tools = Environment(scratch / "tools", lock, scratch)
        tools.install(TOOLS)
        for file in sorted(file for pattern in PATTERNS for file in Path().glob(f"{pattern}/pyproject.toml")):
            build = ("-m", "hatchling", "build", "--target", "wheel", "--directory", tools.wheels)
            subprocess.run([tools.python, *build], check=True, stdout=subprocess.DEVNULL, cwd=file.parent, timeout=120)
        environment = Environment(target, lock, scratch)
        installed = environment.install(packages, without)
        bill = ("environment", "--output-reproducible", "--output-file", target / BILL, environment.python)
        run(tools.python.parent / "cyclonedx-py", *bill)
    print(f"{target}: {', '.join(packages)}, {len(installed)} packages in all, listed in {BILL}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("environment", type=Path)
    parser.add_argument("packages", nargs="+")
    parser.add_argument("--without", nargs="+", default=[])
    given = parser.parse_args()
    install(given.environment, given.packages, set(given.without))
