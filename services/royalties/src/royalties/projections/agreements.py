"""Agreements and their versions; the platform's terms; assets that not everybody knows."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from eventlog import RecordedEvent
from projections import Projection, Rows, on
from royalties.domain import (
    SCALES,
    AgreementOpened,
    AgreementVersionSet,
    AssetRegistered,
    ControlAccepted,
    ControlOffered,
    Share,
    TermsSet,
)
from royalties.projections.common import metadata

agreements = sa.Table(
    "agreements",
    metadata,
    sa.Column("agreement", sa.Text, primary_key=True),
    sa.Column("controller", sa.Text, nullable=False),
    sa.Column("offered_to", sa.Text),
)

agreement_versions = sa.Table(
    "agreement_versions",
    metadata,
    sa.Column("agreement", sa.Text, primary_key=True),
    sa.Column("version", sa.BigInteger, primary_key=True),
    sa.Column("effective_from", sa.DateTime(timezone=True), nullable=False),
    sa.Column("shares", JSONB, nullable=False),
    sa.Column("breakpoints", JSONB, nullable=False),
)

terms = sa.Table(
    "terms",
    metadata,
    sa.Column("version", sa.BigInteger, primary_key=True),
    sa.Column("effective_from", sa.DateTime(timezone=True), nullable=False),
    sa.Column("fees_bps", JSONB, nullable=False),
)

assets = sa.Table(
    "assets",
    metadata,
    sa.Column("asset", sa.Text, primary_key=True),
    sa.Column("scale", sa.Integer, nullable=False),
)


class Agreements(Projection):
    """Who controls an agreement, and every version of its split."""

    name = "agreements"
    tables = (agreements, agreement_versions)

    @on(AgreementOpened)
    def opened(self, event: AgreementOpened, recorded: RecordedEvent, rows: Rows) -> None:
        rows.insert(agreements, agreement=event.agreement, controller=event.controller)

    @on(ControlOffered)
    def offered(self, event: ControlOffered, recorded: RecordedEvent, rows: Rows) -> None:
        rows.update(agreements, {"agreement": event.agreement}, offered_to=event.to)

    @on(ControlAccepted)
    def accepted(self, event: ControlAccepted, recorded: RecordedEvent, rows: Rows) -> None:
        rows.update(agreements, {"agreement": event.agreement}, controller=event.controller, offered_to=None)

    @on(AgreementVersionSet)
    def set(self, event: AgreementVersionSet, recorded: RecordedEvent, rows: Rows) -> None:
        rows.insert(
            agreement_versions,
            agreement=event.agreement,
            version=event.version,
            effective_from=event.effective_from,
            shares=_shown(event.shares),
            breakpoints=[
                {"asset": one.asset, "above": str(one.above), "shares": _shown(one.shares)} for one in event.breakpoints
            ],
        )


def _shown(shares: tuple[Share, ...]) -> list[dict[str, object]]:
    return [{"recipient": share.recipient, "ppm": share.ppm} for share in shares]


class Terms(Projection):
    """The platform's terms for sales off the chain; registered assets."""

    name = "terms"
    tables = (terms, assets)

    @on(TermsSet)
    def set(self, event: TermsSet, recorded: RecordedEvent, rows: Rows) -> None:
        fees = {kind.value: bps for kind, bps in event.fees_bps.items()}
        rows.insert(terms, version=event.version, effective_from=event.effective_from, fees_bps=fees)

    @on(AssetRegistered)
    def registered(self, event: AssetRegistered, recorded: RecordedEvent, rows: Rows) -> None:
        rows.insert(assets, asset=event.asset, scale=event.scale)


def scale_of(asset: sa.ColumnElement[str]) -> sa.ColumnElement[int]:
    """The column `scale` of rows that may be of any asset."""
    table = Terms.live(assets)
    registered = sa.select(table.c.scale).where(table.c.asset == asset).scalar_subquery()
    return sa.case(dict(SCALES), value=asset, else_=registered).label("scale")
