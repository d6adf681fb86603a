"""What was put aside, in one list: messages that a consumer could not take in, events that a projection could not.

A message is named `rewards/12`, a key of a projection `rewards.pool_status/pool/1`. Later ones of the same key wait
behind it and follow in order.
"""

from __future__ import annotations

import getpass
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from rich.table import Table

import messaging
import projections
from annals.errors import UnknownName
from annals.services import Installed, find, installed
from eventlog import EventLog
from messaging import Parked


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing put aside: a message, or the first event of a key."""

    name: str
    what: str
    key: str
    reason: str
    error: str
    attempts: int
    since: datetime

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "since": self.since.isoformat()}


async def entries(names: Sequence[str]) -> list[Entry]:
    """Everything put aside in these services, or in all."""
    found = []
    for service in [find(name) for name in names] or installed().values():
        async with service.log() as log:
            found += [_message(service, parked) for parked in await messaging.list_parked(log.pool, limit=1_000)]
            for projection in service.projections:
                letters = await projections.dead_letters(log.pool, projection)
                found += [_letter(service, projection.name, letter) for letter in letters]
    return found


async def show(name: str) -> dict[str, Any]:
    """Everything known about one entry. Raises UnknownName and LookupError."""
    service, projection, rest = _parse(name)
    async with service.log() as log:
        if projection is None:
            return _full(await messaging.show(log.pool, int(rest)))
        for letter in await projections.dead_letters(log.pool, projection, limit=1_000_000):
            if letter.key == rest:
                (event,) = await log.read(letter.position - 1, letter.position)
                return {**_texts(asdict(letter)), "data": event.data, "metadata": event.metadata_json}
    raise LookupError(f"{name}: nothing is put aside under this name")


async def retry(name: str) -> str:
    """Try an entry and those behind it again. Raises UnknownName and LookupError."""
    service, projection, rest = _parse(name)
    async with service.log() as log:
        if projection is None:
            await messaging.retry(log.pool, int(rest))
            return f"{name}: the consumer tries it again within a second"
        return _outcome(name, await projections.retry(log.pool, log, projection, rest))


async def discard(name: str, why: str) -> str:
    """Give an entry up for good; the reason stays on record. Raises UnknownName, LookupError, ValueError."""
    service, projection, rest = _parse(name)
    async with service.log() as log:
        if projection is None:
            await messaging.discard(log, int(rest), reason=why, by=getpass.getuser())
            return f"{name}: discarded; those behind it go on"
        retried = await _discard_event(log, projection, rest, why)
        return f"discarded; {_outcome(name, retried)}"


async def _discard_event(log: EventLog, projection: projections.Projection, key: str, why: str) -> projections.Retried:
    return await projections.discard(log.pool, log, projection, key, reason=why, by=getpass.getuser())


def table(found: Sequence[Entry]) -> Table:
    """One line per entry."""
    result = Table(box=None, pad_edge=False, header_style="bold")
    result.add_column("name", no_wrap=True)
    for column in ("what", "key", "reason", "error"):
        result.add_column(column, overflow="fold")
    result.add_column("tries", justify="right")
    result.add_column("since")
    for entry in found:
        since = f"{entry.since:%Y-%m-%d %H:%M:%S}"
        result.add_row(entry.name, entry.what, entry.key, entry.reason, entry.error[:120], str(entry.attempts), since)
    return result


def _parse(name: str) -> tuple[Installed, projections.Projection | None, str]:
    place, slash, rest = name.partition("/")
    service_name, dot, projection = place.partition(".")
    if not slash or not rest or (not dot and not rest.isdigit()):
        raise UnknownName(f"{name!r}: expected service/number or service.projection/key, as `annals dlq ls` shows them")
    service = find(service_name)
    return service, service.projection(projection) if dot else None, rest


def _message(service: Installed, parked: Parked) -> Entry:
    key = (parked.key or b"").decode(errors="replace")
    name, what = f"{service.name}/{parked.id}", f"{parked.topic}[{parked.partition}]@{parked.offset}"
    return Entry(name, what, key, parked.reason, parked.error, parked.attempts, parked.parked_at)


def _letter(service: Installed, projection: str, letter: projections.DeadLetter) -> Entry:
    what = f"{letter.type} at {letter.position}" + (f", {letter.waiting} behind" if letter.waiting else "")
    name = f"{service.name}.{projection}/{letter.key}"
    return Entry(name, what, letter.key, "failed", letter.error or "", letter.attempts, letter.parked_at)


def _full(parked: Parked) -> dict[str, Any]:
    texts = _texts({name: getattr(parked, name) for name in parked.__slots__})
    headers = {name: (value or b"").decode(errors="replace") for name, value in parked.headers}
    return {**texts, "headers": headers}


def _texts(fields: dict[str, Any]) -> dict[str, Any]:
    def text(value: Any) -> Any:
        if isinstance(value, bytes):
            return value.decode(errors="replace")
        return value if value is None or isinstance(value, int | str) else str(value)

    return {name: text(value) for name, value in fields.items()}


def _outcome(name: str, retried: projections.Retried) -> str:
    if retried.error is None:
        return f"{name}: {retried.applied} events took effect"
    return f"{name}: {retried.applied} events took effect, then {retried.failed_at} failed again: {retried.error}"
