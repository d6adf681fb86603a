"""What distributions measure, in the process's default Prometheus registry; only the process that leads has figures."""

from __future__ import annotations

from prometheus_client import Gauge

OPEN = Gauge("annals_distributions_open", "Distributions that have not ended")
PAYMENTS = Gauge(
    "annals_distribution_payments", "Payments of open distributions: waiting for the chain, or failed", ["state"]
)
CARRIED = Gauge("annals_distribution_shares_carried", "Shares of open distributions that were held or carried forward")
