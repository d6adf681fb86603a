"""A pytest plugin that keeps one test for each set of servers that tests need: all files are imported to find them."""

from collections.abc import Sequence

import pytest

SERVERS = frozenset({"postgres", "kafka", "devnet", "annals_prover", "prometheus", "promtool"})


@pytest.hookimpl(trylast=True)  # after what -m and -k leave
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselects all but the first test that needs PostgreSQL, that needs PostgreSQL and Kafka, and so on."""
    first: dict[frozenset[str], pytest.Item] = {}
    for item in items:
        first.setdefault(SERVERS.intersection(getattr(item, "fixturenames", ())), item)
    kept = set(first.values())
    others: Sequence[pytest.Item] = [item for item in items if item not in kept]
    items[:] = first.values()
    config.hook.pytest_deselected(items=others)
