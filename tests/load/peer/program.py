"""The same work by the `eventsourcing` library: `program.py append|projection`, the server's address as JSON on stdin.

Prints {"per_second": number}. Payments are appended in batches of 1,000 over 100 aggregates, by one `put` of its event
store each, into tables that its database functions fill. The projection is fed by its ProjectionRunner and writes the
same three tables, in one transaction with its tracking record for each event.
"""

from __future__ import annotations

import json
import sys
import time
from datetime import UTC, datetime
from uuid import UUID, uuid5

from eventsourcing.application import Application
from eventsourcing.domain import Aggregate
from eventsourcing.persistence import Tracking
from eventsourcing.postgres import PostgresDatastore, PostgresTrackingRecorder
from eventsourcing.projection import Projection, ProjectionRunner
from psycopg.sql import SQL

AT = datetime(2026, 1, 1, tzinfo=UTC)
BATCHES, BATCH, STREAMS = 20, 1_000, 100
PROJECTED = 2_000
NAMESPACE = UUID("6ba7b812-9dad-11d1-80b4-00c04fd430c8")


class Account(Aggregate):
    class Paid(Aggregate.Event):
        account: str
        asset: str
        amount: int
        reference: str


class Payments(Application[UUID]):
    pass


class Books(PostgresTrackingRecorder):
    """The read model: a row for each payment, one for each account, one for each day."""

    def __init__(self, datastore: PostgresDatastore, **kwargs: object) -> None:
        super().__init__(datastore, **kwargs)
        self.sql_create_statements += [
            SQL("CREATE TABLE payments (reference text PRIMARY KEY, account text, amount numeric(78))"),
            SQL("CREATE TABLE balances (account text, asset text, balance numeric(78), PRIMARY KEY (account, asset))"),
            SQL("CREATE TABLE days (day date PRIMARY KEY, payments bigint)"),
        ]

    def pay(self, event: Account.Paid, tracking: Tracking) -> None:
        with self.datastore.transaction(commit=True) as cursor:
            self._insert_tracking(cursor, tracking)
            cursor.execute(
                "INSERT INTO payments VALUES (%s, %s, %s)", (event.reference, event.account, event.amount), prepare=True
            )
            cursor.execute(
                "INSERT INTO balances VALUES (%s, %s, %s) "
                "ON CONFLICT (account, asset) DO UPDATE SET balance = balances.balance + excluded.balance",
                (event.account, event.asset, event.amount),
                prepare=True,
            )
            cursor.execute(
                "INSERT INTO days VALUES (%s, 1) ON CONFLICT (day) DO UPDATE SET payments = days.payments + 1",
                (event.timestamp.date(),),
                prepare=True,
            )


class BooksProjection(Projection[Books]):
    name = "books"

    def process_event(self, domain_event: object, tracking: Tracking) -> None:
        if isinstance(domain_event, Account.Paid):
            self.view.pay(domain_event, tracking)


def batches(count: int) -> list[list[Account.Paid]]:
    return [[payment(start + i) for i in range(BATCH)] for start in range(0, count * BATCH, BATCH)]


def payment(number: int) -> Account.Paid:
    account = f"account-{number % STREAMS}"
    return Account.Paid(
        originator_id=uuid5(NAMESPACE, account),
        originator_version=number // STREAMS + 1,
        timestamp=AT,
        account=account,
        asset="TRX",
        amount=number * 1_000_003,
        reference=f"reference-{number:08}",
    )


def append(environment: dict[str, str]) -> float:
    with Payments(environment) as application:
        first, *rest = batches(1 + BATCHES)
        application.events.put(first)  # so that its statements are prepared
        begun = time.perf_counter()
        for batch in rest:
            application.events.put(batch)
        return BATCHES * BATCH / (time.perf_counter() - begun)


def projection(environment: dict[str, str]) -> float:
    with Payments(environment) as application:
        for batch in batches(PROJECTED // BATCH):
            application.events.put(batch)
        last = application.recorder.max_notification_id()
    begun = time.perf_counter()
    with ProjectionRunner(
        application_class=Payments, projection_class=BooksProjection, view_class=Books, env=environment
    ) as runner:
        runner.wait(last, timeout=300)
        return PROJECTED / (time.perf_counter() - begun)


if __name__ == "__main__":
    given = json.load(sys.stdin)
    settings = {
        "PERSISTENCE_MODULE": "eventsourcing.postgres",
        "POSTGRES_DBNAME": given["database"],
        "POSTGRES_HOST": given["host"],
        "POSTGRES_PORT": str(given["port"]),
        "POSTGRES_USER": given["user"],
        "POSTGRES_PASSWORD": given["password"],
        "POSTGRES_ENABLE_DB_FUNCTIONS": "yes",
    }
    work = {"append": append, "projection": projection}[sys.argv[1]]
    print(json.dumps({"per_second": work(settings)}))
