"""`make soak`: the chain service under load, faults and SIGKILL, then its log against the chain, event by event.

python tests/soak [--seconds 600] [--seed 7]

Prints a summary as JSON; the exit code is 1 if anything differs.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import count
from typing import Any

import asyncpg
import httpx
import verdict
from payments import Payments, environment, key_of
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from trouble import Trouble

from annals.demo.truth import Truth
from annals.directory import Directory
from annals.town import Town
from local_stack.paths import local
from tron.client import NodeClient
from tron.contract import Call
from tron.contracts import MusicNFT, RoyaltyDistributor
from tron.deploy import Deployment, Plan
from tron.keys import Key
from tron.sender import Sender

SECONDS = 600
FAULTS_PER_SECOND, LEAST_FAULTS = 0.25, 100
BLOCK_SECONDS = 1.0
PER_SECOND = 120
"""Transactions; a purchase logs five events, a tip three."""
ACCOUNTS, TRACKS = 50, 4
PAYER, PAYEE = ACCOUNTS - 1, "TQdPXyTqnA2MWPF4rKeLRVdrEh6k4gV6eC"
PRICE_SUN = 7_000_003
SETTLE_SECONDS = 300
AUDIT_FAULTS = (
    {"kind": "status", "status": 405, "paths": ["jsonrpc"], "face": "b"},
    {"kind": "reset", "paths": ["walletsolidity/*"], "probability": 0.02, "seed": 1, "face": "b"},
)
"""So the receipts are compared: a reorganisation puts so many logs into one block that no index lists them."""
SOLID_DISTANCE = 18


async def soak(seconds: int, seed: int, console: Console) -> dict[str, Any]:
    """Does all of it; returns the summary."""
    dice = random.Random(seed)
    async with _town(console) as (town, directory, control):
        payer = key_of(PAYER)
        payments = Payments(directory, payer, PAYEE)
        faults = max(LEAST_FAULTS, round(seconds * FAULTS_PER_SECOND))
        trouble = Trouble(town, control, dice, faults, seconds)
        async with (
            asyncpg.create_pool(directory.environment["CHAIN_DATABASE_URL"], min_size=0, max_size=3) as chain,
            NodeClient(directory.environment["ANNALS_TRON_URL"], timeout=60) as node,
        ):
            await _load(control, node, town.deployment)
            began = time.monotonic()
            async with _beside(_mine(control)):
                async with _beside(payments.run(), _watch(console, trouble, control, chain, seconds)):
                    await trouble.run()
                lasted = time.monotonic() - began
                sent = (await control.delete("load")).json()
                console.print("all faults are over; waiting until everything is solidified and recorded")
                await town.until_ready("chain")
                settled = await payments.settled(chain, SETTLE_SECONDS)
            never = [f"{kind} was made and struck nothing" for kind in trouble.never_struck]
            return {
                "seed": seed,
                "seconds": round(lasted),
                **await _outcome(town, directory, control, chain, node, payments, settled, lasted, never),
                "transactions": {name: sent[name] for name in ("sent", "failed", "refused")},
                "faults": {"made": sum(trouble.faults.values()), "by_kind": dict(sorted(trouble.faults.items()))},
                "requests_struck": dict(sorted(trouble.struck.items())),
                "reorganisations": {str(depth): times for depth, times in sorted(trouble.depths.items())},
                "kills": trouble.kills,
            }


@asynccontextmanager
async def _town(console: Console) -> AsyncIterator[tuple[Town, Directory, httpx.AsyncClient]]:
    """The chain service alone, with two providers that are faces of one devnet, and a key to pay with."""
    artist = key_of(1)
    town = Town("soak", services=("chain",), block_seconds=BLOCK_SECONDS, accounts=ACCOUNTS)
    try:
        directory = await town.start(
            lambda *told: console.print(*told, highlight=False), Plan(artists=[artist.address])
        )
        url = directory.environment["ANNALS_TRON_URL"]
        directory = replace(directory, environment={**directory.environment, **environment(url, key_of(PAYER))})
        town.directory = directory
        directory.save()
        town.kill("chain")
        await town.restart("chain")
        async with httpx.AsyncClient(base_url=f"{url}/devnet/", timeout=60) as control:
            yield town, directory, control
    finally:
        await town.stop()


async def _load(control: httpx.AsyncClient, node: NodeClient, deployment: Deployment) -> None:
    """Releases tracks, solid for good, then has the devnet buy and tip without end."""
    artist, sender, nft = key_of(1), Sender(node), MusicNFT(deployment.nft)
    distributor = RoyaltyDistributor(deployment.distributor)
    for track in range(1, TRACKS + 1):
        release = nft.release_track(f"Track {track}", "Artist", f"{track:02x}" * 32, 999_999, PRICE_SUN, 1_000)
        await sender.execute(release, artist)
    # Blocks on demand are of the time at which they are made. With an interval, those made early, by hand or by a
    # reorganisation, are of a time to come, and transactions would enter blocks that are later than their expiry.
    await control.post("block-time", json={"seconds": None})
    await control.post("mine", json={"blocks": SOLID_DISTANCE + 1})
    calls = []
    for number in range(2, PAYER):
        key, track = key_of(number), number % TRACKS + 1
        calls += [_form(key, nft.buy_edition(track, value_sun=PRICE_SUN))] * 3
        calls.append(_form(key, distributor.pay(track, 2, value_sun=1_000_003 + number)))
    order = {"transactions": 100_000_000, "per_second": PER_SECOND, "calls": calls}
    (await control.post("load", json=order)).raise_for_status()


@asynccontextmanager
async def _beside(*work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Does endless work while the block runs; what fails of it ends the block."""
    async with asyncio.TaskGroup() as together:
        tasks = [together.create_task(one) for one in work]
        yield
        for task in tasks:
            task.cancel()


async def _mine(control: httpx.AsyncClient) -> None:
    while True:
        await asyncio.sleep(BLOCK_SECONDS)
        (await control.post("mine")).raise_for_status()


def _form(key: Key, call: Call) -> dict[str, Any]:
    return {"from": key.address, "to": call.contract_address, "data": call.data.hex(), "value": call.value_sun}


async def _outcome(
    town: Town,
    directory: Directory,
    control: httpx.AsyncClient,
    chain: asyncpg.Pool,
    node: NodeClient,
    payments: Payments,
    settled: dict[str, str],
    lasted: float,
    problems: list[str],
) -> dict[str, Any]:
    """Everything that is held against the chain, and what differs, beside the `problems` known already."""
    await control.post("mine", json={"blocks": SOLID_DISTANCE + 1})
    truth = Truth(town.deployment)
    problems += await verdict.everything_recorded(truth, node, chain, SETTLE_SECONDS)
    problems += await verdict.log_differs(truth, chain)
    problems += await payments.problems(chain, settled)
    head = await verdict.head_differs(directory.environment["ANNALS_KAFKA_BOOTSTRAP"], truth)
    for fault in AUDIT_FAULTS:
        (await control.post("faults", json=fault)).raise_for_status()
    directory = replace(directory, environment={**directory.environment, "CHAIN_NODE_TIMEOUT_SECONDS": "60"})
    directory.save()  # a block of 17 in one takes its time
    certificate, refused = await verdict.audited(directory, local() / directory.name)
    problems += (head or []) + refused
    events = sum(truth.events.values())
    return {
        "ok": not problems,
        "problems": problems,
        "blocks": truth.upto + 1,
        "events": events,
        "events_per_second": round(events / lasted),
        "payments": {status: list(settled.values()).count(status) for status in sorted(set(settled.values()))},
        "chain.head": "no such topic" if head is None else "equal" if not head else "differs",
        "certificate": certificate,
    }


async def _watch(
    console: Console, trouble: Trouble, control: httpx.AsyncClient, chain: asyncpg.Pool, seconds: int
) -> None:
    """Shows how far it is, every second; on no terminal, every half minute."""
    columns = (BarColumn(bar_width=30), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=seconds)
        for second in count():
            solid = (await control.get("status")).json()["solid"]
            last = await chain.fetchval(
                "SELECT (data->>'last')::bigint FROM events WHERE stream = 'cursor' ORDER BY version DESC LIMIT 1"
            )
            made = f"{sum(trouble.faults.values())} faults, {trouble.kills} kills; block {last} of {solid}"
            progress.update(task, completed=second, description=made)
            if not console.is_terminal and second % 30 == 0:
                console.print(f"{second:4} s  {made}", highlight=False)
            await asyncio.sleep(1)


def _whole(text: str) -> int:
    value = int(text)
    if not 10 <= value <= 86_400:
        raise argparse.ArgumentTypeError(f"expected 10 to 86400 seconds, got {value}")
    return value


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=_whole, default=SECONDS, help=f"how long faults are made ({SECONDS})")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="the same seed makes the same faults")
    given = parser.parse_args()
    errors = Console(stderr=True)
    errors.print(f"seed {given.seed}", highlight=False)
    summary = asyncio.run(soak(given.seconds, given.seed, errors))
    print(json.dumps(summary, indent=2))
    sys.exit(0 if summary["ok"] else 1)
