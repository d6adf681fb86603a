"""What ingestion measures, in the process's default Prometheus registry."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

HEAD = Gauge("annals_chain_head_block", "Newest block of the node")
SOLID = Gauge("annals_chain_solid_block", "Newest solidified block of the node")
INGESTED = Gauge("annals_chain_ingested_block", "Last block in the log")
LAG_BLOCKS = Gauge("annals_chain_lag_blocks", "Solidified blocks that are not in the log yet")
LAG_SECONDS = Gauge("annals_chain_lag_seconds", "Age of the last block in the log; about a minute is normal")
LEADER = Gauge("annals_chain_ingester_leader", "1 while this process ingests")
EVENTS = Counter("annals_chain_events_total", "Logs of watched contracts recorded", ["contract"])
UNDECODED = Counter("annals_chain_undecoded_logs_total", "Logs of watched contracts kept raw", ["contract"])
TRANSACTIONS = Counter("annals_chain_transactions_total", "Transactions recorded")
APPENDED = Histogram(
    "annals_chain_append_events", "Events of one append", buckets=(1, 5, 20, 100, 200, 500, 1000, 2000, 3000, 5000)
)
NODE_ERRORS = Counter(
    "annals_chain_node_errors_total", "Answers of the node that were not used, by what was wrong with them", ["kind"]
)
NODE_REQUESTS = Gauge("annals_chain_node_requests", "Requests to the node allowed at once, as it bears them")
FENCED = Counter("annals_chain_fenced_total", "Appends refused because another ingester had moved the cursor")
