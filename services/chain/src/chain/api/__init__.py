"""The HTTP side: what was read from the chain, and what is to be done on it. A POST is followed to solidification."""

from __future__ import annotations

from chain.api import history, holdings, operations, state
from chain.fetch import Heights
from chain.submissions import Submissions
from eventlog import EventLog, Watermark
from service import Commands, Queries, Router


def routes(
    commands: Commands, submissions: Submissions, log: EventLog, watermark: Watermark, reads: Queries, heights: Heights
) -> Router:
    """All routes of the service."""
    router = Router(tags=["chain"])
    for part in (
        operations.routes(commands, submissions, log, watermark),
        history.routes(reads),
        holdings.routes(reads),
        state.routes(reads, heights),
    ):
        router.include_router(part)
    return router
