"""Kafka held against the log: what fits, and each way in which it may not."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.partitioner import murmur2

from eventlog import EventLog, Watermark
from messaging import Relay, TopicReport, audit
from messaging.audit import Contents, Found, Partition
from messaging.progress import read_progress
from messaging.reading import Step
from messaging.testing import count, eventually, publish_to, read_all, running


def contents(position: int, value: bytes = b"{}") -> Contents:
    return b"key", value, frozenset({("ce_id", b"%d" % position)})


async def found(*positions: int | None) -> AsyncIterator[Found]:
    for offset, position in enumerate(positions):
        yield Found(position, contents(position or 0), f"shop.events[0]@{offset}")


async def held(records: AsyncIterator[Found], expected: tuple[int, ...] = (1, 2, 3), horizon: int = 9) -> TopicReport:
    report = TopicReport("shop.events")
    partition = Partition(report, records)
    for position in expected:
        await partition.expect(position, contents(position))

    async def expects(position: int) -> bool:
        return position in expected

    await partition.finish(horizon, expects)
    return report


@pytest.mark.parametrize(
    ("positions", "faults"),
    [
        ([1, 2, 3], []),
        ([1, 2, 3, 10], []),  # published since the horizon was measured
        ([1, 2], ["missing: position 3"]),
        ([], ["missing: position 1", "missing: position 2", "missing: position 3"]),
        ([1, 1, 2, 3], ["doubled: shop.events[0]@1"]),
        ([1, 2, 3, 2], ["doubled: shop.events[0]@3"]),
        ([2, 1, 3], ["out of order: shop.events[0]@1"]),
        ([3, 1, 2], ["out of order: shop.events[0]@1", "out of order: shop.events[0]@2"]),
        ([1, 2, 3, 4], ["unexpected: shop.events[0]@3"]),
        ([1, None, 2, 3], ["unexpected: shop.events[0]@1"]),
        ([1, 3, 3], ["missing: position 2", "doubled: shop.events[0]@2"]),
    ],
)
async def test_a_partition_is_held_against_the_log(positions: list[int | None], faults: list[str]) -> None:
    report = await held(found(*positions))
    assert report.examples == faults
    assert report.events == 3
    assert report.ok is not bool(faults)


async def test_a_record_with_other_contents_is_a_changed_one_also_out_of_order() -> None:
    async def records() -> AsyncIterator[Found]:
        yield Found(2, contents(2, b"[]"), "a")
        yield Found(1, contents(1, b"[]"), "b")
        yield Found(3, contents(3), "c")

    assert (await held(records())).examples == ["changed: a", "out of order: b", "changed: b"]


async def test_an_untouched_topic_fits_and_what_was_done_to_it_is_named(
    log: EventLog, watermark: Watermark, kafka: str, name: str, topic: str, producer: AIOKafkaProducer
) -> None:
    for stream in range(5):
        await count(log, f"counter/{stream}", 1, 50)
    async with running(watermark, Relay(log, watermark, kafka, name, publish_to(topic))):
        await eventually(lambda: published(kafka, name, 250))
    steps: list[Step] = []

    async def audited() -> list[TopicReport]:
        return await audit(log, watermark, kafka, name, publish_to(topic), [topic], on_progress=steps.append)

    assert await audited() == [TopicReport(topic, events=250), TopicReport(f"{name}.log", events=250)]
    assert steps[-1] == Step("events", 250, 250)

    first = (await read_all(kafka, topic))[0]
    where = {"partition": first.partition, "key": first.key, "headers": list(first.headers)}
    await producer.send_and_wait(topic, first.value, **where)  # again
    await producer.send_and_wait(topic, b"{}", b"counter/9", headers=[("annalsposition", b"1")])  # of another log
    await producer.send_and_wait(topic, b"{}", b"counter/9")  # of none
    await producer.send_and_wait(f"{name}.log", b"{}", b"counter/9")
    report, copy = await audited()
    partition = murmur2(b"counter/9") % 2**31 % 4
    assert (report.missing, report.doubled + report.unexpected, report.out_of_order, report.changed) == (0, 3, 0, 0)
    assert report.doubled in (1, 2)  # two, where position 1 is published to the partition of counter/9
    assert any(fault.startswith(f"unexpected: {topic}[{partition}]@") for fault in report.examples)
    assert (copy.unexpected, copy.missing) == (1, 0)


async def test_what_the_relay_has_not_published_in_time_is_missing(
    log: EventLog, watermark: Watermark, kafka: str, name: str, topic: str
) -> None:
    await count(log, "counter/1", 1, 10)
    reports = await audit(log, watermark, kafka, name, publish_to(topic), [topic], patience_seconds=0)
    assert [(report.missing, report.examples[0]) for report in reports] == [(10, "missing: position 1")] * 2


async def test_a_topic_that_others_write_to_as_well_is_left_out(
    log: EventLog, watermark: Watermark, kafka: str, name: str, topic: str
) -> None:
    await count(log, "counter/1", 1, 10)
    async with running(watermark, Relay(log, watermark, kafka, name, publish_to(topic))):
        await eventually(lambda: published(kafka, name, 10))
    assert await audit(log, watermark, kafka, name, publish_to(topic), []) == [TopicReport(f"{name}.log", events=10)]


async def published(kafka: str, name: str, position: int) -> bool:
    progress = await read_progress(kafka, f"{name}.relay")
    return progress is not None and progress.position == position
