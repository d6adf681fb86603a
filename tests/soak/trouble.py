"""What goes wrong during a soak, drawn from a seed: faults of every kind a devnet knows, reorganisations, SIGKILL.

A fault lasts until it has struck, so that none is only made and never met.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx

from annals.town import Town

FACES = ("a", "b")
DEEPEST = 17
LONGEST_SECONDS = 5.0
PATIENCE_SECONDS = 60.0
LOOK_SECONDS = 0.2
KILL_EVERY_SECONDS = 25.0
SHUTDOWN_SECONDS = 25.0
LIAR = "a"
"""Which of the two lies, the other only fails: what both leave out alike nobody can find."""
LOGS = ["walletsolidity/*", "jsonrpc/*"]
BROADCASTS = ["wallet/broadcasttransaction", "wallet/broadcasthex"]

KINDS: tuple[dict[str, Any], ...] = (
    *({"kind": "rate-limit", "form": form} for form in ("429", "403", "503", "200")),
    {"kind": "rate-limit", "form": "-32005", "paths": ["jsonrpc/*"]},
    {"kind": "rate-limit", "form": "429", "per_second": 3, "retry_after": 1},
    *({"kind": "lie", "form": form, "face": LIAR} for form in ("empty", "short", "other-hash", "garbage")),
    *({"kind": "lie", "form": form, "paths": LOGS, "face": LIAR} for form in ("no-logs", "a-log-less")),
    *({"kind": "broadcast", "form": form, "probability": 1.0, "face": "*"} for form in ("lost", "held", "twice")),
    {"kind": "reset", "after": True, "paths": BROADCASTS, "probability": 1.0, "face": "*"},
    {"kind": "log-limit", "results": 10},
    {"kind": "lag", "blocks": 25},
    {"kind": "lag"},
    {"kind": "fork"},
    {"kind": "clock", "skew": 90},
    {"kind": "clock", "skew": -90},
    {"kind": "status", "status": 500},
    {"kind": "status", "status": 502, "after": True},
    {"kind": "hang", "hold": 3},
    {"kind": "delay", "hold": 1},
    {"kind": "reset"},
    {"kind": "half"},
    {"kind": "half", "whole": True},
    *({"kind": "reorganisation"} for _ in range(8)),
)
"""One round: each at least once."""


class Trouble:
    """Makes `count` faults in `seconds`, some at once, and kills the service now and then."""

    def __init__(self, town: Town, control: httpx.AsyncClient, dice: random.Random, count: int, seconds: float) -> None:
        self._town = town
        self._control = control
        self._dice = dice
        self._seconds = seconds
        self._plan = list(self._drawn(count))
        self.faults: Counter[str] = Counter()
        """How many were made of each kind and form."""
        self.struck: Counter[str] = Counter()
        """How many requests they struck."""
        self.depths: Counter[int] = Counter()
        self.kills = 0

    async def run(self) -> None:
        """Until all is done; the last fault is cleared then."""
        async with asyncio.TaskGroup() as together:
            together.create_task(self._kill())
            began = time.monotonic()
            for number, fault in enumerate(self._plan):
                due = began + self._seconds * number / len(self._plan)
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                together.create_task(self._make(fault))

    def _drawn(self, count: int) -> Iterator[dict[str, Any]]:
        """Rounds of every kind, each in an order of its own. One reorganisation in each round is the deepest."""
        while count > 0:
            kinds = [dict(kind) for kind in KINDS]
            deepest = next(kind for kind in kinds if kind["kind"] == "reorganisation")
            self._dice.shuffle(kinds)
            for kind in kinds[:count]:
                if kind["kind"] == "reorganisation":
                    kind["depth"] = DEEPEST if kind is deepest else self._dice.randint(1, DEEPEST)
                    kind["transactions"] = self._dice.choice(("keep", "keep", "keep", "keep", "drop"))
                else:
                    kind.setdefault("probability", self._dice.choice((0.2, 0.5, 1.0)))
                    kind.setdefault("face", self._dice.choice((*FACES, "*")))
                    kind["seed"] = self._dice.randrange(10**6)
                kind["for"] = self._dice.uniform(1, LONGEST_SECONDS)
                yield kind
            count -= len(kinds)

    async def _make(self, fault: dict[str, Any]) -> None:
        told = " ".join(str(fault[name]) for name in ("kind", "form", "status") if name in fault)
        self.faults[told] += 1
        if fault["kind"] == "reorganisation":
            self.depths[fault["depth"]] += 1
            await self._ask("POST", "reorg", {"depth": fault["depth"], "transactions": fault["transactions"]})
            return
        added = await self._ask("POST", "faults", {name: value for name, value in fault.items() if name != "for"})
        await asyncio.sleep(fault["for"])
        await self._until_struck(added["id"])
        (cleared,) = await self._ask("DELETE", "faults", params={"id": added["id"]})
        self.struck[told] += cleared["struck"]

    async def _until_struck(self, number: int) -> None:
        until = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < until:
            (fault,) = (one for one in await self._ask("GET", "faults") if one["id"] == number)
            if fault["struck"]:
                return
            await asyncio.sleep(LOOK_SECONDS)

    @property
    def never_struck(self) -> list[str]:
        """The kinds that were made and never met."""
        return [kind for kind in self.faults if kind != "reorganisation" and not self.struck[kind]]

    async def _ask(
        self, method: str, path: str, body: dict[str, Any] | None = None, params: dict[str, Any] | None = None
    ) -> Any:
        return (await self._control.request(method, path, json=body, params=params)).raise_for_status().json()

    async def _kill(self) -> None:
        until = time.monotonic() + self._seconds
        while time.monotonic() < until:
            await asyncio.sleep(self._dice.uniform(0.2, 2) * min(KILL_EVERY_SECONDS, self._seconds / 6))
            self._town.kill("chain")
            self.kills += 1
            await self._town.ended("chain", SHUTDOWN_SECONDS)
            await self._town.start_service("chain")
