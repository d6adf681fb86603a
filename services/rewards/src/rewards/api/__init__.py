"""The HTTP side: a POST is a command and returns a token, a GET reads a read model and may wait for that token."""

from __future__ import annotations

from fastapi import APIRouter

from eventlog import EventLog
from rewards.api import activity, claims, holds, rules
from rewards.recorder import Recorder
from rewards.reports import Origins
from service import Commands, Queries


def routes(service: str, log: EventLog, commands: Commands, reads: Queries, recorder: Recorder, key: str) -> APIRouter:
    """All routes of the service; `key` is that of the origins' hashes."""
    router = APIRouter(tags=["rewards"])
    for part in (
        activity.routes(recorder, Origins(key), service, reads),
        rules.routes(commands, recorder.rules),
        holds.routes(commands, log, reads),
        claims.routes(commands, reads, recorder.rules),
    ):
        router.include_router(part)
    return router
