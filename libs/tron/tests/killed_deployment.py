"""Deploys with a journal, and is killed (SIGKILL) in every state of every step.

    killed_deployment.py URL JOURNAL KEY

Each run is a process of its own, which kills itself at the first point that no run before it has reached; the last one
comes to the end. Prints how many were killed.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

from tron.client import NodeClient
from tron.deploy import TOKEN, Plan, Pool, deploy
from tron.journal import Journal
from tron.keys import Key
from tron.plan import CREATED
from tron.sender import Sender

PLAN = Plan(pools={1: Pool(1_000 * TOKEN, 10 * TOKEN)})


class Killer:
    """Kills this process at a point where none was killed before."""

    def __init__(self, reached: Path) -> None:
        self.reached = reached
        self.known = set(reached.read_text().splitlines())

    def at(self, point: str) -> None:
        if point not in self.known:
            with self.reached.open("a") as file:
                file.write(point + "\n")
            os.kill(os.getpid(), signal.SIGKILL)


async def run(url: str, path: Path, key: Key, killer: Killer) -> None:
    broadcast = Sender.broadcast
    steps: dict[str, str] = {}  # by transaction

    async def broadcast_and_die(sender: Sender, signed: Any) -> Any:
        taken = await broadcast(sender, signed)
        killer.at(f"{steps[signed.tx_id]}: sent")
        return taken

    Sender.broadcast = broadcast_and_die  # type: ignore[method-assign]
    with Journal.open(path) as journal:
        write = journal.write

        def write_or_die(**record: Any) -> None:
            steps[record.get("tx_id", "")] = record.get("step", "")
            if record["record"] == "included":
                killer.at(f"{record['step']}: included, not written down")
            write(**record)
            if record["record"] == "signed":
                killer.at(f"{record['step']}: signed, not sent")

        steps |= {record["tx_id"]: record["step"] for record in journal.records if record["record"] == "signed"}
        journal.write = write_or_die  # type: ignore[method-assign]
        async with NodeClient(url) as client:
            await deploy(client, key, PLAN, journal=journal, poll=0.02)


async def load(url: str) -> None:
    """Load here, once, what each process would load anew."""
    for kind in CREATED:
        kind.artifact()
    async with NodeClient(url) as client:
        await client.chain_id()


def main(url: str, journal: str, key: str) -> None:
    killed = 0
    reached = Path(journal).with_suffix(".reached")
    reached.touch()
    asyncio.run(load(url))
    while True:
        child = os.fork()
        if not child:
            asyncio.run(run(url, Path(journal), Key.from_hex(key), Killer(reached)))
            os._exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if status != -signal.SIGKILL:
            print(killed)
            sys.exit(status)
        killed += 1


if __name__ == "__main__":
    main(*sys.argv[1:])
