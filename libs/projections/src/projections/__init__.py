"""Read models fed from the event log. The README of this library explains the mechanism."""

from projections.asof import AsOf, as_of, drop_as_of, list_as_of, position_at
from projections.audit import audit
from projections.columns import Amount
from projections.compare import Comparison, Difference, TableComparison, compare
from projections.control import Control, controls, pause, resume, throttle
from projections.dead_letters import DeadLetter, Retried, dead_letters, discard, retry, retry_all, waiting_letters
from projections.errors import (
    CannotRebuildKeys,
    InvalidChange,
    InvalidPoint,
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
from projections.partial import KeysRebuilt, TableRebuilt, rebuild_keys
from projections.projection import Projection, on
from projections.readers import NOBODY, read_by, see
from projections.rebuild import Rebuilt, clear, drop_old, rebuild, rollback
from projections.rows import Rows
from projections.runner import Runner
from projections.status import Freshness, Status, status

__all__ = [
    "NOBODY",
    "Amount",
    "AsOf",
    "CannotRebuildKeys",
    "Comparison",
    "Control",
    "DeadLetter",
    "Difference",
    "Freshness",
    "InvalidChange",
    "InvalidPoint",
    "InvalidProjection",
    "KeysRebuilt",
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
    "TableRebuilt",
    "WorkerFailed",
    "as_of",
    "audit",
    "clear",
    "compare",
    "controls",
    "dead_letters",
    "discard",
    "drop_as_of",
    "drop_old",
    "install_sql",
    "list_as_of",
    "on",
    "pause",
    "position_at",
    "read_by",
    "rebuild",
    "rebuild_keys",
    "resume",
    "retry",
    "retry_all",
    "rollback",
    "see",
    "status",
    "throttle",
    "waiting_letters",
]
