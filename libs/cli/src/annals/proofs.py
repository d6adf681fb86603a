"""Is a log still what was sealed? And the proof, for somebody else, that an event is part of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

from rich.console import Console

import eventlog
from annals import anchors
from annals.bars import steps
from annals.services import Installed, as_itself, find
from eventlog import Proof, Seal, Verification
from eventlog.leaves import SealedEvent, raw_time
from eventlog.restore import StoredEvent
from messaging import stored
from messaging.reading import OnProgress, Step, reading
from messaging.seals import read_published
from messaging.topics import log_topic


@dataclass(frozen=True, slots=True)
class Verified:
    """What verifying the log of a service came to."""

    service: str
    found: Verification

    @property
    def ok(self) -> bool:
        return self.found.ok

    def sentences(self) -> list[str]:
        """A line on what was verified, and one for each problem."""
        found = self.found
        compared = "not compared with Kafka"
        if found.published is not None:
            compared = f"{found.published:,} of them published"
        if found.anchored is not None:
            compared += f", {found.anchored:,} anchored"
        verdict = "nothing is wrong" if self.ok else f"{len(found.problems)} problems"
        return [
            f"{self.service}: {found.events:,} events, {found.sealed_events:,} of them under {found.seals:,} seals, "
            f"{compared}: {verdict}",
            *(f"  {problem.sentence}" for problem in found.problems),
        ]

    def to_dict(self) -> dict[str, Any]:
        return {"service": self.service, "ok": self.ok, **asdict(self.found)}


async def verify(name: str, *, against_topic: bool, against_chain: bool, console: Console) -> Verified:
    """Verifies the log of a service, if asked against its topics and what is anchored on the chain, too.

    The copy of the log on Kafka then says which events were forged, and what they were. Raises UnknownName, Malformed
    and BrokenSeal.
    """
    service = find(name)
    # Before the snapshot: whatever was published then must be in the table now.
    published = await read_published(service.settings().kafka_options(), name) if against_topic else None
    anchored = await anchors.anchored(name) if against_chain else None
    async with as_itself(service, "annals verify") as connection:
        with steps(console, name) as on_progress:
            found = await eventlog.verify(
                connection,
                published,
                anchored=anchored,
                on_progress=lambda done, total: on_progress(Step("positions", done, total)),
            )
            if against_topic and found.broken:
                copies = await _copies(service, found.broken, on_progress)
                found.problems += await eventlog.explain(connection, found.broken, copies)
    return Verified(name, found)


async def _copies(service: Installed, broken: Sequence[Seal], on_progress: OnProgress) -> list[SealedEvent]:
    """The events of some seals as the relay copied them to `<service>.log`; none where it makes no copy."""
    wanted = [range(seal.first_position, seal.last_position + 1) for seal in broken]
    copies = []
    async with reading(service.settings().kafka_options(), [log_topic(service.name).name]) as reader:
        for partition, extent in reader.extents.items():
            async for records in reader.records(partition):
                for event in map(stored.decode, records):
                    if any(event.position in positions for positions in wanted):
                        copies.append(_sealed(event))
                on_progress(Step("copies", records[-1].offset + 1, extent.end))
    return copies


def _sealed(event: StoredEvent) -> SealedEvent:
    times = {"occurred_at": raw_time(event.occurred_at), "recorded_at": raw_time(event.recorded_at)}
    return SealedEvent(**asdict(event) | times)


async def prove(name: str, event_id: UUID, upto_seal: int | None) -> Proof:
    """Proves that an event of a service's log is sealed. Raises UnknownName, LookupError and InvalidProof."""
    async with as_itself(find(name), "annals prove") as connection:
        return await eventlog.prove(connection, event_id, upto_seal)
