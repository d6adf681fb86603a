"""Installs each package alone in an empty environment, imports all of it and its tests, and runs some of them there.

    isolated.py [--all] [name ...]

What a package forgets to declare or to pack is missing there. All are installed from wheels, as a user would; other
packages of the workspace come from their wheels, too, and everything else at the versions of requirements.lock.
All tests run with the whole workspace installed. Here every file of tests is imported, and one test runs for each set
of servers that tests need, none that is marked as `endurance`. `--all` runs the others as well.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
import tomllib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PATTERNS = ("services/*", "libs/*", "infra/local", "contracts/messages")  # what takes longest first
BIN = ROOT / ".venv" / "bin"
AT_A_TIME = 2
_ONE_OF_EACH = ["-p", "one_of_each", "-m", "not endurance"]
_IMPORT_ALL = """
import importlib, pkgutil, sys
package = importlib.import_module(sys.argv[1])
for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
    if not module.name.endswith(".__main__"):
        importlib.import_module(module.name)
"""


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


def run(*command: str | Path, timeout_seconds: float = 600, **environment: str) -> str:
    """Runs a command quietly and returns its output."""
    env = os.environ | environment
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=timeout_seconds)
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


def check(package: Package, wheels: Path, pins: Path, locked: set[str], scratch: Path, options: list[str]) -> str:
    """Installs, imports and tests one package and returns what pytest concludes; raises Failed.

    Each of the threads makes its environments anew at one place, so that what they have alike is compiled only once.
    """
    environment = scratch / threading.current_thread().name
    compiled = str(scratch / "compiled")
    python = environment / "bin" / "python"
    run(BIN / "uv", "venv", "--quiet", "--clear", "--python", BIN / "python", environment)
    wanted = f"{package.name}[test]" if package.has_test_extra else package.name
    install = ("pip", "install", "--quiet", "--python", python, "--find-links", wheels, "--constraint", pins)
    run(BIN / "uv", *install, wanted)
    installed = run(BIN / "uv", "pip", "freeze", "--python", python).splitlines()
    names = {re.split(r"==| @ ", line)[0].lower() for line in installed}
    if unlocked := sorted(name for name in names - locked if not name.startswith("annals-")):
        raise Failed(f"needs what requirements.in does not name: {', '.join(unlocked)}")
    run(python, "-I", "-X", f"pycache_prefix={compiled}", "-c", _IMPORT_ALL, imported(package))
    if not package.tests.is_dir():
        return "has no tests"
    pytest = (environment / "bin" / "pytest", "-q", "-p", "no:cacheprovider")
    variables = {"PYTHONPATH": str(Path(__file__).parent), "PYTHONPYCACHEPREFIX": compiled}
    said = run(*pytest, *options, package.tests, timeout_seconds=1200, **variables)
    return said.rstrip().splitlines()[-1]


def imported(package: Package) -> str:
    """Returns the name a package is imported by."""
    return next(path.parent.name for path in sorted(package.folder.glob("src/*/__init__.py")))


def main(names: list[str], options: list[str]) -> int:
    """Returns 0 if every package (or every named one) stands alone; `options` are pytest's."""
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

        with ThreadPoolExecutor(AT_A_TIME) as pool:
            wait([pool.submit(attempt, package, partial(build, package, wheels)) for package in known])
            for package in known:
                if not names or {package.name, package.name.removeprefix("annals-")} & set(names):
                    work = partial(check, package, wheels, pins, locked, Path(scratch), options)
                    pool.submit(attempt, package, work)
    if failed:
        print(f"failed: {', '.join(sorted(set(failed)))}")
    return 1 if failed else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description="Install each package alone in an empty environment and test it there."
    )
    parser.add_argument("--all", action="store_true", help="run all tests of the packages, not one of each file")
    parser.add_argument("names", nargs="*", help="packages, by default all: eventlog, rewards, ...")
    asked = parser.parse_args()
    sys.exit(main(asked.names, [] if asked.all else _ONE_OF_EACH))
