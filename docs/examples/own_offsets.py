"""Keeps what everybody was paid in SQLite: each payment exactly once. `python own_offsets.py localhost:9092 paid.db`"""

import asyncio
import sqlite3
import sys

from annals import subscribe
from contracts.rewards import RewardPaid

TABLES = """
CREATE TABLE IF NOT EXISTS paid (claim TEXT PRIMARY KEY, claimant TEXT, amount TEXT);  -- too large for its integers
CREATE TABLE IF NOT EXISTS offsets (partition INTEGER PRIMARY KEY, next INTEGER);
"""


async def main(bootstrap: str, file: str) -> None:
    database = sqlite3.connect(file)
    database.executescript(TABLES)
    offsets = dict(database.execute("SELECT partition, next FROM offsets"))
    async with subscribe("rewards.events", types=[RewardPaid], bootstrap=bootstrap, offsets=offsets) as payments:
        async for payment in payments:
            paid = payment.message
            with database:  # one transaction: the effect and how far we have read
                database.execute("INSERT INTO paid VALUES (?, ?, ?)", (paid.claim_id, paid.claimant, str(paid.amount)))
                database.execute(
                    "INSERT INTO offsets VALUES (?, ?) ON CONFLICT (partition) DO UPDATE SET next = excluded.next",
                    (payment.partition, payment.next_offset),
                )
            print(f"{paid.claimant} was paid {paid.amount}", flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
