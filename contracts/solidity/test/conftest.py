import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # contract_evm.py stands beside the tests that use it

from contract_evm import TRX, Evm, hash_of


@pytest.fixture
def evm() -> Evm:
    """A fresh chain with the five contracts, MusicNFT as registrar, and five funded pools (100 tokens a day each)."""
    return Evm()


@pytest.fixture
def artist(evm: Evm) -> str:
    return evm.artist("artist")


@pytest.fixture
def track(evm: Evm, artist: str) -> int:
    """A released track: three editions at 10 TRX, royalty 10 %."""
    released = evm.nft.releaseTrack("Song", "Artist", hash_of("song"), 3, 10 * TRX, 1_000, sender=artist)
    return int(released.value)
