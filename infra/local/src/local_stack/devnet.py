"""The local TRON network (libs/devnet) as a process of its own."""

import asyncio
import importlib.util
import json
import sys
import urllib.request
from collections.abc import Iterable
from pathlib import Path

from local_stack.process import LocalStackError, ServerProcess, bring_up


async def start(folder: Path, *, options: Iterable[str] = (), hold: Iterable[int] = ()) -> tuple[ServerProcess, str]:
    """Starts a fresh chain and waits until it shows its newest block; returns the process and its address.

    `options` are those of `python -m devnet`, such as ("--block-time", "0.2").
    """
    if importlib.util.find_spec("devnet") is None:
        raise LocalStackError("the devnet is not installed; `make setup` installs it (libs/devnet)")

    def launch(port: int) -> ServerProcess:
        return ServerProcess(
            "devnet",
            [sys.executable, "-m", "devnet", "--port", str(port), *options],
            log=folder / "devnet.log",
            env={"PYTHONUNBUFFERED": "1"},
            grace_seconds=5,
            hold=hold,
        )

    async def check(process: ServerProcess, _port: int) -> str:
        return await asyncio.to_thread(_announced, process)

    return await bring_up(launch, check, retry_on=(OSError, LookupError, json.JSONDecodeError))


def _announced(process: ServerProcess) -> str:
    """Returns the address in the line of JSON that the devnet prints, once a block can be read there."""
    for line in process.log.read_text(errors="replace").splitlines():
        if line.startswith("{") and '"url"' in line:
            url = str(json.loads(line)["url"])
            break
    else:
        raise LookupError("no address printed yet")
    request = urllib.request.Request(f"{url}/wallet/getnowblock", data=b"{}")  # noqa: S310 - our own server
    with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310
        json.loads(answer.read())["block_header"]
    return url
