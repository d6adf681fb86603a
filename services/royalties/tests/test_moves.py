"""Two-phase moves: what a party is owed is reserved, then posted, voided or expired, once."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from royalties_chain import PEOPLE, Chain
from royalties_platform import agreed, post, sale

from eventlog import Executor
from eventlog.testing import given
from messaging.testing import eventually
from projections.testing import rebuilt_alike
from royalties import domain, projections
from royalties.domain import (
    BooksMoved,
    ExpireMove,
    Funds,
    MoveExpired,
    MovePosted,
    MoveReserved,
    MoveVoided,
    PostMove,
    Reference,
    Refused,
    ReserveMove,
    VoidMove,
)
from royalties.moving import MoveExpiry

NOW, LATER = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)
NAME = Reference("payouts", "p-1")
RESERVE = ReserveMove(NAME, "ada", "earnings:ada", "paid-out:bank", "USD", 70, LATER, Funds(100, 0))
ASIDE = (("earnings:ada", 70), ("reserved:ada", -70))
BACK = (("reserved:ada", 70), ("earnings:ada", -70))
RESERVED = MoveReserved(NAME, "USD", ASIDE, "ada", "earnings:ada", "paid-out:bank", 70, LATER)
POSTED = MovePosted(NAME, "USD", (("reserved:ada", 70), ("paid-out:bank", -70)), 70)
VOIDED, EXPIRED = MoveVoided(NAME, "USD", BACK, "wrong account"), MoveExpired(NAME, "USD", BACK)


def test_a_reservation_takes_no_more_than_there_is() -> None:
    given(domain.moves).when(RESERVE).then(RESERVED)
    given(domain.moves).when(replace(RESERVE, funds=Funds(69, 0))).then_refused(Refused, "available are 69")
    given(domain.moves).when(replace(RESERVE, amount=0)).then_refused(Refused)
    given(domain.moves, RESERVED).when(replace(RESERVE, funds=Funds(30, 1))).then_nothing()
    given(domain.moves, RESERVED).when(replace(RESERVE, amount=71)).then_refused(Refused, "other contents")


def test_a_reservation_is_made_of_what_the_last_one_has_left() -> None:
    other = replace(RESERVE, reference=Reference("payouts", "p-2"))
    given(domain.moves, RESERVED).when(other).then_refused(BooksMoved, "1 moves were made, not 0")
    given(domain.moves, RESERVED).when(replace(other, funds=Funds(30, 1))).then_refused(Refused, "available are 30")


def test_a_move_is_posted_whole_or_in_part_and_the_rest_goes_back() -> None:
    given(domain.moves, RESERVED).when(PostMove(NAME, NOW)).then(POSTED)
    part = MovePosted(NAME, "USD", (("reserved:ada", 70), ("paid-out:bank", -50), ("earnings:ada", -20)), 50)
    given(domain.moves, RESERVED).when(PostMove(NAME, NOW, 50)).then(part)
    given(domain.moves, RESERVED).when(PostMove(NAME, NOW, 71)).then_refused(Refused, "1 to 70")
    given(domain.moves, RESERVED).when(PostMove(NAME, LATER)).then_refused(Refused, "was reserved until")


def test_a_move_is_given_up_by_a_person_or_by_the_time() -> None:
    given(domain.moves, RESERVED).when(VoidMove(NAME, "wrong account")).then(VOIDED)
    given(domain.moves, RESERVED).when(ExpireMove(NAME, NOW)).then_nothing()
    given(domain.moves, RESERVED).when(ExpireMove(NAME, LATER)).then(EXPIRED)


@pytest.mark.parametrize(
    ("end", "again"),
    [(POSTED, PostMove(NAME, LATER)), (VOIDED, VoidMove(NAME, "wrong account")), (EXPIRED, ExpireMove(NAME, LATER))],
)
def test_a_move_ends_once(end: object, again: object) -> None:
    book = given(domain.moves, RESERVED, end)
    book.when(again).then_nothing()
    for other in (
        PostMove(NAME, NOW),
        PostMove(NAME, NOW, 1),
        VoidMove(NAME, "another reason"),
        ExpireMove(NAME, LATER),
    ):
        if type(other) is not type(again):
            book.when(other).then_refused(Refused, "has ended")


def test_nothing_ends_that_never_began() -> None:
    for command in (PostMove(NAME, NOW), VoidMove(NAME, "x"), ExpireMove(NAME, LATER)):
        given(domain.moves).when(command).then_refused(Refused, "never reserved")


def wish(move_id: str, amount: int, **more: Any) -> dict[str, Any]:
    until = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    return {"move_id": move_id, "means": "bank", "asset": "USD", "amount": str(amount), "expires_at": until, **more}


async def owed_100(ledger: Any) -> None:
    """To ada and to bob, in USD."""
    await agreed(ledger.client)
    await post(ledger.client, "/sales", {"sales": [sale("s-1", 200)]})
    await ledger.shown()


async def balances(ledger: Any, *accounts: str) -> list[int]:
    await ledger.shown()
    return [int((await ledger.get(f"/balances/{account}"))[0]["balance"]) for account in accounts]


async def test_what_is_reserved_is_paid_once_and_what_is_not_paid_is_owed_again(ledger: Any) -> None:
    await owed_100(ledger)
    moves = "/parties/ada/moves"
    await post(ledger.client, moves, wish("m-1", 60))
    assert (await post(ledger.client, moves, wish("m-2", 50), status=409))["type"].endswith("balance-too-small")
    await post(ledger.client, moves, wish("m-2", 40))
    assert await balances(ledger, "earnings:ada", "reserved:ada") == [0, 100]
    for _ in range(2):
        await post(ledger.client, f"{moves}/m-1/post", {"amount": "50"})
    await post(ledger.client, f"{moves}/m-2/void", {"reason": "the account is closed"})
    assert (await post(ledger.client, f"{moves}/m-2/post", {}, status=409))["type"].endswith("move-ended")
    assert await balances(ledger, "earnings:ada", "reserved:ada", "paid-out:bank") == [50, 0, 50]
    shown = (await ledger.get(moves))["items"]
    assert [(one["move_id"], one["status"], one["posted"]) for one in shown] == [
        ("m-2", "voided", None),
        ("m-1", "posted", "50"),
    ]
    await post(ledger.client, "/parties/eve/moves/m-1/post", {}, status=404)
    await rebuilt_alike(ledger.log, [projections.Moves()])


async def test_of_many_who_reserve_at_once_no_two_get_the_same_money(ledger: Any) -> None:
    await owed_100(ledger)
    wishes = [ledger.client.post("/parties/ada/moves", json=wish(f"m-{n}", 30), headers={"idempotency-key": f"{n}"})
              for n in range(6)]  # fmt: skip
    answers = await asyncio.gather(*wishes)
    assert sorted(answer.status_code for answer in answers) == [200] * 3 + [409] * 3
    assert await balances(ledger, "earnings:ada", "reserved:ada") == [10, 90]


async def test_a_reservation_whose_time_is_over_is_given_back(ledger: Any) -> None:
    await owed_100(ledger)
    expiry = asyncio.create_task(MoveExpiry(ledger.log, Executor(ledger.log), ledger.watermark).run())
    await post(ledger.client, "/parties/ada/moves", wish("m-1", 60))
    await post(ledger.client, "/parties/ada/moves", wish("m-2", 30, expires_at=datetime.now(UTC).isoformat()))

    async def expired() -> bool:
        moves = (await ledger.get("/parties/ada/moves"))["items"]
        return [one["status"] for one in moves] == ["expired", "reserved"]

    await eventually(expired)
    expiry.cancel()
    await asyncio.gather(expiry, return_exceptions=True)
    assert await balances(ledger, "earnings:ada", "reserved:ada") == [40, 60]


async def test_what_a_contract_holds_is_not_paid_out_by_the_platform_too(ledger: Any) -> None:
    chain = Chain(fee_bps=0)
    chain.pay(chain.release(PEOPLE[0]), 100)
    await ledger.receive(chain.messages)
    await ledger.shown()
    moves = f"/parties/{PEOPLE[0]}/moves"
    refused = await post(ledger.client, moves, wish("m-1", 1, asset="TRX"), status=409)
    assert refused["detail"] == "asked for 1, available are 0"


async def test_nothing_is_reserved_for_a_party_that_is_held(ledger: Any, olga: dict[str, str]) -> None:
    await owed_100(ledger)
    await post(ledger.client, "/holds/ada", {"reason": "dispute"}, **olga)
    assert (await post(ledger.client, "/parties/ada/moves", wish("m-1", 1), status=409))["type"].endswith(":held")
    await post(ledger.client, "/holds/ada/release", {"reason": "settled"}, **olga)
    await post(ledger.client, "/parties/ada/moves", wish("m-1", 1))
