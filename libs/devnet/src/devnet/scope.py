"""When a fault strikes: its face, paths, probability with a seed, count and time. What it does is in `kinds`."""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from devnet.exchange import Answer, Question
from devnet.proto import Dict

EVERYTHING = ("wallet/*", "walletsolidity/*", "jsonrpc")


@dataclass(slots=True)
class Fault:
    """One fault: where, when and how often it strikes, its kind, and how often it has.

    Of the requests on `face` ("*" for all) whose path is like one of `paths`, the first `skip` go well; of the others
    each is struck with `probability`, drawn from `seed`; until `count` were struck or `seconds` have gone by.
    """

    id: int
    kind: str
    options: Dict
    face: str = ""
    paths: tuple[str, ...] = EVERYTHING
    probability: float = 1.0
    seed: int = 0
    skip: int = 0
    count: int | None = None
    seconds: float | None = None
    matched: int = 0
    struck: int = 0
    begun: float = field(default_factory=time.monotonic)
    over: asyncio.Event = field(default_factory=asyncio.Event)
    passed: deque[float] = field(default_factory=deque)
    late: set[asyncio.Task[Answer]] = field(default_factory=set)
    dice: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)  # noqa: S311 - to be repeated, not to be secret

    @property
    def ended(self) -> bool:
        """True when it will not strike any more."""
        spent = self.count is not None and self.struck >= self.count
        late = self.seconds is not None and time.monotonic() >= self.begun + self.seconds
        return spent or late or self.over.is_set()

    def strikes(self, question: Question) -> bool:
        """Decides about one request, and counts it."""
        if self.ended or self.face not in ("*", question.face):
            return False
        if not self.covers(*question.names):
            return False
        self.matched += 1
        if self.matched <= self.skip or self.dice.random() >= self.probability:
            return False
        self.struck += 1
        return True

    def covers(self, *names: str) -> bool:
        """Whether one of these names is like one of the paths."""
        return any(fnmatchcase(name, path) for name in names for path in self.paths)

    async def hold(self, seconds: float) -> None:
        """Waits, but no longer than until the fault is cleared."""
        try:
            async with asyncio.timeout(seconds):
                await self.over.wait()
        except TimeoutError:
            return

    def describe(self) -> Dict:
        """Returns what the API shows."""
        names = ("id", "kind", "options", "face", "paths", "probability", "seed", "skip", "count", "seconds")
        shown = {name: getattr(self, name) for name in names}
        return {**shown, "matched": self.matched, "struck": self.struck, "ended": self.ended}
