"""Members: one for each user in a period, of one user for ever."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import httpx
import pytest

from rewards.domain import MemberRefused, MemberRegistered, MemberTaken, RegisterMember, first_day, member_in, period_of
from rewards.domain.members import register_member
from service.testing import Running
from zk.claims import FIELD

ONE, OTHER = "11".rjust(64, "0"), "22".rjust(64, "0")
SUNDAY = datetime(2026, 11, 8, 23, 59, 59, tzinfo=UTC)


async def register(client: httpx.AsyncClient, user: str, member: str) -> httpx.Response:
    return await client.post(f"/users/{user}/members", json={"member": member}, headers={"idempotency-key": "m"})


def test_a_period_is_a_week_from_monday_to_sunday() -> None:
    assert (first_day(202_645), period_of(SUNDAY.date())) == (date(2026, 11, 2), 202_645)
    assert (period_of(date(2026, 11, 9)), period_of(date(2027, 1, 3))) == (202_646, 202_653)
    with pytest.raises(ValueError, match="week"):
        first_day(202_660)


def test_a_change_counts_from_the_next_period_on_and_the_last_one_made_until_then() -> None:
    registered, taken = register_member(RegisterMember("ada", ONE, SUNDAY), (), None)
    assert (registered, taken) == (MemberRegistered("ada", ONE, 202_645), MemberTaken("ada"))
    first = MemberRegistered("ada", ONE, 202_645)
    changed, taken = register_member(RegisterMember("ada", OTHER, SUNDAY), (first,), None)
    assert changed == MemberRegistered("ada", OTHER, 202_646)
    back, taken = register_member(RegisterMember("ada", ONE, SUNDAY), (first, changed), "ada")
    assert (back, taken) == (MemberRegistered("ada", ONE, 202_646), None)
    assert [member_in(period, (first, changed)) for period in (202_644, 202_645, 202_646)] == [None, ONE, OTHER]
    assert back is not None
    assert member_in(202_646, (first, changed, back)) == ONE


def test_a_period_that_is_over_keeps_its_members() -> None:
    """Whoever registers after it is not in it; a change made in it neither."""
    monday = SUNDAY + timedelta(seconds=1)
    late, _ = register_member(RegisterMember("bob", ONE, monday), (), None)
    assert late is not None
    assert member_in(202_645, (late,)) is None


def test_the_same_again_is_nothing_new_and_a_member_is_never_anothers() -> None:
    first = MemberRegistered("ada", ONE, 202_645)
    assert register_member(RegisterMember("ada", ONE, SUNDAY), (first,), "ada") == (None, None)
    with pytest.raises(MemberRefused):
        register_member(RegisterMember("bob", ONE, SUNDAY), (), "ada")


async def test_a_user_registers_its_member_and_nobody_else_does(rewards: Running) -> None:
    async with rewards.client("ada", "user") as ada, rewards.client("bob", "user") as bob:
        assert (await register(ada, "ada", ONE)).json()["events"] == 2
        assert (await register(ada, "ada", ONE)).json()["events"] == 0
        taken = await register(bob, "bob", ONE)
        assert (taken.status_code, taken.json()["type"]) == (409, "urn:annals:problem:member-taken")
        assert (await register(bob, "ada", OTHER)).status_code == 403
        assert (await bob.get("/users/ada/members")).status_code == 403
        assert [one["member"] for one in (await ada.get("/users/ada/members")).json()] == [ONE]
        assert (await bob.get("/users/bob/members")).json() == []


async def test_what_is_no_element_of_the_field_is_no_member(rewards: Running) -> None:
    async with rewards.client("ada", "user") as ada:
        for member in (f"{FIELD:064x}", "f" * 64, "0" * 64, "12", "0x" + "0" * 62, "G" * 64):
            answer = await register(ada, "ada", member)
            assert answer.status_code == 422, member
            assert answer.headers["content-type"] == "application/problem+json"
            assert "member" in answer.text
        assert (await register(ada, "ada", f"{FIELD - 1:064x}")).json()["events"] == 2
