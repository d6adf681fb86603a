"""What was put aside, in one list: messages that a consumer could not take in, events that a projection could not.

A message is named `rewards/12`, a key of a projection `rewards.pool_status/pool/1`. Later ones of the same key wait
behind it and follow in order.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

from rich.text import Text

import messaging
import projections
from annals.errors import UnknownName
from annals.services import Installed, find, installed
from annals.terminal import in_a_line, shortened
from eventlog import EventLog
from messaging import Blocked, Parked

EVERYTHING = 1_000_000


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing put aside: a message, or the first event of a key; `behind` later ones wait for it."""

    name: str
    what: str
    key: str
    reason: str
    error: str
    attempts: int
    since: datetime
    behind: int

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "since": self.since.isoformat()}


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which entries: of these services or projections (all if none is named), of one key, put aside for one reason."""

    names: Sequence[str] = ()
    key: str | None = None
    reason: str | None = None

    def __contains__(self, entry: Entry) -> bool:
        return self.key in (None, entry.key) and self.reason in (None, entry.reason)


async def entries(chosen: Chosen, limit: int = EVERYTHING) -> list[Entry]:
    """What was put aside, and how many stand behind each; up to `limit` of each service and projection.

    Raises UnknownName.
    """
    found: list[Entry] = []
    for service, projection in [_place(name) for name in chosen.names] or [(s, None) for s in installed().values()]:
        async with service.log() as log:
            if projection is None:
                blocked = await messaging.list_blocked(log.pool, key=chosen.key, reason=chosen.reason, limit=limit)
                found += [_message(service, one) for one in blocked]
            for each in service.projections if projection is None else [projection]:
                letters = await projections.dead_letters(log.pool, each, limit=limit)
                found += [_letter(service, each.name, letter) for letter in letters]
    return [entry for entry in found if entry in chosen]


async def show(name: str) -> dict[str, Any]:
    """Everything known about one entry. Raises UnknownName and LookupError."""
    service, projection, rest = _parse(name)
    async with service.log() as log:
        if projection is None:
            return _full(await messaging.show(log.pool, int(rest)))
        for letter in await projections.dead_letters(log.pool, projection, limit=EVERYTHING):
            if letter.key == rest:
                (event,) = await log.read(letter.position - 1, letter.position)
                return {**_texts(asdict(letter)), "data": event.data, "metadata": event.metadata_json}
    raise LookupError(f"{name}: nothing is put aside under this name")


@dataclass(frozen=True, slots=True)
class Behind:
    """Something that waits for an entry and will follow it."""

    what: str
    type: str
    id: str
    since: datetime


async def behind(name: str) -> list[Behind]:
    """What stands behind an entry, in the order in which it will follow. Raises UnknownName and LookupError."""
    service, projection, rest = _parse(name)
    async with service.log() as log:
        if projection is not None:
            return [
                Behind(f"at {letter.position}", letter.type, str(letter.event_id), letter.parked_at)
                for letter in await projections.waiting_letters(log.pool, projection, rest)
            ]
        return [
            Behind(_place_of(parked), _header(parked, "ce_type"), _header(parked, "ce_id"), parked.parked_at)
            for parked in await messaging.list_behind(log.pool, int(rest))
        ]


async def retry(name: str) -> Outcome:
    """Try an entry and those behind it again. Raises UnknownName and LookupError."""
    service, projection, rest = _parse(name)
    async with service.log() as log:
        return await _retry(log, name, projection, rest)


async def retry_all(chosen: Chosen) -> list[Outcome]:
    """As `retry`, for all chosen entries, one after another; what is gone meanwhile needs none."""
    outcomes: list[Outcome] = []
    for name, of_service in groupby(await entries(chosen), key=lambda entry: re.split("[./]", entry.name)[0]):
        async with find(name).log() as log:
            for entry in of_service:
                _, projection, rest = _parse(entry.name)
                with contextlib.suppress(LookupError):
                    outcomes.append(await _retry(log, entry.name, projection, rest))
    return outcomes


async def _retry(log: EventLog, name: str, projection: projections.Projection | None, rest: str) -> Outcome:
    if projection is not None:
        return _outcome(name, await projections.retry(log.pool, log, projection, rest))
    await messaging.retry(log.pool, int(rest))
    return Outcome(name, "its consumer tries it again within a second, if the service runs", True)


async def discard(name: str, *, why: str, by: str) -> Outcome:
    """Give an entry up for good; the decision is an event of the service's log. Raises UnknownName, LookupError."""
    service, projection, rest = _parse(name)
    async with service.log() as log:
        if projection is None:
            await messaging.discard(log, int(rest), reason=why, by=by)
            return Outcome(name, "discarded; those behind it go on", True)
        retried = _outcome(name, await projections.discard(log.pool, log, projection, rest, reason=why, by=by))
        return Outcome(name, f"discarded; {retried.text}", retried.good)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a retry or a discard came to; not `good`: an event failed again."""

    name: str
    text: str
    good: bool


def lines(found: Sequence[Entry]) -> Iterator[Text]:
    """For each entry its name and numbers, where it came from, and its error."""
    for entry in found:
        since = f"{entry.since:%Y-%m-%d %H:%M:%S} UTC"
        yield Text.assemble(
            (in_a_line(entry.name), "bold"), f"  {entry.reason}, {entry.behind:,} behind, tries: {entry.attempts}"
        )
        yield Text(f"  {since}  {entry.what}  {in_a_line(entry.key)}".rstrip(), "dim")
        yield Text("  " + shortened(entry.error).replace("\n", "\n  "))


def _place(name: str) -> tuple[Installed, projections.Projection | None]:
    service, dot, projection = name.partition(".")
    return find(service), find(service).projection(projection) if dot else None


def _parse(name: str) -> tuple[Installed, projections.Projection | None, str]:
    place, slash, rest = name.partition("/")
    if not slash or not rest or ("." not in place and not re.fullmatch("[0-9]{1,18}", rest)):
        raise UnknownName(f"{name!r}: expected service/number or service.projection/key, as `annals dlq ls` shows them")
    return *_place(place), rest


def _message(service: Installed, blocked: Blocked) -> Entry:
    parked = blocked.first
    return Entry(
        name=f"{service.name}/{parked.id}",
        what=_place_of(parked),
        key=(parked.key or b"").decode(errors="replace"),
        reason=parked.reason,
        error=parked.error,
        attempts=parked.attempts,
        since=parked.parked_at,
        behind=blocked.behind,
    )


def _letter(service: Installed, projection: str, letter: projections.DeadLetter) -> Entry:
    return Entry(
        name=f"{service.name}.{projection}/{letter.key}",
        what=f"{letter.type} at {letter.position}",
        key=letter.key,
        reason="failed",
        error=letter.error or "",
        attempts=letter.attempts,
        since=letter.parked_at,
        behind=letter.waiting,
    )


def _place_of(parked: Parked) -> str:
    return f"{parked.topic}[{parked.partition}]@{parked.offset}"


def _header(parked: Parked, name: str) -> str:
    return (parked.header(name) or b"").decode(errors="replace")


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


def _outcome(name: str, retried: projections.Retried) -> Outcome:
    text = f"{retried.applied} events took effect"
    if retried.error is not None:
        text += f", then {retried.failed_at} failed again: {retried.error}"
    return Outcome(name, text, retried.error is None)
