"""Putting records of the system before on record here: all good ones, some thousand at a time, each once.

Repeated, it changes nothing, since what an acceptance or a row of an audit log is follows from its contents and its
place. So whatever interrupts it, the same command goes on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from errno import ENOENT
from itertools import islice
from pathlib import Path

from compliance.domain import Refusal
from compliance.handlers import Facts
from compliance.legacy.read import Bad, Record, count, files_of, read
from eventlog import EventLog, Execution, Executor, Intent

AT_ONCE = 2_000

OnProgress = Callable[[int, int], None]
"""Gets the lines read and how many there are."""


@dataclass(slots=True)
class BroughtIn:
    """What was found, and what became of it. `left_behind` counts fields that were not taken over, by name."""

    files: int = 0
    lines: int = 0
    new: int = 0
    known: int = 0
    bad: list[Bad] = field(default_factory=list)
    left_behind: Counter[str] = field(default_factory=Counter)


async def bring_in(log: EventLog, folder: Path, now: datetime, on_progress: OnProgress, *, dry_run: bool) -> BroughtIn:
    """Put on record what the files of a folder say; with `dry_run`, only find out what would become of it.

    Raises FileNotFoundError for a folder without files, OSError for what can't be read.
    """
    files = files_of(folder)
    if not files:
        raise FileNotFoundError(ENOENT, "expected files of JSON Lines (*.jsonl) or SQLite databases in", str(folder))
    total = sum(count(path) for path in files)
    hashes = await Facts(log).hashes()
    found, executor = BroughtIn(len(files)), Executor(log)
    for path in files:
        lines = read(path, path.relative_to(folder).as_posix(), lambda *version: hashes.get(version), now)
        while batch := list(islice(lines, AT_ONCE)):
            await _record(executor, batch, found, dry_run)
            on_progress(found.lines, total)
    return found


async def _record(executor: Executor, batch: list[Record | Bad], found: BroughtIn, dry_run: bool) -> None:
    records = [line for line in batch if isinstance(line, Record)]
    execution = await _execute(executor, [record.intent for record in records], dry_run)
    for number, (record, events) in enumerate(zip(records, execution.events, strict=True)):
        refusal = execution.refused.get(number)
        if refusal is None:
            found.new += len(events) > 0
            found.known += len(events) == 0
            found.left_behind.update(record.left_behind)
        elif isinstance(refusal, Refusal):
            found.bad.append(Bad(record.file, record.line, str(refusal)))
        else:
            raise refusal
    found.bad += [line for line in batch if isinstance(line, Bad)]
    found.lines += len(batch)


async def _execute(executor: Executor, intents: list[Intent], dry_run: bool) -> Execution:
    if not dry_run:
        return await executor.execute(intents, apart=True)
    async with executor.log.pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        try:
            return await executor.execute(intents, connection, apart=True)
        finally:
            await transaction.rollback()
