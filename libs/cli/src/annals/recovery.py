"""A service's log brought up to date from its copy on Kafka, as the owner of its database."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console

import messaging
import projections
from annals.bars import steps
from annals.services import Installed, as_owner, find
from messaging import Recovered
from messaging.topics import log_topic


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a recovery came to. `ahead` are projections with effects of events that are lost for good."""

    service: str
    recovered: Recovered
    ahead: tuple[str, ...]

    def sentence(self) -> str:
        done = self.recovered
        if not done.events:
            text = f"{self.service}: the log lacks nothing of what was published; it ends at {done.position:,}"
        else:
            text = (
                f"{self.service}: {done.events:,} events written back, positions {done.after + 1:,} to "
                f"{done.position:,}; {done.settled:,} messages took effect before and will be passed over"
            )
        rebuild = "".join(f"\n{name} has effects of lost events: annals rebuild {name}" for name in self.ahead)
        return text + rebuild

    def to_dict(self) -> dict[str, Any]:
        return {"service": self.service, **asdict(self.recovered), "rebuild": list(self.ahead)}


async def recover(name: str, console: Console) -> Outcome:
    """Recovers the log of a service. Raises UnknownName and what `messaging.recover` raises."""
    service = find(name)
    kafka = service.settings().kafka_options()
    async with as_owner(service, "annals log recover") as connection:
        with steps(console, log_topic(name).name) as on_progress:
            recovered = await messaging.recover(connection, kafka, name, service.consumes, on_progress=on_progress)
    return Outcome(name, recovered, await _ahead(service, recovered.position))


async def _ahead(service: Installed, position: int) -> tuple[str, ...]:
    async with service.log() as log:
        found = await projections.status(log.pool, log)
    return tuple(f"{service.name}.{status.name}" for status in found if status.furthest > position)
