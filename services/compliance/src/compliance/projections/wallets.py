"""Whose a wallet is."""

from __future__ import annotations

import sqlalchemy as sa

from compliance.domain import WalletLinked, WalletUnlinked
from compliance.projections.common import Time, metadata
from eventlog import RecordedEvent
from privacy import SubjectErased
from projections import Projection, Rows, on

wallets = sa.Table(
    "wallets",
    metadata,
    sa.Column("address", sa.Text, primary_key=True),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("linked_at", Time, nullable=False),
    sa.Index("wallets_subject", "subject", "address"),
)


class Wallets(Projection):
    """The wallets that are somebody's now."""

    name = "wallets"
    tables = (wallets,)
    about = {wallets: "subject"}  # noqa: RUF012 - a ClassVar of the base

    @on(WalletLinked)
    def linked(self, event: WalletLinked, recorded: RecordedEvent, rows: Rows) -> None:
        rows.upsert(wallets, {"address": event.address}, subject=event.subject, linked_at=recorded.occurred_at)

    @on(WalletUnlinked)
    def unlinked(self, event: WalletUnlinked, recorded: RecordedEvent, rows: Rows) -> None:
        rows.delete(wallets, {"address": event.address})

    @on(SubjectErased)
    def erased(self, event: SubjectErased, recorded: RecordedEvent, rows: Rows) -> None:
        rows.delete(wallets, {"address": event.subject})  # an erasure is ordered of each wallet, too
