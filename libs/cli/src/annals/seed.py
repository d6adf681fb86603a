"""Demo data for a local stack: what its clients might ask in a day, over HTTP, so that there is something to look at.

What is asked has names of its own, and these are the same each time: asking again changes nothing. Listening is
yesterday's, for rewards takes nothing much older; so each day that it is called adds one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import NAMESPACE_OID, uuid5

from annals import http
from annals.directory import Directory
from service.tokens import mint

LISTENERS = [f"demo-listener-{number}" for number in range(1, 21)]
ARTISTS = ["demo-ada", "demo-bo", "demo-cleo"]
SONGS = [f"demo-song-{number}" for number in range(1, 7)]
COOKIES = {"document_type": "cookies", "version": 1, "content_hash": hashlib.sha256(b"demo cookies").hexdigest()}
SINCE = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Wish:
    """A command to a service."""

    service: str
    path: str
    body: dict[str, Any]

    @property
    def key(self) -> str:
        """Its Idempotency-Key: the same for the same wish."""
        return str(uuid5(NAMESPACE_OID, f"{self.service}{self.path}{json.dumps(self.body, sort_keys=True)}"))


class NotSeeded(Exception):
    """A service refused what was asked of it."""


async def seed(directory: Directory, today: date) -> dict[str, int]:
    """Returns the events that each service has recorded, 0 if all was there. Raises NotSeeded, httpx.HTTPError."""
    token = mint(directory.private_key, "demo", ["admin", "service"])
    recorded: dict[str, int] = {}
    async with http.client(headers={"authorization": f"Bearer {token}"}, timeout=30) as client:
        for wish in wishes(today - timedelta(days=1)):
            if (url := directory.urls.get(wish.service)) is None:
                continue  # not every stack has every service
            answer = await client.post(url + wish.path, json=wish.body, headers={"idempotency-key": wish.key})
            if not answer.is_success:
                raise NotSeeded(
                    f"{wish.service} {wish.path}: expected 2xx, got {answer.status_code}: {answer.text:.400}"
                )
            recorded[wish.service] = recorded.get(wish.service, 0) + answer.json()["events"]
    return recorded


def wishes(day: date) -> Iterator[Wish]:
    """What is asked, in its order; listening is of that day."""
    yield Wish("compliance", "/documents", COOKIES | {"uri": "https://example.com/demo-cookies"})
    for listener in LISTENERS:
        yield Wish("compliance", "/acceptances", COOKIES | {"subject": listener})
    for song, (first, second) in zip(SONGS, pairs(), strict=True):
        yield Wish("royalties", "/agreements", {"agreement": song, "controller": first})
        yield Wish("royalties", f"/agreements/{song}/versions", halves(first, second))
    yield Wish("royalties", "/sales", {"sales": list(sales())})
    yield Wish("rewards", "/activities", {"activities": list(activities(day))})


def pairs() -> Iterator[tuple[str, str]]:
    """The two artists of each song."""
    for number in range(len(SONGS)):
        yield ARTISTS[number % len(ARTISTS)], ARTISTS[(number + 1) % len(ARTISTS)]


def halves(first: str, second: str) -> dict[str, Any]:
    """What a song's two artists have agreed on."""
    shares = [{"recipient": artist, "ppm": 500_000} for artist in (first, second)]
    return {"by": first, "effective_from": SINCE.isoformat(), "shares": shares, "breakpoints": []}


def sales() -> Iterator[dict[str, Any]]:
    """Each listener buys three songs, for 0.99 USD."""
    for number, listener in enumerate(LISTENERS):
        for step in range(3):
            song = SONGS[(number + step) % len(SONGS)]
            yield {
                "sale_id": f"demo-{listener}-{song}", "agreement": song, "kind": "purchase", "amount": "99",
                "asset": "USD", "source": "demo", "buyer": listener,
                "occurred_at": (SINCE + timedelta(days=number, hours=step)).isoformat(),
            }  # fmt: skip


def activities(day: date) -> Iterator[dict[str, Any]]:
    """Each listener hears five songs that day, and likes the first."""
    morning = datetime.combine(day, time(8), tzinfo=UTC)
    for number, listener in enumerate(LISTENERS):
        for step in range(5):
            song, at = SONGS[(number + step) % len(SONGS)], morning + timedelta(minutes=10 * step, seconds=number)
            heard = {"user": listener, "track_id": song, "at": at.isoformat()}
            name = f"demo-{day}-{listener}-{step}"
            yield {"kind": "listen", "activity_id": name, "listened_seconds": 200, "track_seconds": 240, **heard}
            if step == 0:
                yield {"kind": "vote", "activity_id": f"{name}-vote", "like": True, **heard}
