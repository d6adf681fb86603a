"""Activities for tests: what users did at NOON and around it, and a world in which they are decided."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from uuid import uuid4

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from contracts.activity import TransferFacts
from contracts.chain import Pool
from rewards import domain
from rewards.domain.rules import BUILT_IN_BOOK, Editions, Rule, Rulebook, RulesPublished
from rewards.domain.verdicts import States, decide
from rewards.recorder import evolve
from rewards.reports import receipt_text
from service.testing import Running

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
NOWHERE = domain.Origin()
_numbers = count()


def listen(id: str = "l1", user: str = "ada", track: str = "t1", seconds: int = 200, **more: Any) -> domain.Listen:
    at, origin = more.get("at", NOON), more.get("origin", NOWHERE)
    return domain.Listen(id, user, at, origin, track, seconds, more.get("track_seconds", 300))


def share(id: str = "s1", user: str = "ada", track: str = "t1", at: datetime = NOON) -> domain.Share:
    return domain.Share(id, user, at, NOWHERE, track, "telegram")


def vote(track: str = "t1", like: bool = True, user: str = "ada", at: datetime = NOON, id: str = "") -> domain.Vote:
    return domain.Vote(id or f"v{next(_numbers)}", user, at, NOWHERE, track, like)


def referral(user: str, referred: str, at: datetime = NOON) -> domain.Referral:
    return domain.Referral(f"r-{user}-{referred}", user, at, NOWHERE, referred)


def transfer(nonce: str = "nonce-1", client: str = "cleo", megabytes: int = 5, **more: Any) -> domain.Transfer:
    issued = more.get("at", NOON)
    expires = more.get("expires_at", issued + timedelta(hours=1))
    user = more.get("user", "ada")
    return domain.Transfer(
        f"{client}/{nonce}", user, issued, NOWHERE, client, "aa" * 32, megabytes << 20, issued, expires
    )


class World:
    """All streams, in memory, and the rules."""

    def __init__(self, book: Rulebook = BUILT_IN_BOOK) -> None:
        self.book = dict(book)
        self.states = States({})

    def change(self, kind: Pool, since: datetime = NOON - timedelta(days=300), **parameters: Any) -> World:
        """Publishes a rule with other parameters, in force since a time."""
        last = self.book[kind].last
        rule: Rule = replace(last.rule, **parameters)
        published = RulesPublished(kind, last.version + 1, since, "test", since - timedelta(hours=1), rule)
        self.book[kind] = Editions((*self.book[kind].published, published))
        return self

    def report(
        self, activity: domain.AnyActivity, reported_at: datetime | None = None, **more: Any
    ) -> domain.ActivityRecorded:
        """Decides, and remembers what came of it."""
        at = reported_at or activity.at
        return decide(domain.Report(activity, str(uuid4()), at, **more), self.states, self.book)

    def outcome(self, activity: domain.AnyActivity, reported_at: datetime | None = None, **more: Any) -> str:
        """`earned`, or the reason why not."""
        verdict = self.report(activity, reported_at, **more).verdict
        return verdict.reason or verdict.outcome

    def happened(self, stream: str, event: Any) -> World:
        self.states.of[stream] = evolve(stream, self.states.of.get(stream), event)
        return self

    def account(self, stream: str) -> domain.Account:
        account: domain.Account = self.states[stream]
        return account


# ---- over HTTP ------------------------------------------------------------------------------------------------------

CLEO = Ed25519PrivateKey.from_private_bytes(b"c" * 32)
CLEOS_KEY = CLEO.public_key().public_bytes_raw().hex()


def receipt(nonce: str = "nonce-01", user: str = "ada", served_bytes: int = 5 << 20, **more: Any) -> dict[str, Any]:
    """A receipt that cleo's client has signed, issued a minute ago."""
    issued = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=1)
    unsigned = {
        "user": user,
        "client": "cleo",
        "client_key": CLEOS_KEY,
        "nonce": nonce,
        "served_bytes": served_bytes,
        "issued_at": issued.isoformat(),
        "expires_at": (issued + timedelta(hours=1)).isoformat(),
        "signature": "00" * 64,
    } | more
    signature = CLEO.sign(receipt_text(TransferFacts.model_validate(unsigned)))
    return unsigned | {"kind": "transfer", "signature": signature.hex()}


async def one_of_each(rewards: Running) -> None:
    """Each kind of activity once; one reward is held."""
    named = {"user": "ada", "at": (datetime.now(UTC) - timedelta(minutes=1)).isoformat()}
    heard = {"track_id": "t1", "listened_seconds": 200, "track_seconds": 300}
    activities: list[dict[str, Any]] = [
        named | heard | {"kind": "listen", "activity_id": "l1"},
        named | {"kind": "share", "activity_id": "s1", "track_id": "t1", "channel": "telegram"},
        named | {"kind": "vote", "activity_id": "v1", "track_id": "t1", "like": True},
        named | {"kind": "skip", "activity_id": "k1", "track_id": "t2", "listened_seconds": 3},
        named | {"kind": "referral", "activity_id": "r1", "referred": "bob"},
        named | {"kind": "referral", "activity_id": "r2", "user": "eve", "referred": "dora"},
        receipt(),
    ]
    key = {"idempotency-key": "k"}
    standing = {"user": "eve", "karma": -9, "followers": 0, "signed_up_at": datetime.now(UTC).isoformat()}
    async with rewards.client("player", "service") as client:
        for path, body in [
            ("/users/cleo/client-keys", {"key": CLEOS_KEY}),
            ("/standings", standing),
            ("/activities", {"activities": activities}),
        ]:
            answer = await client.post(path, json=body, headers=key)
            assert answer.status_code == 200, answer.text
    outcomes = [result["outcome"] for result in answer.json()["results"]]
    assert outcomes == ["earned", "earned", "earned", "noted", "earned", "held", "earned"]
