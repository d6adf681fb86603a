"""A pytest plugin that keeps one test of each file: enough to import all, and to find what a wheel left out."""

from collections.abc import Sequence

import pytest


@pytest.hookimpl(trylast=True)  # after what -m and -k leave
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselects all but the first test of each file."""
    first = {item.path: item for item in reversed(items)}
    others: Sequence[pytest.Item] = [item for item in items if first[item.path] is not item]
    items[:] = first.values()
    items.sort(key=lambda item: item.path)
    config.hook.pytest_deselected(items=others)
