"""The log, with an index of its few operations; the projections' checkpoints, the consumers' offsets; the head log."""

import eventlog
import messaging
import projections
from chain import head
from service import grant_queries, grant_runtime, run_sql

revision = "0001"
down_revision = None


def upgrade() -> None:
    for library in (eventlog, projections, messaging):
        run_sql(library.install_sql())
    run_sql(eventlog.index_sql("events_of_operations", streams="operation/"))  # the sender follows these alone
    run_sql(head.install_sql())
    grant_runtime("chain")
    grant_queries("chain", tables=("events", "progress", "dead_letters"))
