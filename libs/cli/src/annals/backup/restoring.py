"""A data folder made of a base backup and the log behind it, ready for PostgreSQL to recover."""

from __future__ import annotations

import asyncio
import os
import shutil
import tarfile
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from annals.backup.errors import BackupError
from annals.backup.store import PARTIAL, SEGMENT, Base, Store

WAL = "annals_wal"
SETTINGS = f"""
# written by annals restore
restore_command = 'cp "{WAL}/%f" "%p"'
recovery_end_command = 'rm -rf {WAL}'
recovery_target_timeline = 'latest'
"""
STOP = """recovery_target_time = '{at}'
recovery_target_action = 'promote'
"""


@dataclass(frozen=True, slots=True)
class Restored:
    """A data folder that waits for its server, of version `base.version`."""

    folder: Path
    base: Base
    segments: int
    """Of the log, beside what the base backup has of it."""

    def to_dict(self) -> dict[str, Any]:
        return {"folder": str(self.folder), "base": asdict(self.base), "segments": self.segments}


async def restore(
    store: Store, folder: Path, *, name: str | None = None, at: datetime | None = None, base_only: bool = False
) -> Restored:
    """Fills the empty `folder`; its files belong to whom it belongs to.

    The server started on it recovers everything there is, or, with `at`, what was committed until then; `base_only`
    takes the base backup as it is. Killed anywhere, it leaves a folder to be emptied. Raises
    BackupError and KekError.
    """
    base = store.base(name, upto=at)
    _make_empty(folder)
    async with store.reading(f"base/{base.name}.tar") as file:
        await asyncio.to_thread(_unpack, file, folder)
    segments = [] if base_only else _needed(store.segments(), base)
    for segment in segments:
        async with store.reading(f"wal/{segment}") as file:
            await asyncio.to_thread(_write, file, folder / WAL / segment.removesuffix(PARTIAL))
    await asyncio.to_thread(_make_ready, folder, at)
    return Restored(folder, base, len(segments))


def _make_empty(folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise BackupError(f"{folder}: expected an empty folder")


def _unpack(file: IO[bytes], folder: Path) -> None:
    with tarfile.open(fileobj=file, mode="r|") as archive:
        # Refuses names that lead out of the folder. Python before 3.11.4 has no such filter, and the seal has to do.
        archive.extraction_filter = getattr(tarfile, "data_filter", None)
        archive.extractall(folder)  # noqa: S202 - filtered


def _needed(found: set[str], base: Base) -> list[str]:
    """Segments from the one with which the base backup begins, and all histories; in order.

    Of a segment that is there whole and in part, the whole one counts.
    """
    whole = {name for name in found if not name.endswith(PARTIAL)}
    parts = {name for name in found - whole if name.removesuffix(PARTIAL) not in whole}
    return sorted(
        name for name in whole | parts if not SEGMENT.match(name) or name[8:24] >= base.first_segment[8:]
    )  # fmt: skip


def _make_ready(folder: Path, at: datetime | None) -> None:
    with (folder / "postgresql.auto.conf").open("a") as settings:
        settings.write(SETTINGS + (STOP.format(at=at.isoformat()) if at is not None else ""))
    (folder / "recovery.signal").touch()
    owner = folder.stat()
    for path in (folder, *folder.rglob("*")):
        os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)
        path.chmod(0o700 if path.is_dir() else 0o600)


def _write(file: IO[bytes], path: Path) -> None:
    path.parent.mkdir(mode=0o700, exist_ok=True)
    with path.open("wb") as target:
        shutil.copyfileobj(file, target)
