"""Carrying out the erasures that a log tells of: the key store follows the log as a read model does.

The fact comes first, as an event; the key is destroyed, every process has forgotten it, read models are cleared, that
is recorded, and only then is the position stored beside the keys. So a crash anywhere repeats at most what changes
nothing. Keys that were restored from an older backup are behind the log, and catch up before the vault opens anything.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic

from eventlog import EventLog, Executor, Intent, RecordedEvent, Watermark, last_seal
from privacy import metrics
from privacy.erasure import ErasureCarriedOut, SubjectErased, erasure
from privacy.keys import KeyStore
from privacy.orders import Orders
from privacy.vault import Vault

BATCH = 1_000
WAIT_SECONDS = 5.0  # one wait for an erasure
LOOK_SECONDS = 0.2  # between two looks at read models that have yet to clear their rows

Cleared = Callable[[RecordedEvent], Awaitable[Mapping[str, int] | None]]
"""How many rows the read models have cleared of a subject, by table; None while one of them is behind its erasure."""


async def nothing_to_clear(_: RecordedEvent) -> Mapping[str, int]:
    """For a log without personal read models."""
    return {}


@dataclass(frozen=True, slots=True)
class _Destroyed:
    """Erasures whose keys are gone, and when no process remembers these any more."""

    events: Sequence[RecordedEvent]
    forgotten_at: float


class Erasures:
    """Carries out the erasures of a log; a worker. Any number of instances may run: each repeats what is done."""

    name = "erasures"

    def __init__(
        self, log: EventLog, watermark: Watermark, keys: KeyStore, vault: Vault, cleared: Cleared = nothing_to_clear
    ) -> None:
        self._log = log
        self._executor = Executor(log)
        self._watermark = watermark
        self._orders = Orders(self.name, log, watermark, keys, [SubjectErased], BATCH)
        self._keys = keys
        self._vault = vault
        self._cleared = cleared

    async def run(self) -> None:
        """Runs until cancelled. Unlocks the vault when all are erased whom the log had erased when it began."""
        await self._orders.begin()
        begun = await self._watermark.measure()
        waiting: deque[_Destroyed] = deque()
        while True:
            if self._orders.read >= begun:  # before it waits: nothing may be appended for hours
                self._vault.unlock()
            if events := await self._orders.next(_pause(waiting)):
                await self._keys.erase(recorded.event.subject for recorded in events)
                waiting.append(_Destroyed(events, monotonic() + self._vault.seconds))
            while waiting and await self._complete(waiting[0]):
                await self._orders.carried_out(waiting.popleft().events[-1].position)
            if not waiting:
                await self._orders.carried_out(self._orders.read)
            metrics.waiting.set(sum(len(batch.events) for batch in waiting))

    async def _complete(self, destroyed: _Destroyed) -> bool:
        """Records what has been carried out; False if something is still remembered or shown."""
        if destroyed.forgotten_at > monotonic():
            return False
        done, seal = [], await last_seal(self._log.pool)
        sealed = (None, None) if seal is None else (seal.number, seal.hash.hex())
        for recorded in destroyed.events:
            rows = await self._cleared(recorded)
            if rows is None:
                return False
            fact = ErasureCarriedOut(recorded.event.request_id, recorded.event.subject, rows, *sealed)
            done.append(Intent(recorded.stream, erasure, fact, datetime.now(UTC), recorded.metadata))
        await self._executor.execute(done)
        return True


def _pause(waiting: Sequence[_Destroyed]) -> float:
    if not waiting:
        return WAIT_SECONDS
    return min(max(LOOK_SECONDS, waiting[0].forgotten_at - monotonic()), WAIT_SECONDS)
