"""What went on, by the hour: transactions, what they cost, and events by contract and name. A day is 24 of its rows."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache

import sqlalchemy as sa

from chain.domain import ZERO, ContractEvent, TransactionSolidified
from eventlog import RecordedEvent
from projections import Amount, Projection, Rows, on

metadata = sa.MetaData()

hourly_transactions = sa.Table(
    "hourly_transactions",
    metadata,
    sa.Column("hour", sa.DateTime(timezone=True), primary_key=True),  # of the block, in UTC
    sa.Column("transactions", sa.BigInteger, nullable=False),
    sa.Column("failed", sa.BigInteger, nullable=False),  # among them
    sa.Column("fee_sun", Amount, nullable=False),
    sa.Column("energy_used", Amount, nullable=False),
    sa.Column("bandwidth_used", Amount, nullable=False),
)

hourly_events = sa.Table(
    "hourly_events",
    metadata,
    sa.Column("hour", sa.DateTime(timezone=True), primary_key=True),
    sa.Column("contract", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("events", sa.BigInteger, nullable=False),
)

daily_accounts = sa.Table(
    "daily_accounts",
    metadata,
    sa.Column("day", sa.Date, primary_key=True),
    sa.Column("address", sa.Text, primary_key=True),  # of one that signed
    sa.Column("transactions", sa.BigInteger, nullable=False),
)


class Activity(Projection):
    """How much went on in each hour, and who was active on each day."""

    name = "activity"
    totals = (hourly_transactions, hourly_events, daily_accounts)

    @on(TransactionSolidified)
    def solidified(self, event: TransactionSolidified, recorded: RecordedEvent, rows: Rows) -> None:
        rows.increment(
            hourly_transactions,
            {"hour": hour(event.block_time)},
            transactions=1,
            failed=0 if event.success else 1,
            fee_sun=event.fee_sun,
            energy_used=event.energy_used,
            bandwidth_used=event.bandwidth_used,
        )
        if event.owner != ZERO:  # the genesis block's allocations are nobody's doing
            rows.increment(daily_accounts, {"day": event.block_time.date(), "address": event.owner}, transactions=1)

    @on(ContractEvent)
    def logged(self, event: ContractEvent, recorded: RecordedEvent, rows: Rows) -> None:
        key = {"hour": hour(event.source.block_time), "contract": event.contract, "name": event.name}
        rows.increment(hourly_events, key, events=1)


@lru_cache(maxsize=1_024)  # one object for an hour: rows are added up by it, and a new one is hashed anew
def hour(time: datetime) -> datetime:
    """The hour that a block's time is in; blocks' times are in UTC."""
    return time.replace(minute=0, second=0, microsecond=0)
