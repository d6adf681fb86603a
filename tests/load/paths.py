"""All paths, in the order in which they are measured. Another one is a Path in one of these modules, or a module."""

from __future__ import annotations

import accepting
import appends
import budgets
import heads
import ingestion
import journey
import peers
import proving
import reads
import rewarding
import selling
import simulating
import statements
import streams

PATHS = {
    path.name: path
    for module in (
        appends,
        reads,
        streams,
        heads,
        ingestion,
        journey,
        rewarding,
        simulating,
        selling,
        statements,
        accepting,
        budgets,
        proving,
        peers,
    )
    for path in module.PATHS
}
