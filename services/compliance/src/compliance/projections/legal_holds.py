"""Legal holds that are in force."""

from __future__ import annotations

import sqlalchemy as sa

from compliance.domain import LegalHoldLifted, LegalHoldPlaced
from compliance.projections.common import Time, metadata
from eventlog import RecordedEvent
from projections import Projection, Rows, on

legal_holds = sa.Table(
    "legal_holds",
    metadata,
    sa.Column("subject", sa.Text, primary_key=True),
    sa.Column("reference", sa.Text, primary_key=True),  # of the case; empty: the hold has none
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("placed_at", Time, nullable=False),
    sa.Column("placed_by", sa.Text),
)


class LegalHolds(Projection):
    """Whose data may not be erased, and why. Those that were lifted are in the trail."""

    name = "legal_holds"
    tables = (legal_holds,)
    about = {legal_holds: "subject"}  # noqa: RUF012 - a ClassVar of the base

    @on(LegalHoldPlaced)
    def placed(self, event: LegalHoldPlaced, recorded: RecordedEvent, rows: Rows) -> None:
        rows.insert(
            legal_holds,
            subject=event.subject,
            reference=event.reference or "",
            reason=event.reason.value,
            placed_at=recorded.occurred_at,
            placed_by=recorded.metadata.actor,
        )

    @on(LegalHoldLifted)
    def lifted(self, event: LegalHoldLifted, recorded: RecordedEvent, rows: Rows) -> None:
        rows.delete(legal_holds, {"subject": event.subject, "reference": event.reference or ""})
