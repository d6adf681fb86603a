"""Programs that the system's package manager has."""

import asyncio
import os
import shutil
import subprocess
from pathlib import Path

from local_stack.paths import FileLock, local
from local_stack.process import LocalStackError, run_program

READERS_TOOLS = ("curl", "jq", "kcat")
"""What the commands in the documentation use beside our own."""
_FETCH_SECONDS = 300
_UNPACK = 'cd "$1" && apt-get -q download "$2" && dpkg-deb -x "$2"_*.deb incoming && mv incoming unpacked'
_BESIDE_PATH = ":/usr/sbin:/usr/local/sbin"


def apt_install(*packages: str) -> bool:
    """Installs packages where we are root and apt-get is at hand; ANNALS_NO_APT=1 forbids it."""
    if os.geteuid() != 0 or shutil.which("apt-get") is None or os.environ.get("ANNALS_NO_APT") == "1":
        return False
    print(f"installing {', '.join(packages)} by apt-get (ANNALS_NO_APT=1 forbids it)", flush=True)
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "install", "-y", "-q", "--no-install-recommends", *packages]
    for command in (["apt-get", "update", "-q"], install):
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=600)
        if done.returncode != 0:
            raise LocalStackError(f"{' '.join(command)} failed:\n{(done.stderr or done.stdout)[-1500:]}")
    return True


async def require_programs(*names: str) -> None:
    """Installs what is missing of these programs, whose packages have their names. Raises LocalStackError."""
    async with FileLock(local() / "apt.lock"):
        missing = [name for name in names if shutil.which(name) is None]
        if missing and not await asyncio.to_thread(apt_install, *missing):
            raise LocalStackError(
                f"missing: {', '.join(missing)}; install:\n"
                f"  sudo apt-get install {' '.join(missing)}    (macOS: brew install {' '.join(missing)})"
            )


async def find_program(package: str, path: str) -> Path:
    """Returns where the program at this path of a package is: the system's, else Debian's, unpacked in `.local`.

    It is not installed: packages of servers start them, and open their ports to the world. Raises LocalStackError.
    """
    name = Path(path).name
    if (found := shutil.which(name, path=os.environ.get("PATH", "") + _BESIDE_PATH)) is not None:
        return Path(found)
    home = local() / package
    program = home / "unpacked" / path
    home.mkdir(exist_ok=True)
    async with FileLock(home / "lock"):
        if not program.is_file():
            await _unpack(package, name, home)
    return program


async def _unpack(package: str, name: str, home: Path) -> None:
    unpack = ("sh", "-c", _UNPACK, "sh", home, package)
    try:
        if shutil.which("apt-get") is None or os.environ.get("ANNALS_NO_APT") == "1":
            raise LocalStackError("apt-get is missing, or forbidden by ANNALS_NO_APT=1")
        try:
            await run_program(unpack, timeout_seconds=_FETCH_SECONDS)
        except LocalStackError:  # it may not know yet where the package is
            await run_program(("apt-get", "update", "-q"), timeout_seconds=_FETCH_SECONDS)
            await run_program(unpack, timeout_seconds=_FETCH_SECONDS)
    except LocalStackError as error:
        raise LocalStackError(
            f"there is no {name}; install it:\n"
            f"  sudo apt-get install {package}    (macOS: brew install {package})\n{error}"
        ) from error
