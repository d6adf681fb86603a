"""What this package measures, in the process's default Prometheus registry.

Labels take only values that the operator chose (service, group, topic): a hostile producer cannot make new series.
"""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

_SIZES = (1, 10, 50, 100, 500, 1_000, 2_000, 5_000)
_SECONDS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60)

relayed = Counter("annals_relay_events", "Events relayed from the log to Kafka", ["service"])
relay_leader = Gauge("annals_relay_leader", "1 while this process relays for the service", ["service"])
relay_position = Gauge("annals_relay_position", "Position of the log up to which Kafka has everything", ["service"])
relay_lag_events = Gauge(
    "annals_relay_lag_events", "Positions between the log's horizon and the relay; only the leader says", ["service"]
)
relay_lag_seconds = Gauge(
    "annals_relay_lag_seconds", "Age of the oldest event not yet relayed; only the leader says", ["service"]
)
relay_batch = Histogram("annals_relay_batch_events", "Events per Kafka transaction", ["service"], buckets=_SIZES)
relay_seconds = Histogram(
    "annals_relay_batch_seconds", "Duration of a Kafka transaction", ["service"], buckets=_SECONDS
)

consumed = Counter("annals_consumer_messages", "Messages handled", ["group"])
consumer_batch = Histogram("annals_consumer_batch_messages", "Messages per poll", ["group"], buckets=_SIZES)
consumer_seconds = Histogram(
    "annals_consumer_batch_seconds", "Time to handle and commit what was polled", ["group"], buckets=_SECONDS
)
consumer_lag = Gauge("annals_consumer_lag_records", "Records not yet read", ["group", "topic", "partition"])
malformed = Counter("annals_consumer_malformed_messages", "Records that were no valid message", ["group", "topic"])
unknown = Counter(
    "annals_consumer_unknown_messages", "Messages of a type this process does not know", ["group", "topic"]
)
retries = Counter("annals_consumer_retries", "Batches tried again after a transient error", ["group"])
fenced = Counter("annals_consumer_fenced", "Batches dropped because another instance owns the partition", ["group"])

parked_total = Counter("annals_parked_messages", "Messages put aside", ["group", "reason"])
erased = Counter("annals_parked_erased_messages", "Messages put aside whose key was destroyed", ["group"])
parked = Gauge("annals_parked", "Messages put aside and not yet applied or discarded", ["group", "reason"])
waiting_seconds = Gauge(
    "annals_parked_waiting_seconds", "Age of the oldest message with a missing prerequisite", ["group"]
)
