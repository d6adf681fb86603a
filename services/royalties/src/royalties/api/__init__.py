"""The HTTP side: a POST is a command and returns a token, a GET reads a read model and may wait for that token."""

from __future__ import annotations

from eventlog import EventLog, Watermark
from royalties.api import (
    agreements,
    books,
    distributions,
    earnings,
    explaining,
    moves,
    payees,
    periods,
    platform_sales,
    pools,
    reconciliations,
    sales,
    statements,
)
from royalties.moving import Reserving
from royalties.recorder import Recorder
from royalties.settings import RoyaltiesSettings
from royalties.statements.closing import Closing
from service import Commands, Queries, Router


def routes(
    commands: Commands,
    recorder: Recorder,
    reads: Queries,
    log: EventLog,
    watermark: Watermark,
    closing: Closing,
    settings: RoyaltiesSettings,
) -> Router:
    """All routes of the service."""
    router = Router(tags=["royalties"])
    for part in (
        earnings.routes(reads),
        statements.routes(reads, log, watermark),
        periods.routes(reads, closing),
        explaining.routes(log, reads),
        sales.routes(reads),
        platform_sales.routes(recorder, settings.name, reads),
        agreements.routes(commands, reads),
        books.routes(reads, log, watermark),
        moves.routes(commands, Reserving(settings.name, log, commands, reads), reads),
        reconciliations.routes(reads),
        pools.routes(commands, reads),
        payees.routes(commands, reads),
        distributions.routes(commands, reads, log, watermark, settings),
    ):
        router.include_router(part)
    return router
