"""Commands that meet in one stream, decided together: it costs one append for all who wait, not one for each."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from eventlog.append import Appended
from eventlog.decider import AnyIntent, Executor
from eventlog.errors import is_transient
from eventlog.events import NewEvent

MOST = 48  # intents of one append; of a few events each, they stay one statement


@dataclass(frozen=True, slots=True)
class Decided:
    """What one intent led to, and the append that holds it; None when there was nothing to append."""

    events: Sequence[NewEvent]
    appended: Appended | None


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    intent: AnyIntent
    outcome: asyncio.Future[Decided]


class Together:
    """Executes the intents of concurrent callers, those that meet in the same stream in one append.

    While an append is under way, the next intents gather; then all of them are decided in order, each on what those
    before it led to, and a refusal is its caller's alone. So of the callers in one process none ever loses a race for
    the stream. Between processes the append's compare-and-set decides, and who lost decides anew.
    """

    def __init__(self, executor: Executor, most: int = MOST) -> None:
        self._executor = executor
        self._most = most
        self._waiting: dict[str, deque[_Waiting]] = {}
        self._deciding: set[asyncio.Task[None]] = set()

    async def execute(self, intent: AnyIntent, meeting: str) -> Decided:
        """Returns when it is committed; `meeting` names the stream that many want. Raises what `decide` raises.

        Cancelled, it may be committed all the same: ask again to learn what happened.
        """
        waiting = _Waiting(intent, asyncio.get_running_loop().create_future())
        if meeting in self._waiting:
            self._waiting[meeting].append(waiting)
        else:
            self._waiting[meeting] = deque([waiting])
            task = asyncio.create_task(self._decide_waiting(meeting), name=f"decide {meeting}")
            self._deciding.add(task)
            task.add_done_callback(self._deciding.discard)
        return await waiting.outcome

    async def _decide_waiting(self, meeting: str) -> None:
        queue = self._waiting[meeting]
        try:
            while queue:
                batch = [queue.popleft() for _ in range(min(self._most, len(queue)))]
                await self._decide([waiting for waiting in batch if not waiting.outcome.done()])
        finally:  # in the same step as the last look at the queue, so that nobody is left waiting
            del self._waiting[meeting]
            for waiting in queue:  # this process ends
                waiting.outcome.cancel()

    async def _decide(self, batch: Sequence[_Waiting]) -> None:
        try:
            execution = await self._executor.execute([waiting.intent for waiting in batch], apart=True)
        except Exception as error:
            if len(batch) > 1 and not is_transient(error):  # of one of them: nobody meets another's error
                for waiting in batch:
                    await self._decide([waiting])
                return
            for waiting in batch:
                if not waiting.outcome.done():
                    waiting.outcome.set_exception(error)
            return
        for number, waiting in enumerate(batch):
            if waiting.outcome.done():  # its caller was cancelled
                continue
            if (refusal := execution.refused.get(number)) is not None:
                waiting.outcome.set_exception(refusal)
            else:
                events = execution.events[number]
                waiting.outcome.set_result(Decided(events, execution.appended if events else None))
