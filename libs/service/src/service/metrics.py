"""Prometheus metrics that every service has. Labels are bounded: a path that matches no route is `unmatched`."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)

HTTP_SECONDS = Histogram(
    "annals_http_request_seconds",
    "Time from a request's first byte to its response's last.",
    ["method", "route", "status"],
    buckets=_SECONDS,
)
HTTP_IN_FLIGHT = Gauge("annals_http_requests_in_flight", "Requests being served.")
HTTP_STREAMS = Gauge("annals_http_streams", "Event streams that are open.")
PROBLEMS = Counter("annals_problems_total", "Requests answered with problem+json.", ["type", "status"])
WORKER_UP = Gauge("annals_worker_up", "1 while the worker runs, 0 while it waits to be restarted.", ["worker"])
WORKER_RESTARTS = Counter("annals_worker_restarts_total", "Restarts of a worker after a transient error.", ["worker"])
READY = Gauge("annals_ready", "1 if /ready last answered 200.")
CHECK_SECONDS = Gauge("annals_check_seconds", "Duration of the last readiness check.", ["check"])
POOL_CONNECTIONS = Gauge("annals_pool_connections", "Connections of the pool, busy or idle.", ["pool", "state"])
POOL_LIMIT = Gauge("annals_pool_connections_limit", "Most connections the pool may have.", ["pool"])
LOOP_DELAY_SECONDS = Histogram(
    "annals_event_loop_delay_seconds",
    "How late the event loop woke its heartbeat, asked every second.",
    buckets=_SECONDS,
)

CHECK_PASSED = Gauge("annals_check_passed", "1 if the last readiness check passed, 0 if it failed.", ["check"])
KAFKA_BROKERS = Gauge("annals_kafka_brokers", "Brokers that Kafka's metadata name.")
KAFKA_PARTITIONS = Gauge(
    "annals_kafka_partitions",
    "Partitions of the topics that the service needs: all, leaderless, or under-replicated.",
    ["state"],
)
DATABASE_BYTES = Gauge("annals_database_bytes", "Size of the service's database, all that is in it.")
DATABASE_CONNECTIONS = Gauge("annals_database_connections", "Connections of clients to the server, to any database.")
DATABASE_CONNECTIONS_LIMIT = Gauge("annals_database_connections_limit", "Most connections that the server takes.")
DATABASE_OLDEST_SECONDS = Gauge(
    "annals_database_oldest_transaction_seconds", "Age of the oldest transaction of the service's role; 0 without any."
)
DATABASE_AGE = Gauge(
    "annals_database_age_transactions", "Transactions since the oldest row not frozen; near 2^31 the server stops."
)
DATABASE_DEADLOCKS = Gauge("annals_database_deadlocks", "Deadlocks, counted by the server.")
DATABASE_BLOCKS = Gauge("annals_database_blocks", "Blocks read, from cache or disk, counted by the server.", ["source"])
DATABASE_TRANSACTIONS = Gauge(
    "annals_database_transactions",
    "Transactions, committed or rolled-back, counted by the server.",
    ["end"],
)
SLOT_BYTES = Gauge(
    "annals_database_slot_bytes", "Write-ahead log kept for a replication slot, such as that of backups.", ["slot"]
)
TABLE_BYTES = Gauge(
    "annals_table_bytes", "Size of a table's rows or indexes, as of its last vacuum or analysis.", ["table", "part"]
)
TABLE_ROWS = Gauge("annals_table_rows", "Rows of a table, estimated: live or dead.", ["table", "state"])
TABLE_SCANS = Gauge(
    "annals_table_scans", "Scans of a table, by index or sequential, counted by the server.", ["table", "by"]
)
