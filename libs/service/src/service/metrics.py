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
