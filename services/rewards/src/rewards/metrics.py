"""What rewards measures of its pools and of the payments that it asks the chain for, in the process's registry."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

from rewards import queries
from service import Queries

DCMX = 10**18

FAILED_PAYMENTS = Gauge(
    "annals_rewards_failed_payments", "Open claims whose last payment has failed; only the leader says"
)
FAILED_OPENINGS = Counter(
    "annals_rewards_failed_openings_total", "Times that the chain did not open a listening period when asked"
)
POOL = Gauge(
    "annals_rewards_pool_dcmx",
    "DCMX of a pool: its balance in the vault, what claims have reserved, been paid, and the period's budget has free",
    ["pool", "part"],
)


async def measure_pools(reads: Queries) -> None:
    """Shows the pools as the read model has them; rounded, for Prometheus knows floating point only."""
    for row in await reads.all(queries.pool_status()):
        for part in ("balance", "reserved", "paid", "free"):
            POOL.labels(row["pool"], part).set(float(row[part] or 0) / DCMX)
