"""Collects the sealed copies that services have made for an archive; their answers on Kafka say where, and which.

Compliance fetches, and is never sent anything: so only it needs addresses and a token, and no service that holds
personal data opens a connection on the word of a message.
"""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import sha256
from urllib.parse import quote

import httpx

from compliance import domain, handlers
from compliance.settings import ComplianceSettings
from eventlog import EventLog, Executor, RecordedEvent, Watermark
from privacy import Copies, Copy, KeyStore, Orders
from service import get_logger

BATCH = 100
WAIT_SECONDS = 5.0  # one wait for an answer
LOOK_SECONDS = 1.0  # between two tries to fetch what could not be fetched
FETCH_SECONDS = 60.0
log = get_logger("compliance.collecting")


class Collector:
    """Fetches each copy that was answered, and records that it is here; a worker. Any number of instances may run.

    The copy is kept before it is recorded, and recorded before the position moves: a crash repeats at most a fetch.
    """

    name = "collecting"

    def __init__(
        self, events: EventLog, watermark: Watermark, keys: KeyStore, copies: Copies, settings: ComplianceSettings
    ) -> None:
        self._executor = Executor(events)
        self._answers = Orders(self.name, events, watermark, keys, [domain.ExportAnswered], BATCH)
        self._copies = copies
        self._settings = settings

    async def run(self) -> None:
        """Runs until cancelled."""
        await self._answers.begin()
        waiting: list[RecordedEvent] = []
        async with httpx.AsyncClient(timeout=FETCH_SECONDS) as http:
            while True:
                answers = await self._answers.next(LOOK_SECONDS if waiting else WAIT_SECONDS)
                waiting = [one for one in (*waiting, *answers) if not await self._collected(one, http)]
                await self._answers.carried_out(waiting[0].position - 1 if waiting else self._answers.read)

    async def _collected(self, recorded: RecordedEvent, http: httpx.AsyncClient) -> bool:
        """Whether nothing is left to do for an answer; False while its copy can't be had."""
        answer: domain.ExportAnswered = recorded.event
        request = (await self._executor.state(recorded.stream, domain.accesses))[answer.request_id]
        now, one = datetime.now(UTC), (answer.service, answer.copied)
        latest = request.answers.get(one) == answer.content_hash
        if request.expires_at is None or request.expires_at <= now or one in request.collected or not latest:
            return True
        if not await self._is_kept(answer, request.expires_at, http):
            return False
        record = domain.RecordCopy(answer.request_id, answer.copied, answer.service, answer.content_hash, now)
        await self._executor.execute([handlers.access_step(answer.subject, record, recorded.metadata)])
        return True

    async def _is_kept(self, answer: domain.ExportAnswered, expires_at: datetime, http: httpx.AsyncClient) -> bool:
        if answer.service == self._settings.name:
            return True  # our own is where we would bring it
        path = f"/exports/{quote(answer.request_id)}/{quote(answer.copied)}"
        try:
            token = self._settings.token_for_peers()
            headers = {"authorization": f"Bearer {token}"}
            response = await http.get(self._settings.addresses[answer.service] + path, headers=headers)
        except (httpx.HTTPError, OSError) as error:
            log.warning("a copy can't be fetched yet", service_of=answer.service, error=repr(error))
            return False
        if response.status_code != 200 or sha256(response.content).hexdigest() != answer.content_hash:
            log.warning("not the copy that was answered", service_of=answer.service, status=response.status_code)
            return False
        copy = Copy(answer.request_id, answer.copied, answer.service, response.content, expires_at)
        await self._copies.keep(copy)
        return True
