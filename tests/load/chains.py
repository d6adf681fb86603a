"""A chain of 60,000 purchases, tips, claims and acceptances: made once by the devnet's load generator, then restored.

Kept in `.local/chains` under a name that changes with whatever makes it. A restored devnet serves what it answered
about a block as it was saved, byte for byte, from the disk: all of it costs that process half a second of CPU.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import random
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

import devnet
import tron
from annals.town import topic_name
from local_stack import devnet as devnet_server
from local_stack.paths import FileLock, local
from local_stack.process import blocking
from tron.claims import authorise_claim
from tron.client import NodeClient
from tron.contract import Call
from tron.contracts import ComplianceRegistry, MusicNFT, RewardVault, RoyaltyDistributor
from tron.deploy import TOKEN, Deployment, Plan, deploy
from tron.keys import Key
from tron.sender import Sender

ACCOUNTS, ARTISTS, TRACKS = 200, 12, 24
PURCHASES, TIPS, CLAIMS, TERMS_VERSIONS = 32_000, 6_000, 8_000, 25
BLOCK_TRANSACTIONS = 200
SOLID_DISTANCE = 18
FEE_LIMIT_SUN = 1_000_000_000
FAR = 4_000_000_000  # a deadline in Unix seconds
PRICE_SUN = 7_000_003


@dataclass(frozen=True, slots=True)
class Saved:
    """A chain that a devnet can begin with: `python -m devnet --data FOLDER --restore NAME`."""

    folder: Path
    name: str
    deployment: Deployment

    @property
    def options(self) -> tuple[str, ...]:
        return ("--on-demand", "--data", str(self.folder), "--restore", self.name)

    @property
    def contracts(self) -> dict[str, str]:
        """The setting CHAIN_CONTRACTS."""
        return {topic_name(contract.NAME): contract.address for contract in self.deployment.contracts()}


async def saved_chain(scratch: Path, lock: int) -> Saved:
    """The chain, made now if this version of it was not made before: half a minute."""
    folder, name = local() / "chains", f"bench-{_version()}"
    described = folder / f"{name}.json"
    folder.mkdir(exist_ok=True)
    async with FileLock(local() / "chains.lock"):
        if not (folder / f"{name}.chain").is_file() or not described.is_file():
            options = ("--block-time", "0.2", "--accounts", str(ACCOUNTS), "--data", str(folder))
            async with node(scratch, lock, options) as url:
                deployment = await _fill(url, name)
            described.write_text(json.dumps(deployment.to_dict()))
    return Saved(folder, name, Deployment.from_dict(json.loads(described.read_text())))


@contextlib.asynccontextmanager
async def node(scratch: Path, lock: int, options: tuple[str, ...]) -> AsyncIterator[str]:
    """The address of a devnet process, stopped at the end."""
    process, url = await asyncio.to_thread(blocking, devnet_server.start(scratch, options=options, hold=(lock,)))
    try:
        yield url
    finally:
        await asyncio.to_thread(blocking, process.stop())


def _version() -> str:
    """Of what makes the chain: the network, the contracts, and this file."""
    made_by = hashlib.sha256(Path(__file__).read_bytes())
    for package, pattern in ((devnet, "*.py"), (tron, "abis/*.json")):
        for file in sorted(Path(package.__path__[0]).rglob(pattern)):
            made_by.update(file.read_bytes())
    return made_by.hexdigest()[:12]


async def _fill(url: str, name: str) -> Deployment:
    keys = [Key.from_hex(account.private_key) for account in devnet.accounts(ACCOUNTS)]
    async with NodeClient(url) as client:
        deployment = await deploy(client, keys[0], Plan(artists=[key.address for key in keys[1 : ARTISTS + 1]]))
        sender, nft = Sender(client), MusicNFT(deployment.nft)
        distributor = RoyaltyDistributor(deployment.distributor)
        for track in range(1, TRACKS + 1):
            artist, other = keys[1 + track % ARTISTS], keys[1 + (track + 1) % ARTISTS]
            title = f"Track {track}"
            release = nft.release_track(title, "Artist", _digest(title), 999_999, PRICE_SUN, 1_000)
            await sender.execute(release, artist)
            if track % 3:  # the others pay their artist alone
                split = distributor.configure_split(track, [artist.address, other.address], [700_001, 299_999])
                await sender.execute(split, artist)
    calls = [_form(key, call) for key, call in _calls(deployment, keys)]
    async with httpx.AsyncClient(base_url=f"{url}/devnet/", timeout=120) as control:

        async def ask(path: str, body: dict[str, Any]) -> Any:
            return (await control.post(path, json=body)).raise_for_status().json()

        await ask("block-time", {"seconds": None})
        await ask("load", {"transactions": len(calls), "calls": calls, "block_transactions": BLOCK_TRANSACTIONS})
        done = (await control.get("load")).json()
        while done["running"]:
            await asyncio.sleep(0.5)
            done = (await control.get("load")).json()
        if done["sent"] != len(calls) or done["failed"]:
            raise RuntimeError(f"the chain: expected {len(calls)} transactions that succeed, found {done}")
        await ask("mine", {"blocks": SOLID_DISTANCE + 1})
        await ask("save", {"name": name})
    return deployment


def _calls(deployment: Deployment, keys: list[Key]) -> Iterator[tuple[Key, Call]]:
    """All that happens, in an order that mixes it; the same every time."""
    nft, distributor = MusicNFT(deployment.nft), RoyaltyDistributor(deployment.distributor)
    registry, vault = ComplianceRegistry(deployment.compliance), RewardVault(deployment.vault)
    admin, listeners = keys[0], keys[ARTISTS + 1 :]
    dice = random.Random("chain")  # the same chain every time

    def claim(number: int, key: Key) -> Call:
        claim_id, amount = _digest(f"claim {number}"), TOKEN // 10
        about = {"claim_id": claim_id, "pool": 1, "claimant": key.address, "amount": amount, "deadline": FAR}
        signature = authorise_claim(admin, deployment.vault, deployment.chain_id, **about)
        return vault.claim(claim_id, 1, amount, FAR, signature)

    for version in range(1, TERMS_VERSIONS + 1):
        terms = _digest(f"terms {version}")
        yield admin, registry.publish_document(0, terms, f"ipfs://terms-{version}")
        acts = [(key, registry.accept_document(0, version, terms)) for key in listeners]
        for _ in range(PURCHASES // TERMS_VERSIONS):
            acts.append((dice.choice(listeners), nft.buy_edition(dice.randint(1, TRACKS), value_sun=PRICE_SUN)))
        for _ in range(TIPS // TERMS_VERSIONS):
            tip = distributor.pay(dice.randint(1, TRACKS), 2, value_sun=dice.randint(10**6, 10**7))
            acts.append((dice.choice(listeners), tip))
        for number in range(CLAIMS // TERMS_VERSIONS):
            key = dice.choice(listeners)
            acts.append((key, claim(version * CLAIMS + number, key)))
        dice.shuffle(acts)
        yield from acts


def _form(key: Key, call: Call) -> dict[str, Any]:
    return {"from": key.address, "to": call.contract_address, "data": call.data.hex(), "value": call.value_sun}


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
