"""What has been done of a deployment, written before it is done: a file of JSON lines that survives a kill.

Each record is on the disk before the step it announces begins, so whoever is killed and started again knows every
transaction that may be on its way. A last line that a kill cut off announces nothing, for its step had not begun.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tron.creation import contract_address
from tron.errors import TronError
from tron.model import TransactionInfo
from tron.transaction import Signed

Record = Mapping[str, Any]


class JournalError(TronError):
    """A journal that cannot be used: of another plan or chain, in use, or damaged."""


class Journal:
    """Records in memory: enough where nobody resumes. `Journal.open` gives one that is also a file."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    def write(self, **record: Any) -> None:
        """Add a record; when this returns it is on the disk."""
        self.records.append(record)

    @staticmethod
    @contextmanager
    def open(path: Path) -> Iterator[Journal]:
        """Open or create the file, for this process alone. Raises `JournalError` where another one has it open."""
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise JournalError(f"{path}: another process is deploying with this journal") from None
            _sync_folder(path)
            yield _FileJournal(path, descriptor)
        finally:
            os.close(descriptor)


class _FileJournal(Journal):
    def __init__(self, path: Path, descriptor: int) -> None:
        self._descriptor = descriptor
        content = path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        try:
            self.records = [json.loads(line) for line in whole.splitlines()]
        except ValueError as error:
            raise JournalError(f"{path}: not a journal: {error}") from None
        os.ftruncate(descriptor, len(whole))

    def write(self, **record: Any) -> None:
        line = json.dumps(record, separators=(",", ":")).encode() + b"\n"
        while line:
            line = line[os.write(self._descriptor, line) :]
        os.fsync(self._descriptor)
        self.records.append(record)


def _sync_folder(path: Path) -> None:
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


class Progress:
    """What a journal says: which steps are done, which are signed and perhaps on their way, where contracts are."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._facts: Record = {}
        self.included: dict[str, Mapping[str, Any]] = {}
        self.pending: dict[str, Signed] = {}
        self.addresses: dict[str, str] = {}
        self.fee_sun = 0
        for record in journal.records:
            self._apply(record)

    def begin(self, **facts: Any) -> None:
        """Say what is deployed, by whom and where. Raises `JournalError` if the journal is of another deployment."""
        self._facts = facts
        before = self._journal.records[0] if self._journal.records else facts
        for name, value in facts.items():
            if before.get(name) != value:
                raise JournalError(
                    f"this journal is of another deployment: {_difference(name, before.get(name), value)}"
                )

    def signed(self, step: str, signed: Signed) -> None:
        """Write that the step is about to be broadcast; before the first one, what is deployed."""
        if not self._journal.records:
            self._write(record="deployment", **self._facts)
        facts = {**asdict(signed), "wire": signed.wire.hex()}
        self._write(record="signed", step=step, **facts)

    def settled(self, step: str, info: TransactionInfo) -> None:
        """Write what has become of the step: it is done, or it has failed for good and needs another transaction."""
        kind = "included" if info.success else "failed"
        block, fee_sun = info.block_number, info.fee_sun
        self._write(record=kind, step=step, tx_id=info.tx_id, block=block, fee_sun=fee_sun)

    def dead(self, step: str) -> None:
        """Write that the transaction is proven to be in no block, now and ever."""
        self._write(record="dead", step=step)

    def _write(self, **record: Any) -> None:
        self._journal.write(**record)
        self._apply(record)

    def _apply(self, record: Mapping[str, Any]) -> None:
        facts = {name: value for name, value in record.items() if name not in ("record", "step")}
        match str(record["record"]):
            case "signed":
                self.pending[record["step"]] = Signed(**{**facts, "wire": bytes.fromhex(facts["wire"])})
            case "included":
                self.included[record["step"]] = facts
                owner = self.pending.pop(record["step"]).owner
                self.fee_sun += record["fee_sun"]
                if record["step"].startswith("create "):
                    self.addresses[record["step"].removeprefix("create ")] = contract_address(facts["tx_id"], owner)
            case "failed":
                self.fee_sun += record["fee_sun"]
                del self.pending[record["step"]]
            case "dead":
                del self.pending[record["step"]]
            case "deployment":
                pass
            case other:
                raise JournalError(f"expected a record of a deployment, found {other!r:.80}")


def _difference(name: str, before: Any, now: Any) -> str:
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        for key in sorted(before.keys() | now.keys()):
            if before.get(key) != now.get(key):
                return _difference(f"{name}.{key}", before.get(key), now.get(key))
    return f"{name}: expected {before!r:.80}, got {now!r:.80}"
