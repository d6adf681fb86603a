"""Workers: the loops beside the HTTP server (consumer, relay, projections), supervised."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from time import monotonic
from typing import Literal, Protocol

from service.health import Check
from service.logs import get_logger, redact_text
from service.metrics import WORKER_RESTARTS, WORKER_UP

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
# A worker that has run for so long after a failure is well again: ready, and its next pause is the shortest.
SETTLED_SECONDS = 5.0
log = get_logger("service.workers")

WorkerState = Literal["starting", "running", "restarting", "stopped"]


class Worker(Protocol):
    """An object with a name whose `run` works until it is cancelled; cancelled, it rolls back and returns."""

    @property
    def name(self) -> str: ...

    async def run(self) -> None: ...


class Supervised:
    """Runs one worker for as long as the process lives: again, after a pause, when it fails of a passing cause.

    Any other exception is an error of the program: it is logged and raised, which ends the process, for going on with a
    broken worker would look alive and do nothing.
    """

    def __init__(self, worker: Worker, is_transient: Callable[[BaseException], bool]) -> None:
        self.worker = worker
        self.name = worker.name
        self._is_transient = is_transient
        self._state: WorkerState = "starting"
        self._since = monotonic()
        self._failures = 0
        self._last_error = ""
        WORKER_UP.labels(self.name).set(0)

    @property
    def state(self) -> WorkerState:
        """`restarting` from a failure until the worker has run well for a while."""
        if self._state == "running" and self._last_error and not self._settled():
            return "restarting"
        return self._state

    def _settled(self) -> bool:
        return monotonic() - self._since >= SETTLED_SECONDS

    def check(self) -> Check:
        """A readiness check that fails unless the worker runs."""

        async def probe() -> str:
            if self.state != "running":
                raise RuntimeError(f"{self.state}" + (f" after {self._last_error}" if self._last_error else ""))
            return "running"

        return Check(f"worker:{self.name}", probe)

    async def run(self) -> None:
        """Until cancelled; raises what the worker raised if that won't pass."""
        try:
            while True:
                await self._attempt()
                await asyncio.sleep(self._pause())
        finally:
            self._become("stopped")

    async def _attempt(self) -> None:
        self._become("running")
        try:
            await self.worker.run()
            raise RuntimeError("the worker returned, expected it to run until cancelled")
        except Exception as error:
            self._failures = 1 if self._settled() else self._failures + 1
            self._last_error = redact_text(f"{type(error).__name__}: {error}")[:300]
            self._become("restarting")
            if not self._is_transient(error):
                log.critical("worker failed for good, the process ends", worker=self.name, exc_info=error)
                raise
            WORKER_RESTARTS.labels(self.name).inc()
            log.warning("worker failed, restarting", worker=self.name, failures=self._failures, exc_info=error)

    def _pause(self) -> float:
        """Doubles with each failure in a row, with jitter so that a fleet doesn't come back in step."""
        longest = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2 ** min(self._failures - 1, 10))
        return random.uniform(longest / 2, longest)  # noqa: S311  # timing, not a secret

    def _become(self, state: WorkerState) -> None:
        self._state = state
        self._since = monotonic()
        WORKER_UP.labels(self.name).set(state == "running")
