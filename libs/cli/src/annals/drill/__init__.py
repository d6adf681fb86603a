"""A disaster for practice: a service loses its database and its key store under load, and gets them back.

It has servers of its own, so that nothing else is in danger. The steps are those of docs/operations.md.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

from rich.console import Console

from annals import kafka_audit, maintenance, proofs, recovery
from annals.directory import in_environment
from annals.drill.load import COMMANDS, Load
from annals.drill.scene import Scene
from annals.errors import UnknownName
from annals.services import Installed, find
from local_stack.stack import scratch_folder

RPO = timedelta(minutes=15)
RTO = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the drill came to. What the backups alone had lost is told, too; Kafka's copy of the log closes that gap."""

    service: str
    answered: int
    """Commands that were answered before the disaster."""
    events: int
    """Of the log, when all was restored."""
    lost_from_backups: int
    """Answered commands that the backups did not have."""
    lost: int
    """Answered commands that were neither in the backups nor on Kafka."""
    rpo_backups_seconds: float
    """Age, at the moment of the disaster, of the oldest command that the backups did not have; 0 if they had all."""
    rpo_seconds: float
    """The same of what was lost for good."""
    rto_seconds: float
    """From the disaster until the service was ready and its read models complete."""
    erased_again: bool
    """A subject erased after the last backup of the keys is erased in the restored key store, too."""
    problems: list[str]

    @property
    def ok(self) -> bool:
        in_time = self.rpo_seconds < RPO.total_seconds() and self.rto_seconds < RTO.total_seconds()
        return in_time and self.erased_again and not self.problems

    def sentences(self) -> list[str]:
        tombstone = "erased again before anything was opened" if self.erased_again else "NOT erased"
        return [
            f"{self.answered:,} commands were answered until the database and the key store were destroyed",
            f"RPO: {self.rpo_seconds:.2f} s, {self.lost} of them lost; from the backups alone "
            f"{self.rpo_backups_seconds:.2f} s, {self.lost_from_backups} lost",
            f"RTO: {self.rto_seconds:.1f} s until {self.service} was ready, with {self.events:,} events in its log",
            f"the subject who was erased after the last backup of the keys: {tombstone}",
            "log, topics and read models: " + ("nothing is wrong" if not self.problems else "; ".join(self.problems)),
        ]

    def to_dict(self) -> dict[str, Any]:
        return {"ok": self.ok, **asdict(self)}


async def rehearse(console: Console, *, seconds: float, service: str = "rewards") -> Outcome:
    """Has the disaster happen to a service after `seconds` of load.

    Raises UnknownName, and what a step raises; then nothing is left running.
    """
    if service not in COMMANDS:
        raise UnknownName.among("the drill has no load for a service", service, COMMANDS)
    installed = find(service)
    name = f"test-drill-{os.getpid()}-{secrets.token_hex(3)}"
    async with contextlib.AsyncExitStack() as stack:
        folder, lock = stack.enter_context(scratch_folder(name))
        scene = await Scene.build(installed, folder, lock, stack)
        console.print(f"{service} runs, and its two servers are backed up: {seconds:g} s of load")
        async with Load(scene.client(), service) as load:
            await load.for_seconds(seconds)
            await scene.erase()
            destroyed = load.ends_badly()
            await scene.destroy()
        console.print("the database and the key store are destroyed")
        await scene.restore_keys()
        await scene.restore_log()
        console.print("both are restored from their backups, the keys as they were before an erasure")
        return await _recovered(installed, scene, load, destroyed, console)


async def _recovered(service: Installed, scene: Scene, load: Load, destroyed: float, console: Console) -> Outcome:
    with in_environment(scene.environment):
        not_in_backups = await scene.missing(load.answered)
        await recovery.recover(service.name, console)
        lost = await scene.missing(load.answered)
        key_was_back = await scene.has_key()
        await scene.start()
        await scene.caught_up()
        ready = time.time()
        console.print("recovered from Kafka, and ready; now everything is compared")
        problems = await _problems(service, console)
    return Outcome(
        service=service.name,
        answered=len(load.answered),
        events=await scene.events(),
        lost_from_backups=len(not_in_backups),
        lost=len(lost),
        rpo_backups_seconds=_age(not_in_backups, load.answered, destroyed),
        rpo_seconds=_age(lost, load.answered, destroyed),
        rto_seconds=ready - destroyed,
        erased_again=key_was_back and not await scene.has_key(),
        problems=problems,
    )


async def _problems(service: Installed, console: Console) -> list[str]:
    """What is wrong with the log, its topics and its read models; Kafka has everything soon."""
    verified = await proofs.verify(service.name, against_topic=True, against_chain=False, console=console)
    topics = await kafka_audit.inspect([service], console)
    models = await maintenance.audit(service.name, [], console)
    return [
        *(problem.sentence for problem in verified.found.problems),
        *(f"topic {report.topic} is not what the log says" for report in topics if not report.ok),
        *(f"rows differ: {comparison}" for comparison in models if not comparison.equal),
    ]


def _age(missing: set[int], answered: Mapping[int, float], destroyed: float) -> float:
    return max(0.0, destroyed - min(answered[position] for position in missing)) if missing else 0.0
