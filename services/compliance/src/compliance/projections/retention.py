"""Retention of the trail: which entries are no longer shown."""

from __future__ import annotations

import sqlalchemy as sa

from compliance.domain import RetentionSet
from compliance.projections.common import Time, metadata
from eventlog import RecordedEvent
from projections import Projection, Rows, on

retention_policies = sa.Table(
    "retention_policies",
    metadata,
    sa.Column("action", sa.Text, primary_key=True),
    sa.Column("days", sa.Integer),  # empty: for ever
    sa.Column("set_at", Time, nullable=False),
    sa.Column("set_by", sa.Text),
)


class RetentionPolicies(Projection):
    """For how many days entries of an action are shown."""

    name = "retention_policies"
    tables = (retention_policies,)

    @on(RetentionSet)
    def changed(self, event: RetentionSet, recorded: RecordedEvent, rows: Rows) -> None:
        rows.upsert(
            retention_policies,
            {"action": event.action},
            days=event.days,
            set_at=recorded.occurred_at,
            set_by=recorded.metadata.actor,
        )
