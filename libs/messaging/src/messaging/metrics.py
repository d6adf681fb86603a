"""What this package counts, in the process's default Prometheus registry.

Labels take only values that the operator chose (service, group, topic): a hostile producer cannot make new series.
"""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

_SIZES = (1, 10, 50, 100, 500, 1_000, 2_000, 5_000)

relayed = Counter("messaging_relayed_events", "Events relayed from the log to Kafka", ["service"])
relay_leader = Gauge("messaging_relay_leader", "1 while this process relays for the service", ["service"])
relay_position = Gauge("messaging_relay_position", "Position of the log up to which Kafka has everything", ["service"])
relay_lag = Gauge("messaging_relay_lag_positions", "Positions between the log's horizon and the relay", ["service"])
relay_batch = Histogram("messaging_relay_batch_events", "Events per Kafka transaction", ["service"], buckets=_SIZES)

consumed = Counter("messaging_consumed_messages", "Messages handled", ["group"])
consumer_batch = Histogram("messaging_consumer_batch_messages", "Messages per poll", ["group"], buckets=_SIZES)
consumer_lag = Gauge("messaging_consumer_lag", "Records not yet read", ["group", "topic", "partition"])
malformed = Counter("messaging_malformed_messages", "Records that were no valid message", ["group", "topic"])
unknown = Counter("messaging_unknown_messages", "Messages of a type this process does not know", ["group", "topic"])
retries = Counter("messaging_transient_errors", "Batches tried again after a transient error", ["group"])
fenced = Counter("messaging_fenced_batches", "Batches dropped because another instance owns the partition", ["group"])
parked_total = Counter("messaging_parked_messages", "Messages put aside", ["group", "reason"])
parked = Gauge("messaging_parked", "Messages put aside and not yet applied or discarded", ["group", "reason"])
waiting_seconds = Gauge("messaging_waiting_seconds", "Age of the oldest message with a missing prerequisite", ["group"])
