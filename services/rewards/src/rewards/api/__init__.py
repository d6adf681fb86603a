"""The HTTP side: a POST is a command and returns a token, a GET reads a read model and may wait for that token."""

from __future__ import annotations

from eventlog import Executor, Watermark
from rewards.api import activity, claims, holds, live, playing, proofs, rules, zk
from rewards.periods import Periods
from rewards.recorder import Recorder
from rewards.reports import Origins
from service import Commands, Queries, Router


def routes(
    service: str,
    executor: Executor,
    watermark: Watermark,
    commands: Commands,
    reads: Queries,
    recorder: Recorder,
    origins: Origins,
    periods: Periods,
) -> Router:
    """All routes of the service."""
    router = Router(tags=["rewards"])
    for part in (
        activity.routes(recorder, origins, service, reads),
        playing.routes(service, executor, recorder, origins),
        rules.routes(executor, recorder.rules),
        holds.routes(commands, executor.log, reads),
        claims.routes(commands, reads, recorder.rules),
        live.routes(service, executor.log, watermark),
        proofs.routes(commands, periods, recorder.rules),
        zk.routes(commands, periods, recorder.rules),
    ):
        router.include_router(part)
    return router
