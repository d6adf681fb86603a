"""What a user is playing, told in parts: the start, what has been heard since, the end. The state of `playing/<user>`.

One track plays at a time: a start ends what plays, and so does for a listen that nobody ended. What counts is each
second of the track once, and no more of them than have passed by our own clock since the start. How long that is
decides, when the listen ends, as if it had been reported whole.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import assert_never

from eventlog import Decider
from rewards.domain.activities import Listen, Origin
from rewards.domain.rules import EPOCH

Span = tuple[int, int]
"""Seconds of a track: the first one, and the first one that is not in it."""


@dataclass(frozen=True, slots=True)
class PlayingStarted:
    listen_id: str
    user: str
    track: str
    track_seconds: int
    origin: Origin
    at: datetime  # as all times here: when we were told


@dataclass(frozen=True, slots=True)
class PartHeard:
    """Seconds of the track that were not told of before are among these."""

    listen_id: str
    first_second: int
    end_second: int  # the first one that was not heard
    at: datetime


@dataclass(frozen=True, slots=True)
class PlayingEnded:
    """The listen, as it is decided about."""

    listen: Listen


PlayingEvent = PlayingStarted | PartHeard | PlayingEnded


@dataclass(frozen=True, slots=True)
class StartPlaying:
    started: PlayingStarted


@dataclass(frozen=True, slots=True)
class HearPart:
    listen_id: str
    first_second: int
    end_second: int
    at: datetime


@dataclass(frozen=True, slots=True)
class EndPlaying:
    listen_id: str


PlayingCommand = StartPlaying | HearPart | EndPlaying


class RefusedPart(Exception):
    """A part that fits nothing; `code` is for machines and never changes."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


@dataclass(frozen=True, slots=True)
class Playing:
    started: PlayingStarted | None = None  # what plays now
    heard: tuple[Span, ...] = ()  # of it, apart from each other and in order
    until: datetime = EPOCH  # when something of it was heard last
    ended: Listen | None = None  # the last one

    @property
    def seconds(self) -> int:
        """How long it was really heard. Rounds down."""
        if self.started is None:
            return 0
        passed = int((self.until - self.started.at).total_seconds())
        return min(sum(end - first for first, end in self.heard), passed)


def decide_playing(command: PlayingCommand, playing: Playing) -> list[PlayingEvent]:
    """The same part again changes nothing. Raises RefusedPart."""
    match command:
        case StartPlaying(started):
            return _start(started, playing)
        case HearPart(listen_id, first, end, at):
            track_seconds = _current(listen_id, playing).track_seconds
            if not 0 <= first < end <= track_seconds:
                raise RefusedPart("invalid-part", f"expected 0 <= {first} < {end} <= {track_seconds}")
            if joined(playing.heard, (first, end)) == playing.heard:
                return []
            return [PartHeard(listen_id, first, end, at)]
        case EndPlaying(listen_id):
            if playing.ended is not None and playing.ended.id == listen_id:
                return []
            _current(listen_id, playing)
            return _end(playing)
        case never:
            assert_never(never)


def _start(started: PlayingStarted, playing: Playing) -> list[PlayingEvent]:
    last, listen_id = playing.started, started.listen_id
    if last is not None and last.listen_id == listen_id:
        if (last.track, last.track_seconds) != (started.track, started.track_seconds):
            raise RefusedPart("listen-conflict", f"listen {listen_id} was started with another track")
        return []
    if playing.ended is not None and playing.ended.id == listen_id:
        raise RefusedPart("listen-conflict", f"listen {listen_id} has ended")
    return [*_end(playing), started]


def _current(listen_id: str, playing: Playing) -> PlayingStarted:
    if playing.started is None or playing.started.listen_id != listen_id:
        now = playing.started.listen_id if playing.started is not None else None
        raise RefusedPart("not-playing", f"listen {listen_id} was not started or has ended; playing now: {now}")
    return playing.started


def _end(playing: Playing) -> list[PlayingEvent]:
    if (start := playing.started) is None:
        return []
    about = (start.listen_id, start.user, playing.until, start.origin, start.track)
    return [PlayingEnded(Listen(*about, playing.seconds, start.track_seconds))]


def evolve_playing(playing: Playing, event: PlayingEvent) -> Playing:
    match event:
        case PlayingStarted():
            return Playing(event, (), event.at, playing.ended)
        case PartHeard():
            heard = joined(playing.heard, (event.first_second, event.end_second))
            return replace(playing, heard=heard, until=max(playing.until, event.at))
        case PlayingEnded(listen):
            return Playing(ended=listen)
        case never:
            assert_never(never)


def joined(spans: Iterable[Span], more: Span) -> tuple[Span, ...]:
    """The seconds of all of them, each once: spans in order that neither meet nor overlap."""
    apart: list[Span] = []
    first, end = more
    for other in spans:
        if other[1] < first or end < other[0]:
            apart.append(other)
        else:
            first, end = min(first, other[0]), max(end, other[1])
    return tuple(sorted([*apart, (first, end)]))


playing: Decider[PlayingCommand, Playing, PlayingEvent] = Decider(Playing(), decide_playing, evolve_playing)


def playing_stream(user: str) -> str:
    return f"playing/{user}"
