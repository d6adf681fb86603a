"""A sixth contract: a token of somebody else's, whose ABI has names of its own, with holders who never rest."""

from __future__ import annotations

import asyncio
import copy
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from annals.demo.theatre import Theatre
from messaging import cloudevents
from messaging.testing import read_all
from tron.abi import Abi
from tron.contracts import DCMXToken
from tron.creation import contract_address
from tron.sender import Sender

FEE_LIMIT_SUN = 1_000_000_000
SUPPLY = 10**24
PAUSE_SECONDS = 0.2
NAMES = {"from": "src", "to": "dst", "value": "wad"}
Place = tuple[int, int]
"""Block and log."""


class SixthContract:
    """The token at work in a theatre."""

    def __init__(self, theatre: Theatre, address: str) -> None:
        self.theatre = theatre
        self.token = DCMXToken(address)
        self.keys = theatre.stage.cast.listeners[:4]
        self._sender = Sender(theatre.node)

    async def pay(self, rounds: int = 1) -> None:
        """Each holder pays the next."""
        for _ in range(rounds):
            for number, key in enumerate(self.keys):
                payee = self.keys[number - 1].address
                await self._sender.send(self.token.transfer(payee, 10 + number), key, FEE_LIMIT_SUN)

    @asynccontextmanager
    async def restless(self) -> AsyncIterator[None]:
        """They pay each other in every block, while the `async with` lasts."""

        async def always() -> None:
            while True:
                await self.pay()
                await asyncio.sleep(PAUSE_SECONDS)

        paying = asyncio.create_task(always())
        try:
            yield
            paying.cancel()
            await asyncio.wait({paying})
            assert paying.cancelled(), paying.exception()
        finally:
            paying.cancel()

    async def transfers(self) -> list[Place]:
        """The places of all transfers in solidified blocks, as the node's index has them."""
        last = (await self.theatre.node.solid_head()).number
        topic = next(event.topic0 for event in self.token.artifact().abi.events.values() if event.name == "Transfer")
        logs = await self.theatre.node.rpc.logs(0, last, [self.token.address])
        return [(one.block_number, one.log.index_in_block) for one in logs if one.log.topics[0] == topic]

    async def holders_are_shown(self, contract: str) -> None:
        """Balances, holders and supply are the node's own."""
        owned = {key.address: await self._sender.read(self.token.balance_of(key.address)) for key in self.keys}
        async with self.theatre.client("chain") as client:
            for address, balance in owned.items():
                found = (await client.get(f"/balances/{address}")).json()
                assert found["tokens"] == {contract: str(balance)}
            holders = (await client.get("/token-holders", params={"contract": contract})).json()
        assert (holders["holders"], holders["supply"]) == (len(owned) + 1, str(SUPPLY))
        assert {one["address"]: int(one["balance"]) for one in holders["items"][1:]} == owned

    async def told(self, contract: str) -> list[Place]:
        """The places of its transfers on `chain.events`, in the order of the topic."""
        records = await read_all(self.theatre.directory.environment["ANNALS_KAFKA_BOOTSTRAP"], "chain.events")
        messages = [cloudevents.decode(record).message for record in records]
        own = [one for one in messages if one.contract == contract and one.name == "Transfer"]  # type: ignore[attr-defined]
        assert all(one.args.keys() == {"from", "to", "value"} for one in own)  # type: ignore[attr-defined]
        return [(one.source.block_number, one.source.log_index) for one in own]  # type: ignore[attr-defined]

    async def shown(self, contract: str) -> list[Place]:
        """The places of its transfers in the API, oldest first."""
        found: list[Place] = []
        params = {"contract": contract, "name": "Transfer", "limit": "100"}
        async with self.theatre.client("chain") as client:
            while True:
                page = (await client.get("/events", params=params)).json()
                found += [(event["block_number"], event["log_index"]) for event in page["items"]]
                if page["next"] is None:
                    return found[::-1]
                params["cursor"] = page["next"]


async def deployed(theatre: Theatre) -> SixthContract:
    """The token on the chain, each holder with some of it."""
    admin, sender = theatre.stage.cast.admin, Sender(theatre.node)
    creation = DCMXToken.creation(admin.address, SUPPLY, SUPPLY)
    signed = await sender.send(creation, admin, FEE_LIMIT_SUN)
    await sender.results([signed])
    sixth = SixthContract(theatre, contract_address(signed.tx_id, admin.address))
    gifts = [sixth.token.transfer(key.address, 10**6) for key in sixth.keys]
    await sender.results([await sender.send(gift, admin, FEE_LIMIT_SUN) for gift in gifts])
    return sixth


def abi_of_its_own(file: Path) -> Path:
    """Writes the ABI with other names for what a transfer moves."""
    entries = copy.deepcopy(DCMXToken.artifact().entries)
    for entry in entries:
        if entry.get("name") == "Transfer":
            for parameter in entry["inputs"]:
                parameter["name"] = NAMES[parameter["name"]]
    assert Abi(entries).events
    file.write_text(json.dumps(entries))
    return file
