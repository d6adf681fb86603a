"""The HTTP side: a POST is a command and returns a token, a GET reads a read model and may wait for that token."""

from __future__ import annotations

from compliance import handlers
from compliance.api import (
    acceptances,
    accesses,
    contacts,
    deletions,
    documents,
    kyc,
    legal_holds,
    opt_outs,
    rectifications,
    requests,
    retention,
    trail,
    wallets,
)
from compliance.api.webhooks import signed_by
from compliance.settings import ComplianceSettings
from privacy import Tokens
from service import Commands, PersonalData, Queries, Router


def routes(
    commands: Commands,
    reads: Queries,
    facts: handlers.Facts,
    personal: PersonalData,
    emails: Tokens,
    settings: ComplianceSettings,
) -> Router:
    """All routes of the service."""
    router = Router(tags=["compliance"])
    for part in (
        documents.routes(commands, reads),
        acceptances.routes(commands, reads, facts),
        contacts.routes(commands, reads, personal.vault, emails),
        deletions.routes(commands, reads, facts, settings.erasing),
        accesses.routes(commands, reads, facts, personal.copies, settings),
        rectifications.routes(commands, reads, facts, personal.vault),
        requests.routes(reads),
        legal_holds.routes(commands, reads),
        opt_outs.routes(commands),
        retention.routes(commands, reads),
        wallets.routes(commands, reads, settings.site),
        kyc.routes(commands, reads, personal.vault, signed_by(settings.kyc_secret, settings.kyc_secret_before)),
        trail.routes(commands, reads),
    ):
        router.include_router(part)
    return router
