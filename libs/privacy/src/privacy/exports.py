"""Making the copies that a log orders: of all that it holds of a subject, sealed to whoever asked for it.

The order comes first, as an event; the copy is kept, that is recorded, and only then is the position stored. So a
crash anywhere repeats at most the copying, and what was recorded is told again only if the copy is another one.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from eventlog import EventLog, Executor, Intent, RecordedEvent, Watermark
from privacy.copies import Copies, Copy, seal_for
from privacy.export import ExportAsked, ExportGathered, export
from privacy.gathering import Told, told
from privacy.keys import KeyStore
from privacy.orders import Orders
from privacy.vault import Vault

BATCH = 100
WAIT_SECONDS = 5.0  # one wait for an order; as often are copies looked at that have expired
READ_AT_ONCE = 20_000  # positions: bounds the run of one statement


class Exports:
    """Makes the copies that a log orders, and destroys those that have expired; a worker. Any number may run."""

    name = "exports"

    def __init__(
        self, service: str, log: EventLog, watermark: Watermark, keys: KeyStore, vault: Vault, copies: Copies
    ) -> None:
        self._service = service
        self._log = log
        self._executor = Executor(log)
        self._orders = Orders(self.name, log, watermark, keys, [ExportAsked], BATCH)
        self._vault = vault
        self._copies = copies

    async def run(self) -> None:
        """Runs until cancelled. Raises VaultLocked until the erasures of the log are carried out."""
        await self._orders.begin()
        log_id = await self._log.identity()
        while True:
            await self._copies.destroy_expired()
            for order in await self._orders.next(WAIT_SECONDS):
                await self._carry_out(order, log_id)
            await self._orders.carried_out(self._orders.read)

    async def _carry_out(self, order: RecordedEvent, log_id: UUID) -> None:
        asked: ExportAsked = order.event
        if asked.expires_at <= datetime.now(UTC):
            return
        events = await self._events(asked.subject, order.position - 1)
        copy = await self._copies.find(asked.request_id, asked.subject, self._service)
        if copy is None:
            head = {"service": self._service, "subject": asked.subject, "log": str(log_id), "upto": order.position - 1}
            box = seal_for(asked.public_key, asked.request_id, asked.subject, _text({**head, "events": events}))
            copy = Copy(asked.request_id, asked.subject, self._service, box, asked.expires_at)
            await self._copies.keep(copy)
        fact = ExportGathered(asked.request_id, asked.subject, copy.content_hash, len(copy.box), len(events))
        await self._executor.execute([Intent(order.stream, export, fact, datetime.now(UTC), order.metadata)])

    async def _events(self, subject: str, upto: int) -> list[Told]:
        found: list[Told] = []
        for after in range(0, upto, READ_AT_ONCE):
            events = await self._log.naming(subject, after, min(after + READ_AT_ONCE, upto))
            found += await told(events, subject, self._vault)
        return found


def _text(document: dict[str, Any]) -> bytes:
    return json.dumps(document, ensure_ascii=False).encode()
