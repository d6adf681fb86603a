"""Metrics of `annals backup run`."""

from prometheus_client import Counter, Gauge

covered = Gauge(
    "annals_backup_covered_timestamp_seconds",
    "Unix time up to which every commit is in the backups; how long ago it is, is what a loss of the server would lose",
)
based = Gauge("annals_backup_base_timestamp_seconds", "Unix time at which the last base backup was complete")
failures = Counter("annals_backup_failures", "Attempts to follow the server or to take a base backup that failed")
