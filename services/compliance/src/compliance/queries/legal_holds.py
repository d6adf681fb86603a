"""Legal holds."""

from __future__ import annotations

import sqlalchemy as sa

from compliance.projections import LegalHolds
from compliance.projections.legal_holds import legal_holds
from compliance.queries.common import Query


def holds(after: str | None, limit: int) -> Query:
    """Legal holds in force, by subject."""
    table = LegalHolds.live(legal_holds)
    query = sa.select(table).order_by(table.c.subject).limit(limit)
    return query if after is None else query.where(table.c.subject > after)
