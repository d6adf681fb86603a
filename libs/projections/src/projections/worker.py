"""The process that feeds one partition for `parallel.advance`: `python -m projections.worker`, its task on stdin."""

from __future__ import annotations

import asyncio
import json
import os
import pickle
import sys
import threading
from functools import partial

import asyncpg

from eventlog import EventLog
from projections.batch import Batch, describe_error
from projections.control import Pace
from projections.follow import deliver, follow
from projections.generation import require
from projections.parallel import Task
from projections.partitions import Partition


async def work(task: Task) -> None:
    """Apply everything of one partition up to the task's end, telling how far it is."""
    async with asyncpg.create_pool(*task.connect, **task.connect_options, min_size=0, max_size=2) as pool:
        log = EventLog(pool, task.types)
        partition = Partition(task.projection, task.types, task.suffix, task.share, task.run)

        async def next_batch(position: int) -> Batch:
            return await partition.read(log, position, task.until)

        async with pool.acquire() as conn:
            pace = Pace(conn, partition.schema, on_pause=lambda: tell(paused=True))

            async def after_batch(batch: Batch) -> None:
                tell(position=batch.upto, events=len(batch.events))
                await pace.keep(len(batch.events) * task.share.count)  # the pace is that of all workers together

            await conn.execute("SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0")
            position = await require(partition, conn)
            await follow(partition, partial(deliver, conn), next_batch, position, task.until, after_batch)


def tell(**what: object) -> None:
    print(json.dumps(what), file=_parent, flush=True)


def main() -> None:
    sys.path[:] = pickle.load(sys.stdin.buffer)  # noqa: S301 - from the parent, which started this process
    task: Task = pickle.load(sys.stdin.buffer)  # noqa: S301
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        asyncio.run(work(task))
    except Exception as error:
        tell(error=describe_error(error))
        raise


def _end_with_parent() -> None:
    os.read(sys.stdin.fileno(), 1)  # nothing more comes: it returns when the parent is gone
    os._exit(1)


if __name__ == "__main__":
    _parent, sys.stdout = sys.stdout, sys.stderr  # what a handler prints does not get between
    main()
