"""What ingestion measures, in the process's default Prometheus registry."""

from __future__ import annotations

from functools import partial

from prometheus_client import Counter, Gauge, Histogram

from tron.errors import NodeError
from tron.providers import Nodes

HEAD = Gauge("annals_chain_head_block", "Newest block of the node")
SOLID = Gauge("annals_chain_solid_block", "Newest solidified block of the node")
INGESTED = Gauge("annals_chain_ingested_block", "Last block in the log")
LAG_BLOCKS = Gauge("annals_chain_lag_blocks", "Solidified blocks that are not in the log yet")
LAG_SECONDS = Gauge("annals_chain_lag_seconds", "Age of the last block in the log; about a minute is normal")
STALLED = Gauge(
    "annals_chain_stalled_seconds", "For how long no block could be recorded, for want of an answer that is confirmed"
)
LEADER = Gauge("annals_chain_ingester_leader", "1 while this process ingests")
EVENTS = Counter("annals_chain_events_total", "Logs of watched contracts recorded", ["contract"])
UNDECODED = Counter("annals_chain_undecoded_logs_total", "Logs of watched contracts kept raw", ["contract"])
BACKFILLED = Gauge("annals_chain_backfilled_block", "Last block of a contract's past in the log", ["contract"])
BACKFILL_LEFT = Gauge("annals_chain_backfill_left_blocks", "Blocks of a contract's past to be read", ["contract"])
REDECODED = Counter("annals_chain_redecoded_logs_total", "Raw logs decoded by an ABI that came later", ["contract"])
TRANSACTIONS = Counter("annals_chain_transactions_total", "Transactions recorded")
APPENDED = Histogram(
    "annals_chain_append_events", "Events of one append", buckets=(1, 5, 20, 100, 200, 500, 1000, 2000, 3000, 5000)
)
NODE_ANSWERS = Counter("annals_chain_node_answers_total", "Usable answers of a provider's node", ["provider"])
NODE_ERRORS = Counter(
    "annals_chain_node_errors_total",
    "Answers that were not used and asked for again, by provider and what was wrong with them",
    ["provider", "kind"],
)
NODE_HEALTH = Gauge("annals_chain_node_health", "Share of a provider's late answers that were good", ["provider"])
NODE_RESTS = Gauge("annals_chain_node_rests", "1 while a provider is asked only if no other answers", ["provider"])
NODE_REQUESTS = Gauge("annals_chain_node_requests", "Requests allowed at once, as the node bears them", ["provider"])
NODE_WAIT = Gauge("annals_chain_node_wait_seconds", "Until a provider's budget allows a request again", ["provider"])
FENCED = Counter("annals_chain_fenced_total", "Appends refused because another ingester had moved the cursor")

HEAD_TOLD = Gauge("annals_chain_head_told_block", "Newest block told on chain.head")
HEAD_LAG_BLOCKS = Gauge("annals_chain_head_lag_blocks", "Blocks of the node that are not told on chain.head yet")
HEAD_LAG_SECONDS = Gauge(
    "annals_chain_head_lag_seconds", "Age of the newest block told on chain.head; up to the time of a block is normal"
)
HEAD_LEADER = Gauge("annals_chain_head_leader", "1 while this process tells chain.head")
REORGANISED = Histogram(
    "annals_chain_reorganised_blocks",
    "Blocks taken back by one reorganisation: their count, depths and the sum of all retractions",
    buckets=(1, 2, 3, 5, 8, 12, 17, 27, 64),
)

SENDER_LEADER = Gauge("annals_chain_sender_leader", "1 while this process sends")
SENDER_QUEUED = Gauge("annals_chain_sender_queued", "Operations that wait for their signature", ["sender"])
SENDER_IN_FLIGHT = Gauge("annals_chain_sender_in_flight", "Signed transactions that are not settled yet")
SENDER_BREAKER = Gauge("annals_chain_sender_breaker", "The circuit breaker: 0 closed, 1 half-open, 2 open")
SENDER_SIGNED = Counter("annals_chain_sender_signed_total", "Transactions signed", ["sender"])
SENDER_BROADCASTS = Counter(
    "annals_chain_sender_broadcasts_total",
    "Transactions handed to a node, again too, by its answer: taken, duplicate, or the kind of refusal",
    ["answer"],
)
SENDER_SETTLED = Counter(
    "annals_chain_sender_operations_total", "Operations ended: solidified, failed or expired", ["outcome"]
)
SENDER_BALANCE = Gauge("annals_chain_sender_balance_sun", "TRX of a sending key", ["sender"])
SENDER_ENERGY = Gauge("annals_chain_sender_energy", "Energy from stake that a sending key has left", ["sender"])
SENDER_BANDWIDTH = Gauge("annals_chain_sender_bandwidth", "Bandwidth that a sending key has left, in bytes", ["sender"])


def answered(provider: str, error: NodeError | None) -> None:
    """Counts an answer of a node."""
    if error is None:
        NODE_ANSWERS.labels(provider).inc()
    else:
        NODE_ERRORS.labels(provider, type(error).__name__).inc()


def watch(nodes: Nodes) -> None:
    """Shows how each provider is whenever somebody looks."""
    for node in nodes.all:
        name = node.provider.name
        NODE_HEALTH.labels(name).set_function(partial(getattr, node, "score"))
        NODE_RESTS.labels(name).set_function(partial(getattr, node, "rests"))
        NODE_REQUESTS.labels(name).set_function(partial(getattr, node.pace, "allowed"))
        NODE_WAIT.labels(name).set_function(node.budget.wait)
