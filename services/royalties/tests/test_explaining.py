"""Why an amount is what it is: reckoned again from the events that the answer names."""

from __future__ import annotations

from typing import Any

import pytest
from royalties_chain import PEOPLE, Chain, busy_chain
from royalties_platform import busy_platform


async def lines_of(ledger: Any, party: str, asset: str = "TRX") -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = (await ledger.get(f"/parties/{party}/statement", limit=500, asset=asset))["lines"]
    return lines


async def test_every_royalty_is_explained_by_the_payment_the_split_and_the_transaction(ledger: Any) -> None:
    await ledger.receive(busy_chain(steps=40).messages)
    await ledger.shown()
    royalties = 0
    for line in await lines_of(ledger, PEOPLE[0]):
        why = await ledger.get(f"/lines/{line['position']}/{line['posting']}/why")
        assert (why["amount"], why["kind"], why["source"]["tx_id"]) == (line["amount"], line["kind"], line["tx_id"])
        assert why["fact"]["message"].startswith("id-")
        if line["kind"].startswith("royalty"):
            royalties += 1
            (share,) = why["shares"]
            totals = [int(share[name]) * share["ppm"] // 10**6 for name in ("total_after", "total_before")]
            assert (str(totals[0] - totals[1]), why["agrees"]) == (line["amount"], True)
            payment = next(fact for fact in why["rests_on"] if fact["type"] == "PaymentPosted.v1")
            net = int(payment["data"]["amount_sun"]) - int(payment["data"]["fee_sun"])
            assert int(share["total_after"]) - int(share["total_before"]) == net
            (split,) = [fact for fact in why["rests_on"] if fact["type"] == "SplitSet.v1"]
            assert {"recipient": PEOPLE[0], "ppm": str(share["ppm"])} in split["data"]["shares"]
    assert royalties > 5


async def test_what_the_chain_credited_otherwise_does_not_agree(ledger: Any) -> None:
    chain = Chain(fee_bps=0)
    track = chain.release(PEOPLE[0])
    chain.pay(track, 100)
    key, wrong = chain.messages[-1]
    chain.messages[-1] = (key, wrong.model_copy(update={"amount_sun": 40}))
    await ledger.receive(chain.messages)
    await ledger.shown()
    (line,) = await lines_of(ledger, PEOPLE[0])
    why = await ledger.get(f"/lines/{line['position']}/{line['posting']}/why")
    assert (why["amount"], why["shares"][0]["amount"], why["agrees"]) == ("40", "100", False)


async def test_sales_off_the_chain_are_explained_by_their_agreement_and_refunds_by_their_sale(ledger: Any) -> None:
    await busy_platform(ledger.client)
    await ledger.shown()
    kinds = set()
    for line in await lines_of(ledger, "ada", "USD"):
        why = await ledger.get(f"/lines/{line['position']}/{line['posting']}/why")
        assert (why["reference"], why["caller"], why["amount"]) == (line["reference"], line["caller"], line["amount"])
        if why["account"] == "earnings:ada" and line["kind"] != "carry":
            kinds.add(line["kind"].partition("-")[2])
            assert why["agrees"] is True, why
            types = [fact["type"] for fact in why["rests_on"]]
            taken_back = "sale" not in line["kind"]
            assert types == ["AgreementVersionSet.v1", "SalePosted.v1"][: 1 + taken_back]
    assert kinds >= {"sale", "refund"}


@pytest.mark.parametrize("path", ["/lines/999/0/why", "/lines/1/0/why"])
async def test_what_is_no_line_has_no_reason(ledger: Any, path: str) -> None:
    chain = Chain()
    chain.release(PEOPLE[0])  # moves no money
    await ledger.receive(chain.messages)
    assert (await ledger.client.get(path)).status_code == 404
