"""Every process of a town restarted in turn, as an upgrade does it: the next one only when all are well again."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from itertools import cycle

from annals.town import Town

STOP_SECONDS = 60
PATIENT = {"ANNALS_HTTP_PATIENCE_SECONDS": "28"}
"""A setting of the town: where servers and callers share two cores, PostgreSQL may take its time to return."""
SERVERS = ("PostgreSQL", "Kafka")
GATEWAY = "gateway"


def all_of(town: Town) -> list[str]:
    """The names of its processes, but the devnet, which stands for somebody else's nodes."""
    return [*SERVERS, GATEWAY, *town.instances]


def endlessly(town: Town) -> Iterator[str]:
    """The same, again and again."""
    return cycle(all_of(town))


async def restart(town: Town, name: str, environment: Mapping[str, str] | None = None) -> None:
    """Stops a process gracefully, starts it again, and waits until every instance is ready.

    An instance is started with these variables beside those of the town.
    """
    if name == GATEWAY:
        town.reload_gateway()  # its workers are new; a new master would not be our child
    elif name in SERVERS:
        await town.restart(name)
    else:
        town.terminate(name)
        if (status := await town.ended(name, STOP_SECONDS)) != 0:
            raise RuntimeError(f"{name} ended with status {status}, expected 0")
        await town.start_service(name, environment=environment)
    await asyncio.gather(*(town.until_ready(instance) for instance in town.instances))
