"""The decisions about an operation: whatever comes in whatever order, another signature needs a proof."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.domain import operation as op

NOW = datetime(2026, 1, 1, tzinfo=UTC)
WISH = op.OperationIntended("1", "treasury", op.TrxPayment("T" * 34, 5), "/rewards")
MOST = 3


def signed(attempt: int = 1, salt: str = "") -> op.TransactionSigned:
    tx_id = f"{attempt}{salt}".rjust(64, "0")
    return op.TransactionSigned(attempt, tx_id, "T" * 34, "00", NOW, NOW + timedelta(minutes=1), 7, 100)


def after(*commands: op.Command) -> op.Operation:
    return told(*commands)[0]


def told(*commands: op.Command) -> tuple[op.Operation, list[op.Event]]:
    state, events = op.Operation(), list[op.Event]()
    for command in commands:
        for event in op.decide(command, state):
            state = op.evolve(state, event)
            events.append(event)
    return state, events


def result(tx: op.TransactionSigned, failure: tuple[op.Kind, str] | None = None) -> op.RecordResult:
    return op.RecordResult(tx.tx_id, 9, "b" * 64, 27, 0, failure, MOST)


def lapse(tx: op.TransactionSigned, kind: op.Kind = "expired") -> op.RecordLapse:
    return op.RecordLapse(tx.tx_id, 9, kind, "in no block", MOST)


def test_an_operation_goes_from_the_wish_to_the_solidified_block() -> None:
    one = signed()
    place = op.RecordInclusion(one.tx_id, 8, "a" * 64)
    state, events = told(op.Intend(WISH), op.Sign(one), op.RecordBroadcast(one.tx_id), place, result(one))
    assert state.status == "solidified"
    assert [type(event) for event in events] == [
        op.OperationIntended,
        op.TransactionSigned,
        op.TransactionBroadcast,
        op.TransactionIncluded,
        op.OperationSolidified,
    ]


def test_the_same_wish_again_changes_nothing_and_another_under_its_id_is_refused() -> None:
    state = after(op.Intend(WISH), op.Sign(signed()))
    assert op.decide(op.Intend(WISH), state) == []
    with pytest.raises(op.OperationConflict, match="operation 1: expected"):
        op.decide(op.Intend(replace(WISH, sender="other")), state)


def test_a_wish_that_cannot_be_done_is_reported_and_never_signed() -> None:
    state, events = told(op.Intend(WISH, "amount_sun: expected 1 to 2^63-1 sun, got 0"), op.Sign(signed()))
    assert state.status == "failed"
    assert events[1:] == [op.OperationFailed("invalid", "amount_sun: expected 1 to 2^63-1 sun, got 0", None)]


def test_of_two_signatures_for_one_attempt_one_is_taken() -> None:
    state = after(op.Intend(WISH), op.Sign(signed(1, "a")), op.Sign(signed(1, "b")))
    assert state.signed == signed(1, "a")


def test_a_retracted_block_leads_back_to_broadcast_and_the_next_one_counts() -> None:
    one = signed()
    steps = [op.Intend(WISH), op.Sign(one), op.RecordInclusion(one.tx_id, 8, "a" * 64)]
    assert after(*steps, op.RecordRetraction(one.tx_id)).status == "broadcast"
    state, events = told(*steps, op.RecordInclusion(one.tx_id, 9, "c" * 64))
    assert state.block == (9, "c" * 64)
    assert [type(event) for event in events[-2:]] == [op.TransactionRetracted, op.TransactionIncluded]


def test_what_lapsed_is_signed_anew_until_the_attempts_are_used_up() -> None:
    state = after(op.Intend(WISH), op.Sign(signed(1)), lapse(signed(1)))
    assert (state.status, state.attempts) == ("intended", 1)
    commands = [step for n in (1, 2, 3) for step in (op.Sign(signed(n)), lapse(signed(n)))]
    state, events = told(op.Intend(WISH), *commands)
    assert state.status == "expired"
    assert events[-1] == op.OperationExpired(3, signed(3).tx_id, "in no block")


@pytest.mark.parametrize("kind", ["resources", "invalid", "execution"])
def test_what_would_be_refused_again_is_not_signed_anew(kind: op.Kind) -> None:
    state, events = told(op.Intend(WISH), op.Sign(signed()), lapse(signed(), kind))
    assert state.status == "failed"
    assert [type(event) for event in events[-2:]] == [op.TransactionLapsed, op.OperationFailed]


def test_want_of_energy_is_tried_again_and_a_revert_is_not() -> None:
    assert after(op.Intend(WISH), op.Sign(signed()), result(signed(), ("energy", "OUT_OF_ENERGY"))).status == "intended"
    assert after(op.Intend(WISH), op.Sign(signed()), result(signed(), ("execution", "Paused"))).status == "failed"


TRANSACTIONS = [signed(attempt, salt) for attempt in (1, 2, 3) for salt in "ab"]
COMMANDS = st.one_of(
    st.just(op.Intend(WISH)),
    st.sampled_from([op.Sign(tx) for tx in TRANSACTIONS]),
    st.just(op.GiveUp("network", "no")),
    st.sampled_from([op.RecordBroadcast(tx.tx_id) for tx in TRANSACTIONS]),
    st.sampled_from([op.RecordInclusion(tx.tx_id, n, str(n) * 64) for tx in TRANSACTIONS for n in (8, 9)]),
    st.sampled_from([op.RecordRetraction(tx.tx_id) for tx in TRANSACTIONS]),
    st.sampled_from([lapse(tx, kind) for tx in TRANSACTIONS for kind in ("expired", "resources")]),  # type: ignore[arg-type]
    st.sampled_from([result(tx, failure) for tx in TRANSACTIONS for failure in (None, ("energy", "x"))]),  # type: ignore[arg-type]
)


@given(st.lists(COMMANDS, max_size=30))
def test_whatever_comes_no_second_signature_stands_without_a_proof_about_the_first(commands: list[Any]) -> None:
    _, events = told(op.Intend(WISH), op.Sign(TRANSACTIONS[0]), *commands)
    open_transaction = None
    for number, event in enumerate(events):
        match event:
            case op.TransactionSigned():
                assert open_transaction is None, events
                open_transaction = event.tx_id
            case op.TransactionLapsed() | op.TransactionFailed():
                assert open_transaction == event.tx_id
                open_transaction = None
            case op.OperationSolidified():
                assert open_transaction == event.tx_id
                assert number == len(events) - 1, "nothing comes after the end"
            case op.OperationFailed() | op.OperationExpired():
                assert open_transaction is None, "an operation is not reported as not done while it may be paid"
                assert number == len(events) - 1, "nothing comes after the end"
