"""Installs each package alone in an empty environment and runs its own tests there: `isolated.py [name ...]`.

What a package forgets to declare is missing there. All are installed from wheels, as a user would; other
packages of the workspace come from their wheels, too, and everything else at the versions of requirements.lock.
Two packages are tested at a time: their tests mostly wait, for servers and for what they have killed. Tests marked as
`endurance` are left out: they run with all others, and need nothing that a shorter one does not need.
"""

import re
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PATTERNS = ("contracts/messages", "infra/local", "libs/*", "services/*")
BIN = ROOT / ".venv" / "bin"
AT_A_TIME = 2


@dataclass(frozen=True, slots=True)
class Package:
    """A folder of the workspace that is installable."""

    name: str
    folder: Path
    has_test_extra: bool

    @property
    def tests(self) -> Path:
        return self.folder / "tests"


def packages() -> list[Package]:
    """Returns the packages of the workspace."""
    found = []
    for pattern in PATTERNS:
        for file in sorted(ROOT.glob(f"{pattern}/pyproject.toml")):
            project = tomllib.loads(file.read_text())["project"]
            found.append(Package(project["name"], file.parent, "test" in project.get("optional-dependencies", {})))
    return found


class Failed(Exception):
    """A command failed; the message is the command and what it said."""


def run(*command: str | Path, timeout_seconds: float = 600) -> str:
    """Runs a command quietly and returns its output."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=timeout_seconds)
    if done.returncode != 0:
        raise Failed(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done.stdout


def constraints(folder: Path) -> tuple[Path, set[str]]:
    """Returns the lock as plain constraints, and the names in it."""
    pins = re.findall(r"^([a-zA-Z0-9._-]+==[^\\\n]+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    path = folder / "constraints.txt"
    path.write_text("\n".join(pins) + "\n")
    return path, {pin.split("==")[0].lower() for pin in pins}


def build(package: Package, wheels: Path) -> str:
    """Builds a package's wheel with the tools of .venv."""
    tools = ("--no-build-isolation", "--python", BIN / "python")
    run(BIN / "uv", "build", "--quiet", "--wheel", *tools, "--out-dir", wheels, package.folder)
    return "built"


def check(package: Package, wheels: Path, pins: Path, locked: set[str], environment: Path) -> str:
    """Installs and tests one package and returns what pytest concludes; raises Failed."""
    python = environment / "bin" / "python"
    run(BIN / "uv", "venv", "--quiet", "--python", BIN / "python", environment)
    wanted = f"{package.name}[test]" if package.has_test_extra else package.name
    install = ("pip", "install", "--quiet", "--python", python, "--find-links", wheels, "--constraint", pins)
    run(BIN / "uv", *install, wanted)
    installed = run(BIN / "uv", "pip", "freeze", "--python", python).splitlines()
    names = {re.split(r"==| @ ", line)[0].lower() for line in installed}
    if unlocked := sorted(name for name in names - locked if not name.startswith("annals-")):
        raise Failed(f"needs what requirements.in does not name: {', '.join(unlocked)}")
    if not package.tests.is_dir():
        run(python, "-I", "-c", f"import {imported(package)}")
        return "has no tests"
    options = ("-q", "-p", "no:cacheprovider", "-m", "not endurance", "--durations=3")
    said = run(environment / "bin" / "pytest", *options, package.tests, timeout_seconds=1200)
    return said.rstrip().splitlines()[-1]


def imported(package: Package) -> str:
    """Returns the name a package is imported by."""
    return next(path.parent.name for path in sorted(package.folder.glob("src/*/__init__.py")))


def main(names: list[str]) -> int:
    """Returns 0 if every package (or every named one) stands alone."""
    known = packages()
    failed = []
    with tempfile.TemporaryDirectory(prefix="annals-isolated-") as scratch:
        wheels = Path(scratch, "wheels")
        pins, locked = constraints(Path(scratch))

        def attempt(package: Package, work: Callable[[], str]) -> None:
            begun = time.monotonic()
            try:
                done = work()
            except (Failed, subprocess.TimeoutExpired) as error:
                print(f"{package.name}: {error}", flush=True)
                failed.append(package.name)
            else:
                print(f"{package.name}: {done} ({time.monotonic() - begun:.1f} s in all)", flush=True)

        for package in known:
            attempt(package, partial(build, package, wheels))
        with ThreadPoolExecutor(AT_A_TIME) as pool:
            for package in known:
                if not names or {package.name, package.name.removeprefix("annals-")} & set(names):
                    work = partial(check, package, wheels, pins, locked, Path(scratch, package.name))
                    pool.submit(attempt, package, work)
    if failed:
        print(f"failed: {', '.join(sorted(set(failed)))}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
