"""Records of the system before. The work is in the `legacy` module of the service."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.table import Table

from annals.bars import counting
from annals.services import find
from annals.terminal import Terminal, plain_table

SERVICE = "compliance"


async def bring_in(folder: Path, console: Terminal, *, dry_run: bool) -> Any:
    """Puts the records of a folder's files on record. Raises UnknownName without the service, OSError."""
    service = find(SERVICE)
    async with service.log() as log:
        with counting(console, SERVICE, "lines") as told:
            return await service.part("legacy").bring_in(log, folder, datetime.now(UTC), told, dry_run=dry_run)


def to_dict(found: Any) -> dict[str, Any]:
    """The summary; what is wrong with which line is in the report of errors."""
    return {
        "files": found.files,
        "lines": found.lines,
        "new": found.new,
        "known": found.known,
        "bad": len(found.bad),
        "left_behind": dict(sorted(found.left_behind.items())),
    }


def report(found: Any) -> str:
    """A line of JSON for each bad line: file, line, reason. Never its contents."""
    return "".join(
        json.dumps({"file": bad.file, "line": bad.line, "reason": bad.reason}, ensure_ascii=False) + "\n"
        for bad in found.bad
    )


def tables(found: Any, limit: int) -> list[Table]:
    """The first bad lines, and the fields that were left behind."""
    bad = plain_table("file", "line", "reason")
    for line in found.bad[:limit]:
        bad.add_row(line.file, str(line.line), line.reason)
    left = plain_table("left behind", "times")
    for name, times in found.left_behind.most_common(limit):
        left.add_row(name, f"{times:,}")
    return [table for table in (bad, left) if table.row_count]
