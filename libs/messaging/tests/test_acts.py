"""Acts of callers on `audit.events`: told from the log, once, with what the stream was before and after."""

from __future__ import annotations

from dataclasses import replace

import asyncpg

from contracts.audit import Acted
from eventlog import EventLog, Metadata, NewEvent, Watermark
from eventlog.leaves import COLUMNS, SealedEvent
from messaging import Relay, cloudevents
from messaging.received import Received
from messaging.testing import NOW, Counted, eventually, publish_to, read_all, running

BY_ADA = Metadata(causation_id="ada/k-1", actor="ada", role="officer")


async def told(kafka: str, service: str) -> list[Received]:
    """The acts of a service, in the order of each stream; the topic is that of all services."""
    received = map(cloudevents.decode, await read_all(kafka, Acted.topic))
    return [one for one in received if one.source == f"/{service}"]


async def test_an_act_is_told_with_what_its_stream_was_before_and_after(
    tables: asyncpg.Pool, log: EventLog, watermark: Watermark, kafka: str, name: str, topic: str
) -> None:
    def event(stream: str, number: int) -> NewEvent:
        return NewEvent(stream, Counted(number), NOW)

    await log.append([event("counter/1", 1), replace(event("counter/1", 2), metadata=BY_ADA)])
    await log.append([event("counter/2", 1), replace(event("counter/3", 1), metadata=Metadata(actor="bob"))])

    async def relayed(number: int) -> None:
        async def has_told() -> bool:
            return len(await told(kafka, name)) == number

        async with running(watermark, Relay(log, watermark, kafka, name, publish_to(topic))):
            await eventually(has_told)

    await relayed(2)
    await log.append([event("counter/1", 3), replace(event("counter/1", 4), metadata=BY_ADA)])
    await relayed(3)  # a relay that starts again repeats nothing

    rows = await tables.fetch(f"SELECT {COLUMNS} FROM events ORDER BY position")
    leaves = {(row["stream"], row["version"]): SealedEvent(*row).leaf().hex() for row in rows}
    acts = {(one.message.stream, one.message.version): one for one in await told(kafka, name)}
    assert acts.keys() == {("counter/1", 2), ("counter/1", 4), ("counter/3", 1)}
    for (stream, version), one in acts.items():
        act = one.message
        assert isinstance(act, Acted)
        assert (act.digest, act.previous) == (leaves[stream, version], leaves.get((stream, version - 1)))
        assert (act.service, act.position, one.key) == (name, one.position, stream)
        assert one.id != str(act.event_id), "another message than the event's own"
    first = acts["counter/1", 2].message
    assert (first.actor, first.role, first.causation_id, first.action) == ("ada", "officer", "ada/k-1", "Counted")
    assert first.at == NOW
