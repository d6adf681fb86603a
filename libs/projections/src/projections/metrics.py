"""Prometheus metrics of the projections that this process feeds; `projection` is the schema, e.g. `claims_v1`."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

POSITION = Gauge(
    "annals_projection_position", "Position up to which everything has taken effect or is parked.", ["projection"]
)
PARTITIONS = Gauge(
    "annals_projection_partitions",
    "Partitions that are fed by themselves; position and lag are those of the slowest.",
    ["projection"],
)
LAG_EVENTS = Gauge(
    "annals_projection_lag_events", "Positions between the checkpoint and the log's safe horizon.", ["projection"]
)
LAG_SECONDS = Gauge("annals_projection_lag_seconds", "Age of the oldest event not yet applied.", ["projection"])
EVENTS = Counter("annals_projection_events_total", "Events applied or passed over.", ["projection"])
BATCH_EVENTS = Histogram(
    "annals_projection_batch_events",
    "Events in a batch.",
    ["projection"],
    buckets=(1, 5, 20, 100, 500, 1000, 2500, 5000),
)
BATCH_SECONDS = Histogram(
    "annals_projection_batch_seconds",
    "Duration of a batch's transaction.",
    ["projection"],
    buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
)
DEAD_LETTERS = Gauge(
    "annals_projection_dead_letters",
    "Events not applied: failed, or behind a failed one of their key.",
    ["projection"],
)
REBUILD_POSITION = Gauge(
    "annals_rebuild_position",
    "Position reached by the rows that are being built to replace the live ones.",
    ["projection"],
)
REBUILD_TARGET = Gauge(
    "annals_rebuild_target_position", "Position that they have to reach: the log's safe horizon.", ["projection"]
)
PARKED = Counter("annals_projection_parked_total", "Events that failed and were parked.", ["projection"])
RETRIES = Counter(
    "annals_projection_retries_total", "Batches tried again after an error that is no event's fault.", ["projection"]
)
PAUSED = Gauge("annals_projection_paused", "1 while somebody has paused the projection.", ["projection"])
