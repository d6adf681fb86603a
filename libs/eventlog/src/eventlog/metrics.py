"""What the log measures, in the default Prometheus registry. A process has one log, so there are no labels."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

append_seconds = Histogram(
    "annals_append_seconds",
    "Duration of an append, with the wait for a connection and the commit unless these are its caller's",
    buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
)
appended = Counter("annals_appended_events", "Events appended, also by a transaction that its caller rolled back later")
conflicts = Counter("annals_append_conflicts", "Appends refused because a stream had another version")
repeats = Counter("annals_append_repeats", "Appends that changed nothing: their events were in the log already")

watermark = Gauge("annals_watermark_position", "Position up to which the log can be read without missing an event")
fence_wait_seconds = Histogram(
    "annals_fence_wait_seconds",
    "Time that the watermark waited for writers with a position drawn and not committed; only waits are observed",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30, 60),
)
fence_waiting = Gauge(
    "annals_fence_waiting_seconds",
    "How long the watermark has been waiting now; meanwhile readers see nothing new",
)

seals = Counter("annals_seals", "Segments of the log sealed by this process")
seal_lag = Gauge("annals_seal_lag_events", "Positions between the log's horizon and the last seal")
