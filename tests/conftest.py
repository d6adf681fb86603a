"""A whole town for the tests of one module: real servers, the contracts, every service as a process.

No more than two stand at once, however many workers pytest has: the others run what is light beside them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from xdist.scheduler import LoadFileScheduling

from annals.demo import acts
from annals.demo.theatre import Theatre
from annals.testing import scratch_theatre
from local_stack import containers

collect_ignore = [] if containers.chosen() else ["containers"]  # they need a Docker daemon; the report's header says so


TOWNS = {
    "tests/availability": "towns",
    "tests/docs": "towns",
    "tests/faults": "towns",
    "tests/e2e": "more towns",
    "tests/gateway": "more towns",
    "tests/prometheus": "more towns",
}
"""Whose files run one after another."""


class InTwoTowns(LoadFileScheduling):
    """Gives each worker a file at a time, or all that have a town."""

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        return TOWNS.get(file.rpartition("/")[0], file)


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> InTwoTowns | None:
    return InTwoTowns(config, log) if config.getoption("dist") == "loadfile" else None


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def theatre() -> AsyncIterator[Theatre]:
    """Documents are published and tracks released; what follows is up to the module. The environment is the town's."""
    async with scratch_theatre() as opened:
        with pytest.MonkeyPatch.context() as environment:
            for name, value in opened.directory.environment.items():
                environment.setenv(name, value)
            await acts.prologue(opened.stage, opened.scale)
            yield opened
