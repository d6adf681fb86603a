"""Who has accepted what. A person is a subject with the wallets that it has proven."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from compliance.projections import AcceptanceRecords, ComplianceIndex, Documents, Wallets
from compliance.projections.acceptances import acceptance_records, compliance_index
from compliance.projections.documents import documents
from compliance.projections.wallets import wallets
from compliance.queries.common import Query
from compliance.queries.documents import in_force, is_text_of


def acceptances(subject: str | None, document_type: str | None, before: int | None, limit: int) -> Query:
    """Acceptances, newest first; `before` is the position of the last one seen."""
    table = AcceptanceRecords.live(acceptance_records)
    query = sa.select(table).order_by(table.c.position.desc()).limit(limit)
    if subject is not None:
        query = query.where(table.c.subject == subject)
    if document_type is not None:
        query = query.where(table.c.document_type == document_type)
    if before is not None:
        query = query.where(table.c.position < before)
    return query


@cache
def has_accepted() -> Query:
    """Whether `subject` has accepted a version; the other parameters, and what counts, as for `have_accepted`.

    Not an array of one: PostgreSQL expects ten of any array, so it never takes the plan that is good for all subjects,
    and to plan takes longer than to answer.
    """
    return _accepted(lambda: sa.select(sa.bindparam("subject", type_=sa.Text).label("subject")).subquery())


@cache
def have_accepted() -> Query:
    """Whether each of `subjects` has accepted a version; no rows if there is no such version.

    The parameters are `subjects`, `document_type`, `version` (None: the one in force) and `now`. Counts what the
    subject or a wallet of its own accepted, if it was an exact text, after the latest withdrawal of any of them. Made
    once: to make it takes longer than to answer it.
    """
    subjects = sa.bindparam("subjects", type_=ARRAY(sa.Text))
    return _accepted(lambda: sa.func.unnest(subjects).table_valued(sa.column("subject", sa.Text)).render_derived())


Asked = Callable[[], sa.FromClause]
"""Makes the subjects that are asked for, to be read from once."""


def _accepted(subjects: Asked) -> Query:
    document_type = sa.bindparam("document_type", type_=sa.Text)
    current = in_force(document_type, sa.bindparam("now", type_=sa.DateTime(timezone=True)))
    wanted = sa.func.coalesce(sa.bindparam("version", type_=sa.BigInteger), current)
    asked, names, table = subjects(), _names(subjects), Documents.live(documents)
    told, records = _told(names, document_type), AcceptanceRecords.live(acceptance_records)
    same = sa.and_(table.c.document_type == records.c.document_type, table.c.version == records.c.version)
    since = (
        sa.select(names.c.person, sa.func.min(records.c.accepted_at).label("accepted_at"))
        .select_from(names.join(told, told.c.person == names.c.person))
        .join(records, records.c.subject == names.c.name)
        .join(table, same)
        .where(records.c.document_type == document_type, records.c.version == wanted)
        .where(is_text_of(records.c.content_hash, table))
        .where(sa.or_(told.c.withdrawn_at.is_(None), records.c.accepted_at > told.c.withdrawn_at))
        .group_by(names.c.person)
        .subquery("since")
    )
    return (
        sa.select(
            asked.c.subject,
            table.c.document_type,
            table.c.version,
            current.label("current_version"),
            since.c.accepted_at,
            told.c.accepted_version.label("latest_accepted_version"),
            told.c.served_version.label("latest_served_version"),
            told.c.withdrawn_at,
        )
        .select_from(asked.join(table, sa.true()))
        .outerjoin(told, told.c.person == asked.c.subject)
        .outerjoin(since, since.c.person == asked.c.subject)
        .where(table.c.document_type == document_type, table.c.version == wanted)
    )


def _names(subjects: Asked) -> sa.CTE:
    """The names that each subject acts by: its own, and its wallets."""
    asked, table = subjects(), Wallets.live(wallets)
    own = sa.select(asked.c.subject.label("person"), asked.c.subject.label("name"))
    theirs = sa.select(table.c.subject, table.c.address).where(table.c.subject.in_(sa.select(asked.c.subject)))
    return own.union(theirs).cte("names")


def _told(names: sa.CTE, document_type: sa.ColumnElement[str]) -> sa.Subquery:
    """The latest that each person was served, has accepted and has withdrawn, whichever name it was by."""
    index = ComplianceIndex.live(compliance_index)
    latest = [sa.func.max(index.c[name]).label(name) for name in ("accepted_version", "served_version", "withdrawn_at")]
    query = sa.select(names.c.person, *latest).join_from(names, index, index.c.subject == names.c.name)
    return query.where(index.c.document_type == document_type).group_by(names.c.person).subquery("told")


def outstanding(document_type: str, version: int, after: str | None, limit: int) -> Query:
    """Subjects who accepted an earlier version and must accept this one, by name; `after` is the last one seen.

    `person` is whose the subject is, if it is a wallet. Who has withdrawn since then is not asked again.
    """
    index, other = ComplianceIndex.live(compliance_index), ComplianceIndex.live(compliance_index).alias("other")
    settled = (
        sa.exists()
        .where(_is_of_same_person(other, index), other.c.document_type == document_type)
        .where(sa.or_(other.c.accepted_version >= version, other.c.withdrawn_at >= index.c.accepted_at))
    )
    query = (
        sa.select(index.c.subject, _person_of(index).label("person"), index.c.accepted_version, index.c.accepted_at)
        .where(index.c.document_type == document_type, index.c.accepted_version < version, ~settled)
        .order_by(index.c.subject)
        .limit(limit)
    )
    return query if after is None else query.where(index.c.subject > after)


def discrepancies(document_type: str, before: int | None, limit: int) -> Query:
    """Acceptances that chain and API don't agree on, newest first, each with its `finding`; the rest agrees.

    `not-published`: of a version that is not there; `wrong-text`: of another text; `not-on-chain`: of a version that
    stands on the chain, where its person has not accepted it.
    """
    records, table = AcceptanceRecords.live(acceptance_records), Documents.live(documents)
    other = AcceptanceRecords.live(acceptance_records).alias("other")
    on_chain = (
        sa.exists()
        .where(_is_of_same_person(other, records), other.c.how == "chain")
        .where(other.c.document_type == document_type, other.c.version == records.c.version)
    )
    finding = sa.case(
        (table.c.version.is_(None), "not-published"),
        (~is_text_of(records.c.content_hash, table), "wrong-text"),
        (sa.and_(records.c.how != "chain", table.c.tx_id.is_not(None), ~on_chain), "not-on-chain"),
    )
    same = sa.and_(table.c.document_type == records.c.document_type, table.c.version == records.c.version)
    query = (
        sa.select(records, finding.label("finding"))
        .select_from(records.outerjoin(table, same))
        .where(records.c.document_type == document_type, finding.is_not(None))
        .order_by(records.c.position.desc())
        .limit(limit)
    )
    return query if before is None else query.where(records.c.position < before)


def _person_of(row: sa.FromClause) -> sa.ColumnElement[str]:
    """Whose a row is: the owner's, if its subject is a wallet, else the subject's."""
    table = Wallets.live(wallets).alias("owned")
    owner = sa.select(table.c.subject).where(table.c.address == row.c.subject).correlate(row).scalar_subquery()
    return sa.func.coalesce(owner, row.c.subject)


def _is_of_same_person(other: sa.FromClause, row: sa.FromClause) -> sa.ColumnElement[bool]:
    """Whether another row is of one of the names by which the person of a row acts."""
    table = Wallets.live(wallets).alias("held")
    held = sa.select(table.c.address).where(table.c.subject == _person_of(row)).correlate(row).scalar_subquery()
    names = sa.func.array_append(sa.func.array(held), _person_of(row), type_=ARRAY(sa.Text))
    return other.c.subject == sa.any_(names)
