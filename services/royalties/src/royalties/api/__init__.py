"""The HTTP side: every GET reads a read model. There is nothing to command yet: the chain decides."""

from __future__ import annotations

from fastapi import APIRouter

from royalties.api import books, earnings, sales, statements
from service import Queries


def routes(reads: Queries) -> APIRouter:
    """All routes of the service."""
    router = APIRouter(tags=["royalties"])
    for part in (earnings, statements, sales, books):
        router.include_router(part.routes(reads))
    return router
