from __future__ import annotations

from pathlib import Path

import pytest

from zk import Prover


@pytest.fixture(scope="session")
def prover(annals_prover: Path) -> Prover:
    return Prover(annals_prover)
