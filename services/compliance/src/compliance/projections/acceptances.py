"""Who was served, has accepted and has withdrawn what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from compliance.domain import ConsentWithdrawn, DocumentAccepted, DocumentServed
from compliance.projections.common import Time, metadata, place, slug, source_columns
from eventlog import RecordedEvent
from projections import Projection, Rows, on

acceptance_records = sa.Table(
    "acceptance_records",
    metadata,
    sa.Column("position", sa.BigInteger, primary_key=True),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("document_type", sa.Text, nullable=False),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Column("how", sa.Text, nullable=False),
    sa.Column("content_hash", sa.Text, nullable=False),
    sa.Column("accepted_at", Time, nullable=False),
    sa.Column("recorded_by", sa.Text),
    *place(),
    sa.Index("acceptance_records_subject", "subject", "position"),
    sa.Index("acceptance_records_version", "subject", "document_type", "version"),
)

acceptance_counts = sa.Table(
    "acceptance_counts",
    metadata,
    sa.Column("document_type", sa.Text, primary_key=True),
    sa.Column("version", sa.BigInteger, primary_key=True),
    sa.Column("chain", sa.BigInteger, nullable=False),
    sa.Column("api", sa.BigInteger, nullable=False),
    sa.Column("imported", sa.BigInteger, nullable=False),
    sa.Column("served", sa.BigInteger, nullable=False),
)

compliance_index = sa.Table(
    "compliance_index",
    metadata,
    sa.Column("subject", sa.Text, primary_key=True),
    sa.Column("document_type", sa.Text, primary_key=True),
    sa.Column("served_version", sa.BigInteger),
    sa.Column("served_at", Time),
    sa.Column("accepted_version", sa.BigInteger),
    sa.Column("accepted_at", Time),
    sa.Column("withdrawn_at", Time),
    sa.Index("compliance_index_document", "document_type", "subject"),
)


Told = DocumentServed | DocumentAccepted | ConsentWithdrawn


class AcceptanceRecords(Projection):
    """Every acceptance with its evidence: the log of the chain, or the caller who recorded it."""

    name = "acceptance_records"
    tables = (acceptance_records,)
    about = {acceptance_records: "subject"}  # noqa: RUF012 - a ClassVar of the base
    totals = (acceptance_counts,)

    @on(DocumentAccepted)
    def accepted(self, event: DocumentAccepted, recorded: RecordedEvent, rows: Rows) -> None:
        rows.insert(
            acceptance_records,
            subject=event.subject,
            document_type=slug(event.document_type),
            version=event.version,
            how=event.how.value,
            content_hash=event.content_hash,
            accepted_at=recorded.occurred_at,
            recorded_by=recorded.metadata.actor,
            position=recorded.position,
            **source_columns(event.source),
        )
        rows.increment(acceptance_counts, _version(event), **{event.how.value: 1})

    @on(DocumentServed)
    def served(self, event: DocumentServed, recorded: RecordedEvent, rows: Rows) -> None:
        rows.increment(acceptance_counts, _version(event), served=1)


class ComplianceIndex(Projection):
    """The latest version that each subject was served and has accepted of each document, and the latest withdrawal."""

    name = "compliance_index"
    tables = (compliance_index,)
    about = {compliance_index: "subject"}  # noqa: RUF012 - a ClassVar of the base

    def prefetch(self, recorded: RecordedEvent) -> list[tuple[sa.Table, Mapping[str, Any]]]:
        event = recorded.event
        return [(compliance_index, _entry(event))] if isinstance(event, Told) else []

    @on(DocumentServed)
    def served(self, event: DocumentServed, recorded: RecordedEvent, rows: Rows) -> None:
        row = rows.get(compliance_index, _entry(event))
        if row is None or event.version > (row["served_version"] or 0):
            rows.upsert(compliance_index, _entry(event), served_version=event.version, served_at=recorded.occurred_at)

    @on(DocumentAccepted)
    def accepted(self, event: DocumentAccepted, recorded: RecordedEvent, rows: Rows) -> None:
        row = rows.get(compliance_index, _entry(event))
        latest = (event.version, recorded.occurred_at)
        if row is None or row["accepted_version"] is None or latest > (row["accepted_version"], row["accepted_at"]):
            rows.upsert(compliance_index, _entry(event), accepted_version=latest[0], accepted_at=latest[1])

    @on(ConsentWithdrawn)
    def withdrawn(self, event: ConsentWithdrawn, recorded: RecordedEvent, rows: Rows) -> None:
        row = rows.get(compliance_index, _entry(event))
        if row is None or row["withdrawn_at"] is None or event.withdrawn_at > row["withdrawn_at"]:
            rows.upsert(compliance_index, _entry(event), withdrawn_at=event.withdrawn_at)


def _version(event: DocumentServed | DocumentAccepted) -> dict[str, str | int]:
    return {"document_type": slug(event.document_type), "version": event.version}


def _entry(event: Told) -> dict[str, str]:
    return {"subject": event.subject, "document_type": slug(event.document_type)}
