"""Anchors the logs of all services on the chain, by the seals that their relays have published."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from compliance import handlers
from compliance.domain import AnchorSeal, Contradiction
from compliance.settings import ComplianceSettings
from contracts.audit import log_id
from eventlog import Executor
from messaging.seals import last_published
from service import get_logger

LOOK_SECONDS = 60.0
log = get_logger("compliance.anchoring")


class Anchorer:
    """Asks for the newest seal of each log to be anchored, again and again; a worker.

    What was asked for is in the log before the chain service hears of it, so that a crash neither forgets nor repeats
    it. Any number of instances may run: one of them is first, the others find it asked for.
    """

    name = "anchoring"

    def __init__(self, executor: Executor, settings: ComplianceSettings) -> None:
        self._executor = executor
        self._settings = settings

    async def run(self) -> None:
        """Runs until cancelled."""
        if self._settings.anchor_seconds is None:
            await asyncio.Event().wait()
            return
        pause = timedelta(seconds=self._settings.anchor_seconds)
        while True:
            for service in self._settings.logs:
                await self.ask(service, pause)
            await asyncio.sleep(min(LOOK_SECONDS, self._settings.anchor_seconds))

    async def ask(self, service: str, pause: timedelta) -> None:
        """Asks for the last published seal of a log, if it is time. What contradicts the chain is logged."""
        seal = await last_published(self._settings.kafka_options(), service)
        if seal is None:
            return
        wanted = AnchorSeal(log_id(service), seal.number, seal.hash.hex(), datetime.now(UTC), pause)
        try:
            await self._executor.execute([handlers.anchor(wanted, wanted.at)])
        except Contradiction as contradiction:
            log.error("a log is not what was anchored of it", service_of=service, reason=str(contradiction))
