"""One look at everything for all who watch, and how fast it moves: the difference between looks."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from time import monotonic

import httpx
from prometheus_client.parser import text_string_to_metric_families

from annals import http, status
from annals.errors import Exit, exit_code
from annals.services import installed
from annals.status import ServiceStatus

LOOKS = 5
"""Rates are over so many looks."""
STALE_SECONDS = 30.0
CHAIN = "chain"


@dataclass(frozen=True, slots=True)
class Look:
    """How everything was at a moment."""

    at: float
    services: tuple[ServiceStatus, ...]
    chain: Chain | None
    rates: Mapping[str, float]
    """A second, by the names that `counters` gives."""

    @property
    def problems(self) -> list[tuple[str, str]]:
        """Of which service, and what."""
        return [(service.name, problem) for service in self.services for problem in service.problems]


@dataclass(frozen=True, slots=True)
class Chain:
    """What the service at the root tells of its node."""

    head: float
    solid: float
    ingested: float
    lag_seconds: float


class Observer:
    """Looks when somebody asks and the last look is old; everybody who asks meanwhile gets the same."""

    def __init__(self, look_seconds: float, late_seconds: float) -> None:
        self._look_seconds = look_seconds
        self._late_seconds = late_seconds
        self._looks: deque[Look] = deque(maxlen=LOOKS)
        self._looking = asyncio.Lock()

    async def look(self, *, fresh: bool = False) -> Look:
        """How everything is. Takes as long as the slowest server, five seconds at most.

        `fresh`: a look that begins now, for whoever is about to act; the last one may be from before the act before.
        """
        async with self._looking:
            if fresh or not self._looks or monotonic() - self._looks[-1].at >= self._look_seconds:
                self._looks.append(await self._look())
            return self._looks[-1]

    async def looks(self) -> AsyncGenerator[Look, None]:
        """Each look from now on."""
        while True:
            yield await self.look()
            await asyncio.sleep(self._look_seconds)

    async def _look(self) -> Look:
        services, chain = await asyncio.gather(status.collect(self._late_seconds), _chain())
        at = monotonic()
        now = Look(at, tuple(services), chain, {})
        while self._looks and at - self._looks[0].at > STALE_SECONDS:
            self._looks.popleft()
        return Look(at, now.services, chain, rates(self._looks[0], now) if self._looks else {})


def counters(look: Look) -> dict[str, float]:
    """What only grows, by name."""
    found: dict[str, float] = {}
    for service in look.services:
        if service.log is not None:
            found[f"log {service.name}"] = service.log.position
        for relay in service.relays:
            if relay.position is not None:
                found[f"relay {relay.name}"] = relay.position
        for consumer in service.consumers:
            found[f"consumer {service.name} {consumer.topic}"] = consumer.offset
        for projection in service.projections:
            found[f"projection {service.name}.{projection.name}"] = projection.position
    if look.chain is not None:
        found["chain"] = look.chain.ingested
    return found


def rates(before: Look, now: Look) -> dict[str, float]:
    """How much a second each counter has grown; what began anew meanwhile is not known."""
    earlier, elapsed = counters(before), now.at - before.at
    return {
        name: (value - earlier[name]) / elapsed
        for name, value in counters(now).items()
        if name in earlier and value >= earlier[name] and elapsed > 0
    }


async def _chain() -> Chain | None:
    """None while it is not there, or nothing was read yet."""
    found = {name: value for name, _, value in await measures(CHAIN)}
    names = ("annals_chain_head_block", "annals_chain_solid_block", "annals_chain_ingested_block")
    if not all(name in found for name in names):
        return None
    head, solid, ingested = (found[name] for name in names)
    return Chain(head, solid, ingested, found.get("annals_chain_lag_seconds", 0.0))


async def measures(name: str) -> list[tuple[str, Mapping[str, str], float]]:
    """What a service measures: name, labels, value. Empty while it does not answer."""
    service = installed().get(name)
    if service is None:
        return []
    settings = service.settings()
    try:
        async with http.client(timeout=status.ANSWER_SECONDS) as client:
            answer = await client.get(f"http://{settings.http_host}:{settings.http_port}/metrics")
            answer.raise_for_status()
    except httpx.HTTPError as error:
        if exit_code(error) is not Exit.UNREACHABLE:
            raise
        return []
    families = text_string_to_metric_families(answer.text)
    return [(sample.name, sample.labels, sample.value) for family in families for sample in family.samples]
