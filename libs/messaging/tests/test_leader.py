"""Who leads, and who would take over, as everybody can see it."""

from __future__ import annotations

import asyncio

import asyncpg

from messaging.leader import Instances, _key, alone, instance, instances, leadership
from messaging.testing import eventually


async def test_the_leader_and_those_that_stand_by_are_seen_from_outside(pool: asyncpg.Pool) -> None:
    over = asyncio.Event()

    async def lead() -> None:
        async with leadership(pool, "relay:shop"):
            await over.wait()

    async def found() -> Instances:
        return await instances(pool, "relay:shop")

    assert await found() == Instances(None, ())
    both = [asyncio.create_task(lead()), asyncio.create_task(lead())]

    async def settled() -> bool:
        return await found() == Instances(instance(), (instance(),))

    await eventually(settled)
    assert await instances(pool, "relay") == Instances(None, ())  # another name
    over.set()
    await asyncio.gather(*both)

    async def over_with() -> bool:
        return await found() == Instances(None, ())

    await eventually(over_with)


async def test_whoever_has_to_be_alone_waits_for_the_session_of_a_leader_that_has_ended(
    database: str, pool: asyncpg.Pool
) -> None:
    ended = await asyncpg.connect(database)
    await ended.execute("SELECT pg_advisory_lock($1)", _key("relay:shop"))

    async def be_alone() -> None:
        async with pool.acquire() as connection, alone(connection, "relay:shop"):
            pass

    waiting = asyncio.create_task(be_alone())
    await asyncio.sleep(0.1)
    assert not waiting.done()
    await ended.close()
    await waiting
