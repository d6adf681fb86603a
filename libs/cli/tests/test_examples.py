"""The examples of docs/consuming.md, run as a reader would run them, killed and started again."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest

from contracts.chain import Pool, Source
from contracts.rewards import RewardPaid, VoteRecorded
from messaging.testing import NOW, delete_topics, send

pytestmark = pytest.mark.endurance

EXAMPLES = Path(__file__).parents[3] / "docs" / "examples"
HASH = "0x" + "ab" * 32


def paid(number: int) -> tuple[str, RewardPaid]:
    """A payment and the key of its pool."""
    claimant = "TJRabPrwbZy45sbavfcjinPJC18kjpRTv8"
    source = Source(contract=claimant, block_number=1, block_hash=HASH[2:], tx_id=HASH[2:], log_index=0, block_time=NOW)
    message = RewardPaid(
        claim_id=f"{number:064x}", pool=Pool.LISTENING, claimant=claimant, amount=number * 10**24, source=source
    )
    return f"pool/{number % 3}", message


@pytest.mark.parametrize("example", ["acknowledge.py", "own_offsets.py"])
async def test_an_example_tells_of_every_payment_however_often_it_is_killed(
    example: str, kafka: str, tmp_path: Path
) -> None:
    await delete_topics(kafka)
    arguments = [kafka, *([str(tmp_path / "paid.db")] if example == "own_offsets.py" else [])]
    told: list[str] = []
    for batch in (range(1, 11), range(11, 21)):
        vote = VoteRecorded(track_id="t", user="u", like=True, voted_at=NOW)
        await send(kafka, ("vote/t/u", vote), *(paid(number) for number in batch))
        program = await asyncio.create_subprocess_exec(sys.executable, EXAMPLES / example, *arguments, stdout=PIPE)
        assert program.stdout is not None
        async with asyncio.timeout(240):
            while not all(any(f" was paid {number * 10**24}\n" in line for line in told) for number in batch):
                told.append((await program.stdout.readline()).decode())
        program.kill()
        await program.wait()
    if example == "own_offsets.py":
        assert len(told) == 20
        with sqlite3.connect(tmp_path / "paid.db") as database:
            amounts = {int(amount) for (amount,) in database.execute("SELECT amount FROM paid")}
        database.close()
        assert amounts == {number * 10**24 for number in range(1, 21)}
