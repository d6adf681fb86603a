"""What a team outside gets from `subscribe`: every message, in order, however it reads, whatever happens."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaConnectionError

from annals import Delivery, GapFound, Subscription, subscribe
from contracts import Message
from local_stack.testing import CreateTopic
from messaging import Malformed, OffsetLost
from messaging.testing import eventually


class Shop:
    """A topic with messages of two types, and a producer for it."""

    def __init__(self, kafka: str, topic: str, producer: AIOKafkaProducer) -> None:
        self.kafka = kafka
        self.topic = topic
        self._producer = producer

        class Sold(Message, type=f"{topic}.Sold.v1"):
            number: int

        class Closed(Message, type=f"{topic}.Closed.v1"):
            pass

        self.Sold, self.Closed = Sold, Closed

    async def tell(
        self, *numbers: int, key: str = "shop/1", version: int | None = None, event: str | None = None
    ) -> None:
        for number in numbers:
            body = self.Sold(number=number).model_dump_json().encode()
            await self.send(self.Sold.type, body, key, version=version or number, event=event)

    async def send(
        self, ce_type: str, body: bytes, key: str = "shop/1", *, version: int | None = None, event: str | None = None
    ) -> None:
        headers = {"ce_specversion": "1.0", "ce_id": event or str(uuid4()), "ce_source": "/shop", "ce_type": ce_type}
        headers |= {} if version is None else {"annalsversion": str(version)}
        packed = [(name, value.encode()) for name, value in headers.items()]
        await self._producer.send_and_wait(self.topic, body, key.encode(), headers=packed)

    def subscribe(self, **options: Any) -> Subscription[Any]:
        return subscribe(self.topic, bootstrap=self.kafka, **options)


@pytest.fixture
async def shop(kafka: str, create_topic: CreateTopic) -> AsyncIterator[Shop]:
    topic = await create_topic(f"t{uuid4().hex[:12]}.events", partitions=2)
    async with AIOKafkaProducer(bootstrap_servers=kafka, acks="all") as producer:
        yield Shop(kafka, topic, producer)


@pytest.fixture
def group() -> str:
    return f"acme.{uuid4().hex[:12]}"


async def take(subscription: Subscription[Any], count: int) -> list[Delivery[Any]]:
    """The next messages, each acknowledged when the next is asked for, if it is that kind of subscription."""
    taken: list[Delivery[Any]] = []
    async with asyncio.timeout(240):
        async for delivery in subscription:
            taken.append(delivery)
            if len(taken) == count:
                return taken
    return taken


def numbers(deliveries: list[Delivery[Any]]) -> list[int]:
    return [delivery.message.number for delivery in deliveries]


async def test_a_message_comes_typed_with_all_that_says_where_it_stands(shop: Shop, group: str) -> None:
    await shop.tell(7, event="0198", version=3)
    async with shop.subscribe(group=group) as subscription:
        [delivery] = await take(subscription, 1)
    assert isinstance(delivery.message, shop.Sold)
    assert (delivery.id, delivery.source, delivery.key, delivery.version) == ("0198", "/shop", "shop/1", 3)
    assert (delivery.topic, delivery.offset, delivery.next_offset) == (shop.topic, 0, 1)


async def test_what_is_not_acknowledged_comes_again_and_what_is_does_not(shop: Shop, group: str) -> None:
    await shop.tell(1, 2, 3, 4)
    async with shop.subscribe(group=group) as subscription:
        first = await take(subscription, 4)
        for delivery in (first[0], first[1], first[3]):
            delivery.ack()
    async with shop.subscribe(group=group) as subscription:
        assert numbers(await take(subscription, 2)) == [3, 4]  # 4 too: offsets say how far, not which


async def test_offsets_stored_by_the_caller_go_on_exactly_there(shop: Shop) -> None:
    await shop.tell(1, 2, 3, key="a")
    await shop.tell(4, 5, 6, key="b")
    offsets: dict[int, int] = {}
    seen: list[tuple[str, int]] = []
    for _ in range(6):
        async with shop.subscribe(offsets=offsets) as subscription:
            [delivery] = await take(subscription, 1)
        offsets[delivery.partition] = delivery.next_offset
        seen.append((delivery.key, delivery.message.number))
    assert [number for key, number in seen if key == "a"] == [1, 2, 3]
    assert [number for key, number in seen if key == "b"] == [4, 5, 6]


async def test_a_subscription_can_begin_at_the_end(shop: Shop) -> None:
    await shop.tell(1)
    async with shop.subscribe(offsets={}, start="end") as subscription:
        reading = asyncio.create_task(take(subscription, 1))
        await asyncio.sleep(1)
        while not reading.done():
            await shop.tell(2)
            await asyncio.sleep(0.2)
    assert numbers(reading.result()) == [2]


async def test_types_that_are_unknown_or_not_asked_for_are_left_out_and_counted(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    await shop.send(shop.Closed.type, b"{}")
    await shop.send(f"{shop.topic}.Sold.v2", b'{"price": 3}')
    await shop.send(f"{shop.topic}.Sold.v2", b'{"price": 3}')
    await shop.tell(1)
    async with shop.subscribe(offsets={}, types=[shop.Sold]) as subscription:
        assert numbers(await take(subscription, 1)) == [1]
        assert (subscription.skipped.unwanted, subscription.skipped.unknown) == (1, 2)
    assert [record.message for record in caplog.records if "Sold.v2" in record.message] == [
        f"messages of type {shop.topic}.Sold.v2 are left out: this release of annals-contracts lacks it"
    ]


async def test_a_message_that_was_published_twice_is_delivered_once(shop: Shop) -> None:
    await shop.tell(1, event="one")
    await shop.tell(1, event="one")
    await shop.tell(2)
    async with shop.subscribe(offsets={}) as subscription:
        assert numbers(await take(subscription, 2)) == [1, 2]
        assert subscription.skipped.repeated == 1


async def test_a_missing_version_of_a_key_is_an_error_where_the_topic_is_complete(shop: Shop) -> None:
    await shop.tell(5, version=5)
    await shop.send(f"{shop.topic}.Other.v1", b"{}", version=6)  # nobody knows it, but it has its place
    await shop.tell(7, version=7)
    await shop.tell(5, version=5)
    await shop.tell(9, version=9)
    async with shop.subscribe(offsets={}, complete=True) as subscription:
        assert numbers(await take(subscription, 2)) == [5, 7]
        with pytest.raises(GapFound, match=r"key shop/1: expected version 8, found 9"):
            await take(subscription, 1)
        assert subscription.skipped.repeated == 1


async def test_a_record_that_is_no_message_is_an_error_unless_such_are_left_out(shop: Shop) -> None:
    await shop.send(shop.Sold.type, b'{"number": "many"}')
    await shop.tell(1)
    async with shop.subscribe(offsets={}) as subscription:
        with pytest.raises(Malformed, match="number"):
            await take(subscription, 1)
    async with shop.subscribe(offsets={}, skip_malformed=True) as subscription:
        assert numbers(await take(subscription, 1)) == [1]
        assert subscription.skipped.malformed == 1


async def test_messages_of_an_aborted_transaction_do_not_exist(shop: Shop) -> None:
    async with AIOKafkaProducer(bootstrap_servers=shop.kafka, transactional_id=shop.topic) as rival:
        await rival.begin_transaction()
        await Shop.tell(_with(shop, rival), 1)
        await rival.abort_transaction()
    await shop.tell(2)
    async with shop.subscribe(offsets={}) as subscription:
        assert numbers(await take(subscription, 1)) == [2]


def _with(shop: Shop, producer: AIOKafkaProducer) -> Shop:
    other = object.__new__(Shop)
    other.__dict__ = {**shop.__dict__, "_producer": producer}
    return other


async def test_instances_of_a_group_share_the_topic_and_take_over_from_each_other(shop: Shop, group: str) -> None:
    handled: list[int] = []

    async def work() -> None:
        async with shop.subscribe(group=group) as subscription:
            async for delivery in subscription:
                await asyncio.sleep(0.01)
                handled.append(delivery.message.number)
                delivery.ack()

    async def until(count: int) -> None:
        async def all_handled() -> bool:
            return len(set(handled)) >= count

        await eventually(all_handled)

    for number in range(1, 101):
        await shop.tell(number, key=f"shop/{number % 10}")
    workers = [asyncio.create_task(work())]
    await until(20)
    workers.append(asyncio.create_task(work()))
    await until(100)
    workers[0].cancel()
    for number in range(101, 151):
        await shop.tell(number, key=f"shop/{number % 10}")
    await until(150)
    workers[1].cancel()
    assert [type(one) for one in await asyncio.gather(*workers, return_exceptions=True)] == [asyncio.CancelledError] * 2
    for key in range(10):  # a message may come twice when partitions move, never out of order
        first = list(dict.fromkeys(number for number in handled if number % 10 == key))
        assert first == sorted(first)


async def test_it_connects_again_when_kafka_was_away(shop: Shop, group: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real: Callable[..., Any] = AIOKafkaConsumer.getmany
    failures = iter([True, False, True])

    async def getmany(self: AIOKafkaConsumer, **options: Any) -> Any:
        if next(failures, False):
            raise KafkaConnectionError("gone")
        return await real(self, **options)

    monkeypatch.setattr(AIOKafkaConsumer, "getmany", getmany)
    await shop.tell(1, 2, 3)
    async with shop.subscribe(group=group) as subscription:
        assert numbers(await take(subscription, 3)) == [1, 2, 3]
    assert next(failures, "none left") == "none left"


async def test_offsets_that_the_topic_does_not_have_are_an_error(shop: Shop) -> None:
    await shop.tell(1)
    with pytest.raises(OffsetLost, match="goes on at 7, found 0 to"):
        await take(shop.subscribe(offsets={0: 7, 1: 7}), 1)
    with pytest.raises(ValueError, match=r"has no partitions \[9\]"):
        await take(shop.subscribe(offsets={9: 0}), 1)


async def test_a_topic_that_does_not_exist_is_an_error(kafka: str) -> None:
    with pytest.raises(LookupError, match=r"topic 'nobody\.events' does not exist"):
        await take(subscribe("nobody.events", bootstrap=kafka, offsets={}), 1)


async def test_acknowledging_without_a_group_is_an_error(shop: Shop) -> None:
    await shop.tell(1)
    async with shop.subscribe(offsets={}) as subscription:
        [delivery] = await take(subscription, 1)
        with pytest.raises(TypeError, match="needs a subscription with a group"):
            delivery.ack()


def test_arguments_that_contradict_each_other_are_refused(kafka: str) -> None:
    from contracts.rewards import RewardPaid

    with pytest.raises(ValueError, match="expected a group, or offsets of your own"):
        subscribe("rewards.events", bootstrap=kafka)
    with pytest.raises(ValueError, match="and not both"):
        subscribe("rewards.events", bootstrap=kafka, group="acme", offsets={})
    with pytest.raises(
        ValueError, match=r"expected messages of topic chain\.music-nft, got rewards\.events\.RewardPaid"
    ):
        subscribe("chain.music-nft", bootstrap=kafka, group="acme", types=[RewardPaid])


def test_a_consumer_loads_neither_services_nor_what_they_need() -> None:
    program = "import sys, annals; print(*sorted(name.partition('.')[0] for name in sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    unwanted = {
        "service",
        "projections",
        "tron",
        "devnet",
        "local_stack",
        "chain",
        "rewards",
        "royalties",
        "compliance",
    }
    unwanted |= {"sqlalchemy", "fastapi", "faststream", "alembic", "typer", "rich", "httpx"}
    assert unwanted & set(loaded) == set()
