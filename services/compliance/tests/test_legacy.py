"""Records of the system before: acceptances in JSON Lines, audit logs in SQLite."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from compliance import domain, handlers, legacy
from compliance.legacy import BroughtIn
from contracts.chain import DocumentType
from contracts.testing import hash_of
from eventlog import EventLog, EventTypes, Executor, Metadata, install_sql

NOW = datetime(2026, 6, 1, tzinfo=UTC)
TEXT = hash_of("terms", 1)
LINES = 100_000


@pytest.fixture
async def log(pool: asyncpg.Pool) -> EventLog:
    await pool.execute(install_sql())
    return EventLog(pool, EventTypes(domain.EVENTS))


def acceptance(number: int, **fields: Any) -> dict[str, Any]:
    return {
        "wallet_address": f"user-{number}",
        "document_type": "terms_of_service",
        "version": "1.0",
        "document_hash": TEXT,
        "accepted_at": f"2024-03-01T00:00:{number % 60:02}",
        "ip_address": "203.0.113.7",
        **fields,
    }


def write(folder: Path, *records: Any, name: str = "acceptances.jsonl") -> None:
    lines = (record if isinstance(record, str) else json.dumps(record) for record in records)
    (folder / name).write_text("".join(f"{line}\n" for line in lines))


def write_audit(path: Path, *rows: tuple[Any, ...]) -> None:
    with closing(sqlite3.connect(path)) as database:
        columns = "id INTEGER PRIMARY KEY, event_type, user_id, actor, timestamp, details"
        database.execute(f"CREATE TABLE audit_logs ({columns})")
        database.executemany("INSERT INTO audit_logs VALUES (?, ?, ?, ?, ?, ?)", rows)
        database.commit()


async def bring_in(log: EventLog, folder: Path, *, dry_run: bool = False) -> BroughtIn:
    return await legacy.bring_in(log, folder, NOW, lambda done, total: None, dry_run=dry_run)


async def test_facts_are_brought_in_once_with_the_time_at_which_they_happened(log: EventLog, tmp_path: Path) -> None:
    write(tmp_path, *(acceptance(number) for number in range(50)))
    first = await bring_in(log, tmp_path)
    assert (first.lines, first.new, first.known, first.bad) == (50, 50, 0, [])
    assert dict(first.left_behind) == {"ip_address": 50}
    [recorded] = await log.read_stream("acceptance/user-7/terms")
    assert recorded.event == domain.DocumentAccepted("user-7", DocumentType.TERMS, 1, TEXT, domain.How.IMPORT, None)
    assert recorded.occurred_at == datetime(2024, 3, 1, 0, 0, 7, tzinfo=UTC)
    assert not await log.pool.fetchval("SELECT EXISTS (SELECT FROM events AS e WHERE e::text LIKE '%203.0.113%')")
    again = await bring_in(log, tmp_path)
    assert (again.new, again.known, again.bad) == (0, 50, [])


async def test_what_was_interrupted_goes_on_and_more_may_be_added(log: EventLog, tmp_path: Path) -> None:
    write(tmp_path, *(acceptance(number) for number in range(10)))
    await bring_in(log, tmp_path)
    write(tmp_path, *(acceptance(number) for number in range(25)))
    found = await bring_in(log, tmp_path)
    assert (found.new, found.known) == (15, 10)


@pytest.mark.endurance
async def test_of_a_hundred_thousand_lines_all_good_ones_are_in_and_all_bad_ones_named_once(
    log: EventLog, tmp_path: Path
) -> None:
    def line(number: int) -> Any:
        wrong = ({"version": 0}, {"accepted_at": "yesterday"}, {"document_hash": "abc"}, {"document_type": "nda"})
        return (
            "no json"
            if number % 500 == 99
            else acceptance(number, **(wrong[number // 100 % 4] if is_bad(number) else {}))
        )

    def is_bad(number: int) -> bool:
        return number % 100 == 99

    write(tmp_path, *map(line, range(LINES)))
    bad_lines = [number + 1 for number in range(LINES) if is_bad(number)]
    first = await bring_in(log, tmp_path)
    assert (first.lines, first.new, first.known) == (LINES, LINES - len(bad_lines), 0)
    assert [bad.line for bad in first.bad] == bad_lines
    again = await bring_in(log, tmp_path)
    assert (again.new, again.known, again.bad) == (0, first.new, first.bad)
    assert (
        await log.pool.fetchval("SELECT count(DISTINCT stream) FROM events WHERE type = 'DocumentAccepted'")
        == first.new
    )
    assert await log.pool.fetchval("SELECT count(*) FROM events WHERE type = 'DocumentAccepted'") == first.new


async def test_a_dry_run_says_the_same_and_writes_nothing(log: EventLog, tmp_path: Path) -> None:
    write(tmp_path, acceptance(1), "no json", acceptance(2), acceptance(1))
    trial = await bring_in(log, tmp_path, dry_run=True)
    assert await log.pool.fetchval("SELECT count(*) FROM events") == 0
    assert await bring_in(log, tmp_path) == trial
    assert (trial.new, trial.known, len(trial.bad)) == (2, 1, 1)


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ("{", "JSON"),
        ("[]", "object"),
        ("\x00", "JSON"),
        (acceptance(1, wallet_address="ada@lovelace.example"), "wallet_address"),
        ({**acceptance(1), "wallet_address": None}, "wallet_address"),
        (acceptance(1, document_type="nda"), "artist-agreement"),
        (acceptance(1, version="1.5"), "version"),
        (acceptance(1, version=0), "version"),
        (acceptance(1, document_hash="abc"), "document_hash"),
        (acceptance(1, accepted_at="yesterday"), "accepted_at"),
        (acceptance(1, accepted_at=True), "accepted_at"),
        (acceptance(1, accepted_at=1e300), "accepted_at"),
        (acceptance(1, accepted_at="1999-01-01"), "accepted_at"),
        (acceptance(1, accepted_at="2027-01-01T00:00:00Z"), "past"),
        ({"user_id": "u-1"}, "document_type"),
    ],
)
async def test_a_bad_line_is_named_with_its_reason_and_the_others_go_in(
    log: EventLog, tmp_path: Path, record: Any, reason: str
) -> None:
    write(tmp_path, acceptance(2), record, "", acceptance(3))
    found = await bring_in(log, tmp_path)
    [bad] = found.bad
    assert (bad.file, bad.line, found.new) == ("acceptances.jsonl", 2, 2)
    assert reason in bad.reason
    assert "lovelace" not in bad.reason


async def test_another_text_than_the_published_one_is_refused(log: EventLog, tmp_path: Path) -> None:
    publish = domain.PublishDocument(DocumentType.TERMS, 1, TEXT, "ipfs://1", None, NOW, None)
    await Executor(log).execute([handlers.document(publish, NOW, Metadata())])
    other, prefixed = acceptance(2, document_hash=hash_of("other")), acceptance(3, document_hash=f"0x{TEXT}")
    write(tmp_path, acceptance(1), other, prefixed)
    found = await bring_in(log, tmp_path)
    assert (found.new, [bad.line for bad in found.bad]) == (2, [2])
    assert TEXT in found.bad[0].reason


async def test_rows_of_an_audit_log_become_audit_events_without_what_tells_of_a_person(
    log: EventLog, tmp_path: Path
) -> None:
    details = json.dumps({"count": 3, "ok.fine": True, "name": "ada", "text": TEXT, "Full Name": 1, "score": 0.5})
    write_audit(
        tmp_path / "audit.db",
        (1, "LOGIN_FAILED", "u-1", "gateway", 1_700_000_000, None),
        (2, "admin.role granted", "u-2", None, "2024-01-02 03:04:05", details),
        (3, "wipe", None, None, "2024-01-02T03:04:05+01:00", "not json"),
    )
    found = await bring_in(log, tmp_path)
    assert (found.lines, found.new) == (3, 2)
    assert [(bad.file, bad.line, bad.reason) for bad in found.bad] == [("audit.db", 3, "expected JSON")]
    assert dict(found.left_behind) == {"id": 2, "details.name": 1, "details.Full Name": 1, "details.score": 1}
    [first] = await log.read_stream("audit/import/audit.db/audit_logs/1")
    assert first.event == domain.AuditEventLogged("login_failed", "u-1", {})
    assert (first.metadata.actor, first.occurred_at.year) == ("gateway", 2023)
    [second] = await log.read_stream("audit/import/audit.db/audit_logs/2")
    kept = {"count": 3, "ok.fine": True, "text": TEXT}
    assert second.event == domain.AuditEventLogged("admin.role.granted", "u-2", kept)
    assert (await bring_in(log, tmp_path)).known == 2


async def test_a_row_that_says_something_else_than_before_is_bad(log: EventLog, tmp_path: Path) -> None:
    write_audit(tmp_path / "audit.db", (1, "login.failed", "u-1", None, 1_700_000_000, None))
    await bring_in(log, tmp_path)
    (tmp_path / "audit.db").unlink()
    write_audit(tmp_path / "audit.db", (1, "login.failed", "u-2", None, 1_700_000_000, None))
    [bad] = (await bring_in(log, tmp_path)).bad
    assert "key" in bad.reason


async def test_a_folder_without_files_and_a_broken_database_are_said(log: EventLog, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="jsonl"):
        await bring_in(log, tmp_path)
    (tmp_path / "audit.db").write_bytes(b"SQLite format 3\0" + bytes(100))
    with pytest.raises(OSError, match=r"audit\.db"):
        await bring_in(log, tmp_path)
