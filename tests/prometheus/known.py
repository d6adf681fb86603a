"""What the files of Prometheus and Grafana are, and which metrics there are to speak of."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "infra/prometheus"
OF_EVERY_PROCESS = {"up", "ALERTS", "process_cpu_seconds_total", "process_resident_memory_bytes"}
"""Metrics of Prometheus itself, and of its Python client."""

_KINDS = dict(re.findall(r"^\| `(annals_\w+)` \| (\w+) \|", (ROOT / "docs/metrics.md").read_text(), re.MULTILINE))
_NAME = re.compile(r"\b(?:annals_\w+|process_\w+|ALERTS|up(?={))")
_OF_HISTOGRAMS = re.compile(r"_(?:bucket|count|sum)$")


def metrics_of(expr: str) -> set[str]:
    """The metrics that a query names."""
    return set(_NAME.findall(expr))


def unknown_metrics(expr: str) -> set[str]:
    """The metrics of a query that docs/metrics.md does not have."""
    return {name for name in metrics_of(expr) - OF_EVERY_PROCESS if not _is_known(name)}


def _is_known(name: str) -> bool:
    return name in _KINDS or _KINDS.get(_OF_HISTOGRAMS.sub("", name)) == "histogram"
