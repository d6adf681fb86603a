"""A whole town for the tests of one module: real servers, the contracts, every service as a process."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from annals.demo import acts
from annals.demo.theatre import Theatre
from annals.testing import scratch_theatre
from local_stack import containers

collect_ignore = [] if containers.chosen() else ["containers"]  # they need a Docker daemon; the report's header says so


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def theatre() -> AsyncIterator[Theatre]:
    """Documents are published and tracks released; what follows is up to the module. The environment is the town's."""
    async with scratch_theatre() as opened:
        with pytest.MonkeyPatch.context() as environment:
            for name, value in opened.directory.environment.items():
                environment.setenv(name, value)
            await acts.prologue(opened.stage, opened.scale)
            yield opened
