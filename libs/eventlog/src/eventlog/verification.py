"""Is the log what was sealed, and what was published of its seals? Everything is computed anew from the rows.

Nothing stored in the database is believed beyond what it returns for a plain SELECT: no function of its schema is
called, and hashes are computed here.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import asyncpg

from eventlog import merkle
from eventlog.leaves import COLUMNS, MAX_POSITIONS, SealedEvent, leaves, of_rows, shown_time
from eventlog.seals import Seal, read_seals

AT_ONCE = 8_192  # positions of one query
ROWS_AT_ONCE = 128  # in memory: each may have a megabyte
MOST_OF_A_KIND = 20  # problems of the rows between them are listed up to this number each

_ROWS = f"SELECT {COLUMNS} FROM events WHERE position BETWEEN $1 AND $2 ORDER BY position"  # noqa: S608 - constant columns

OnProgress = Callable[[int, int], None]
"""Told the positions verified so far and the last position sealed."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, in a sentence that names it with the expected and the found."""

    sentence: str
    seal: int | None = None
    position: int | None = None


@dataclass(slots=True)
class Verification:
    """What was looked at and what is wrong. Events behind the last seal are only held against each other."""

    events: int = 0
    """Events in the log."""
    sealed_events: int = 0
    """Those of them that a seal covers."""
    seals: int = 0
    sealed_to: int = 0
    """The last position sealed."""
    published: int | None = None
    """Published seals compared; None when there were none to compare with."""
    anchored: int | None = None
    """Seals compared that are anchored on a chain; None when there was none to compare with."""
    last_hash: bytes | None = None
    """Hash of the last seal: it stands for all before it."""
    broken: list[Seal] = field(default_factory=list)
    """Seals whose events are no longer those sealed; `explain` may say which."""
    problems: list[Problem] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.problems


async def verify(
    conn: asyncpg.Connection,
    published: Sequence[Seal] | None = None,
    *,
    anchored: Mapping[int, bytes] | None = None,
    on_progress: OnProgress = lambda done, total: None,
) -> Verification:
    """Verify the log of a database against itself, against the seals that were `published`, in that order, and against
    hashes of seals that are `anchored` on a chain, by number.

    Appends and reads go on meanwhile; `conn` holds one snapshot until the end and needs no right but to read. Whether
    the last seals were published yet can't be known here: a log that was changed and sealed anew behind the last
    published seal looks right. Raises BrokenSeal when a seal can't even be read.
    """
    result = Verification()
    async with conn.transaction(isolation="repeatable_read", readonly=True):
        await conn.execute("SET LOCAL statement_timeout = 0")
        seals = await read_seals(conn)
        result.seals = len(seals)
        result.sealed_to, result.last_hash = (seals[-1].last_position, seals[-1].hash) if seals else (0, None)
        result.problems += _chain(seals)
        if published is not None:
            result.published = len(published)
            result.problems += _against_published(seals, published)
        if anchored is not None:
            result.anchored = len(anchored)
            result.problems += _against(seals, anchored, "anchored")
        await _segments(conn, seals, result, on_progress)
        for sentence, sql in _RULES:
            rows = await conn.fetch(f"{sql} LIMIT {MOST_OF_A_KIND}")
            result.problems += [Problem(sentence.format(**row), position=row.get("position")) for row in rows]
        result.events = await conn.fetchval("SELECT count(*) FROM events")
    return result


async def explain(conn: asyncpg.Connection, broken: Sequence[Seal], copies: Iterable[SealedEvent]) -> list[Problem]:
    """Which positions of broken seals differ from what was sealed, and in what.

    `copies` are events as they were published. Only those that a seal vouches for, by its root, are believed: what a
    seal has no such copies of stays unexplained.
    """
    kept = {event.position: event for event in copies}
    problems: list[Problem] = []
    for seal in broken:
        positions = range(seal.first_position, seal.last_position + 1)
        sealed = [kept[position] for position in positions if position in kept]
        root = merkle.root(leaves([(e.position, e.leaf()) for e in sealed], seal.first_position, seal.last_position))
        if root != seal.root:
            continue
        found = {row["position"]: SealedEvent(*row) for row in await conn.fetch(_ROWS, positions[0], positions[-1])}
        for position in positions:
            problems += _differences(position, kept.get(position), found.get(position))
    return problems


def _differences(position: int, sealed: SealedEvent | None, found: SealedEvent | None) -> list[Problem]:
    if sealed is None and found is None:
        return []  # a hole, as it was
    if sealed is None or found is None:
        sentence = f"position {position}: expected {_named(sealed)}, as sealed, found {_named(found)}"
        return [Problem(sentence, position=position)]
    wishes, gots = _columns(sealed), _columns(found)
    return [
        Problem(f"position {position}: {name}: expected {wish}, as sealed, found {gots[name]}", position=position)
        for name, wish in wishes.items()
        if wish != gots[name]
    ]


def _named(event: SealedEvent | None) -> str:
    return "no event" if event is None else f"event {event.event_id} of stream {event.stream}"


def _columns(event: SealedEvent) -> dict[str, object]:
    columns = {name: getattr(event, name) for name in SealedEvent.__slots__}
    return {name: shown_time(value) if isinstance(value, bytes) else value for name, value in columns.items()}


def _chain(seals: Sequence[Seal], where: str = "") -> list[Problem]:
    """What is wrong with seals that should follow each other from the first on."""
    pairs = [(None, seal) for seal in seals[:1]] + list(pairwise(seals))
    return [Problem(where + sentence, seal=seal.number) for before, seal in pairs for sentence in seal.faults(before)]


def _against_published(seals: Sequence[Seal], published: Sequence[Seal]) -> list[Problem]:
    """Where the table says something else than the topic does."""
    return _chain(published, "as published: ") + _against(
        seals, {seal.number: seal.hash for seal in published}, "published"
    )


def _against(seals: Sequence[Seal], hashes: Mapping[int, bytes], how: str) -> list[Problem]:
    """Where the table has no seal with the hash that somebody else kept."""
    problems: list[Problem] = []
    stored = {seal.number: seal.hash for seal in seals}
    for number, expected in hashes.items():
        found = stored.get(number)
        if found != expected:
            named = f"hash {found.hex()}: the log was sealed anew" if found else "no such seal"
            sentence = f"seal {number}: expected hash {expected.hex()}, as {how}, found {named}"
            problems.append(Problem(sentence, seal=number))
    return problems


async def _segments(
    conn: asyncpg.Connection, seals: Sequence[Seal], result: Verification, on_progress: OnProgress
) -> None:
    """Compute every root anew from the rows."""
    for group in _groups([seal for seal in seals if 1 <= _size(seal) <= MAX_POSITIONS]):
        first, last = min(s.first_position for s in group), max(s.last_position for s in group)
        rows = conn.cursor(_ROWS, first, last, prefetch=ROWS_AT_ONCE)
        found = [leaf async for row in rows for leaf in of_rows([row])]
        positions = [position for position, _ in found]
        for seal in group:
            start, end = bisect_left(positions, seal.first_position), bisect_right(positions, seal.last_position)
            root = merkle.root(leaves(found[start:end], seal.first_position, seal.last_position))
            result.sealed_events += end - start
            if (problem := _mismatch(seal, end - start, root)) is not None:
                result.problems.append(problem)
                result.broken.append(seal)
        on_progress(group[-1].last_position, result.sealed_to)


def _size(seal: Seal) -> int:
    return seal.last_position - seal.first_position + 1


def _groups(seals: Sequence[Seal]) -> Iterator[list[Seal]]:
    """Seals whose positions are read at once; forged ones that leave out or repeat positions stand alone."""
    group: list[Seal] = []
    for seal in seals:
        follows = not group or seal.first_position == group[-1].last_position + 1
        if group and not (follows and seal.last_position - group[0].first_position < AT_ONCE):
            yield group
            group = []
        group.append(seal)
    if group:
        yield group


def _mismatch(seal: Seal, events: int, root: bytes) -> Problem | None:
    where = f"seal {seal.number}, positions {seal.first_position} to {seal.last_position}"
    if events != seal.events:
        change = "events were removed" if events < seal.events else "events were put in"
        return Problem(f"{where}: expected {seal.events} events, found {events}: {change}", seal=seal.number)
    if root != seal.root:
        return Problem(
            f"{where}: expected root {seal.root.hex()}, found {root.hex()}: an event was changed, replaced or moved",
            seal=seal.number,
        )
    return None


# Rules that hold for every log, sealed or not, each with the sentence for a row that breaks it.
_RULES = (
    (
        "position {position}: stream {stream}: expected version {expected}, found {version}",
        """SELECT * FROM (
               SELECT position, stream, version,
                      coalesce(lag(version) OVER (PARTITION BY stream ORDER BY version, position), 0) + 1 AS expected
               FROM events) AS e WHERE version IS DISTINCT FROM expected ORDER BY position""",
    ),
    (
        "position {position}: stream {stream}: expected version {version} behind position {before}, where the version "
        "before it stands",
        """SELECT * FROM (
               SELECT position, stream, version,
                      lag(position) OVER (PARTITION BY stream ORDER BY version, position) AS before
               FROM events) AS e WHERE position <= before ORDER BY position""",
    ),
    (
        "stream {stream}: expected version {found} in `streams`, as its last event has, found {version}",
        """SELECT coalesce(e.stream, s.stream) AS stream, coalesce(e.version, 0) AS found,
                  coalesce(s.version::text, 'no such stream') AS version
           FROM (SELECT stream, max(version) AS version FROM events GROUP BY stream) AS e
           FULL JOIN streams AS s USING (stream) WHERE e.version IS DISTINCT FROM s.version ORDER BY 1""",
    ),
    (
        "event {event_id}: expected one position, found {positions}",
        """SELECT event_id, array_agg(position ORDER BY position) AS positions FROM events
           GROUP BY event_id HAVING count(*) > 1 ORDER BY 1""",
    ),
    (
        "position {position}: expected 1 to {drawn}, the last position drawn",
        """SELECT position, drawn FROM events, (SELECT last_value AS drawn FROM events_position) AS s
           WHERE position < 1 OR position > drawn ORDER BY position""",
    ),
    (
        "trigger {name}: expected enabled, found {state}",
        """SELECT name, CASE WHEN t.oid IS NULL THEN 'missing' ELSE 'disabled' END AS state
           FROM (VALUES ('events', 'events_append_only'), ('events', 'events_fence'), ('seals', 'seals_append_only'))
                AS wanted(relation, name)
           LEFT JOIN pg_trigger AS t ON t.tgname = name AND t.tgrelid = to_regclass(relation)
           WHERE t.tgenabled IS NULL OR t.tgenabled NOT IN ('O', 'A') ORDER BY 1""",
    ),
)
