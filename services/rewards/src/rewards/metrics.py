"""What rewards measures of the payments that it asks the chain for, in the process's default Prometheus registry."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

FAILED_PAYMENTS = Gauge(
    "annals_rewards_failed_payments", "Open claims whose last payment has failed; only the leader says"
)
FAILED_OPENINGS = Counter(
    "annals_rewards_failed_openings_total", "Times that the chain did not open a listening period when asked"
)
