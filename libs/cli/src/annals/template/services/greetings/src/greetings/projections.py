"""The read models of greetings. Every table can be dropped and rebuilt from the log."""

from __future__ import annotations

import sqlalchemy as sa

from eventlog import RecordedEvent
from greetings.domain import Welcomed
from projections import Projection, Rows, on

welcomes = sa.Table(
    "welcomes",
    sa.MetaData(),
    sa.Column("subject", sa.Text, primary_key=True),
    sa.Column("welcomed_at", sa.DateTime(timezone=True), nullable=False),
)


class Welcomes(Projection):
    """Who was welcomed, and when."""

    name = "welcomes"
    tables = (welcomes,)
    about = {welcomes: "subject"}  # noqa: RUF012 - a ClassVar of the base

    @on(Welcomed)
    def welcomed(self, event: Welcomed, recorded: RecordedEvent, rows: Rows) -> None:
        rows.insert(welcomes, subject=event.subject, welcomed_at=recorded.occurred_at)


ALL = (Welcomes(),)
