from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from local_stack.postgres import PostgresServer
from local_stack.testing import Devnet

sys.path.append(str(Path(__file__).parent))  # for what the tests here share

from small_town import Place, place


@pytest.fixture
async def chain_of_claims(devnet: Devnet, postgres: PostgresServer, database: str, kafka: str) -> AsyncIterator[Place]:
    """The contracts on a devnet, and the chain service; `database` is left for rewards."""
    async with place(devnet, postgres, database, kafka) as found:
        yield found
