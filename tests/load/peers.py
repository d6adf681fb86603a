"""The `eventsourcing` library as a peer, in an environment of its own, doing the same work on the same server."""

from __future__ import annotations

import asyncio
import hashlib
import json
import shutil
import sys
from asyncio.subprocess import PIPE
from pathlib import Path as File

from appends import append_batch
from harness import Goal, Path, Run
from reads import rebuild
from servers import Servers

from local_stack.paths import FileLock, local

FOLDER = File(__file__).parent / "peer"
LOCK = FOLDER / "requirements.lock"


def peer(work: str) -> Run:
    async def run(servers: Servers) -> float:
        python = await _environment()
        server = await servers.postgres()
        url = await asyncio.to_thread(server.create_database)
        given = {"host": server.host, "port": server.port, "user": server.user, "password": server.password}
        process = await asyncio.create_subprocess_exec(python, FOLDER / "program.py", work, stdin=PIPE, stdout=PIPE)
        told, _ = await process.communicate(json.dumps(given | {"database": url.rpartition("/")[2]}).encode())
        await asyncio.to_thread(server.drop_database, url)
        if process.returncode:
            raise RuntimeError(f"{FOLDER / 'program.py'} {work}: ended with code {process.returncode}")
        return float(json.loads(told)["per_second"])

    return run


async def _environment() -> File:
    """Its interpreter. The environment is made anew when the lock has changed."""
    home = local() / "peer"
    python, made_from = home / "bin" / "python", hashlib.sha256(LOCK.read_bytes()).hexdigest()
    marker = home / "made-from"
    async with FileLock(local() / "peer.lock"):
        if not marker.is_file() or marker.read_text() != made_from:
            shutil.rmtree(home, ignore_errors=True)
            uv = File(sys.executable).with_name("uv")
            await _succeed(uv, "venv", "--quiet", "--python", sys.executable, home)
            await _succeed(uv, "pip", "install", "--quiet", "--python", python, "--require-hashes", "-r", LOCK)
            marker.write_text(made_from)
    return python


async def _succeed(*command: object) -> None:
    process = await asyncio.create_subprocess_exec(*map(str, command))
    if code := await process.wait():
        raise RuntimeError(f"{' '.join(map(str, command))}: ended with code {code}")


PATHS = (
    Path("peer_append", "events/s", append_batch, peer("append")),
    Path("peer_projection", "events/s", rebuild(workers=1), peer("projection"), Goal(ratio=20)),
)
