"""The service as it runs: Kafka in, HTTP and Kafka out."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import httpx
from royalties_chain import PEOPLE, Chain, busy_chain
from royalties_platform import agreed, post, told_refund, told_sale

from contracts import chain as messages
from contracts.testing import source
from messaging.testing import eventually, headers, read_all, send, send_raw
from service.testing import Running


async def earned(client: httpx.AsyncClient, person: str) -> int:
    """What a person is owed."""
    total = (await client.get(f"/artists/{person}/earnings")).json()["total"]
    return int(total[0]["owed"]) if total else 0


async def test_what_happens_on_the_chain_is_on_the_books_and_told_to_others(royalties: Running, kafka: str) -> None:
    chain = busy_chain()
    await send(kafka, *chain.messages)
    async with royalties.client("shop", "service") as client:

        async def all_there() -> bool:
            return {who: await earned(client, who) for who in PEOPLE} == {who: chain.earnings[who] for who in PEOPLE}

        await eventually(all_there)
        assert (await client.get("/trial-balance")).json()["balanced"]

        async def ready() -> bool:
            return (await client.get("/ready")).status_code == 200

        await eventually(ready)  # its own topic is made by the relay

    said = Counter(message.type.split(".")[2] for _, message in chain.messages)
    wanted = {
        "SaleRecorded": said["PrimarySale"] + said["SecondarySale"],
        "RoyaltyEarned": said["RoyaltyCredited"],
        "RoyaltyPaidOut": sum(isinstance(message, messages.RoyaltyWithdrawn) for _, message in chain.messages),
    }

    async def told() -> bool:
        records = await read_all(kafka, "royalties.events")
        types = Counter(dict(record.headers)["ce_type"].decode().split(".")[2] for record in records)
        return dict(types) == wanted

    await eventually(told)
    records = await read_all(kafka, "royalties.events")
    paid_out = [json.loads(r.value) for r in records if b"RoyaltyPaidOut" in dict(r.headers)["ce_type"]]
    assert sum(int(message["amount_sun"]) for message in paid_out) == chain.withdrawn_sun


async def test_a_contradiction_is_put_aside_with_its_key_behind_it_and_others_go_on(
    royalties: Running, kafka: str
) -> None:
    chain = Chain(fee_bps=0)
    good, bad = chain.release(PEOPLE[0]), chain.release(PEOPLE[1])
    chain.pay(bad, 10)
    first = len(chain.messages)
    chain.pay(bad, 20)
    chain.pay(good, 30)
    chain.buy_edition(good, PEOPLE[4], 40)
    contradiction = messages.RoyaltyCredited(
        track_id=bad, payment_id=77, recipient=PEOPLE[5], amount_sun=5, source=source(4, 7)
    )
    key = f"royalty-distributor/track/{bad}"
    await send(kafka, *chain.messages[:first], (key, contradiction), *chain.messages[first:])
    pool = royalties.pool

    async def others_went_on() -> bool:
        async with royalties.client("shop", "service") as client:
            return await earned(client, PEOPLE[0]) == 70 and await pool.fetchval("SELECT count(*) FROM parked") == 3

    await eventually(others_went_on)
    await royalties.shown()  # also what came before the contradiction, of another partition than the others
    parked = await pool.fetch('SELECT key, reason, error FROM parked ORDER BY "offset"')
    assert [(row["key"].decode(), row["reason"]) for row in parked] == [
        (key, "failed"),
        (key, "behind"),
        (key, "behind"),
    ]
    assert "payment 77: a credit" in parked[0]["error"]
    async with royalties.client("shop", "service") as client:
        assert await earned(client, PEOPLE[1]) == 10
        assert await earned(client, PEOPLE[5]) == 0
        assert (await client.get("/trial-balance")).json()["balanced"]


async def test_malformed_messages_are_put_aside_and_the_others_go_on(royalties: Running, kafka: str) -> None:
    chain = Chain(fee_bps=0)
    chain.pay(chain.release(PEOPLE[0]), 10)
    await send(kafka, *chain.messages)
    payment = next(message for _, message in chain.messages if isinstance(message, messages.PaymentReceived))
    for number, amount in enumerate(("-5", "1.5", str(2**256), 0.5)):
        body = json.dumps({**json.loads(payment.model_dump_json()), "amount_sun": amount})
        named = headers(ce_type=payment.type.encode())
        await send_raw(kafka, payment.topic, f"royalty-distributor/track/9{number}".encode(), body.encode(), named)
    pool = royalties.pool

    async def settled() -> bool:
        async with royalties.client("shop", "service") as client:
            parked = await pool.fetchval("SELECT count(*) FROM parked WHERE reason = 'malformed'")
            return parked == 4 and await earned(client, PEOPLE[0]) == 10

    await eventually(settled)


async def test_a_sale_told_by_the_topic_is_posted_and_told_to_others_as_is_what_could_not_be_followed(
    royalties: Running, kafka: str
) -> None:
    async with royalties.client("office", "service") as client:
        await post(client, "/assets", {"asset": "coin:ada", "scale": 8})
        await agreed(client)
    told_sales = (told_sale("s-1", amount=101), told_sale("s-1", amount=5), told_sale("s-2", asset="nothing"))
    await send(kafka, *told_sales, told_refund("r-1", "s-1", 50))

    async def told() -> dict[str, list[dict[str, Any]]]:
        found: dict[str, list[dict[str, Any]]] = {}
        for record in await read_all(kafka, "royalties.events"):
            name = dict(record.headers)["ce_type"].decode().split(".")[2]
            found.setdefault(name, []).append(json.loads(record.value))
        return found

    async def all_told() -> bool:
        return sum(map(len, (await told()).values())) == 5

    await eventually(all_told)
    found = await told()
    assert found["AssetRegistered"] == [{"asset": "coin:ada", "scale": 8}]
    ((sold,), (back,)) = found["SalePosted"], found["RefundPosted"]
    assert (sold["sale_id"], sold["amount"], [part["amount"] for part in sold["parts"]]) == ("s-1", "101", ["50", "50"])
    assert (back["sale_id"], back["left"], [part["amount"] for part in back["parts"]]) == ("s-1", "51", ["-25", "-25"])
    refused = sorted((one["command_id"], one["code"]) for one in found["CommandRefused"])
    assert refused == [("s-1", "reference-conflict"), ("s-2", "asset-unknown")]
    await royalties.shown()
    async with royalties.client("office", "service") as client:
        (clearing,) = (await client.get("/balances/clearing:stripe")).json()
        await post(client, "/reversals", {"reversal_id": "x-1", "of": "s-1", "caller": "shop", "reason": "a test"})
    assert clearing["balance"] == "51"

    async def undone() -> bool:
        return "ReversalPosted" in await told()

    await eventually(undone)
    (last,) = (await told())["ReversalPosted"]
    assert (last["of_id"], last["left"], last["reason"]) == ("s-1", "0", "a test")
