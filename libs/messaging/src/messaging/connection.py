"""How to reach Kafka, and how to part from it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.client import AIOKafkaClient

logger = logging.getLogger(__name__)

START_SECONDS = 4
STOP_SECONDS = 10

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


async def closed(client: AIOKafkaConsumer | AIOKafkaProducer | AIOKafkaClient | AIOKafkaAdminClient) -> None:
    """Stops a client, however its start went, without losing a cancellation of the caller.

    aiokafka's `stop` and `close` cancel tasks of their own and await them. A cancellation of the caller that arrives
    there goes to such a task, which swallows it; and a task that was cancelled before its first step hands its
    cancellation to the caller, who was never cancelled. So they run in a task that is waited for, not awaited.
    """
    stop = client.stop if isinstance(client, AIOKafkaConsumer | AIOKafkaProducer) else client.close
    stopping = asyncio.ensure_future(stop())
    try:
        await asyncio.wait({stopping}, timeout=STOP_SECONDS)
    except asyncio.CancelledError:
        await asyncio.wait({stopping}, timeout=STOP_SECONDS)
        raise
    finally:
        if not stopping.done():
            stopping.cancel()
            logger.warning("a Kafka client did not stop within %d s", STOP_SECONDS)
    if stopping.done() and not stopping.cancelled():
        stopping.result()
