"""Bringing one generation forward by several processes, each feeding a partition of its keys.

The protocol is one pipe each way. A worker gets its task on stdin, tells on stdout how far it is, one JSON object a
line, and ends with code 0 when it has reached the task's end. Its stdin closing means that the parent is gone, however
it went: the worker ends at once, and its open transaction with it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import pickle
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import asyncpg

from eventlog import EventTypes, Share
from projections.errors import InvalidProjection, WorkerFailed
from projections.generation import Generation
from projections.partitions import divide, unite
from projections.projection import Projection

logger = logging.getLogger("projections")

_RESTARTS = 3  # of each worker that was killed, by the kernel's out-of-memory killer for instance

OnAdvance = Callable[[int, int], None]
"""Is told the position that all workers have reached, and how many events were applied since it was last told."""


@dataclass(frozen=True, slots=True)
class Task:
    """What one worker has to do. It travels by pickle, so the projection and its events are found by import."""

    connect: tuple[Any, ...]
    connect_options: dict[str, Any]
    projection: Projection
    types: EventTypes
    suffix: str
    share: Share
    run: str
    until: int


async def advance(
    pool: asyncpg.Pool,
    conn: asyncpg.Connection,
    generation: Generation,
    types: EventTypes,
    *,
    until: int,
    workers: int,
    on_advance: OnAdvance,
    on_pause: Callable[[], None],
) -> int:
    """Apply everything up to `until`, or to where a broken-off run had come; returns the position.

    There are `workers` processes, or as many as that run had. `conn` holds the right to work on the generation. Raises
    WorkerFailed; what was done until then is kept, and is taken over by the next call.
    """
    run = uuid4().hex
    shares = await divide(conn, generation, workers, run)
    until = max(until, *(position for _, position in shares))
    reached = dict(shares)

    async def tend(share: Share) -> None:
        task = Task(*_address(pool), generation.projection, types, generation.suffix, share, run, until)
        for _ in range(1 + _RESTARTS):
            async with _started(_pickled(task)) as worker:
                async for told in _told(worker):
                    match told:
                        case {"position": int(position), "events": int(events)}:
                            reached[share] = position
                            on_advance(min(reached.values()), events)
                        case {"error": str(error)}:
                            raise WorkerFailed(f"{generation.schema}: worker {share.index}: {error}")
                        case _:
                            on_pause()
                code = await worker.wait()
            if code == 0:
                return
            logger.warning("%s: worker %d ended with code %d, starting another", generation.schema, share.index, code)
        raise WorkerFailed(f"{generation.schema}: worker {share.index} was killed {1 + _RESTARTS} times")

    try:
        async with asyncio.TaskGroup() as group:
            for share, position in shares:
                if position < until:
                    group.create_task(tend(share))
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None
    await unite(conn, generation, until, run)
    return until


def _address(pool: asyncpg.Pool) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """What the pool connects with; asyncpg keeps it but has no public way to ask."""
    return tuple(pool._connect_args), dict(pool._connect_kwargs)


def _pickled(task: Task) -> bytes:
    """What a worker reads: where to import from, then the task. Raises InvalidProjection if it can't be imported."""
    if type(task.projection).__module__ == "__main__":
        raise InvalidProjection(f"{type(task.projection).__name__}: a worker cannot import it from a script")
    try:
        return pickle.dumps(sys.path) + pickle.dumps(task)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise InvalidProjection(
            f"{type(task.projection).__name__}: its class, events and upcasters must be importable by name: {error}"
        ) from error


@asynccontextmanager
async def _started(task: bytes) -> AsyncIterator[Process]:
    """A worker at its task; it does not outlive the block. A Ctrl-C on the terminal reaches the parent only."""
    worker = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", "projections.worker", stdin=PIPE, stdout=PIPE, start_new_session=True
    )
    assert worker.stdin is not None
    try:
        worker.stdin.write(task)
        yield worker
    finally:
        if worker.returncode is None:
            worker.kill()
        await worker.wait()


async def _told(worker: Process) -> AsyncIterator[dict[str, Any]]:
    """What the worker says, until it ends: a position with the events since, a pause, or an error."""
    assert worker.stdout is not None
    async for line in worker.stdout:
        yield json.loads(line)
