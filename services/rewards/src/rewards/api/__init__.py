"""The HTTP side: a POST is a command and returns a token, a GET reads a read model and may wait for that token."""

from __future__ import annotations

from fastapi import APIRouter

from rewards.api import activity, claims
from service import Commands, Queries


def routes(commands: Commands, reads: Queries) -> APIRouter:
    """All routes of the service."""
    router = APIRouter(tags=["rewards"])
    for part in (activity.routes(commands, reads), claims.routes(reads)):
        router.include_router(part)
    return router
