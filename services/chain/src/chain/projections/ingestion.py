"""How far the chain was read; the same as the cursor, for queries."""

from __future__ import annotations

import sqlalchemy as sa

from chain.domain import BlocksIngested, ContractsWatched
from eventlog import RecordedEvent
from projections import Projection, Rows, on

metadata = sa.MetaData()

ingestion = sa.Table(
    "ingestion",
    metadata,
    sa.Column("chain", sa.Text, primary_key=True),  # one row: "chain"
    sa.Column("scope", sa.Text),  # whose transactions are recorded
    sa.Column("first_block", sa.BigInteger),
    sa.Column("last_block", sa.BigInteger),
    sa.Column("last_hash", sa.Text),
    sa.Column("last_time", sa.DateTime(timezone=True)),
    sa.Column("blocks", sa.BigInteger, nullable=False, default=0),
    sa.Column("transactions", sa.BigInteger, nullable=False, default=0),
    sa.Column("events", sa.BigInteger, nullable=False, default=0),
)


class Ingestion(Projection):
    """How far the chain was read; the same as the cursor, for queries."""

    name = "ingestion"
    tables = (ingestion,)

    def key(self, recorded: RecordedEvent) -> str:
        return "chain"

    @on(ContractsWatched)
    def begun(self, event: ContractsWatched, recorded: RecordedEvent, rows: Rows) -> None:
        if recorded.version == 1:
            rows.insert(ingestion, chain="chain", scope=event.transactions, first_block=event.first_block)

    @on(BlocksIngested)
    def read(self, event: BlocksIngested, recorded: RecordedEvent, rows: Rows) -> None:
        key = {"chain": "chain"}
        rows.increment(ingestion, key, blocks=event.blocks, transactions=event.transactions, events=event.events)
        rows.update(ingestion, key, last_block=event.last, last_hash=event.last_hash, last_time=event.last_time)
