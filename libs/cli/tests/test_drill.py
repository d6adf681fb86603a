"""The drill itself: what it destroys comes back whole."""

from __future__ import annotations

import pytest
from rich.console import Console

from annals.drill import RPO, rehearse
from annals.errors import UnknownName


async def test_a_service_for_which_there_is_no_load_is_named_with_those_for_which_there_is() -> None:
    with pytest.raises(UnknownName, match=r"'chain'.*compliance, rewards, royalties"):
        await rehearse(Console(quiet=True), seconds=1, service="chain")


@pytest.mark.endurance
async def test_a_service_that_lost_its_database_and_its_keys_under_load_comes_back() -> None:
    outcome = await rehearse(Console(quiet=True), seconds=2)
    assert outcome.problems == []
    assert outcome.answered > outcome.lost, "what was answered within the last moments may be lost"
    assert outcome.rpo_seconds <= outcome.rpo_backups_seconds < RPO.total_seconds()
    assert outcome.erased_again
