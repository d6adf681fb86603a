"""Read models fed from the event log. The README of this library explains the mechanism."""

from projections.columns import Amount
from projections.compare import Comparison, Difference, TableComparison, compare
from projections.control import Control, controls, pause, resume, throttle
from projections.dead_letters import DeadLetter, Retried, dead_letters, discard, retry, retry_all
from projections.errors import (
    InvalidChange,
    InvalidProjection,
    NoGeneration,
    ProjectionError,
    RebuildRunning,
    SchemaChanged,
    SwapBlocked,
    WorkerFailed,
)
from projections.generation import install_sql
from projections.job import Progress
from projections.projection import Projection, on
from projections.rebuild import Rebuilt, audit, drop_old, rebuild, rollback
from projections.rows import Rows
from projections.runner import Runner
from projections.status import Freshness, Status, status

__all__ = [
    "Amount",
    "Comparison",
    "Control",
    "DeadLetter",
    "Difference",
    "Freshness",
    "InvalidChange",
    "InvalidProjection",
    "NoGeneration",
    "Progress",
    "Projection",
    "ProjectionError",
    "RebuildRunning",
    "Rebuilt",
    "Retried",
    "Rows",
    "Runner",
    "SchemaChanged",
    "Status",
    "SwapBlocked",
    "TableComparison",
    "WorkerFailed",
    "audit",
    "compare",
    "controls",
    "dead_letters",
    "discard",
    "drop_old",
    "install_sql",
    "on",
    "pause",
    "rebuild",
    "resume",
    "retry",
    "retry_all",
    "rollback",
    "status",
    "throttle",
]
