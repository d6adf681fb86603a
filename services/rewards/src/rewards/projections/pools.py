"""The state of every pool."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from eventlog import RecordedEvent
from projections import Amount, Projection, Rows, on
from rewards.domain import (
    BatchOpened,
    BatchSwept,
    BudgetOpened,
    BudgetPaid,
    BudgetReleased,
    BudgetReserved,
    ClaimPaid,
    PoolConfigured,
    PoolEvent,
    PoolFunded,
    PoolSwept,
)

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
    sa.Column("batched", Amount, nullable=False, default=0),  # set aside for batches, less what came back
    sa.Column("reserved", Amount, nullable=False, default=0),
    sa.Column("claims", sa.BigInteger, nullable=False, default=0),
    sa.Column("last_tx_id", sa.Text),
)

budgets = sa.Table(
    "budgets",
    metadata,
    sa.Column("pool", sa.Text, primary_key=True),
    sa.Column("starts", sa.Date, primary_key=True),
    sa.Column("ends", sa.Date, nullable=False),
    sa.Column("budget", Amount, nullable=False),  # paid + reserved + free + lapsed + handed_on
    sa.Column("paid", Amount, nullable=False, default=0),
    sa.Column("reserved", Amount, nullable=False, default=0),
    sa.Column("free", Amount, nullable=False, default=0),
    sa.Column("lapsed", Amount, nullable=False, default=0),
    sa.Column("handed_on", Amount, nullable=False, default=0),  # to the next period: carried over, or reserved
    sa.Column("carried", Amount, nullable=False, default=0),  # from the period before
    sa.Column("rule_version", sa.Integer, nullable=False),
)


class PoolStatus(Projection):
    """What each pool was given, has paid, has promised and still holds; its budget in each period."""

    name = "pool_status"
    tables = (pools, budgets)

    def key(self, recorded: RecordedEvent) -> str:
        """A pool's row changes with its claims, too, whose streams are their own."""
        pool = getattr(recorded.event, "pool", None)
        return recorded.stream if pool is None else f"pool/{pool.label}"

    def rows_of(self, key: str) -> Mapping[sa.Table, Mapping[str, Any]]:
        return {table: {"pool": key.removeprefix("pool/")} for table in self.tables}

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

    @on(BatchOpened)
    def batched(self, event: BatchOpened, recorded: RecordedEvent, rows: Rows) -> None:
        rows.increment(pools, _pool(event), batched=event.total)
        rows.upsert(pools, _pool(event), last_tx_id=event.source.tx_id)

    @on(BatchSwept)
    def returned(self, event: BatchSwept, recorded: RecordedEvent, rows: Rows) -> None:
        rows.increment(pools, _pool(event), batched=-event.amount)
        rows.upsert(pools, _pool(event), last_tx_id=event.source.tx_id)

    @on(ClaimPaid)
    def paid(self, event: ClaimPaid, recorded: RecordedEvent, rows: Rows) -> None:
        rows.increment(pools, _pool(event), paid=event.amount, claims=1)
        rows.upsert(pools, _pool(event), last_tx_id=event.source.tx_id)

    @on(BudgetOpened)
    def opened(self, event: BudgetOpened, recorded: RecordedEvent, rows: Rows) -> None:
        rows.upsert(pools, _pool(event))
        if event.closes is not None:
            rows.increment(
                budgets,
                _pool(event) | {"starts": event.closes},
                reserved=-event.reserved,
                free=-event.carried - event.lapsed,
                lapsed=event.lapsed,
                handed_on=event.carried + event.reserved,
            )
        rows.insert(
            budgets,
            **_pool(event),
            starts=event.starts,
            ends=event.ends,
            budget=event.fresh + event.carried + event.reserved,
            free=event.fresh + event.carried,
            reserved=event.reserved,
            carried=event.carried,
            rule_version=event.rule_version,
        )

    @on(BudgetReserved)
    def reserved(self, event: BudgetReserved, recorded: RecordedEvent, rows: Rows) -> None:
        rows.increment(pools, _pool(event), reserved=event.amount)
        rows.increment(budgets, _period(event), reserved=event.amount, free=-event.amount)

    @on(BudgetReleased)
    def released(self, event: BudgetReleased, recorded: RecordedEvent, rows: Rows) -> None:
        rows.increment(pools, _pool(event), reserved=-event.amount)
        rows.increment(budgets, _period(event), reserved=-event.amount, free=event.amount)

    @on(BudgetPaid)
    def settled(self, event: BudgetPaid, recorded: RecordedEvent, rows: Rows) -> None:
        if event.starts is not None:
            rows.increment(pools, _pool(event), reserved=-event.amount)
            rows.increment(budgets, _period(event), reserved=-event.amount, paid=event.amount)


OfPool = PoolEvent | ClaimPaid | BudgetOpened | BudgetReserved | BudgetReleased | BudgetPaid


def _pool(event: OfPool) -> dict[str, Any]:
    return {"pool": event.pool.label}


def _period(event: BudgetReserved | BudgetReleased | BudgetPaid) -> dict[str, Any]:
    return _pool(event) | {"starts": event.starts}
