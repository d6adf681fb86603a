"""A pytest plugin that keeps one test of each file: enough to import all, and to find what a wheel left out."""

from collections.abc import Sequence
from pathlib import Path

import pytest


@pytest.hookimpl(trylast=True)  # after what -m and -k leave
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselects all but the first test of each file."""
    first: dict[Path, pytest.Item] = {}
    for item in items:
        first.setdefault(item.path, item)
    others: Sequence[pytest.Item] = [item for item in items if first[item.path] is not item]
    items[:] = first.values()
    config.hook.pytest_deselected(items=others)
