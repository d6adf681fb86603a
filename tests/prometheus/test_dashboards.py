"""The dashboards: queries that Prometheus understands, about metrics that there are, laid out so that all is seen."""

from __future__ import annotations

import json
import subprocess
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml
from known import ROOT, metrics_of, unknown_metrics

FILES = sorted((ROOT / "infra/grafana/dashboards").glob("*.json"))
DASHBOARDS = {path.stem: json.loads(path.read_text()) for path in FILES}


def panels(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


QUERIES = {
    f"{name}: {panel['title']}: {target['legendFormat']}": target["expr"]
    for name, dashboard in DASHBOARDS.items()
    for panel in panels(dashboard)
    for target in panel["targets"]
}


def test_prometheus_understands_every_query(promtool: Path, tmp_path: Path) -> None:
    rules = [
        {"record": f"query_{number}", "expr": expr.replace("$__rate_interval", "1m")}
        for number, expr in enumerate(QUERIES.values())
    ]
    file = tmp_path / "queries.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}))
    done = subprocess.run([promtool, "check", "rules", file], capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_query_is_about_metrics_that_there_are() -> None:
    assert {name: found for name, expr in QUERIES.items() if (found := unknown_metrics(expr))} == {}
    assert [name for name, expr in QUERIES.items() if not metrics_of(expr)] == []


@pytest.mark.parametrize("name", DASHBOARDS)
def test_each_panel_says_what_it_shows_and_in_which_unit(name: str) -> None:
    for panel in panels(DASHBOARDS[name]):
        assert panel["title"]
        assert panel["description"].endswith(".")
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert 1 <= len(panel["targets"]) <= 4


@pytest.mark.parametrize("name", DASHBOARDS)
def test_no_panel_hides_another(name: str) -> None:
    shown = DASHBOARDS[name]["panels"]
    assert len({panel["id"] for panel in shown}) == len(shown)
    places = [(at["x"], at["y"], at["x"] + at["w"], at["y"] + at["h"]) for at in (p["gridPos"] for p in shown)]
    assert all(right <= 24 for _, _, right, _ in places)
    for (left, top, right, bottom), (left2, top2, right2, bottom2) in combinations(places, 2):
        assert right <= left2 or right2 <= left or bottom <= top2 or bottom2 <= top


def test_grafana_is_given_the_folder_with_all_of_them() -> None:
    provider = yaml.safe_load((ROOT / "infra/grafana/provisioning/dashboards/annals.yml").read_text())["providers"][0]
    grafana = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["grafana"]
    assert f"./infra/grafana/dashboards:{provider['options']['path']}:ro" in grafana["volumes"]
    assert list(DASHBOARDS) == sorted(yaml.safe_load((ROOT / "infra/grafana/dashboards.yml").read_text()))
