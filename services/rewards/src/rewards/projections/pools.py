"""The state of every pool."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from eventlog import RecordedEvent
from projections import Amount, Projection, Rows, on
from rewards.domain import ClaimPaid, PoolConfigured, PoolFunded, PoolSwept

metadata = sa.MetaData()

pools = sa.Table(
    "pools",
    metadata,
    sa.Column("pool", sa.Text, primary_key=True),
    sa.Column("active", sa.Boolean, nullable=False, default=False),
    sa.Column("daily_limit", Amount, nullable=False, default=0),
    sa.Column("funded", Amount, nullable=False, default=0),
    sa.Column("paid", Amount, nullable=False, default=0),
    sa.Column("swept", Amount, nullable=False, default=0),
    sa.Column("claims", sa.BigInteger, nullable=False, default=0),
    sa.Column("last_tx_id", sa.Text),
)


class PoolStatus(Projection):
    """What each pool was given, has paid, and still holds."""

    name = "pool_status"
    tables = (pools,)

    def key(self, recorded: RecordedEvent) -> str:
        """A pool's row changes with its claims, too, whose streams are their own."""
        pool = getattr(recorded.event, "pool", None)
        return recorded.stream if pool is None else f"pool/{pool.name.lower()}"

    def rows_of(self, key: str) -> Mapping[sa.Table, Mapping[str, Any]]:
        return {pools: {"pool": key.removeprefix("pool/")}}

    @on(PoolFunded)
    def funded(self, event: PoolFunded, recorded: RecordedEvent, rows: Rows) -> None:
        rows.increment(pools, _pool(event), funded=event.amount)
        rows.upsert(pools, _pool(event), last_tx_id=event.source.tx_id)

    @on(PoolConfigured)
    def configured(self, event: PoolConfigured, recorded: RecordedEvent, rows: Rows) -> None:
        rows.upsert(
            pools,
            _pool(event),
            daily_limit=event.daily_limit,
            active=event.active,
            last_tx_id=event.source.tx_id,
        )

    @on(PoolSwept)
    def swept(self, event: PoolSwept, recorded: RecordedEvent, rows: Rows) -> None:
        rows.increment(pools, _pool(event), swept=event.amount)
        rows.upsert(pools, _pool(event), last_tx_id=event.source.tx_id)

    @on(ClaimPaid)
    def paid(self, event: ClaimPaid, recorded: RecordedEvent, rows: Rows) -> None:
        rows.increment(pools, _pool(event), paid=event.amount, claims=1)
        rows.upsert(pools, _pool(event), last_tx_id=event.source.tx_id)


def _pool(event: PoolFunded | PoolConfigured | PoolSwept | ClaimPaid) -> dict[str, str]:
    return {"pool": event.pool.name.lower()}
