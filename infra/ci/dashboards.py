"""Grafana's dashboards, laid out from `infra/grafana/dashboards.yml`; `generated.py` writes them."""

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path
from string import ascii_uppercase
from typing import Any

import yaml

FOLDER = Path("infra", "grafana")
CHOSEN = 'service=~"$service", instance=~"$instance"'
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
WIDTH = 24
FIGURE, GRAPH = (4, 4), (8, 7)
"""Width and height of a panel that is one figure, and of one with lines."""

Json = dict[str, Any]


def dashboards(root: Path) -> dict[Path, str]:
    """Returns the text of each dashboard, by its place in the repository."""
    source = yaml.safe_load((root / FOLDER / "dashboards.yml").read_text())
    return {FOLDER / "dashboards" / f"{uid}.json": text_of(dashboard(uid, found)) for uid, found in source.items()}


def text_of(document: Json) -> str:
    """Returns a document as it is written to a file."""
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def dashboard(uid: str, source: Json) -> Json:
    """Returns a dashboard with all its panels."""
    return {
        "uid": f"annals-{uid}",
        "title": source["title"],
        "tags": ["annals"],
        "schemaVersion": 39,
        "editable": False,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": variables()},
        "links": [{"type": "dashboards", "title": "Annals", "tags": ["annals"], "asDropdown": True, "keepTime": True}],
        "panels": list(panels(source["rows"])),
    }


def variables() -> list[Json]:
    """Returns what the reader may choose: where the figures come from, services, instances."""
    queries = {
        "service": "label_values(annals_ready, service)",
        "instance": 'label_values(annals_ready{service=~"$service"}, instance)',
    }
    chosen: list[Json] = [
        {
            "name": name,
            "type": "query",
            "datasource": SOURCE,
            "query": {"query": query, "refId": name},
            "refresh": 2,
            "multi": True,
            "includeAll": True,
            "allValue": ".*",
            "current": {"text": "All", "value": "$__all"},
        }
        for name, query in queries.items()
    ]
    return [{"name": "datasource", "type": "datasource", "query": "prometheus"}, *chosen]


def panels(rows: Mapping[str, Sequence[Json]]) -> Iterator[Json]:
    """Yields the panels of all rows, from left to right and from top to bottom."""
    ids, top = count(1), 0
    for title, row in rows.items():
        yield {"id": next(ids), "type": "row", "title": title, "panels": [], "gridPos": place(0, top, WIDTH, 1)}
        left, top, tallest = 0, top + 1, 0
        for source in row:
            width, height = FIGURE if is_figure(source) else GRAPH
            if left + width > WIDTH:
                left, top, tallest = 0, top + tallest, 0
            yield panel(next(ids), source, place(left, top, width, height))
            left, tallest = left + width, max(tallest, height)
        top += tallest


def place(left: int, top: int, width: int, height: int) -> Json:
    """Returns a place on the grid."""
    return {"x": left, "y": top, "w": width, "h": height}


def is_figure(source: Json) -> bool:
    """Whether a panel is one figure, good or bad."""
    return "limit" in source or "needs" in source


def panel(number: int, source: Json, position: Json) -> Json:
    """Returns a panel."""
    return {
        "id": number,
        "type": "stat" if is_figure(source) else "timeseries",
        "title": source["title"],
        "description": source["says"],
        "gridPos": position,
        "datasource": SOURCE,
        "fieldConfig": {"defaults": look(source), "overrides": []},
        "options": {"graphMode": "area"} if is_figure(source) else {"tooltip": {"mode": "multi", "sort": "desc"}},
        "targets": [
            {"refId": letter, "datasource": SOURCE, "expr": expr.replace("$of", CHOSEN), "legendFormat": legend}
            for letter, (legend, expr) in zip(ascii_uppercase, source["shows"].items(), strict=False)
        ],
    }


def look(source: Json) -> Json:
    """Returns a panel's unit and colours."""
    if not is_figure(source):
        return {"unit": source["unit"], "min": 0, "custom": {"fillOpacity": 8, "showPoints": "never"}}
    below, above = ("green", "red") if "limit" in source else ("red", "green")
    steps = [{"color": below, "value": None}, {"color": above, "value": source.get("limit", source.get("needs"))}]
    return {"unit": source["unit"], "thresholds": {"mode": "absolute", "steps": steps}}
