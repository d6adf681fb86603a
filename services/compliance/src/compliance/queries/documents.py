"""Legal texts and their versions, as of `now`."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from compliance.projections import AcceptanceRecords, Documents
from compliance.projections.acceptances import acceptance_counts
from compliance.projections.documents import documents, translations
from compliance.queries.common import Query


def current_documents(now: datetime) -> Query:
    """The version in force of each document that has one."""
    query, table = _versions(now)
    return query.where(table.c.version == in_force(table.c.document_type, now)).order_by(table.c.document_type)


def versions(document_type: str, now: datetime, before: int | None, limit: int) -> Query:
    """A document's versions, newest first; `before` is the last one seen."""
    query, table = _versions(now)
    query = query.where(table.c.document_type == document_type)
    if before is not None:
        query = query.where(table.c.version < before)
    return query.order_by(table.c.version.desc()).limit(limit)


def in_force(document_type: sa.ColumnElement[str], now: datetime | sa.ColumnElement[datetime]) -> sa.ScalarSelect[int]:
    """The version in force: the highest that has taken effect, unless its sunset has come; NULL if there is none."""
    table = Documents.live(documents).alias("effective")
    newest = (
        sa.select(table.c.version, table.c.sunset_at)
        .where(table.c.document_type == document_type)
        .where(sa.or_(table.c.effective_at.is_(None), table.c.effective_at <= now))
        .order_by(table.c.version.desc())
        .limit(1)
        .subquery("newest")
    )
    lasts = sa.or_(newest.c.sunset_at.is_(None), newest.c.sunset_at > now)
    return sa.select(newest.c.version).where(lasts).scalar_subquery()


def is_text_of(content_hash: sa.ColumnElement[str], document: sa.FromClause) -> sa.ColumnElement[bool]:
    """Whether a hash is that of one of a version's texts; `document` has its row."""
    texts = Documents.live(translations)
    translated = sa.exists().where(
        texts.c.document_type == document.c.document_type,
        texts.c.version == document.c.version,
        texts.c.content_hash == content_hash,
    )
    return sa.or_(document.c.content_hash == content_hash, translated)


def _versions(now: datetime) -> tuple[Query, sa.Table]:
    table, texts = Documents.live(documents), Documents.live(translations)
    counts = AcceptanceRecords.live(acceptance_counts)
    same = sa.and_(counts.c.document_type == table.c.document_type, counts.c.version == table.c.version)
    by_language = sa.select(sa.func.jsonb_object_agg(texts.c.language, texts.c.content_hash, type_=JSONB)).where(
        texts.c.document_type == table.c.document_type, texts.c.version == table.c.version
    )
    query = sa.select(
        table,
        sa.func.coalesce(table.c.version == in_force(table.c.document_type, now), False).label("in_force"),
        sa.func.coalesce(by_language.scalar_subquery(), sa.cast({}, JSONB)).label("translations"),
        sa.func.coalesce(counts.c.served, 0).label("served"),
        sa.func.coalesce(counts.c.chain, 0).label("accepted_on_chain"),
        sa.func.coalesce(counts.c.api, 0).label("accepted_by_api"),
        sa.func.coalesce(counts.c.imported, 0).label("accepted_before"),
    )
    return query.select_from(table.outerjoin(counts, same)), table
