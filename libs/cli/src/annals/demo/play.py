"""`annals demo`: builds a town, plays the acts, shows what came of them, then breaks things and shows that it holds."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import httpx
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from annals import kafka_audit, maintenance
from annals.demo import acts, show
from annals.demo.theatre import Theatre, open_theatre
from annals.directory import in_environment
from annals.services import installed
from annals.town import Town, anchoring
from local_stack.process import LocalStackError

NAME = "demo"
BLOCK_SECONDS = 0.25
REBUILT = ("rewards.pool_status", "royalties.ledger", "chain.blockchain_events")
POSTS = 5
ANCHOR_SECONDS = 10
VICTIMS = ("chain", "compliance", "rewards", "royalties")


async def play(console: Console, *, keep: bool, transactions: int) -> int:
    """The whole demonstration; returns the exit code."""
    begun = time.monotonic()
    console.rule("[bold]Annals[/] — events of a TRON chain become four services' read models")
    scale = acts.Scale.of(transactions)
    accounts, settings = acts.accounts_needed(scale), anchoring(ANCHOR_SECONDS)
    town = Town(NAME, block_seconds=BLOCK_SECONDS, accounts=accounts, settings=settings)
    async with open_theatre(town, scale, console) as theatre:
        events = await first_half(theatre)
        await show.results(theatre)
        await rebuild_while_serving(theatre)
        await kill_under_load(theatre)
        await check_kafka(theatre)
        show.anchors(theatre)
        console.print(f"\n[bold]Done in {time.monotonic() - begun:.0f} s[/]: {events}", highlight=False)
        show.what_next(console, keep, theatre.directory)
        if keep:
            await _until_interrupted(theatre)
    return 0


# ---- scenes -----------------------------------------------------------------------------------------------------


async def first_half(theatre: Theatre) -> str:
    """All acts, with the services following; returns the sentence with the figures."""
    stage, scale = theatre.stage, theatre.scale
    begun = time.monotonic()
    async with _watching(theatre, scale.transactions):
        await acts.prologue(stage, scale)
        await asyncio.gather(acts.main_act(stage, scale), _listen_and_vote(theatre))
        await acts.second_terms(stage)
        await acts.epilogue(stage, scale)
        sent = time.monotonic()
        await theatre.settled()
    settled = time.monotonic()
    theatre.console.print("[green]✔[/] every read model equals the one computed from the node's blocks")
    return await show.figures(theatre, sending_seconds=sent - begun, behind_seconds=settled - sent)


async def rebuild_while_serving(theatre: Theatre) -> None:
    """Read models are thrown away and built anew while queries go on."""
    theatre.console.rule("Rebuild, while serving")
    served, failed, done = 0, 0, asyncio.Event()

    async def keep_asking() -> None:
        nonlocal served, failed
        async with theatre.client("rewards") as rewards, theatre.client("royalties", "service") as royalties:
            artist = theatre.stage.cast.artists[0].address
            while not done.is_set():
                for answer in await asyncio.gather(
                    rewards.get("/pools"), royalties.get(f"/artists/{artist}/earnings"), return_exceptions=True
                ):
                    good = isinstance(answer, httpx.Response) and answer.status_code == 200
                    served, failed = served + good, failed + (not good)

    asking = asyncio.create_task(keep_asking())
    with in_environment(theatre.directory.environment):
        for name in REBUILT:
            outcome = await maintenance.rebuild(name, compare=True, rate=None, console=theatre.console)
            theatre.console.print(f"[green]✔[/] {outcome.sentence()}", highlight=False)
            if not outcome.equal:
                raise LocalStackError(f"{name}: rows differ after the rebuild")
    done.set()
    await asking
    theatre.console.print(f"[green]✔[/] {served} queries answered meanwhile, {failed} failed", highlight=False)
    if failed:
        raise LocalStackError(f"{failed} queries failed during the rebuild")


async def kill_under_load(theatre: Theatre) -> None:
    """Each service is killed while transactions go on, and started again."""
    theatre.console.rule("Kill -9, under load")
    small = replace(theatre.scale, sales_per_track=15, resales_per_track=0, tips=60, overclaimers=0, deletions=0)
    playing = asyncio.create_task(_encore(theatre, small))
    for victim in VICTIMS:
        await asyncio.sleep(0.7)
        theatre.town.kill(victim)
        theatre.console.print(f"  {victim} killed", highlight=False)
        await theatre.town.restart(victim)
        theatre.console.print(f"  {victim} is back, where it was", highlight=False)
    await playing
    await theatre.settled()
    theatre.console.print(f"[green]✔[/] after {theatre.stage.sent:,} transactions nothing is lost, nothing is doubled")


async def _encore(theatre: Theatre, scale: acts.Scale) -> None:
    """More sales and tips; sold editions continue where the first half stopped."""
    await acts.main_act(theatre.stage, scale, seed=2)


async def check_kafka(theatre: Theatre) -> None:
    """Every event of every log is on its topics exactly once, in the order of its key."""
    with in_environment(theatre.directory.environment):
        reports = await kafka_audit.inspect(installed().values())
    theatre.console.print(kafka_audit.table(reports))
    if wrong := [report.topic for report in reports if not report.ok]:
        raise LocalStackError(f"Kafka differs from the logs: {', '.join(wrong)}")


async def _listen_and_vote(theatre: Theatre) -> None:
    """What does not happen on the chain: listens and votes, by HTTP."""
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 60))
    async with theatre.client("rewards") as client:
        for number, key in enumerate(theatre.stage.cast.listeners):
            activities: list[dict[str, object]] = [
                {
                    "kind": "listen",
                    "activity_id": f"listen-{number}-{turn}",
                    "user": key.address,
                    "track_id": str(turn + 1),
                    "listened_seconds": 20 if turn == 9 else 150 + turn,
                    "track_seconds": 200,
                    "at": now,
                }
                for turn in range(10)
            ]
            vote = {"track_id": str(number % 24 + 1), "like": number % 4 != 0}
            activities.append({"kind": "vote", "activity_id": "vote", "user": key.address, "at": now, **vote})
            headers = {"idempotency-key": f"activities-{number}"}
            for _ in range(
                POSTS
            ):  # one that waited too long for a busy service is told 503; the key lets it be repeated
                answer = await client.post("/activities", json={"activities": activities}, headers=headers)
                if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                    break
                await asyncio.sleep(float(answer.headers.get("retry-after", "1")))
            answer.raise_for_status()


# ---- watching ---------------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def _watching(theatre: Theatre, planned: int) -> AsyncIterator[None]:
    """Live progress: transactions sent, and how many events each service's log has."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description:<12}"),
        BarColumn(bar_width=30),
        TextColumn("{task.completed:>7,.0f} {task.fields[unit]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=theatre.console) as progress:
        sending = progress.add_task("transactions", total=planned, unit="sent")
        logs = {name: progress.add_task(name, total=None, unit="events") for name in theatre.databases}
        theatre.stage.on_sent = _say_sent(progress, sending, theatre.console, planned)
        looking = asyncio.create_task(_look(theatre, progress, logs))
        try:
            yield
        finally:
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)


def _say_sent(progress: Progress, task: TaskID, console: Console, planned: int) -> Callable[[int], None]:
    def sent(count: int) -> None:
        progress.update(task, completed=count)
        if not console.is_terminal and count % 1_000 == 0:
            console.print(f"  {count:,} of {planned:,} transactions sent", highlight=False)

    return sent


async def _look(theatre: Theatre, progress: Progress, logs: dict[str, TaskID]) -> None:
    while True:
        for name, task in logs.items():
            count = await theatre.databases[name].fetchval("SELECT last_value FROM events_position")
            progress.update(task, completed=count)
        await asyncio.sleep(0.4)


async def _until_interrupted(theatre: Theatre) -> None:
    theatre.console.print("\nIt keeps running. Ctrl-C stops it.")
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()
