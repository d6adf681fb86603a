"""Every command of the documentation, typed from top to bottom by a reader at a local stack."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from pages import PAGES, ROOT, fences, title
from readers import Reader, reader

from annals.demo import acts
from annals.testing import scratch_theatre

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def newcomer(tmp_path_factory: pytest.TempPathFactory, readers_tools: None) -> AsyncIterator[Reader]:
    """Where tracks were sold and rewards claimed, so that there is something to see."""
    async with scratch_theatre(programs=["console"], settings={"ANNALS_SEAL_SECONDS": "1"}) as theatre:
        await acts.prologue(theatre.stage, theatre.scale)
        await acts.main_act(theatre.stage, theatre.scale)
        async with reader(tmp_path_factory.mktemp("reader"), theatre.directory.name) as found:
            await theatre.settled()
            yield found


@pytest.mark.parametrize("page", [page for page in PAGES if any(fence.runs for fence in fences(page))], ids=title)
async def test_what_a_page_says_can_be_typed(page: Path, newcomer: Reader) -> None:
    code, said = await newcomer.follow(page)
    assert code == 0, f"{page.relative_to(ROOT)}: {said[-6_000:]}"
