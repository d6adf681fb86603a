"""From a block of the devnet to its message on chain.head, read by a consumer; against a bare client that polls.

Blocks come every second with 50 contract events each, and the whole chain service runs beside: it ingests, projects
and publishes the same blocks.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from statistics import quantiles

import httpx
from aiokafka import AIOKafkaConsumer, TopicPartition
from harness import Goal, Path, Run
from servers import Servers

from annals.town import topic_name
from chain.app import create
from chain.publish import HEAD, TOPICS
from chain.submissions import COMMANDS
from contracts.head import BlockAdded
from local_stack import devnet as devnet_server
from local_stack.process import blocking
from messaging import cloudevents, ensure
from messaging.testing import delete_topics
from messaging.topics import log_topic, progress_topic, seals_topic
from service.testing import serving
from tron.client import NodeClient
from tron.contracts import DCMXToken
from tron.deploy import Deployment, Plan, deploy
from tron.keys import Key

BLOCK_SECONDS = 1.0
BLOCKS = 100
WARM_UP = 5  # blocks, in which topics are made and the interval is learned
PER_SECOND = 50
POLL_SECONDS = 0.05  # of the bare client

Blocks = Callable[[], Awaitable[float]]
"""Waits for the next block and returns its time, in seconds since 1970."""


async def told(servers: Servers) -> list[float]:
    """Seconds from each block to its message."""
    kafka, server = await servers.kafka(), await servers.postgres()
    own = [progress_topic(HEAD.name), *(topic("chain") for topic in (progress_topic, log_topic, seals_topic))]
    await delete_topics(kafka, *(topic.name for topic in (*TOPICS, HEAD, COMMANDS, *own)))  # another log's
    database = await asyncio.to_thread(server.create_database)
    try:
        async with _network(servers) as (url, at):
            contracts = {topic_name(contract.NAME): contract.address for contract in at.contracts()}
            async with serving(create, database, kafka, node_url=url, contracts=json.dumps(contracts)):
                return await _of_records(kafka)
    finally:
        await asyncio.to_thread(server.drop_database, database)


async def polled(servers: Servers) -> list[float]:
    """Seconds from each block to the answer of the node that shows it first."""
    async with _network(servers) as (url, _), NodeClient(url) as node:
        last = (await node.head()).number

        async def following() -> float:
            nonlocal last
            while (head := await node.head()).number == last:  # noqa: ASYNC110 - the node tells only who asks
                await asyncio.sleep(POLL_SECONDS)
            last = head.number
            return head.time_ms / 1000

        return await _latencies(following)


async def _of_records(kafka: str) -> list[float]:
    await ensure(kafka, [HEAD])
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka, isolation_level="read_committed", auto_offset_reset="earliest")
    await consumer.start()
    try:
        consumer.assign([TopicPartition(HEAD.name, 0)])

        async def following() -> float:
            message = cloudevents.decode(await consumer.getone()).message
            if not isinstance(message, BlockAdded):
                raise TypeError(f"expected only blocks, nothing reorganises here; found {message!r}")
            return message.time.timestamp()

        return await _latencies(following)
    finally:
        await consumer.stop()


async def _latencies(following: Blocks) -> list[float]:
    """Of BLOCKS blocks after the first few."""
    for _ in range(WARM_UP):
        await following()
    found = []
    for _ in range(BLOCKS):
        at = await following()
        found.append(time.time() - at)
    return found


@contextlib.asynccontextmanager
async def _network(servers: Servers) -> AsyncIterator[tuple[str, Deployment]]:
    """A devnet of its own in which tokens are transferred all the time."""
    starting = devnet_server.start(servers.folder, options=["--block-time", "0.1"])
    process, url = await asyncio.to_thread(blocking, starting)
    try:
        async with httpx.AsyncClient(base_url=f"{url}/devnet/", timeout=60) as control, NodeClient(url) as node:
            payer = Key.from_hex((await control.get("accounts")).json()[0]["private_key"])
            at = await deploy(node, payer, Plan(pools={}))
            call = DCMXToken(at.token).transfer(Key.random().address, 1)
            calls = [{"from": payer.address, "to": at.token, "data": call.data.hex()}]
            (await control.post("block-time", json={"seconds": BLOCK_SECONDS})).raise_for_status()
            load = {"transactions": 1_000_000, "calls": calls, "per_second": PER_SECOND}
            (await control.post("load", json=load)).raise_for_status()
            yield url, at
    finally:
        await asyncio.to_thread(blocking, process.stop())


class Quantiles:
    """One measurement for all the paths that tell of it: it takes as long as so many blocks take."""

    def __init__(self, measure: Callable[[Servers], Awaitable[list[float]]]) -> None:
        self._measure = measure
        self._found: list[float] = []

    def at(self, percent: int) -> Run:
        """The quantile in milliseconds."""

        async def run(servers: Servers) -> float:
            self._found = self._found or await self._measure(servers)
            return quantiles(self._found, n=100, method="inclusive")[percent - 1] * 1000

        return run


OURS, BARE = Quantiles(told), Quantiles(polled)
PATHS = (
    Path("head_latency", "ms, p99", OURS.at(99), BARE.at(99), Goal(ours=1_000, at_most=True), runs=1),
    Path("head_latency_p50", "ms, p50", OURS.at(50), BARE.at(50), runs=1),
)
