"""Whatever dies, whenever: nothing is lost, nothing is doubled, nothing is out of order."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections import Counter

import pytest

from annals import kafka_audit
from annals.demo import acts
from annals.demo.theatre import Theatre
from annals.services import installed
from annals.testing import scratch_theatre
from annals.town import Town
from messaging.testing import read_all

ROUNDS = 10
SHUTDOWN_SECONDS = 25
ENDED_WELL = (0, -signal.SIGTERM & 0xFF)  # the signal itself, before the service had begun to listen for it
PAUSE_SECONDS = 0.7


@pytest.mark.timeout(600)
async def test_processes_killed_at_any_moment_under_load_lose_and_double_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each service is killed ten times: while it works, starts or stops, also two at once; each server once."""
    seed = int(os.environ.get("ANNALS_TEST_SEED") or random.randrange(1_000_000))
    print(f"ANNALS_TEST_SEED={seed}")
    async with scratch_theatre() as theatre:
        for name, value in theatre.directory.environment.items():
            monkeypatch.setenv(name, value)
        director = Director(theatre.town, random.Random(seed))
        enough = asyncio.Event()
        await acts.prologue(theatre.stage, theatre.scale)
        async with asyncio.TaskGroup() as together:
            playing = together.create_task(play_on(theatre, enough))
            await director.direct()
            enough.set()
        plays = playing.result()
        await acts.second_terms(theatre.stage)
        await acts.epilogue(theatre.stage, theatre.scale)
        await asyncio.gather(*(theatre.town.until_ready(name) for name in theatre.town.services))
        await theatre.settled(within=90)
        await nothing_is_put_aside(theatre)
        await everything_is_consumed(theatre)
        reports = await kafka_audit.inspect(installed().values())
        assert [report for report in reports if not report.ok] == []
        assert all(report.events for report in reports)
        print(f"{plays} plays, {theatre.stage.sent} transactions, kills: {dict(director.kills)}")
        assert theatre.stage.sent > 500


class Director:
    """Says who dies when."""

    def __init__(self, town: Town, rng: random.Random) -> None:
        self._town = town
        self._rng = rng
        self._begun = time.monotonic()
        self.kills: Counter[str] = Counter()

    async def direct(self) -> None:
        servers = dict(zip(self._rng.sample(range(1, ROUNDS), 2), ("Kafka", "PostgreSQL"), strict=True))
        for number in range(ROUNDS):
            if server := servers.get(number):
                self._kill(server)
                await self._town.restart(server)
                self._say(f"{server} is back")
            victims = self._rng.sample(self._town.services, len(self._town.services))
            while victims:
                group = [victims.pop() for _ in range(min(self._rng.choice((1, 1, 2)), len(victims)))]
                await asyncio.gather(*(self._strike(name) for name in group))

    async def _strike(self, name: str) -> None:
        """Kills a service, in one of four ways, and starts it again without waiting."""
        how = self._rng.choices(("at work", "starting", "stopping", "stopped while starting"), (4, 1, 1, 1))[0]
        pause = self._rng.random()
        await self._town.until_ready(name)
        match how:
            case "at work":
                await asyncio.sleep(1.5 * pause)
            case "starting":
                await self._dead(name)
                await self._town.start_service(name)
                await asyncio.sleep(2 * pause)
            case "stopping":
                self._town.terminate(name)
                await asyncio.sleep(0.4 * pause)
            case "stopped while starting":
                await self._dead(name)
                await self._town.start_service(name)
                await asyncio.sleep(3 * pause)
                self._town.terminate(name)
                assert await self._town.ended(name, SHUTDOWN_SECONDS) in ENDED_WELL
            case _:
                raise ValueError(how)
        await self._dead(name)
        self._say(f"{name} killed, {how}")
        await self._town.start_service(name)

    async def _dead(self, name: str) -> None:
        self._kill(name)
        await self._town.ended(name, SHUTDOWN_SECONDS)

    def _kill(self, name: str) -> None:
        self._town.kill(name)
        self.kills[name] += 1

    def _say(self, what: str) -> None:
        print(f"{time.monotonic() - self._begun:6.1f} s  {what}")


async def play_on(theatre: Theatre, enough: asyncio.Event) -> int:
    """Sends transactions until it is enough; returns how often the play was given."""
    seed = 0
    while not enough.is_set():
        seed += 1
        await acts.main_act(theatre.stage, theatre.scale, seed)
        await asyncio.sleep(PAUSE_SECONDS)
    return seed


async def nothing_is_put_aside(theatre: Theatre) -> None:
    for name, database in theatre.databases.items():
        assert await database.fetch("SELECT * FROM parked") == [], name
        assert await database.fetch("SELECT * FROM dead_letters") == [], name


async def everything_is_consumed(theatre: Theatre) -> None:
    """The stored offset of each partition is the one after its last record."""
    bootstrap = theatre.directory.environment["ANNALS_KAFKA_BOOTSTRAP"]
    for name, database in theatre.databases.items():
        offsets = await database.fetch("SELECT topic, partition, next_offset FROM offsets")
        assert bool(offsets) == (name != "chain")
        for topic in {row["topic"] for row in offsets}:
            after_last = {record.partition: record.offset + 1 for record in await read_all(bootstrap, topic)}
            stored = {row["partition"]: row["next_offset"] for row in offsets if row["topic"] == topic}
            assert {partition: stored[partition] for partition in after_last} == after_last, (name, topic)
