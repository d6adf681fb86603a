"""A reader: a shell in a copy of the checkout, who types what the pages say while a town runs."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, STDOUT
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from pages import ROOT, committed, script

HERE = Path(__file__).parent
PAGE_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads one page after the other; each begins in a new shell."""

    folder: Path
    variables: Mapping[str, str]

    async def follow(self, page: Path) -> tuple[int, str]:
        """Types all commands of a page; returns the exit code of the first that failed, or 0, and what was said."""
        file, said = self.folder / ".venv" / page.name, self.folder / ".venv" / "said"
        file.write_text(script(page, before=f". {HERE}/reader.sh && . .venv/bin/activate"))
        with said.open("wb") as output:
            shell = await asyncio.create_subprocess_exec(
                "bash", file, cwd=self.folder, env=self.variables, stdin=DEVNULL, stdout=output, stderr=STDOUT,
                start_new_session=True,
            )  # fmt: skip
            try:
                await asyncio.wait_for(shell.wait(), PAGE_SECONDS)
            except TimeoutError:
                output.write(f"not done after {PAGE_SECONDS:g} s\n".encode())
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(shell.pid, signal.SIGKILL)  # the shell, and whatever it has left running
                await shell.wait()
        return shell.returncode or 0, said.read_text(errors="replace")


@asynccontextmanager
async def reader(folder: Path, stack: str) -> AsyncIterator[Reader]:
    """A reader in `folder`, which gets a copy of the checkout, at the local stack of this name."""
    for path in committed():
        copy = folder / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    async with environment(folder / ".venv" / "bin"):
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        kept = {name: os.environ[name] for name in ("HOME", "LANG", "TMPDIR") if name in os.environ}
        yield Reader(folder, {**kept, "PATH": path, "ANNALS_STACK": stack, "ANNALS_HOME": str(ROOT)})


@asynccontextmanager
async def environment(folder: Path) -> AsyncIterator[None]:
    """Makes a `.venv` of this one, in which `annals` starts without importing everything anew."""
    folder.mkdir(parents=True)
    (folder / "activate").write_text(f'PATH="{folder}:$PATH"\n')
    forked, socket = HERE / "forked.py", folder / "socket"
    (folder / "annals").write_text(f'#!/bin/sh\nexec {sys.executable} -I -S {forked} call {socket} "$@"\n')
    (folder / "annals").chmod(0o755)
    command = (sys.executable, str(forked), "serve", str(socket))
    server = await asyncio.create_subprocess_exec(*command, stdin=DEVNULL, stdout=PIPE)
    try:
        assert server.stdout is not None
        assert await server.stdout.readline() == b"ready\n"
        yield
    finally:
        server.kill()
        await server.communicate()
