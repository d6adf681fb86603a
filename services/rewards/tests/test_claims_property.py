"""No sequence of whatever can happen pays more than there is, than somebody may have, or anything twice."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

import asyncpg
import pytest
from claims_machine import DOUBTFUL, EDITION, POOL, Claims, Seen
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

import eventlog
from eventlog import Decider, EventLog, EventTypes, Executor, Intent, JointIntent, NewEvent, Together
from rewards import claiming, domain
from rewards.domain.rules import rules_stream
from rewards.recorder import Recorder, Reported

pytestmark = pytest.mark.endurance

STEPS = 10_000
T = TypeVar("T")


class Postgres:
    """The real log, as two processes of the service use it in turn."""

    def __init__(self, runner: asyncio.Runner, pool: asyncpg.Pool) -> None:
        self._runner = runner
        self._run(pool.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public;" + eventlog.install_sql()))
        self._log = EventLog(pool, EventTypes(domain.EVENTS))
        self._processes = [(Together(Executor(self._log)), Recorder(self._log)) for _ in range(2)]
        facts = [(rules_stream(POOL), EDITION), ("standing/eve", DOUBTFUL)]
        self._run(self._log.append([NewEvent(stream, fact, EDITION.published_at) for stream, fact in facts]))

    def _run(self, doing: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(doing)

    def _next(self) -> tuple[Together, Recorder]:
        self._processes.reverse()
        return self._processes[0]

    def execute(self, intent: Intent | JointIntent) -> int:
        together, _ = self._next()
        return len(self._run(together.execute(intent, claiming.budget_stream(POOL))).events)

    def report(self, report: domain.Report) -> domain.ActivityRecorded:
        _, recorder = self._next()
        return self._run(recorder.record([Reported(report)])).recorded[0]

    def state(self, stream: str, decider: Decider[Any, Any, Any]) -> Any:
        return decider.fold(self.events(stream))

    def events(self, stream: str) -> Sequence[Any]:
        return [one.event for one in self._run(self._log.read_stream(stream))]


def test_no_sequence_pays_more_than_a_budget_a_limit_or_a_claim_allows() -> None:
    run(STEPS // 40, 50)
    assert Seen.steps >= STEPS
    assert min(Seen.paid, Seen.released, Seen.repeated) > 0
    assert set(Seen.refusals) - {"balance-negative"} == {  # which comes up seldom
        "already-claimed",
        "balance-too-small",
        "budget-exhausted",
        "held-for-review",
        "user-daily-limit",
        "vault-exhausted",
        "wallet-daily-limit",
    }
    assert Seen.reviews.keys() == {"approved", "rejected", "corrected"}


def test_no_sequence_does_so_in_a_real_log_either(database: str) -> None:
    with asyncio.Runner() as runner:
        pool = runner.run(connected(database))
        run(6, 40, lambda: Claims(Postgres(runner, pool)))
        runner.run(pool.close())


async def connected(database: str) -> asyncpg.Pool:
    return await asyncpg.create_pool(database, min_size=1, max_size=4)


def run(examples: int, steps: int, machine: Any = Claims) -> None:
    checks = settings(max_examples=examples, stateful_step_count=steps, suppress_health_check=list(HealthCheck))
    run_state_machine_as_test(machine, settings=checks)
