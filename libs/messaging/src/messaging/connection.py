"""How to reach Kafka, and how to part from it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Mapping
from typing import Any, TypeAlias

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.client import AIOKafkaClient

logger = logging.getLogger(__name__)

START_SECONDS = 4
STOP_SECONDS = 4

Client: TypeAlias = AIOKafkaConsumer | AIOKafkaProducer | AIOKafkaClient | AIOKafkaAdminClient
Kafka = str | Mapping[str, Any]
"""The servers to start from (`host:port,host:port`), or aiokafka's arguments for a connection: `bootstrap_servers`,
`client_id`, and `security_protocol`, `ssl_context`, `sasl_…` for TLS and credentials."""


def options(kafka: Kafka) -> dict[str, Any]:
    """Returns the arguments that connect any aiokafka client."""
    return {"bootstrap_servers": kafka} if isinstance(kafka, str) else dict(kafka)


async def started(starting: Coroutine[Any, Any, Any]) -> None:
    """Awaits the start of a client; a cancellation of the caller waits for its end, for a few seconds at most.

    aiokafka forgets a connection that it is just opening when it is cancelled: nobody would ever close it.
    """
    start = asyncio.ensure_future(starting)
    try:
        await asyncio.wait({start})
    except asyncio.CancelledError:
        await asyncio.wait({start}, timeout=START_SECONDS)
        if not start.done():
            start.cancel()
        elif not start.cancelled() and (error := start.exception()) is not None:
            logger.debug("a Kafka client whose start was no longer wanted did not start: %r", error)
        raise
    start.result()


async def closed(*clients: Client) -> None:
    """Stops clients, however their starts went, in a few seconds and without losing a cancellation of the caller.

    aiokafka's `stop` and `close` cancel tasks of their own and await them. A cancellation of the caller that arrives
    there goes to such a task, which swallows it; and a task that was cancelled before its first step hands its
    cancellation to the caller, who was never cancelled. So they run in tasks that are waited for, not awaited.
    They also await answers, each for 40 s where a server is silent. Then the rest is done without it: the partitions
    of a consumer that has not said farewell move on when its session has expired.
    """
    stopping = [asyncio.ensure_future(_stop(client)) for client in clients]
    clock = asyncio.get_running_loop().time
    deadline = clock() + STOP_SECONDS
    try:
        await asyncio.wait(stopping, timeout=STOP_SECONDS)
    except asyncio.CancelledError:
        await asyncio.wait(stopping, timeout=deadline - clock())
        raise
    finally:
        for client, stop in zip(clients, stopping, strict=True):
            if not stop.done():
                stop.cancel()
                _drop(client)
                kind = type(client).__name__
                logger.warning("%s did not stop within %d s: left without a farewell", kind, STOP_SECONDS)
    for stop in stopping:
        if stop.done() and not stop.cancelled():
            stop.result()


async def _stop(client: Client) -> None:
    await (client.stop() if isinstance(client, AIOKafkaConsumer | AIOKafkaProducer) else client.close())


def _drop(client: Client) -> None:
    """Ends all that a client does in the background: a heartbeat that goes on would keep its partitions from others."""
    connections: Any = getattr(client, "_client", None) or getattr(client, "client", client)
    parts = [getattr(client, name, None) for name in ("_coordinator", "_fetcher", "_sender")]
    for part in (connections, *filter(None, parts)):
        for held in vars(part).values():
            if isinstance(held, asyncio.Task):
                held.cancel()
    for connection in connections._conns.values():
        connection.close()
