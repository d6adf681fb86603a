"""Deploys the five contracts and wires them together.

Contracts are created with tronpy, in threads, because it is synchronous; what follows are typed calls through `Sender`.
The contracts are unaudited: the main network is refused unless the caller says that they know.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self

import tronpy  # type: ignore[import-untyped]  # tronpy ships no type information
from tronpy.keys import PrivateKey  # type: ignore[import-untyped]  # tronpy ships no type information
from tronpy.providers import HTTPProvider  # type: ignore[import-untyped]  # tronpy ships no type information

from tron import parse
from tron.address import keccak256
from tron.client import NodeClient
from tron.contract import Artifact, Call, Contract
from tron.contracts import ComplianceRegistry, DCMXToken, MusicNFT, RewardVault, RoyaltyDistributor
from tron.keys import Key
from tron.model import TransactionInfo
from tron.sender import Sender, check

MAIN_NETWORK = 728_126_428
TOKEN = 10**18
"""One DCMX in its smallest unit (18 decimals)."""

_CREATION_FEE_LIMIT_SUN = 1_000_000_000
_CALL_FEE_LIMIT_SUN = 100_000_000


@dataclass(frozen=True, slots=True)
class Pool:
    """A reward pool's budget and its limit per account and UTC day, in the token's smallest unit."""

    budget: int
    daily_limit: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What to deploy. Who is not named is the administrator: fee recipient, verifier, officers, anchors."""

    cap: int = 1_000_000_000 * TOKEN
    initial_supply: int = 100_000_000 * TOKEN
    fee_bps: int = 250
    fee_recipient: str | None = None
    verifier: str | None = None
    artists: Sequence[str] = ()
    officers: Sequence[str] = ()
    anchors: Sequence[str] = ()
    pools: Mapping[int, Pool] = field(
        default_factory=lambda: {pool: Pool(1_000_000 * TOKEN, 100 * TOKEN) for pool in range(5)}
    )


@dataclass(frozen=True, slots=True)
class Deployment:
    """Where the contracts are. No event of theirs is in a block before `first_block`; `fee_sun` is what it all cost."""

    token: str
    compliance: str
    distributor: str
    nft: str
    vault: str
    chain_id: int
    first_block: int
    fee_sun: int

    def contracts(self) -> list[Contract]:
        """Return the five typed contracts."""
        return [
            DCMXToken(self.token),
            ComplianceRegistry(self.compliance),
            RoyaltyDistributor(self.distributor),
            MusicNFT(self.nft),
            RewardVault(self.vault),
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return a form for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, source: Mapping[str, Any]) -> Self:
        """Return what `to_dict` gave."""
        return cls(**source)


def tronpy_client(url: str, api_key: str | None = None) -> tronpy.Tron:
    """Return a tronpy client. Raises `ValueError` for TronGrid without a key: tronpy would use its shared ones."""
    if "trongrid" in url and not api_key:
        raise ValueError(f"{url} needs an API key of your own")
    return tronpy.Tron(HTTPProvider(url, api_key=api_key, timeout=20.0))


def create(
    url: str, admin: Key, contract: Artifact, code: str, api_key: str | None = None, within: float = 120.0
) -> TransactionInfo:
    """Create one contract with tronpy and wait until it is in a block; `code` is the class's `creation(…)`.

    Raises `TransactionFailed` and tronpy's own errors.
    """
    tron = tronpy_client(url, api_key)
    try:
        unbuilt = tron.trx.deploy_contract(
            admin.address, tronpy.Contract(name=contract.name, abi=contract.entries, bytecode=code)
        )
        unsigned = unbuilt.fee_limit(_CREATION_FEE_LIMIT_SUN).build()
        sent = unsigned.sign(PrivateKey(admin.secret)).broadcast()
        info = parse.transaction_info(sent.wait(timeout=within, interval=0.3))
    finally:
        tron.provider.sess.close()
    check(info, contract.abi)
    return info


class _Deployer:
    def __init__(self, client: NodeClient, admin: Key, api_key: str | None, within: float) -> None:
        self.sender = Sender(client)
        self.url = client.url
        self.admin = admin
        self.api_key = api_key
        self.within = within
        self.fee_sun = 0
        self.blocks: list[int] = []

    async def create(self, kind: type[Contract], code: str) -> str:
        info = await asyncio.to_thread(
            create, self.url, self.admin, kind.artifact(), code, self.api_key, within=self.within
        )
        self._book(info)
        if info.contract_address is None:
            raise parse.Contradiction(f"{kind.NAME}: created without an address")
        return info.contract_address

    async def call(self, *calls: Call) -> None:
        """Send the calls in order; return when all have succeeded."""
        sent = [(await self.sender.send(call, self.admin, _CALL_FEE_LIMIT_SUN), call) for call in calls]
        infos = await self.sender.results([signed for signed, _ in sent], within=self.within)
        for signed, call in sent:
            check(infos[signed.tx_id], call.abi)
            self._book(infos[signed.tx_id])

    def _book(self, info: TransactionInfo) -> None:
        self.fee_sun += info.fee_sun
        self.blocks.append(info.block_number)


async def deploy(
    client: NodeClient,
    admin: Key,
    plan: Plan | None = None,
    *,
    api_key: str | None = None,
    within: float = 120.0,
    accept_unaudited: bool = False,
) -> Deployment:
    """Deploy and wire the five contracts; `admin` pays and administers. `within` is seconds for each step.

    Afterwards MusicNFT registers tracks at the distributor, the roles of the plan are granted, and every pool of the
    plan is funded from the initial supply, limited and active. On failure, what was created stays, unused.
    """
    chain_id = await client.chain_id()
    if chain_id == MAIN_NETWORK and not accept_unaudited:
        raise ValueError("the contracts are unaudited; deploying to the main network must be accepted explicitly")
    plan = plan or Plan()
    deployer = _Deployer(client, admin, api_key, within)
    owner = admin.address
    token, compliance, distributor = await asyncio.gather(
        deployer.create(DCMXToken, DCMXToken.creation(owner, plan.cap, plan.initial_supply)),
        deployer.create(ComplianceRegistry, ComplianceRegistry.creation(owner)),
        deployer.create(
            RoyaltyDistributor, RoyaltyDistributor.creation(owner, plan.fee_recipient or owner, plan.fee_bps)
        ),
    )
    nft, vault = await asyncio.gather(
        deployer.create(MusicNFT, MusicNFT.creation(owner, distributor)),
        deployer.create(RewardVault, RewardVault.creation(owner, token, plan.verifier or owner)),
    )
    registry, music, rewards = ComplianceRegistry(compliance), MusicNFT(nft), RewardVault(vault)
    await deployer.call(
        RoyaltyDistributor(distributor).grant_role(role("REGISTRAR_ROLE"), nft),
        *(music.grant_role(role("ARTIST_ROLE"), artist) for artist in plan.artists),
        *(registry.grant_role(role("OFFICER_ROLE"), officer) for officer in plan.officers or [owner]),
        *(registry.grant_role(role("ANCHOR_ROLE"), anchor) for anchor in plan.anchors or [owner]),
        DCMXToken(token).approve(vault, sum(pool.budget for pool in plan.pools.values())),
    )
    funding = [rewards.fund_pool(number, pool.budget) for number, pool in plan.pools.items()]
    await deployer.call(
        *funding, *(rewards.configure_pool(number, pool.daily_limit, True) for number, pool in plan.pools.items())
    )
    return Deployment(
        token, compliance, distributor, nft, vault, chain_id, first_block=min(deployer.blocks), fee_sun=deployer.fee_sun
    )


def role(name: str) -> bytes:
    """Return the id of an AccessControl role: the hash of its name."""
    return keccak256(name.encode())
