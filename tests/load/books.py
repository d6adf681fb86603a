"""What is appended, told and projected: payments, and a read model of three tables."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sa

from contracts import Message
from eventlog import EventTypes, NewEvent, RecordedEvent
from projections import Amount, Projection, Rows, on

AT = datetime(2026, 1, 1, tzinfo=UTC)
STREAMS = 100


@dataclass(frozen=True, slots=True)
class Paid:
    """An event as most are: two names, an amount, a reference."""

    account: str
    asset: str
    amount: int
    reference: str


class PaidMessage(Message, type="bench.payments.Paid.v1"):
    """The same, told to others."""

    account: str
    asset: str
    amount: str
    reference: str


TYPES = EventTypes({"Paid.v1": Paid})


def paid(number: int) -> Paid:
    return Paid(f"account-{number % STREAMS}", "TRX", number * 1_000_003, f"reference-{number:08}")


def payment(number: int, stream: str | None = None) -> NewEvent:
    """The numbered payment; it belongs to one of STREAMS streams unless told otherwise."""
    return NewEvent(stream or f"account/{number % STREAMS}", paid(number), AT)


def message(event: Paid) -> PaidMessage:
    return PaidMessage(account=event.account, asset=event.asset, amount=str(event.amount), reference=event.reference)


metadata = sa.MetaData()
payments = sa.Table(
    "payments",
    metadata,
    sa.Column("reference", sa.Text, primary_key=True),
    sa.Column("account", sa.Text, nullable=False),
    sa.Column("amount", Amount, nullable=False),
)
balances = sa.Table(
    "balances",
    metadata,
    sa.Column("account", sa.Text, primary_key=True),
    sa.Column("asset", sa.Text, primary_key=True),
    sa.Column("balance", Amount, nullable=False),
)
days = sa.Table(
    "days", metadata, sa.Column("day", sa.Date, primary_key=True), sa.Column("payments", sa.BigInteger, nullable=False)
)


class Books(Projection):
    """A row for each payment, one for each account, one for each day."""

    name = "bench_books"
    tables = (payments,)
    totals = (balances, days)

    @on(Paid)
    def paid(self, event: Paid, recorded: RecordedEvent, rows: Rows) -> None:
        rows.insert(payments, reference=event.reference, account=event.account, amount=event.amount)
        rows.increment(balances, {"account": event.account, "asset": event.asset}, balance=event.amount)
        rows.increment(days, {"day": recorded.occurred_at.date()}, payments=1)
