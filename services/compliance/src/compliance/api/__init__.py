"""The HTTP side: a POST is a command and returns a token, a GET reads a read model and may wait for that token."""

from __future__ import annotations

from fastapi import APIRouter

from compliance import handlers
from compliance.api import acceptances, contacts, deletions, documents, legal_holds, retention, trail
from privacy import Vault
from service import Commands, Queries


def routes(
    commands: Commands, reads: Queries, facts: handlers.Facts, vault: Vault, services: tuple[str, ...]
) -> APIRouter:
    """All routes of the service; `services` are those that carry out erasures."""
    router = APIRouter(tags=["compliance"])
    for part in (
        documents.routes(commands, reads),
        acceptances.routes(commands, reads, facts),
        contacts.routes(commands, reads, vault),
        deletions.routes(commands, reads, facts, services),
        legal_holds.routes(commands, reads),
        retention.routes(commands, reads),
        trail.routes(commands, reads),
    ):
        router.include_router(part)
    return router
