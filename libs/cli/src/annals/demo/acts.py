"""What happens on the chain: artists release, listeners buy, sell, tip, claim, accept and ask to be forgotten.

Everything is a real transaction, signed here and executed by the contracts. Counts scale with the number asked for; for
5,000 they are those in `Scale`. A few transactions fail on purpose: claims over the daily limit.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import time
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from typing import Any

import devnet
from tron.claims import authorise_claim
from tron.client import NodeClient
from tron.contract import Call
from tron.contracts import ComplianceRegistry, MusicNFT, RewardVault, RoyaltyDistributor
from tron.deploy import TOKEN, Deployment
from tron.keys import Key
from tron.retry import Retry
from tron.sender import Sender

ARTISTS = 12
EDITIONS_PER_TRACK = 1_000_000  # MusicNFT: token id = track id * this + edition
FEE_LIMIT_SUN = 200_000_000
CONCURRENT = 32
LISTENING, SHARING = 1, 0
TERMS, PRIVACY = 0, 1
CLAIM_AMOUNT = 24 * TOKEN  # four of them stay below the pools' daily limit of 100, the fifth does not
TITLES = ("Night Train", "Salt", "Paper Planes", "Low Tide", "Amber", "Cartography", "Second Sun", "Glass", "Murmur")


@dataclass(frozen=True, slots=True)
class Scale:
    """How much of each happens."""

    listeners: int
    tracks: int
    sales_per_track: int
    resales_per_track: int
    tips: int
    overclaimers: int
    deletions: int

    @classmethod
    def of(cls, transactions: int) -> Scale:
        share = transactions / 5_000
        return cls(
            listeners=max(20, round(220 * share)),
            tracks=24,
            sales_per_track=max(2, round(100 * share)),
            resales_per_track=max(1, round(20 * share)),
            tips=round(300 * share),
            overclaimers=max(2, round(40 * share)),
            deletions=max(3, round(30 * share)),
        )

    @property
    def transactions(self) -> int:
        """How many transactions all acts together send."""
        split = sum(1 for track in range(1, self.tracks + 1) if track % 3)
        changed = sum(1 for track in range(1, self.tracks + 1, 4) if track % 3)
        prologue = 2 + self.tracks + split
        market = self.tracks * (self.sales_per_track + 2 * min(self.resales_per_track, self.sales_per_track))
        accepted = self.listeners + sum(1 for number in range(self.listeners) if number % 5 < 3)
        claims = 4 * self.listeners + min(self.overclaimers, self.listeners) + self.listeners // 2
        closed = sum(1 for number in range(self.deletions) if number % 3 == 0 or number % 6 == 1)
        second = 1 + self.listeners * 2 // 3
        epilogue = changed + (ARTISTS + 1) // 2
        return prologue + market + accepted + claims + self.tips + self.deletions + closed + second + epilogue


class Cast:
    """Who acts: an administrator, artists, listeners. Development accounts of the devnet, the same every time."""

    def __init__(self, scale: Scale) -> None:
        keys = [Key.from_hex(account.private_key) for account in devnet.accounts(accounts_needed(scale))]
        self.admin = keys[0]
        self.artists = keys[1 : ARTISTS + 1]
        self.listeners = keys[ARTISTS + 1 :]


def accounts_needed(scale: Scale) -> int:
    return 1 + ARTISTS + scale.listeners


class Stage:
    """Sends transactions to one network, at most `CONCURRENT` at once, and counts them."""

    def __init__(self, client: NodeClient, deployment: Deployment, cast: Cast) -> None:
        self.cast = cast
        self.deployment = deployment
        self.nft = MusicNFT(deployment.nft)
        self.distributor = RoyaltyDistributor(deployment.distributor)
        self.vault = RewardVault(deployment.vault)
        self.registry = ComplianceRegistry(deployment.compliance)
        self.sent = 0
        self.on_sent: Callable[[int], None] = lambda _: None
        self._sender = Sender(client, expiry=600, retry=Retry(attempts=60))  # nodes are restarted in some plays
        self._gate = asyncio.Semaphore(CONCURRENT)

    async def act(self, key: Key, call: Call) -> None:
        """Sign and broadcast; the devnet has executed it when this returns."""
        async with self._gate:
            await self._sender.send(call, key, FEE_LIMIT_SUN)
        self.sent += 1
        self.on_sent(self.sent)

    async def claim(self, key: Key, pool: int, name: str) -> None:
        claim_id = digest(name)
        deadline = int(time.time()) + 86_400
        signature = authorise_claim(
            self.cast.admin,
            self.deployment.vault,
            self.deployment.chain_id,
            claim_id=claim_id,
            pool=pool,
            claimant=key.address,
            amount=CLAIM_AMOUNT,
            deadline=deadline,
        )
        await self.act(key, self.vault.claim(claim_id, pool, CLAIM_AMOUNT, deadline, signature))


def digest(text: str) -> bytes:
    """32 bytes standing for a text: a document, a recording, an id."""
    return hashlib.sha256(text.encode()).digest()


async def prologue(stage: Stage, scale: Scale) -> None:
    """Documents are published, tracks released, splits agreed. In order: track ids and versions count up."""
    admin, registry = stage.cast.admin, stage.registry
    await stage.act(admin, registry.publish_document(TERMS, digest("terms 1"), "ipfs://terms-1"))
    await stage.act(admin, registry.publish_document(PRIVACY, digest("privacy 1"), "ipfs://privacy-1"))
    for track in range(1, scale.tracks + 1):
        artist = _artist(stage, track)
        title = f"{TITLES[track % len(TITLES)]} {track}"
        release = stage.nft.release_track(
            title, f"Artist {track % ARTISTS + 1}", digest(title), 10_000, price_sun(track), 1_000
        )
        await stage.act(artist, release)
        if track % 3:  # the others pay their artist alone
            await stage.act(artist, _split(stage, track, version=1))


async def main_act(stage: Stage, scale: Scale, seed: int = 1) -> None:
    """Everything that may happen in any order, at once."""
    await _together(
        [
            *(_market(stage, scale, track, seed) for track in range(1, scale.tracks + 1)),
            *(_rewards(stage, scale, number, seed) for number in range(scale.listeners)),
            *(_tip(stage, scale, number, seed) for number in range(scale.tips)),
            *(_deletion(stage, number, seed) for number in range(scale.deletions)),
        ]
    )


async def second_terms(stage: Stage) -> None:
    """New terms: who accepted the old ones has to accept again, and not everybody does."""
    await stage.act(stage.cast.admin, stage.registry.publish_document(TERMS, digest("terms 2"), "ipfs://terms-2"))
    agreeing = stage.cast.listeners[: len(stage.cast.listeners) * 2 // 3]
    accept = stage.registry.accept_document(TERMS, 2, digest("terms 2"))
    await _together([stage.act(key, accept) for key in agreeing])


async def epilogue(stage: Stage, scale: Scale) -> None:
    """Splits change, which settles the carry of the old ones; earnings are taken out."""
    for track in range(1, scale.tracks + 1, 4):
        if track % 3:
            await stage.act(_artist(stage, track), _split(stage, track, version=2))
    await _together([stage.act(key, stage.distributor.withdraw()) for key in stage.cast.artists[::2]])


async def _market(stage: Stage, scale: Scale, track: int, seed: int) -> None:
    """Editions are sold one after the other, so that each buyer's token is known; some are sold on."""
    buyers = random.Random(f"{seed}/{track}").choices(stage.cast.listeners, k=scale.sales_per_track)  # noqa: S311 - a play
    first = int((seed - 1) * scale.sales_per_track) + 1
    for buyer in buyers:
        await stage.act(buyer, stage.nft.buy_edition(track, value_sun=price_sun(track)))
    for offset, seller in enumerate(buyers[: scale.resales_per_track]):
        token, price = track * EDITIONS_PER_TRACK + first + offset, price_sun(track) * 2 + offset
        await stage.act(seller, stage.nft.list(token, price))
        await stage.act(stage.cast.artists[(track + offset) % ARTISTS], stage.nft.buy(token, value_sun=price))


async def _rewards(stage: Stage, scale: Scale, number: int, seed: int) -> None:
    key = stage.cast.listeners[number]
    if seed == 1:
        await stage.act(key, stage.registry.accept_document(TERMS, 1, digest("terms 1")))
        if number % 5 < 3:
            await stage.act(key, stage.registry.accept_document(PRIVACY, 1, digest("privacy 1")))
        for turn in range(5 if number < scale.overclaimers else 4):
            await stage.claim(key, LISTENING, f"listening/{seed}/{number}/{turn}")
    if number % 2:
        await stage.claim(key, SHARING, f"sharing/{seed}/{number}")


async def _tip(stage: Stage, scale: Scale, number: int, seed: int) -> None:
    key = stage.cast.listeners[number % len(stage.cast.listeners)]
    amount = 1_000_003 + number * 7 + seed  # odd amounts, so that splits leave a remainder to carry
    await stage.act(key, stage.distributor.pay(number % scale.tracks + 1, 2, value_sun=amount))


async def _deletion(stage: Stage, number: int, seed: int) -> None:
    request = digest(f"deletion/{seed}/{number}")
    await stage.act(stage.cast.listeners[number], stage.registry.request_deletion(request, number % 2))
    if number % 3 == 0:
        await stage.act(stage.cast.admin, stage.registry.complete_deletion(request, digest(f"certificate/{number}")))
    elif number % 6 == 1:
        await stage.act(stage.cast.admin, stage.registry.deny_deletion(request, 3))


def _split(stage: Stage, track: int, version: int) -> Call:
    artist = stage.cast.artists.index(_artist(stage, track))
    others = [stage.cast.artists[(artist + step) % ARTISTS].address for step in range(1, 2 + track % 2)]
    recipients = [stage.cast.artists[artist].address, *others]
    shares = [200_000 + 33_333 * version] * len(others)
    return stage.distributor.configure_split(track, recipients, [1_000_000 - sum(shares), *shares])


def _artist(stage: Stage, track: int) -> Key:
    return stage.cast.artists[track % ARTISTS]


def price_sun(track: int) -> int:
    """What an edition of a track costs, in sun."""
    return 5_000_001 + 250_000 * track


async def _together(work: Iterable[Coroutine[Any, Any, None]]) -> None:
    async with asyncio.TaskGroup() as group:
        for coroutine in work:
            group.create_task(coroutine)
