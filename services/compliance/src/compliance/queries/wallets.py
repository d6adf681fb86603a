"""Whose a wallet is."""

from __future__ import annotations

import sqlalchemy as sa

from compliance.projections import Wallets
from compliance.projections.wallets import wallets
from compliance.queries.common import Query


def wallets_of(subject: str) -> Query:
    """The wallets that a subject has proven."""
    table = Wallets.live(wallets)
    return sa.select(table).where(table.c.subject == subject).order_by(table.c.address)
