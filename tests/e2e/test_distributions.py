"""From a pool to the wallets of a coin's holders, on a chain that reorganises."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from small_town import Place, recorded, status

import royalties.app
import royalties.domain
from eventlog import EventLog, EventTypes
from messaging.testing import eventually
from royalties.distributing import intents
from royalties.distributing.paid import PaidOnChain
from royalties.settings import RoyaltiesSettings
from service.testing import Running, serving
from tron.client import NodeClient
from tron.contracts import DCMXToken
from tron.deploy import TOKEN
from tron.keys import Key
from tron.sender import Sender
from tron.transaction import Transfer

pytestmark = pytest.mark.devnet("--block-time", "0.1", "--solid-distance", "12")


async def post(client: httpx.AsyncClient, path: str, **body: Any) -> dict[str, Any]:
    answer = await client.post(path, json=body, headers={"idempotency-key": "k"})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def approve(service: Running, run: str, officer: str) -> None:
    async with service.client(officer, "officer") as client:
        digest = (await client.get(f"/distributions/{run}")).json()["digest"]
        await post(client, f"/distributions/{run}/approvals", digest=digest)


async def test_what_a_pool_shares_reaches_each_holder_once_also_after_a_reorganisation(
    chain_of_claims: Place, database: str, kafka: str
) -> None:
    town, ada, bob = chain_of_claims, Key.random().address, Key.random().address
    async with NodeClient(town.url) as node:
        token, sender = DCMXToken(town.at.token), Sender(node)
        await sender.execute(token.transfer(ada, 3 * TOKEN), town.admin)
        given = await sender.execute(Transfer(ada, 5), town.admin)
        block = (await sender.execute(token.transfer(bob, TOKEN), town.admin)).block_number
    settings = {"dcmx_token": town.at.token, "distributions_look_seconds": 0.2, "node_url": town.url}
    async with (
        serving(royalties.app.create, database, kafka, **settings) as service,
        service.client("olga", "officer", "user") as olga,
    ):
        revenue = {"asset": "DCMX", "amount": str(8 * TOKEN), "origin": "treasury", "reason": "third quarter"}
        await post(olga, "/pools/platform/revenue", **revenue)
        opened = await post(
            olga,
            "/distributions",
            pool="platform",
            asset="DCMX",
            amount=str(8 * TOKEN),
            period="2026-Q3",
            holding={"kind": "dcmx-token"},
            block=block,
            tax_form_needed=False,
            excluded=[town.admin.address, town.at.vault],
        )
        run = opened["distribution_id"]
        await eventually(status(olga, f"/distributions/{run}", "previewed"))
        await approve(service, run, "piet")
        town.control("block-time", seconds=None)
        await approve(service, run, "rosa")

        is_reconciled = status(olga, f"/distributions/{run}", "reconciled")
        payment = intents.operation_of(intents.payment_id_of(run, ada), attempt=1)
        await town.reorganises(payment, is_reconciled)
        town.control("block-time", seconds=0.1)
        await eventually(is_reconciled)
        assert (await olga.get(f"/distributions/{run}")).json()["differing"] == 0, "the chain shows the same"
        assert (await town.holds(ada), await town.holds(bob)) == (9 * TOKEN, 3 * TOKEN), "paid once"

        assert await recorded(service.pool, "PaymentMade", 2)()
        assert not await recorded(service.pool, "PaymentAsked", 3)(), "the same transaction again, not another"
        await service.shown()
        (free,) = (await olga.get("/pools/platform")).json()["free"]
        assert free["free"] == "0"
        assert (await olga.get("/trial-balance")).json()["balanced"]
        shares = (await olga.get(f"/distributions/{run}/shares")).json()["items"]
        assert {share["party"]: share["status"] for share in shares} == {ada: "paid", bob: "paid"}

        # What the books say otherwise than the chain is seen.
        log = EventLog(service.pool, EventTypes(royalties.domain.EVENTS))
        first, other = [one.event for one in await log.read(0, 10**9, types=["PaymentMade"])]
        too_much, to_another = replace(first, amount=first.amount + 1), replace(other, party=town.admin.address)
        in_trx = replace(first, amount=5, tx_id=given.tx_id, block_number=given.block_number)
        chain = PaidOnChain(RoyaltiesSettings(database_url=SecretStr(database)), town.url)
        found = await chain.differing([first, other, too_much, to_another], town.at.token)
        assert [(one.party, one.seen) for one in found] == [(first.party, first.amount), (town.admin.address, 0)]
        found = await chain.differing([replace(in_trx, party=ada), replace(in_trx, party=bob)], None)
        assert [(one.party, one.seen) for one in found] == [(bob, 0)]
