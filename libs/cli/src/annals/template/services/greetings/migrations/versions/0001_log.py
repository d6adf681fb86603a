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
    grant_runtime("greetings")
    grant_queries("greetings")
