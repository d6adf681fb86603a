"""The books held against the contracts of a real chain: the same to the sun, until a contract cheats."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

import asyncpg
import pytest

import devnet as development
import tron.contract
from annals.town import topic_name
from chain.decoding import public_message
from chain.domain import ContractEvent
from chain.handlers import Translator
from contracts.chain import BlocksSolidified, ChainMessage
from eventlog import EventLog, EventTypes, Executor
from local_stack.testing import Devnet
from messaging import Received, inbox
from royalties import domain, handlers
from royalties.reconciliation import Outcome, reconcile
from service import find_migrations, migrate
from tron.abi import Abi, Function
from tron.client import NodeClient
from tron.contract import Call
from tron.deploy import Deployment, Plan, deploy
from tron.keys import Key
from tron.sender import Sender

sys.path.append(str(Path(__file__).parent))  # for market

from market import Market

SOLID_DISTANCE, PEOPLE, ARTISTS = 4, 40, 8
pytestmark = [
    pytest.mark.devnet("--block-time", "0.05", "--solid-distance", str(SOLID_DISTANCE), "--accounts", str(PEOPLE + 1)),
]
HOSTILE = Path(__file__).resolve().parents[2] / "contracts/solidity/test/artifacts/EmbezzlingDistributor.json"
EMBEZZLER = json.loads(HOSTILE.read_text())
BATCH = 500
SEED = int(os.environ.get("MARKET_SEED", "7"))


@dataclass
class Bookkeeper:
    """Takes in what a node's receipts say, as the chain service tells it, without Kafka between."""

    node: NodeClient
    log: EventLog
    translator: Translator
    told: BlocksSolidified | None = None
    offset: int = 0

    async def follow(self) -> None:
        """All that is solidified."""
        solid = await self.node.solid_head()
        batch: list[Received] = []
        for block in await self.node.blocks(0 if self.told is None else self.told.last + 1, solid.number):
            for event in self.translator.block(block, await self.node.infos_of(block)).events:
                assert isinstance(event.event, ContractEvent)
                message = public_message(event.event)
                if isinstance(message, ChainMessage) and message.topic in handlers.TOPICS:
                    self.offset += 1
                    batch.append(
                        Received(message, str(event.event_id), "/chain", message.topic, 0, self.offset, event.stream)
                    )
        handle = inbox(handlers.translate, Executor(self.log))
        for start in range(0, len(batch), BATCH):
            async with self.log.pool.acquire() as connection, connection.transaction():
                committed = await handle(batch[start : start + BATCH], connection)
            if committed is not None:
                committed()
        time = self.translator.block(solid, await self.node.infos_of(solid)).time
        self.told = BlocksSolidified(first=0, last=solid.number, last_hash=solid.hash, last_time=time)

    async def reached(self) -> BlocksSolidified | None:
        return self.told

    async def reconcile(self) -> Outcome:
        return await reconcile(self.log, self.node, self.reached, patience_seconds=0)


@pytest.fixture
async def market(devnet: Devnet, monkeypatch: pytest.MonkeyPatch) -> Market:
    """Tracks whose royalties an embezzler keeps, who is honest yet."""
    honest = tron.contract.artifact
    doctored = replace(honest("RoyaltyDistributor"), bytecode=EMBEZZLER["bytecode"].removeprefix("0x"))
    monkeypatch.setattr(
        tron.contract, "artifact", lambda name: doctored if name == "RoyaltyDistributor" else honest(name)
    )
    admin, *people = (Key.from_hex(account.private_key) for account in development.accounts(PEOPLE + 1))
    async with NodeClient(devnet.url) as node:
        at = await deploy(node, admin, Plan(artists=[key.address for key in people[:ARTISTS]], pools={}))
    print(f"MARKET_SEED={SEED}")
    return Market(at, admin, people, ARTISTS, Random(SEED))


@pytest.fixture
async def bookkeeper(devnet: Devnet, market: Market, database: str, pool: asyncpg.Pool) -> AsyncIterator[Bookkeeper]:
    await migrate("royalties", find_migrations("royalties"), database)
    contracts = {topic_name(contract.NAME): contract.address for contract in market.at.contracts()}
    async with NodeClient(devnet.url) as node:
        yield Bookkeeper(node, EventLog(pool, EventTypes(domain.EVENTS)), Translator(contracts, None))


async def test_the_books_of_two_thousand_sales_are_the_contracts_to_the_sun_until_one_embezzles(
    devnet: Devnet, market: Market, bookkeeper: Bookkeeper
) -> None:
    market.trade(sales=2_000)
    await market.happen(devnet.url, SOLID_DISTANCE)
    with pytest.raises(LookupError, match="know no track yet"):
        await bookkeeper.reconcile()
    await bookkeeper.follow()

    honest = await bookkeeper.reconcile()
    assert honest.ok, honest
    assert honest.first_block == honest.last_block == (await bookkeeper.node.solid_head()).number
    assert honest.accounts > PEOPLE
    assert honest.held_sun > 0

    embezzle = embezzling(market.at, every=10)
    await Sender(bookkeeper.node).send(embezzle, market.admin)
    market.trade(sales=20)
    await market.happen(devnet.url, SOLID_DISTANCE)
    with pytest.raises(LookupError, match="the books have come to block"):
        await bookkeeper.reconcile()
    await bookkeeper.follow()

    cheated = await bookkeeper.reconcile()
    robbed = [one for one in cheated.differences if one.compared.surplus_sun < 0]
    gained = [one for one in cheated.differences if one.compared.surplus_sun > 0]
    assert robbed
    assert sum(one.compared.surplus_sun for one in robbed + gained) == 0, "the contract holds what it should in all"
    assert all(one.compared.account.startswith("earnings:") for one in cheated.differences)
    for one in cheated.differences:
        assert one.agreed_block == honest.first_block
        assert all(entry.block_number > honest.first_block for entry in one.entries)
    assert all(one.entries for one in robbed), "with the transactions among which the guilty one is"
    assert await recorded(bookkeeper.log) == [
        "ReconciliationDone",
        *["DifferenceFound"] * len(cheated.differences),
        "ReconciliationDone",
    ]


def embezzling(at: Deployment, every: int) -> Call:
    """The call that begins it."""
    abi = Abi(EMBEZZLER["abi"])
    function: Function = abi.functions["embezzle(uint256)"]
    return Call(at.distributor, function, function.encode([every]), abi)


async def recorded(log: EventLog) -> list[str]:
    return [entry.type for entry in await log.read_stream("reconciliation")]
