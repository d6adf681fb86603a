"""What the system before left: acceptances in files of JSON Lines, audit logs in SQLite databases.

A line becomes a command with the time at which it happened. Only what is needed is taken over: everything else that a
line has, such as IP addresses and user agents, is left behind, and counted by its name.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from errno import EIO
from pathlib import Path
from typing import Annotated, Any

from pydantic import AliasChoices, BaseModel, BeforeValidator, Field, StrictBool, TypeAdapter, ValidationError

from compliance import domain, handlers
from compliance.api.common import DocumentName, VersionNumber
from compliance.api.trail import Code, Number
from contracts.chain import DocumentType
from contracts.values import Hash, SubjectId
from eventlog import Intent, Metadata

LINE_BYTES = 1_000_000
AUDIT_TABLES = ("audit_events", "audit_logs", "audit_log")
_SQLITE = b"SQLite format 3\0"

Published = Callable[[DocumentType, int], frozenset[Hash] | None]


@dataclass(frozen=True, slots=True)
class Record:
    """A line that can be put on record."""

    file: str
    line: int  # of a text; of a database, the row's id
    intent: Intent
    left_behind: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Bad:
    """A line that can't, and why; never with its contents, which may be personal."""

    file: str
    line: int
    reason: str


# ---- what a line is ----------------------------------------------------------------------------------------------


def _version(value: Any) -> Any:
    """2 for 2, "2", "v2", "2.0"."""
    match = re.fullmatch(r"v?(\d{1,9})(\.0)*", value, re.ASCII) if isinstance(value, str) else None
    return int(match[1]) if match else value


def _hash(value: Any) -> Any:
    return value.lower().removeprefix("sha256:").removeprefix("0x") if isinstance(value, str) else value


def _slug(value: Any) -> Any:
    """artist-agreement for ARTIST_AGREEMENT, "Artist Agreement"; terms for terms_of_service."""
    if not isinstance(value, str):
        return value
    slug = re.sub(r"[\s_-]+", "-", value.strip().lower())
    return {"terms-of-service": "terms", "tos": "terms", "privacy-policy": "privacy", "cookie-policy": "cookies"}.get(
        slug, slug
    )


def _code(value: Any) -> Any:
    """login.failed for "Login Failed"."""
    return re.sub(r"[\s/:]+", ".", value.strip().lower()) if isinstance(value, str) else value


def _moment(value: Any) -> Any:
    """A time in seconds or as ISO 8601; one without a zone is UTC."""
    if isinstance(value, bool) or (isinstance(value, int | float) and not abs(value) < 1e11):
        raise ValueError("expected a time")
    if isinstance(value, int | float):
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=value)
    if isinstance(value, str):
        found = datetime.fromisoformat(value)
        return found if found.tzinfo else found.replace(tzinfo=UTC)
    return value


Moment = Annotated[datetime, BeforeValidator(_moment), Field(ge=datetime(2009, 1, 1, tzinfo=UTC))]


class LegacyAcceptance(BaseModel):
    """A line of acceptances."""

    subject: SubjectId = Field(validation_alias=AliasChoices("subject", "wallet_address", "user_id"))
    document_type: Annotated[DocumentName, BeforeValidator(_slug)]
    version: Annotated[VersionNumber, BeforeValidator(_version)] = Field(
        validation_alias=AliasChoices("version", "document_version")
    )
    content_hash: Annotated[Hash, BeforeValidator(_hash)] = Field(
        validation_alias=AliasChoices("content_hash", "document_hash")
    )
    accepted_at: Moment = Field(validation_alias=AliasChoices("accepted_at", "timestamp"))


class LegacyAudit(BaseModel):
    """A row of an audit log."""

    kind: Annotated[Code, BeforeValidator(_code)] = Field(validation_alias=AliasChoices("event_type", "action", "kind"))
    subject: SubjectId | None = Field(None, validation_alias=AliasChoices("subject", "target", "user_id"))
    actor: SubjectId | None = None
    at: Moment = Field(validation_alias=AliasChoices("timestamp", "created_at", "at"))
    details: dict[str, Any] = Field({}, validation_alias=AliasChoices("details", "detail", "metadata"))


# ---- reading -----------------------------------------------------------------------------------------------------


def files_of(folder: Path) -> list[Path]:
    """The files that can be read, in the order of their names, so that a line is known again by file and number."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and (path.suffix == ".jsonl" or is_sqlite(path)))


def is_sqlite(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_SQLITE)) == _SQLITE


def count(path: Path) -> int:
    """How many lines there are to read."""
    if not is_sqlite(path):
        with path.open("rb") as file:
            return sum(1 for _ in file)
    with _database(path) as database:
        return sum(database.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in _tables(database))  # noqa: S608 - names of AUDIT_TABLES


def read(path: Path, name: str, published: Published, now: datetime) -> Iterator[Record | Bad]:
    """Each line of a file, by the `name` under which it is known. Raises OSError for what can't be read."""
    if is_sqlite(path):
        yield from _rows(path, name, now)
    else:
        yield from _lines(path, name, published, now)


def _lines(path: Path, name: str, published: Published, now: datetime) -> Iterator[Record | Bad]:
    with path.open("rb") as file:
        for number, line in enumerate(iter(lambda: file.readline(LINE_BYTES + 1), b""), 1):
            if len(line) > LINE_BYTES:
                raise OSError(EIO, f"line {number} is longer than {LINE_BYTES:,} bytes", str(path))
            if line.strip():
                yield _judged(name, number, lambda line=line: _acceptance(line, published, now))  # type: ignore[misc]


def _rows(path: Path, name: str, now: datetime) -> Iterator[Record | Bad]:
    with _database(path) as database:
        database.row_factory = sqlite3.Row
        for table in _tables(database):
            for row in database.execute(f"SELECT rowid AS row_number, * FROM {table} ORDER BY rowid"):  # noqa: S608 - names of AUDIT_TABLES
                fields = {key: row[key] for key in row.keys() if row[key] is not None}  # noqa: SIM118 - not a mapping
                number = fields.pop("row_number")
                key = f"import/{name}/{table}/{number}"
                yield _judged(name, number, lambda fields=fields, key=key: _audit(fields, key, now))  # type: ignore[misc]


def _judged(name: str, number: int, made: Callable[[], tuple[Intent, tuple[str, ...]]]) -> Record | Bad:
    try:
        intent, left_behind = made()
    except ValidationError as error:
        first = error.errors()[0]
        return Bad(name, number, f"{'.'.join(map(str, first['loc']))}: {first['msg']}")
    except ValueError as error:
        return Bad(name, number, str(error))
    return Record(name, number, intent, left_behind)


def _acceptance(line: bytes, published: Published, now: datetime) -> tuple[Intent, tuple[str, ...]]:
    fields = _object(line)
    legacy = LegacyAcceptance.model_validate(fields)
    _not_ahead(legacy.accepted_at, now)
    command = domain.RecordAcceptance(
        legacy.subject,
        legacy.document_type,
        legacy.version,
        legacy.content_hash,
        published(legacy.document_type, legacy.version),
        domain.How.IMPORT,
        None,
    )
    return handlers.acceptance(command, legacy.accepted_at, Metadata()), _others(LegacyAcceptance, fields)


def _audit(fields: dict[str, Any], key: str, now: datetime) -> tuple[Intent, tuple[str, ...]]:
    for column in fields.keys() & {"details", "detail", "metadata"}:
        fields[column] = _object(fields[column])
    legacy = LegacyAudit.model_validate(fields)
    _not_ahead(legacy.at, now)
    detail, left_out = _opaque(legacy.details)
    event = domain.AuditEventLogged(legacy.kind, legacy.subject, detail)
    intent = handlers.log_audit_event(event, legacy.at, key, Metadata(actor=legacy.actor))
    return intent, (*_others(LegacyAudit, fields), *left_out)


_Uuid = Annotated[str, Field(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]
_DETAIL: TypeAdapter[dict[str, str | bool | int]] = TypeAdapter(dict[Code, Hash | _Uuid | StrictBool | Number])


def _opaque(details: Mapping[str, Any]) -> tuple[dict[str, str | bool | int], list[str]]:
    """The numbers, truth values, hashes and UUIDs among the details; and what is left behind: it might tell who."""
    kept: dict[str, str | bool | int] = {}
    left_out = []
    for name, value in details.items():
        try:
            kept |= _DETAIL.validate_python({name: value})
        except ValidationError:
            left_out.append(f"details.{name}")
    return kept, left_out


def _object(text: str | bytes) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        raise ValueError("expected JSON") from None
    if not isinstance(found, dict):
        raise ValueError(f"expected an object, got {type(found).__name__}")
    return found


def _others(model: type[BaseModel], fields: Mapping[str, Any]) -> tuple[str, ...]:
    known = {
        name
        for field in model.model_fields.values()
        for name in (field.validation_alias.choices if isinstance(field.validation_alias, AliasChoices) else ())
    }
    return tuple(name for name in fields if name not in known | model.model_fields.keys())


def _not_ahead(at: datetime, now: datetime) -> None:
    if at > now:
        raise ValueError(f"expected a time in the past, got {at.isoformat()}")


@contextmanager
def _database(path: Path) -> Iterator[sqlite3.Connection]:
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
            yield database
    except sqlite3.Error as error:
        raise OSError(EIO, str(error), str(path)) from error


def _tables(database: sqlite3.Connection) -> list[str]:
    names = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    return [table for table in AUDIT_TABLES if table in names]
