"""Two-phase moves: reserved, then posted, voided or expired, once."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from eventlog.testing import given
from royalties import domain
from royalties.domain import (
    ExpireMove,
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

NOW, LATER = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)
NAME = Reference("payouts", "p-1")
RESERVE = ReserveMove(NAME, "ada", "earnings:ada", "paid-out:bank", "USD", 70, 100, LATER)
ASIDE = (("earnings:ada", 70), ("reserved:ada", -70))
BACK = (("reserved:ada", 70), ("earnings:ada", -70))
RESERVED = MoveReserved(NAME, "USD", ASIDE, "ada", "earnings:ada", "paid-out:bank", 70, LATER)
POSTED = MovePosted(NAME, "USD", (("reserved:ada", 70), ("paid-out:bank", -70)), 70)
VOIDED, EXPIRED = MoveVoided(NAME, "USD", BACK, "wrong account"), MoveExpired(NAME, "USD", BACK)


def test_a_reservation_takes_no_more_than_there_is() -> None:
    given(domain.move).when(RESERVE).then(RESERVED)
    given(domain.move).when(replace(RESERVE, available=69)).then_refused(Refused, "available are 69")
    given(domain.move).when(replace(RESERVE, amount=0)).then_refused(Refused)
    given(domain.move, RESERVED).when(replace(RESERVE, available=30)).then_nothing()
    given(domain.move, RESERVED).when(replace(RESERVE, amount=71)).then_refused(Refused, "other contents")


def test_a_move_is_posted_whole_or_in_part_and_the_rest_goes_back() -> None:
    given(domain.move, RESERVED).when(PostMove(NOW)).then(POSTED)
    part = MovePosted(NAME, "USD", (("reserved:ada", 70), ("paid-out:bank", -50), ("earnings:ada", -20)), 50)
    given(domain.move, RESERVED).when(PostMove(NOW, 50)).then(part)
    given(domain.move, RESERVED).when(PostMove(NOW, 71)).then_refused(Refused, "1 to 70")
    given(domain.move, RESERVED).when(PostMove(LATER)).then_refused(Refused, "was reserved until")


def test_a_move_is_given_up_by_a_person_or_by_the_time() -> None:
    given(domain.move, RESERVED).when(VoidMove("wrong account")).then(VOIDED)
    given(domain.move, RESERVED).when(ExpireMove(NOW)).then_nothing()
    given(domain.move, RESERVED).when(ExpireMove(LATER)).then(EXPIRED)


@pytest.mark.parametrize(
    ("end", "again"),
    [(POSTED, PostMove(LATER)), (VOIDED, VoidMove("wrong account")), (EXPIRED, ExpireMove(LATER))],
)
def test_a_move_ends_once(end: object, again: object) -> None:
    book = given(domain.move, RESERVED, end)
    book.when(again).then_nothing()
    for other in (PostMove(NOW), PostMove(NOW, 1), VoidMove("another reason"), ExpireMove(LATER)):
        if type(other) is not type(again):
            book.when(other).then_refused(Refused, "has ended")


def test_nothing_ends_that_never_began() -> None:
    for command in (PostMove(NOW), VoidMove("x"), ExpireMove(LATER)):
        given(domain.move).when(command).then_refused(Refused, "no such reservation")
