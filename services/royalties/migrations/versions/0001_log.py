"""The log, the projections' checkpoints, the consumers' offsets."""

import eventlog
import messaging
import projections
from service import grant_queries, grant_runtime, run_sql

revision = "0001"
down_revision = None


def upgrade() -> None:
    for library in (eventlog, projections, messaging):
        run_sql(library.install_sql())
    run_sql(eventlog.index_sql("events_of_distributions", streams="distribution"))  # their process follows these alone
    run_sql(eventlog.index_sql("events_of_moves", streams="moves/"))  # and so does theirs
    grant_runtime("royalties")
    grant_queries("royalties")
