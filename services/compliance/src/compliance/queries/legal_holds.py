"""Legal holds."""

from __future__ import annotations

import sqlalchemy as sa

from compliance.projections import LegalHolds
from compliance.projections.legal_holds import legal_holds
from compliance.queries.common import Query


def holds(after: tuple[str, str] | None, limit: int) -> Query:
    """Legal holds in force, by subject and reference."""
    table = LegalHolds.live(legal_holds)
    key = (table.c.subject, table.c.reference)
    query = sa.select(table).order_by(*key).limit(limit)
    return query if after is None else query.where(sa.tuple_(*key) > sa.tuple_(*after))
