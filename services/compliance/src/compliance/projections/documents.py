"""Legal texts: every version of every document, in every language."""

from __future__ import annotations

import sqlalchemy as sa

from compliance.domain import DocumentPublished, PublicationConfirmed, SunsetSet, TranslationPublished
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
    sa.Column("effective_at", Time),  # empty: from its publication on
    sa.Column("sunset_at", Time),
    *place(),
)

translations = sa.Table(
    "translations",
    metadata,
    sa.Column("document_type", sa.Text, primary_key=True),
    sa.Column("version", sa.BigInteger, primary_key=True),
    sa.Column("language", sa.Text, primary_key=True),
    sa.Column("content_hash", sa.Text, nullable=False),
    sa.Column("uri", sa.Text, nullable=False),
)


class Documents(Projection):
    """Every version of every document; which is in force follows from the clock: see queries."""

    name = "documents"
    tables = (documents, translations)

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
            effective_at=event.effective_at,
            **source_columns(event.source),
        )

    @on(PublicationConfirmed)
    def confirmed(self, event: PublicationConfirmed, recorded: RecordedEvent, rows: Rows) -> None:
        rows.update(documents, _version(event), **source_columns(event.source))

    @on(TranslationPublished)
    def translated(self, event: TranslationPublished, recorded: RecordedEvent, rows: Rows) -> None:
        text = {"language": event.language, "content_hash": event.content_hash, "uri": event.uri}
        rows.insert(translations, **_version(event), **text)

    @on(SunsetSet)
    def sunset(self, event: SunsetSet, recorded: RecordedEvent, rows: Rows) -> None:
        rows.update(documents, _version(event), sunset_at=event.sunset_at)


def _version(event: PublicationConfirmed | TranslationPublished | SunsetSet) -> dict[str, str | int]:
    return {"document_type": slug(event.document_type), "version": event.version}
