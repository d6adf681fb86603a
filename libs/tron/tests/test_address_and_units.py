from __future__ import annotations

import base58 as reference
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tron import address, units
from tron.errors import InvalidAddress

ALICE = "THHsfg2eNiv6MSXC4y5d4t5wkvRVADRKiF"
ALICE_HEX = "415050a4f4b3f9338c3472dcc01a87c76a144b3c9c"


@given(st.binary(min_size=20, max_size=20))
def test_base58check_agrees_with_the_reference_in_both_directions(raw: bytes) -> None:
    text = address.base58(raw)
    assert text == reference.b58encode_check(b"\x41" + raw).decode()
    assert address.raw(text) == raw


@pytest.mark.parametrize(
    "form", [ALICE, ALICE_HEX, ALICE_HEX.upper(), ALICE_HEX[2:], "0x" + ALICE_HEX[2:], "0x" + ALICE_HEX]
)
def test_every_form_that_nodes_use_becomes_the_same_address(form: str) -> None:
    assert address.normalise(form) == ALICE
    assert address.hex41(form) == ALICE_HEX


@pytest.mark.parametrize(
    "text",
    [
        "",
        "T",
        ALICE[:-1] + "G",  # checksum
        ALICE[:-1] + "0",  # 0 is no base58 digit
        "T" + "z" * 33,  # beyond 25 bytes
        "4awXfae9jhMJHCjK645WNYedacbpzNoBS",  # base58check of 20 bytes, as triggerconstantcontract answers
        "42" + ALICE_HEX[2:],
        ALICE_HEX[:-1],
        "0x",
        "zz" * 20,
        " " * 40,
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(InvalidAddress):
        address.raw(text)
    assert not address.is_address(text)


def test_a_foreign_type_is_refused() -> None:
    with pytest.raises(InvalidAddress, match="got int"):
        address.raw(5)


def test_zero_is_the_address_of_twenty_zero_bytes() -> None:
    assert address.base58(bytes(20)) == address.ZERO


@given(st.integers(min_value=0, max_value=2**63))
def test_sun_and_trx_round_trip(amount: int) -> None:
    assert units.sun(units.trx(amount)) == amount


def test_trx_reads_like_a_person_writes_it() -> None:
    amounts = [1_500_000, 2_000_000, 1, -10]
    assert [units.trx(amount) for amount in amounts] == ["1.5", "2", "0.000001", "-0.00001"]
    assert units.sun(3) == 3_000_000


@pytest.mark.parametrize("amount", ["1.0000001", "-1", "1e3", "", "0x1", 0.1, True, None])
def test_amounts_that_are_not_exact_are_refused(amount: object) -> None:
    with pytest.raises(ValueError, match="not an amount"):
        units.sun(amount)  # type: ignore[arg-type]  # the refusal of foreign types is what is tested
