"""Legal texts: every version of every document."""

from __future__ import annotations

import sqlalchemy as sa

from compliance.domain import DocumentPublished, PublicationConfirmed
from compliance.projections.common import Time, metadata, place, slug, source_columns
from eventlog import RecordedEvent
from projections import Projection, Rows, on

documents = sa.Table(
    "documents",
    metadata,
    sa.Column("document_type", sa.Text, primary_key=True),
    sa.Column("version", sa.BigInteger, primary_key=True),
    sa.Column("content_hash", sa.Text, nullable=False),
    sa.Column("uri", sa.Text, nullable=False),
    sa.Column("published_at", Time, nullable=False),
    sa.Column("published_by", sa.Text),  # an officer; empty for the chain
    *place(),
)


class Documents(Projection):
    """Every version of every document; the current one is the highest."""

    name = "documents"
    tables = (documents,)

    @on(DocumentPublished)
    def published(self, event: DocumentPublished, recorded: RecordedEvent, rows: Rows) -> None:
        rows.insert(
            documents,
            document_type=slug(event.document_type),
            version=event.version,
            content_hash=event.content_hash,
            uri=event.uri,
            published_at=recorded.occurred_at,
            published_by=recorded.metadata.actor,
            **source_columns(event.source),
        )

    @on(PublicationConfirmed)
    def confirmed(self, event: PublicationConfirmed, recorded: RecordedEvent, rows: Rows) -> None:
        key = {"document_type": slug(event.document_type), "version": event.version}
        rows.update(documents, key, **source_columns(event.source))
