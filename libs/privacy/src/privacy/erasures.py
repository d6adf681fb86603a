"""Carrying out the erasures that a log tells of: the key store follows the log as a read model does.

The fact comes first, as an event; the key is destroyed, every process has forgotten it, that is reported, and only then
is the position stored beside the keys. So a crash anywhere repeats at most what changes nothing. Keys that were
restored from an older backup are behind the log, and catch up before anything is served.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any

from eventlog import EventLog, RecordedEvent, Watermark
from privacy.keys import KeyStore
from privacy.vault import Vault

BATCH = 1_000
WAIT_SECONDS = 5.0  # one wait for the log; only bounds how long an abandoned wait lives

SubjectOf = Mapping[type, Callable[[Any], str]]
"""The classes of events that erase somebody, each with how it names whom."""

Report = Callable[[Sequence[RecordedEvent]], Awaitable[None]]
"""Is told of erasures that are complete, of some again after a crash: it has to be idempotent."""


@dataclass(frozen=True, slots=True)
class _Destroyed:
    """Erasures whose keys are gone, and when no process remembers these any more."""

    events: Sequence[RecordedEvent]
    upto: int
    forgotten_at: float


class Erasures:
    """Destroys the keys of erased subjects; a worker. Any number of instances may run: each repeats what is done."""

    name = "erasures"

    def __init__(
        self, log: EventLog, watermark: Watermark, keys: KeyStore, vault: Vault, subject_of: SubjectOf, report: Report
    ) -> None:
        self._log = log
        self._watermark = watermark
        self._keys = keys
        self._remembered_seconds = vault.seconds
        self._subject_of = subject_of
        self._report = report
        self.caught_up = False
        """Whether the keys of all whom the log had erased when the process began are gone: serve nothing before."""

    async def run(self) -> None:
        log_id = await self._log.identity()
        destroyed, begun = await self._keys.done(log_id), await self._watermark.measure()
        complete: deque[_Destroyed] = deque()
        while True:
            seconds = max(0.0, complete[0].forgotten_at - monotonic()) if complete else WAIT_SECONDS
            horizon = await self._watermark.beyond(destroyed, min(seconds, WAIT_SECONDS))
            if horizon > destroyed:
                complete.append(await self._destroy(destroyed, horizon))
                destroyed = complete[-1].upto
            self.caught_up = self.caught_up or destroyed >= begun
            while complete and complete[0].forgotten_at <= monotonic():
                await self._report(complete[0].events)
                await self._keys.advance(log_id, complete.popleft().upto)

    async def _destroy(self, after: int, horizon: int) -> _Destroyed:
        types = self._log.types.names(self._subject_of)
        events = await self._log.read(after, horizon, BATCH, types=types)
        await self._keys.erase(self._subject_of[type(recorded.event)](recorded.event) for recorded in events)
        upto = events[-1].position if events else horizon
        return _Destroyed(events, upto, monotonic() + (self._remembered_seconds if events else 0.0))
