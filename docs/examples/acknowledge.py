"""Tells of every paid reward: each at least once. `python acknowledge.py localhost:9092`"""

import asyncio
import sys

from annals import subscribe
from contracts.rewards import RewardPaid


async def main(bootstrap: str) -> None:
    payments = subscribe("rewards.events", types=[RewardPaid], bootstrap=bootstrap, group="acme.letters")
    async with payments:
        async for payment in payments:
            await send_letter(payment.id, payment.message)
            payment.ack()  # only now: a crash before it brings the message again


async def send_letter(letter: str, paid: RewardPaid) -> None:
    """Whoever sends must know a letter that it sent already: `letter` is the same for every delivery."""
    print(f"letter {letter}: {paid.claimant} was paid {paid.amount}", flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
