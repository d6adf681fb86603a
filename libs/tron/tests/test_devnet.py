"""Everything together on a real chain: the devnet runs the compiled contracts in an EVM and checks signatures."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from local_stack.process import blocking
from local_stack.testing import running_devnet
from tron.abi import Decoded
from tron.claims import authorise_claim, claim_digest
from tron.client import NodeClient
from tron.contracts import ComplianceRegistry, DCMXToken, MusicNFT, RewardVault, RoyaltyDistributor
from tron.deploy import TOKEN, Deployment, Plan, Pool, deploy, role
from tron.errors import BroadcastRefused, CallReverted, TransactionFailed
from tron.keys import Key
from tron.model import Log
from tron.sender import Sender, check
from tron.transaction import Reference, Signed, Transfer, sign

FEE_LIMIT = 100_000_000
PLAN_POOLS = {1: Pool(budget=1_000 * TOKEN, daily_limit=10 * TOKEN)}


@dataclass(frozen=True)
class Chain:
    url: str
    keys: list[Key]
    at: Deployment

    @property
    def admin(self) -> Key:
        return self.keys[0]

    @property
    def artist(self) -> Key:
        return self.keys[1]


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    """A devnet with a block every 0.2 s and the five contracts on it."""
    with running_devnet(tmp_path_factory.mktemp("devnet"), "--block-time", "0.2") as devnet:
        keys = [Key.from_hex(one) for one in devnet.private_keys()]
        yield Chain(devnet.url, keys, blocking(_deploy(devnet.url, keys)))


async def _deploy(url: str, keys: list[Key]) -> Deployment:
    plan = Plan(artists=[keys[1].address], verifier=keys[2].address, pools=PLAN_POOLS, fee_bps=250)
    async with NodeClient(url) as client:
        return await deploy(client, keys[0], plan)


@pytest.fixture
async def client(chain: Chain) -> AsyncIterator[NodeClient]:
    async with NodeClient(chain.url) as client:
        yield client


@pytest.fixture
def sender(client: NodeClient) -> Sender:
    return Sender(client)


def decoded(logs: tuple[Log, ...], at: Deployment) -> list[Decoded]:
    """Decode logs by the contract that wrote them; each must be known."""
    abis = {contract.address: contract.artifact().abi for contract in at.contracts()}
    events = [abis[log.address].decode_event(log.topics, log.data) for log in logs]
    assert all(isinstance(event, Decoded) for event in events), events
    return [event for event in events if isinstance(event, Decoded)]


# -- deployment ------------------------------------------------------------------------------------------------------


async def test_the_contracts_are_deployed_wired_and_affordable(chain: Chain, sender: Sender) -> None:
    at = chain.at
    assert len({at.token, at.compliance, at.distributor, at.nft, at.vault, at.listening_verifier}) == 6
    assert 0 < at.fee_sun <= 1_150_000_000  # seed: at most 1,000 TRX for the five; the sixth verifies listening claims
    assert Deployment.from_dict(at.to_dict()) == at
    nft, vault = MusicNFT(at.nft), RewardVault(at.vault)
    artist_role = await sender.read(nft.artist_role())
    registrar = await sender.read(RoyaltyDistributor(at.distributor).registrar_role())
    assert await sender.read(nft.has_role(artist_role, chain.artist.address))
    assert await sender.read(RoyaltyDistributor(at.distributor).has_role(registrar, at.nft))
    assert await sender.read(nft.distributor()) == at.distributor
    assert await sender.read(vault.verifier()) == chain.keys[2].address
    assert await sender.read(vault.listening_verifier()) == at.listening_verifier
    assert await sender.read(vault.has_role(role("PUBLISHER_ROLE"), chain.keys[0].address))
    assert await sender.read(vault.pools(1)) == {"budget": 1_000 * TOKEN, "dailyLimit": 10 * TOKEN, "active": True}
    assert await sender.read(DCMXToken(at.token).balance_of(at.vault)) == 1_000 * TOKEN
    assert await sender.read(DCMXToken(at.token).name()) == "DCMX Token"


# -- typed calls -----------------------------------------------------------------------------------------------------


async def test_a_track_is_released_split_sold_and_resold(chain: Chain, sender: Sender) -> None:
    nft, distributor = MusicNFT(chain.at.nft), RoyaltyDistributor(chain.at.distributor)
    artist, buyer, collector, singer = chain.artist, chain.keys[3], chain.keys[4], chain.keys[5]
    info = await sender.execute(nft.release_track("Nachtlied", "Ana", "ab" * 32, 10, 5_000_000, 1_000), artist)
    (released,) = [event for event in decoded(info.logs, chain.at) if event.name == "TrackReleased"]
    track = released.args["trackId"]
    assert released.args == {
        "trackId": track,
        "artist": artist.address,
        "title": "Nachtlied",
        "artistName": "Ana",
        "contentHash": "ab" * 32,
        "maxEditions": 10,
        "priceSun": 5_000_000,
        "royaltyBps": 1_000,
    }
    parts = [artist.address, singer.address]
    await sender.execute(distributor.configure_split(track, parts, [700_000, 300_000]), artist)
    assert await sender.read(distributor.split_of(track, 1)) == {"recipients": parts, "sharesPpm": [700_000, 300_000]}

    info = await sender.execute(nft.buy_edition(track, value_sun=5_000_000), buyer)
    events = {event.name: event.args for event in decoded(info.logs, chain.at)}
    token = events["EditionMinted"]["tokenId"]
    assert events["PrimarySale"]["buyer"] == buyer.address
    assert events["PaymentReceived"]["feeSun"] == 125_000
    assert [t.value_sun for t in info.internal_transfers] == [5_000_000]

    await sender.execute(nft.list(token, 8_000_000), buyer)
    info = await sender.execute(nft.buy(token, value_sun=8_000_000), collector)
    sale = next(event.args for event in decoded(info.logs, chain.at) if event.name == "SecondarySale")
    assert (sale["priceSun"], sale["royaltySun"], sale["seller"]) == (8_000_000, 800_000, buyer.address)
    assert await sender.read(nft.owner_of(token)) == collector.address
    assert await sender.read(distributor.withdrawable(singer.address)) == (4_875_000 + 780_000) * 3 // 10


async def test_a_claim_that_the_verifier_signed_is_paid_once(chain: Chain, sender: Sender) -> None:
    vault, claimant = RewardVault(chain.at.vault), chain.keys[6]
    claim_id, amount, deadline = "c1" * 32, 3 * TOKEN, int(time.time()) + 3600
    claim: dict[str, Any] = {"claim_id": claim_id, "pool": 1, "amount": amount, "deadline": deadline}
    claim["claimant"] = claimant.address
    on_chain = await sender.read(vault.claim_digest(claim_id, 1, claimant.address, amount, deadline))
    assert claim_digest(vault.address, chain.at.chain_id, **claim).hex() == on_chain
    signature = authorise_claim(chain.keys[2], vault.address, chain.at.chain_id, **claim)
    call = vault.claim(claim_id, 1, amount, deadline, signature)
    with pytest.raises(TransactionFailed, match="NotAuthorized"):
        await sender.execute(call, chain.keys[7], FEE_LIMIT)

    info = await sender.execute(call, claimant)
    assert [event.name for event in decoded(info.logs, chain.at)] == ["RewardClaimed", "Transfer"]
    with pytest.raises(CallReverted, match=r"ClaimAlreadyPaid\(claimId=c1c1"):
        await sender.send(call, claimant)
    with pytest.raises(TransactionFailed, match="REVERT: ClaimAlreadyPaid") as caught:
        await sender.execute(call, claimant, FEE_LIMIT)
    assert caught.value.kind == "execution"
    assert caught.value.fee_sun > 0


async def test_terms_are_published_and_accepted(chain: Chain, sender: Sender) -> None:
    registry, user = ComplianceRegistry(chain.at.compliance), chain.keys[8]
    await sender.execute(registry.publish_document(0, "d0" * 32, "https://example.org/terms"), chain.admin)
    assert not await sender.read(registry.has_accepted(user.address, 0))
    info = await sender.execute(registry.accept_document(0, 1, "d0" * 32), user, solid=True)
    (accepted,) = decoded(info.logs, chain.at)
    assert accepted.args == {"account": user.address, "documentType": 0, "version": 1, "contentHash": "d0" * 32}
    assert await sender.read(registry.has_accepted(user.address, 0))


# -- what goes wrong -------------------------------------------------------------------------------------------------


async def test_too_low_a_fee_limit_is_an_energy_failure(chain: Chain, sender: Sender) -> None:
    call = MusicNFT(chain.at.nft).release_track("x", "y", "ab" * 32, 1, 1, 0)
    with pytest.raises(TransactionFailed, match="OUT_OF_ENERGY") as caught:
        await sender.execute(call, chain.artist, 100_000)
    assert caught.value.kind == "energy"


async def test_a_transaction_takes_effect_once_however_often_it_is_broadcast(chain: Chain, sender: Sender) -> None:
    receiver = Key.random().address
    signed = await sender.sign(Transfer(receiver, 7_000_000), chain.keys[9])
    for _ in range(3):
        await sender.broadcast(signed)
    await sender.result(signed.tx_id)
    await sender.broadcast(signed)
    account = await sender.client.request("wallet/getaccount", {"address": receiver, "visible": True})
    assert account["balance"] == 7_000_000


async def test_refusals_are_classified(chain: Chain, sender: Sender, client: NodeClient) -> None:
    rich, poor, now = chain.keys[9], Key.random(), int(time.time() * 1000)
    reference = await sender.reference()
    expired = sign(Transfer(poor.address, 1), rich, reference, now_ms=now - 90_000, expires_ms=now - 30_000)
    elsewhere = Reference(0, "00" * 8 + "ab" * 24)
    foreign = sign(Transfer(poor.address, 1), rich, elsewhere, now_ms=now, expires_ms=now + 60_000)
    too_much = sign(Transfer(poor.address, 2**62), rich, reference, now_ms=now, expires_ms=now + 60_000)
    refused = []
    for signed in (expired, foreign, too_much):
        with pytest.raises(BroadcastRefused) as caught:
            await sender.broadcast(signed)
        refused.append((caught.value.code, caught.value.kind))
    assert refused == [
        ("TRANSACTION_EXPIRATION_ERROR", "expired"),
        ("TAPOS_ERROR", "expired"),
        ("CONTRACT_VALIDATE_ERROR", "resources"),
    ]


# -- many ------------------------------------------------------------------------------------------------------------


async def test_hundreds_of_transactions_are_sent_and_followed_to_their_blocks(chain: Chain, sender: Sender) -> None:
    token = DCMXToken(chain.at.token)
    call = token.approve(chain.at.vault, 1)
    limit = asyncio.Semaphore(16)

    async def send(number: int) -> Signed:
        async with limit:
            return await sender.send(call, chain.keys[10 + number % 10], FEE_LIMIT)

    sent = await asyncio.gather(*(send(number) for number in range(300)))
    found = await sender.results(sent)
    assert len(found) == 300
    for info in found.values():
        check(info, call.abi)


async def test_the_whole_chain_passes_every_check_and_every_log_decodes(chain: Chain, sender: Sender) -> None:
    client = sender.client
    sent = [await sender.send(Transfer(chain.keys[1].address, 1), key) for key in chain.keys[2:9]]
    receipts = await sender.results(sent, solid=True)
    assert all(info.success for info in receipts.values())
    head = await client.solid_head()
    names = set()
    for block in await client.blocks(0, head.number):
        infos = await client.infos_of(block)
        assert block.number == 0 or len(infos) == len(block.transactions)
        logs = tuple(log for info in infos for log in info.logs)
        assert [log.index_in_block for log in logs] == list(range(len(logs)))
        names |= {event.name for event in decoded(logs, chain.at)}
    assert {"RoleGranted", "PoolFunded", "PoolConfigured", "Transfer", "Approval", "VerifierChanged"} <= names
