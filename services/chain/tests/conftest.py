"""A chain on which everything has happened that the five contracts know, and the service that reads it."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

import eventlog
import messaging
import projections as projections_library
from chain import domain
from chain.app import create
from chain.decoding import ARTIFACTS
from eventlog import EventLog, EventTypes, Watermark
from local_stack.process import blocking
from local_stack.testing import Devnet, running_devnet
from messaging.testing import delete_topics
from service.testing import Running, serving
from tron.claims import authorise_claim
from tron.client import NodeClient
from tron.contracts import ComplianceRegistry, DCMXToken, MusicNFT, RewardVault, RoyaltyDistributor
from tron.deploy import TOKEN, Deployment, Plan, Pool, deploy, role
from tron.keys import Key
from tron.providers import Nodes, Provider
from tron.sender import Sender
from tron.transaction import Payload, Transfer

sys.path.append(str(Path(__file__).parent))  # for chain_bank and others

from chain_bank import Bank
from chain_lies import Proxy, proxied
from head_stage import Stage

FEE_LIMIT = 200_000_000
FAR = 4_000_000_000  # a deadline in Unix seconds


@dataclass
class Town:
    """A devnet with a history, standing still: its last block is solidified, more come by `mine`."""

    url: str
    keys: list[Key]
    at: Deployment
    sent: int = 0
    addresses: list[str] = field(default_factory=list)

    @property
    def contracts(self) -> dict[str, str]:
        """The setting CHAIN_CONTRACTS."""
        return contracts_of(self.at)

    def mine(self, blocks: int) -> None:
        httpx.post(f"{self.url}/devnet/mine", json={"blocks": blocks}, timeout=30).raise_for_status()


@pytest.fixture(scope="session")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """Tests may add to it, but not count on what the others added."""
    folder: Path = tmp_path_factory.mktemp("devnet")
    with running_devnet(folder, "--block-time", "0.2", "--solid-distance", "3") as devnet:
        town = blocking(_history(devnet.url, _keys(devnet)))
        httpx.post(f"{town.url}/devnet/block-time", json={"seconds": None}, timeout=30).raise_for_status()
        town.mine(5)
        yield town


def contracts_of(at: Deployment) -> dict[str, str]:
    """The setting CHAIN_CONTRACTS."""
    names = {compiled: name for name, compiled in ARTIFACTS.items()}
    return {names[contract.NAME]: contract.address for contract in at.contracts()}


def _keys(devnet: Devnet) -> list[Key]:
    return [Key.from_hex(one) for one in devnet.private_keys()]


async def _history(url: str, keys: list[Key]) -> Town:
    admin, artist, verifier = keys[:3]
    pools = {number: Pool(1_000 * TOKEN, 10 * TOKEN) for number in range(5)}
    plan = Plan(artists=[artist.address, keys[3].address], verifier=verifier.address, pools=pools)
    async with NodeClient(url) as client:
        town = Town(url, keys, await deploy(client, admin, plan))
        story = _Story(town, Sender(client))
        for chapter in (story.money, story.tokens, story.music, story.rewards, story.papers, story.administration):
            await chapter()
        town.addresses = [key.address for key in keys] + story.strangers + [c.address for c in town.at.contracts()]
    return town


class _Story:
    """What happens in the town. Each chapter sends its transactions in order, some of which fail on purpose."""

    def __init__(self, town: Town, sender: Sender) -> None:
        self.town, self.sender, self.keys, at = town, sender, town.keys, town.at
        self.token, self.nft = DCMXToken(at.token), MusicNFT(at.nft)
        self.distributor, self.vault = RoyaltyDistributor(at.distributor), RewardVault(at.vault)
        self.registry = ComplianceRegistry(at.compliance)
        self.admin, self.artist, self.verifier = self.keys[:3]
        self.users = self.keys[4:]
        self.strangers = [Key.random().address for _ in range(5)]

    async def all(self, steps: Sequence[tuple[Key, Payload]], fails: Sequence[int] = ()) -> None:
        """Sends in order, waits, and checks that exactly the steps in `fails` failed."""
        signed = [await self.sender.send(payload, key, FEE_LIMIT) for key, payload in steps]
        infos = await self.sender.results(signed)
        failed = [number for number, one in enumerate(signed) if not infos[one.tx_id].success]
        assert failed == list(fails), [infos[signed[number].tx_id] for number in failed]
        self.town.sent += len(signed)

    async def money(self) -> None:
        await self.all(
            [(user, Transfer(self.users[n - 1].address, 1_000_000 + n)) for n, user in enumerate(self.users)]
            + [(self.users[n], Transfer(stranger, 5_000_000)) for n, stranger in enumerate(self.strangers)]
        )

    async def tokens(self) -> None:
        token, admin, users = self.token, self.admin, self.users
        await self.all([(admin, token.transfer(user.address, (n + 1) * TOKEN)) for n, user in enumerate(users)])
        await self.all(
            [(user, token.transfer(users[(n * 7 + 3) % len(users)].address, n + 1)) for n, user in enumerate(users)] * 4
            + [(user, token.approve(users[0].address, 500)) for user in users[1:]]
            + [(users[0], token.transfer_from(user.address, users[2].address, 100)) for user in users[1:]]
            + [(user, token.burn(50)) for user in users[:5]]
        )
        await self.all(
            [
                (admin, token.authorize_minter(users[1].address, 1_000)),
                (users[1], token.mint(users[3].address, 600)),
                (users[1], token.mint(users[3].address, 600)),  # beyond its allowance
                (admin, token.revoke_minter(users[1].address)),
                (users[4], token.transfer(users[5].address, 10**30)),  # more than it has
            ],
            fails=[2, 4],
        )
        await self.all(
            [
                (admin, token.authorize_minter(users[2].address, 1_000)),
                (users[2], token.mint(users[3].address, 300)),
                (admin, token.authorize_minter(users[6].address, 2**256 - 1)),
                (users[6], token.mint(users[3].address, 5)),
                (admin, token.grant_role(role("MINTER_ROLE"), users[7].address)),  # without an allowance
            ]
        )

    async def music(self) -> None:
        nft, distributor, artist, other, users = self.nft, self.distributor, self.artist, self.keys[3], self.users
        await self.all(
            [
                (artist, nft.release_track(f"Nachtlied {n} ♪", "Ana", f"{n:02x}" * 32, 40, 3_000_001, 1_000))
                for n in (1, 2)
            ]
            + [(other, nft.release_track('"; DROP\x00 TABLE', "Bo\ufffe", "ee" * 32, 5, 7, 0))]
        )
        split = distributor.configure_split(
            1, [artist.address, users[0].address, users[1].address], [500_000, 300_000, 200_000]
        )
        await self.all([(artist, split)])
        await self.all([(user, nft.buy_edition(1, value_sun=3_000_001)) for user in users] * 2)
        edition = [1_000_000 + n for n in range(33)]  # of track 1; bought by the users in order, twice
        await self.all(
            [(artist, nft.mint_edition(2, user.address)) for user in users[:4]]
            + [(user, nft.list(edition[n], 5_000_003)) for n, user in enumerate(users[:8], start=1)]
            + [(users[0], nft.cancel_listing(edition[1])), (artist, nft.set_price(2, 9))]
            + [(users[9], nft.buy(edition[n], value_sun=5_000_003)) for n in range(2, 8)]
            + [(users[9], nft.buy(edition[1], value_sun=5_000_003))]  # no longer listed
            + [(users[10], nft.transfer_from(users[10].address, users[11].address, edition[11]))]
            + [(users[12], nft.approve(users[13].address, edition[13]))]
            + [(users[12], nft.set_approval_for_all(users[0].address, True))],
            fails=[20],
        )
        await self.all(
            [(user, distributor.pay(track, 2, value_sun=7)) for user in users for track in (1, 2)]
            + [(artist, distributor.configure_split(1, [artist.address, users[2].address], [999_999, 1]))]
            + [(artist, distributor.propose_split_control(1, users[3].address))]
            + [(users[3], distributor.accept_split_control(1))]
            + [(artist, distributor.withdraw()), (users[0], distributor.withdraw()), (users[1], nft.withdraw())]
        )

    async def rewards(self) -> None:
        def claim(number: int, user: Key, amount: int) -> tuple[Key, Payload]:
            ids: dict[str, Any] = {"claim_id": f"{number:064x}", "pool": number % 5, "amount": amount}
            signature = authorise_claim(
                self.verifier, self.vault.address, self.town.at.chain_id, claimant=user.address, deadline=FAR, **ids
            )
            return user, self.vault.claim(ids["claim_id"], ids["pool"], amount, FAR, signature)

        claims = [claim(n, self.users[n % len(self.users)], TOKEN + n) for n in range(40)]
        await self.all([*claims, claims[0], claim(99, self.users[0], 11 * TOKEN)], fails=[40, 41])

    async def papers(self) -> None:
        registry, admin, users = self.registry, self.admin, self.users
        await self.all(
            [(admin, registry.publish_document(n, f"{n + 1:02x}" * 32, f"https://x.example/{n}")) for n in range(5)]
        )
        await self.all(
            [(user, registry.accept_document(n % 5, 1, f"{n % 5 + 1:02x}" * 32)) for n, user in enumerate(users)]
        )
        requests = [f"{n:064x}" for n in range(1, 7)]
        await self.all(
            [
                (user, registry.request_deletion(request, n % 2))
                for n, (user, request) in enumerate(zip(users, requests, strict=False))
            ]
        )
        await self.all(
            [(admin, registry.complete_deletion(requests[n], "cc" * 32)) for n in range(3)]
            + [(admin, registry.deny_deletion(requests[3], 2)), (admin, registry.anchor_root("0a" * 32, 1, "0b" * 32))]
        )

    async def administration(self) -> None:
        admin, users = self.admin, self.users
        await self.all(
            [
                (admin, self.token.pause()),
                (users[0], self.token.transfer(users[1].address, 1)),
                (admin, self.token.unpause()),
                (admin, self.vault.pause()),
                (admin, self.nft.grant_role(role("ARTIST_ROLE"), users[5].address)),
                (admin, self.nft.revoke_role(role("ARTIST_ROLE"), users[5].address)),
                (admin, self.distributor.set_platform_fee(300)),
                (admin, self.distributor.set_fee_recipient(users[6].address)),
                (admin, self.vault.set_verifier(users[7].address)),
                (admin, self.vault.configure_pool(4, 0, False)),
                (admin, self.vault.sweep_pool(4, users[8].address)),
            ],
            fails=[1],
        )


# ---- the service --------------------------------------------------------------------------------------------------


@pytest.fixture
async def tables(pool: asyncpg.Pool) -> asyncpg.Pool:
    """A database with the tables, and no service on it."""
    for library in (eventlog, projections_library, messaging):
        await pool.execute(library.install_sql())
    return pool


@pytest.fixture
def watermark(tables: asyncpg.Pool) -> Watermark:
    return Watermark(tables)


@pytest.fixture
def log(tables: asyncpg.Pool, watermark: Watermark) -> EventLog:
    return EventLog(tables, EventTypes(domain.EVENTS), watermark)


@pytest.fixture
async def node(town: Town) -> AsyncIterator[NodeClient]:
    async with NodeClient(town.url, prove=True) as client:
        yield client


@pytest.fixture
async def nodes(town: Town) -> AsyncIterator[Nodes]:
    async with Nodes([Provider("node", town.url)]) as nodes:
        yield nodes


@pytest.fixture
async def proxy(town: Town) -> AsyncIterator[Proxy]:
    async with proxied(town.url) as proxy:
        yield proxy


@pytest.fixture
async def faces(town: Town) -> AsyncIterator[Callable[[str, dict[str, Any]], Awaitable[None]]]:
    """Gives a face of the devnet, or all with `*`, a fault; cleared at the end."""
    async with httpx.AsyncClient(base_url=town.url, timeout=120) as client:

        async def fail(face: str, fault: dict[str, Any]) -> None:
            (await client.post("/devnet/faults", json={**fault, "face": face})).raise_for_status()

        yield fail
        (await client.delete("/devnet/faults")).raise_for_status()


@pytest.fixture(scope="session")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bank]:
    """A chain of fast blocks on which five keys have TRX and tokens to pay with."""
    folder: Path = tmp_path_factory.mktemp("bank")
    with running_devnet(folder, "--block-time", "0.1", "--solid-distance", "12") as devnet:
        yield blocking(_opened(devnet.url, _keys(devnet)))


async def _opened(url: str, keys: list[Key]) -> Bank:
    admin, payers = keys[0], {f"payer-{number}": key for number, key in enumerate(keys[1:6], 1)}
    async with NodeClient(url) as client:
        at = await deploy(client, admin, Plan(artists=[keys[1].address], verifier=keys[2].address, pools={}))
        sender, token = Sender(client), DCMXToken(at.token)
        sent = [await sender.send(token.transfer(key.address, 1_000 * TOKEN), admin) for key in payers.values()]
        await sender.results(sent)
    return Bank(url, payers, contracts_of(at))


@pytest.fixture
async def chain(town: Town, database: str, kafka: str) -> AsyncIterator[Running]:
    """The service as it runs in production, on an empty database and an empty Kafka."""
    await delete_topics(kafka)
    async with serving(create, database, kafka, node_url=town.url, contracts=json.dumps(town.contracts)) as running:
        yield running


@pytest.fixture(scope="session")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, dict[str, str], list[Key]]]:
    folder: Path = tmp_path_factory.mktemp("head")
    with running_devnet(folder, "--block-time", "0.05", "--solid-distance", "20") as devnet:
        keys = _keys(devnet)

        async def deployed() -> dict[str, str]:
            async with NodeClient(devnet.url) as node:
                at = await deploy(node, keys[0], Plan(artists=[keys[1].address], verifier=keys[2].address, pools={}))
            return contracts_of(at)

        yield devnet.url, blocking(deployed()), keys


@pytest.fixture
async def stage(network: tuple[str, dict[str, str], list[Key]]) -> AsyncIterator[Stage]:
    """Standing still, without faults, with blocks enough to be reorganised."""
    async with httpx.AsyncClient(timeout=120) as client, NodeClient(network[0]) as node:
        stage = Stage(*network, client, node)
        (await client.delete(f"{stage.url}/devnet/faults")).raise_for_status()
        await stage.control("block-time", seconds=None)
        await stage.mine(21)
        yield stage
