"""The periods that are closed, and the statements issued for them."""

from __future__ import annotations

import sqlalchemy as sa

from eventlog import RecordedEvent
from projections import Amount, Projection, Rows, on
from royalties.domain import AnchorAsked, PeriodClosed, StatementIssued
from royalties.projections.common import metadata

issued_statements = sa.Table(
    "issued_statements",
    metadata,
    sa.Column("number", sa.Text, primary_key=True),
    sa.Column("period", sa.Text, nullable=False),
    sa.Column("revision", sa.Integer, nullable=False),
    sa.Column("leaf", sa.Integer, nullable=False),
    sa.Column("position", sa.BigInteger, nullable=False),
    sa.Column("party", sa.Text, nullable=False),
    sa.Column("asset", sa.Text, nullable=False),
    sa.Column("opening", Amount, nullable=False),
    sa.Column("closing", Amount, nullable=False),
    sa.Column("count", sa.Integer, nullable=False),
    sa.Column("sha256", sa.Text, nullable=False),
    sa.Column("replaces", sa.Text),
    sa.Column("issued_at", sa.DateTime(timezone=True), nullable=False),
    sa.Index("issued_statements_party", "party", "period"),
)

statement_leaves = sa.Table(
    "statement_leaves",  # of everybody's statements, without whose they are: a proof needs its neighbours
    metadata,
    sa.Column("period", sa.Text, primary_key=True),
    sa.Column("revision", sa.Integer, primary_key=True),
    sa.Column("leaf", sa.Integer, primary_key=True),
    sa.Column("number", sa.Text, nullable=False),
    sa.Column("sha256", sa.Text, nullable=False),
)

closed_periods = sa.Table(
    "closed_periods",
    metadata,
    sa.Column("period", sa.Text, primary_key=True),
    sa.Column("revision", sa.Integer, primary_key=True),
    sa.Column("position", sa.BigInteger, nullable=False),
    sa.Column("statements", sa.Integer, nullable=False),
    sa.Column("root", sa.Text, nullable=False),
    sa.Column("seed", sa.Text, nullable=False),
    sa.Column("segment", sa.BigInteger),  # under which the root is anchored on the chain
    sa.Column("closed_at", sa.DateTime(timezone=True), nullable=False),
)


class Closings(Projection):
    """Every statement issued, and the root of each revision of a period."""

    name = "closings"
    tables = (issued_statements, statement_leaves, closed_periods)
    about = {issued_statements: "party"}  # noqa: RUF012 - a ClassVar of the base

    @on(StatementIssued)
    def issued(self, event: StatementIssued, recorded: RecordedEvent, rows: Rows) -> None:
        rows.insert(
            issued_statements,
            number=event.number,
            period=event.period,
            revision=event.revision,
            leaf=event.leaf,
            position=event.position,
            party=event.party,
            asset=event.asset,
            opening=event.opening,
            closing=event.closing,
            count=event.count,
            sha256=event.sha256,
            replaces=event.replaces,
            issued_at=recorded.occurred_at,
        )
        leaf = {"period": event.period, "revision": event.revision, "leaf": event.leaf}
        rows.insert(statement_leaves, **leaf, number=event.number, sha256=event.sha256)

    @on(PeriodClosed)
    def closed(self, event: PeriodClosed, recorded: RecordedEvent, rows: Rows) -> None:
        rows.insert(
            closed_periods,
            period=event.period,
            revision=event.revision,
            position=event.position,
            statements=event.statements,
            root=event.root,
            seed=event.seed,
            closed_at=recorded.occurred_at,
        )

    @on(AnchorAsked)
    def anchored(self, event: AnchorAsked, recorded: RecordedEvent, rows: Rows) -> None:
        rows.update(closed_periods, {"period": event.period, "revision": event.revision}, segment=event.segment)
