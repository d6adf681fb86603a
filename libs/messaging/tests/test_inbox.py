"""From messages to events of one's own."""

from __future__ import annotations

import asyncpg
from aiokafka import AIOKafkaProducer

from eventlog import Decider, EventLog, Executor, Intent
from messaging import Consumer, Received, inbox, list_parked
from messaging.testing import NOW, Counted, CountedMessage, eventually, headers, running

FORGETFUL = Decider(initial=0, decide=lambda number, _: [Counted(number)], evolve=lambda state, _: state)
"""It has no memory that would tell it of a message that comes again."""


def translate(received: Received) -> list[Intent]:
    assert isinstance(received.message, CountedMessage)
    return [Intent(received.key, FORGETFUL, received.message.number, NOW)]


async def test_a_message_that_is_published_twice_takes_effect_once_and_holds_up_nobody(
    tables: asyncpg.Pool, log: EventLog, producer: AIOKafkaProducer, kafka: str, name: str, topic: str
) -> None:
    again = headers(ce_id=b"published by somebody who did not hear that it was")
    for number, named in ((1, again), (1, again), (2, headers()), (1, again), (3, headers())):
        await producer.send_and_wait(topic, f'{{"number":{number}}}'.encode(), b"a", headers=named)
    async with running(Consumer(tables, kafka, name, [topic], inbox(translate, Executor(log)))):

        async def handled() -> bool:
            return bool(await tables.fetchval("SELECT sum(next_offset) FROM offsets") == 5)

        await eventually(handled)
    assert [event.event.number for event in await log.read_stream("a")] == [1, 2, 3]
    assert await list_parked(tables) == []
