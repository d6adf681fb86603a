"""RoyaltyDistributor: splits and their versions, control in two steps, payments, fee, withdrawals."""

from collections.abc import Sequence
from typing import Any

import pytest
from contract_evm import NOBODY, TRX, Evm, account, role

A, B, C = sorted(account(name) for name in ("ann", "ben", "cat"))
STRANGER = account("stranger")
HALF = (500_000, 500_000)


@pytest.fixture
def fan(evm: Evm) -> str:
    return evm.listener("fan")


def credits_of(receipt: Any) -> dict[str, int]:
    return {credit["recipient"]: credit["amountSun"] for credit in receipt.all("RoyaltyCredited")}


# --- configuring ------------------------------------------------------------------------------------------------------


def test_the_controller_configures_version_after_version(evm: Evm, track: int, artist: str) -> None:
    assert evm.royalties.splitVersion(track) == 0
    first = evm.royalties.configureSplit(track, [A, B], HALF, sender=artist)
    assert first.value == 1
    assert first["SplitConfigured"] == {"trackId": track, "version": 1, "recipients": (A, B), "sharesPpm": HALF}
    assert evm.royalties.configureSplit(track, [A, C], (1, 999_999), sender=artist).value == 2
    assert evm.royalties.splitOf(track, 1) == ((A, B), HALF)
    assert evm.royalties.splitOf(track, 2) == ((A, C), (1, 999_999))


FAULTY: list[tuple[Sequence[str], Sequence[int], str, tuple[object, ...]]] = [
    ([A], [1_000_000], "RecipientCountOutOfRange", (1,)),
    ([], [], "RecipientCountOutOfRange", (0,)),
    ([account(str(n)) for n in range(33)], [1] * 33, "RecipientCountOutOfRange", (33,)),
    ([A, B], [1_000_000], "LengthMismatch", (2, 1)),
    ([A, A], HALF, "DuplicateRecipient", (A,)),
    ([A, B, A], [1, 1, 999_998], "DuplicateRecipient", (A,)),
    ([A, NOBODY], HALF, "InvalidRecipient", (NOBODY,)),
    ([A, B], [1_000_000, 0], "ZeroShare", (B,)),
    ([A, B], [500_000, 499_999], "SharesDoNotSum", (999_999,)),
    ([A, B], [500_000, 500_001], "SharesDoNotSum", (1_000_001,)),
    ([A, B], [2**32 - 1, 1_000_001], "SharesDoNotSum", (2**32 + 1_000_000,)),
]


@pytest.mark.parametrize(("recipients", "shares", "error", "arguments"), FAULTY)
def test_a_faulty_split_is_refused(
    evm: Evm, track: int, artist: str, recipients: Sequence[str], shares: Sequence[int], error: str, arguments: Any
) -> None:
    with evm.reverts(error, *arguments):
        evm.royalties.configureSplit(track, recipients, shares, sender=artist)
    assert evm.royalties.splitVersion(track) == 0


def test_the_distributor_cannot_be_its_own_recipient(evm: Evm, track: int, artist: str) -> None:
    with evm.reverts("InvalidRecipient", evm.royalties.address):
        evm.royalties.configureSplit(track, [A, evm.royalties.address], HALF, sender=artist)


def test_only_the_controller_of_a_known_track_configures(evm: Evm, track: int) -> None:
    for outsider in (STRANGER, evm.admin):
        with evm.reverts("NotController", track, outsider):
            evm.royalties.configureSplit(track, [A, B], HALF, sender=outsider)
    with evm.reverts("UnknownTrack", 99):
        evm.royalties.configureSplit(99, [A, B], HALF)


def test_a_track_is_registered_once_and_for_somebody(evm: Evm, track: int) -> None:
    evm.royalties.grantRole(role("REGISTRAR_ROLE"), evm.admin)
    with evm.reverts("TrackAlreadyRegistered", track):
        evm.royalties.registerTrack(track, STRANGER)
    with evm.reverts("ZeroAddress"):
        evm.royalties.registerTrack(99, NOBODY)


# --- control ----------------------------------------------------------------------------------------------------------


def test_control_changes_only_when_the_proposed_account_accepts(evm: Evm, track: int, artist: str) -> None:
    proposed = evm.royalties.proposeSplitControl(track, A, sender=artist)
    assert proposed["SplitControlProposed"] == {"trackId": track, "from": artist, "to": A}
    assert evm.royalties.controllerOf(track) == artist
    assert evm.royalties.pendingControllerOf(track) == A
    with evm.reverts("NotProposedController", track, B):
        evm.royalties.acceptSplitControl(track, sender=B)
    with evm.reverts("NotController", track, A):
        evm.royalties.configureSplit(track, [A, B], HALF, sender=A)
    accepted = evm.royalties.acceptSplitControl(track, sender=A)
    assert accepted["SplitControlAccepted"] == {"trackId": track, "controller": A}
    assert (evm.royalties.controllerOf(track), evm.royalties.pendingControllerOf(track)) == (A, NOBODY)
    with evm.reverts("NotController", track, artist):
        evm.royalties.proposeSplitControl(track, artist, sender=artist)
    with evm.reverts("NotProposedController", track, A):
        evm.royalties.acceptSplitControl(track, sender=A)


def test_a_proposal_can_be_replaced_and_withdrawn(evm: Evm, track: int, artist: str) -> None:
    evm.royalties.proposeSplitControl(track, A, sender=artist)
    evm.royalties.proposeSplitControl(track, B, sender=artist)
    with evm.reverts("NotProposedController", track, A):
        evm.royalties.acceptSplitControl(track, sender=A)
    evm.royalties.proposeSplitControl(track, NOBODY, sender=artist)
    with evm.reverts("NotProposedController", track, B):
        evm.royalties.acceptSplitControl(track, sender=B)


def test_nobody_accepts_control_of_an_unknown_track(evm: Evm) -> None:
    with evm.reverts("NotProposedController", 99, STRANGER):
        evm.royalties.acceptSplitControl(99, sender=STRANGER)


# --- payments ---------------------------------------------------------------------------------------------------------


def test_without_a_split_the_controller_of_the_moment_gets_everything(
    evm: Evm, track: int, artist: str, fan: str
) -> None:
    tip = evm.royalties.pay(track, 2, sender=fan, value=100)
    assert tip.value == 1
    assert tip["PaymentReceived"] == {
        "trackId": track,
        "paymentId": 1,
        "payer": fan,
        "kind": 2,
        "amountSun": 100,
        "feeSun": 5,
        "splitVersion": 0,
    }
    assert credits_of(tip) == {artist: 95}
    evm.royalties.proposeSplitControl(track, A, sender=artist)
    evm.royalties.acceptSplitControl(track, sender=A)
    assert credits_of(evm.royalties.pay(track, 2, sender=fan, value=100)) == {A: 95}
    assert evm.royalties.carryOf(track) == 0


def test_a_payment_is_divided_by_the_split_in_force(evm: Evm, track: int, artist: str, fan: str) -> None:
    evm.royalties.configureSplit(track, [A, B, C], (500_000, 300_000, 200_000), sender=artist)
    receipt = evm.royalties.pay(track, 0, sender=fan, value=10 * TRX)
    assert (receipt["PaymentReceived"]["feeSun"], receipt["PaymentReceived"]["splitVersion"]) == (500_000, 1)
    assert credits_of(receipt) == {A: 4_750_000, B: 2_850_000, C: 1_900_000}


def test_small_payments_do_not_starve_small_shares(evm: Evm, track: int, artist: str, fan: str) -> None:
    evm.royalties.setPlatformFee(0)
    evm.royalties.configureSplit(track, [A, B, C], (500_000, 300_000, 200_000), sender=artist)
    for _ in range(100):
        evm.royalties.pay(track, 2, sender=fan, value=1)
    assert [evm.royalties.withdrawable(who) for who in (A, B, C)] == [50, 30, 20]


def test_the_carry_of_a_closing_version_goes_to_the_largest_remainders(
    evm: Evm, track: int, artist: str, fan: str
) -> None:
    evm.royalties.setPlatformFee(0)
    evm.royalties.configureSplit(track, [A, B, C], (550_000, 300_000, 150_000), sender=artist)
    evm.royalties.pay(track, 2, sender=fan, value=9)  # 4.95, 2.70, 1.35: floors 4, 2, 1
    assert evm.royalties.carryOf(track) == 2
    closing = evm.royalties.configureSplit(track, [A, B], HALF, sender=artist)
    settled = [(s["recipient"], s["amountSun"], s["version"]) for s in closing.all("CarrySettled")]
    assert settled == [(A, 1, 1), (B, 1, 1)]
    assert [evm.royalties.withdrawable(who) for who in (A, B, C)] == [5, 3, 1]
    assert evm.royalties.carryOf(track) == 0


def test_equal_remainders_are_settled_by_lowest_address_whatever_the_order(
    evm: Evm, track: int, artist: str, fan: str
) -> None:
    evm.royalties.setPlatformFee(0)
    evm.royalties.configureSplit(track, [C, B, A], (400_000, 300_000, 300_000), sender=artist)
    evm.royalties.pay(track, 2, sender=fan, value=5)  # 2.0, 1.5, 1.5
    closing = evm.royalties.configureSplit(track, [A, B], HALF, sender=artist)
    assert closing["CarrySettled"] == {"trackId": track, "version": 1, "recipient": A, "amountSun": 1}


def test_a_new_version_starts_counting_at_zero(evm: Evm, track: int, artist: str, fan: str) -> None:
    evm.royalties.setPlatformFee(0)
    evm.royalties.configureSplit(track, [A, B], HALF, sender=artist)
    evm.royalties.pay(track, 2, sender=fan, value=1)
    evm.royalties.configureSplit(track, [A, B], HALF, sender=artist)
    assert (evm.royalties.distributed(track, 1), evm.royalties.distributed(track, 2)) == (1, 0)
    assert credits_of(evm.royalties.pay(track, 2, sender=fan, value=1)) == {}
    assert credits_of(evm.royalties.pay(track, 2, sender=fan, value=1)) == {A: 1, B: 1}


def test_the_largest_split_still_fits_into_a_transaction(evm: Evm, track: int, artist: str, fan: str) -> None:
    crowd = [account(f"member {n}") for n in range(32)]
    shares = [31_250] * 32
    configured = evm.royalties.configureSplit(track, crowd, shares, sender=artist)
    paid = evm.royalties.pay(track, 2, sender=fan, value=32 * TRX - 1)
    closed = evm.royalties.configureSplit(track, [A, B], HALF, sender=artist)
    assert len(closed.all("CarrySettled")) < 32
    assert max(configured.gas, paid.gas, closed.gas) < 3_000_000


def test_a_payment_of_nothing_for_nothing_or_of_no_kind_is_refused(evm: Evm, track: int, fan: str) -> None:
    with evm.reverts("ZeroAmount"):
        evm.royalties.pay(track, 0, sender=fan)
    with evm.reverts("InvalidKind", 3):
        evm.royalties.pay(track, 3, sender=fan, value=1)
    with evm.reverts("UnknownTrack", 99):
        evm.royalties.pay(99, 0, sender=fan, value=1)


def test_a_bare_transfer_is_refused_because_it_names_no_track(evm: Evm, fan: str) -> None:
    with evm.reverts("unknown error 0x"):
        evm.transact(fan, evm.royalties.address, b"", value=1)


# --- fee and withdrawals ----------------------------------------------------------------------------------------------


def test_the_fee_rounds_down_and_is_capped(evm: Evm, track: int, fan: str) -> None:
    assert evm.royalties.pay(track, 2, sender=fan, value=19)["PaymentReceived"]["feeSun"] == 0
    assert evm.royalties.pay(track, 2, sender=fan, value=20)["PaymentReceived"]["feeSun"] == 1
    assert evm.royalties.setPlatformFee(3_000)["PlatformFeeChanged"] == {"oldBps": 500, "newBps": 3_000}
    with evm.reverts("FeeTooHigh", 3_001):
        evm.royalties.setPlatformFee(3_001)
    with evm.reverts("FeeTooHigh", 3_001):
        evm.deploy("RoyaltyDistributor", evm.admin, evm.platform, 3_001)


def test_a_new_fee_recipient_gets_fees_from_then_on(evm: Evm, track: int, fan: str) -> None:
    evm.royalties.pay(track, 2, sender=fan, value=100)
    changed = evm.royalties.setFeeRecipient(A)["FeeRecipientChanged"]
    assert changed == {"oldRecipient": evm.platform, "newRecipient": A}
    evm.royalties.pay(track, 2, sender=fan, value=100)
    assert (evm.royalties.withdrawable(evm.platform), evm.royalties.withdrawable(A)) == (5, 5)
    with evm.reverts("ZeroAddress"):
        evm.royalties.setFeeRecipient(NOBODY)


def test_a_withdrawal_pays_once(evm: Evm, track: int, artist: str, fan: str) -> None:
    evm.royalties.pay(track, 2, sender=fan, value=100)
    before = evm.balance(artist)
    receipt = evm.royalties.withdraw(sender=artist)
    assert receipt.value == 95
    assert receipt["Withdrawn"] == {"account": artist, "amountSun": 95}
    assert evm.balance(artist) - before == 95
    with evm.reverts("NothingToWithdraw", artist):
        evm.royalties.withdraw(sender=artist)


def test_pausing_stops_new_money_but_never_withdrawals(evm: Evm, track: int, artist: str, fan: str) -> None:
    evm.royalties.pay(track, 2, sender=fan, value=100)
    evm.royalties.pause()
    with evm.reverts("EnforcedPause"):
        evm.royalties.pay(track, 2, sender=fan, value=100)
    with evm.reverts("EnforcedPause"):
        evm.royalties.configureSplit(track, [A, B], HALF, sender=artist)
    assert evm.royalties.withdraw(sender=artist).value == 95
