"""The HTTP side: every GET reads a read model. There is nothing to command yet: the chain decides."""

from __future__ import annotations

from fastapi import APIRouter

from eventlog import EventLog, Watermark
from royalties.api import books, earnings, reconciliations, sales, statements
from service import Queries


def routes(reads: Queries, log: EventLog, watermark: Watermark) -> APIRouter:
    """All routes of the service."""
    router = APIRouter(tags=["royalties"])
    for part in (
        earnings.routes(reads),
        statements.routes(reads, log, watermark),
        sales.routes(reads),
        books.routes(reads),
        reconciliations.routes(reads),
    ):
        router.include_router(part)
    return router
