from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tron.abi import Abi
from tron.address import keccak256, normalise
from tron.claims import authorise_claim, claim_digest
from tron.contract import Call
from tron.creation import Creation, contract_address
from tron.errors import InvalidArgument
from tron.keys import Key, signer
from tron.transaction import Payload, Reference, Signed, Transfer, sign, varint

ALICE = Key(bytes([2]) * 32)  # a toy key of the recorded chain
CONTRACT = "THY25XRZMr6AtsrhP4Z7ekMLBmniRo6dYH"
REFERENCE = Reference(70, "000000000000004689a2f1abc79cc07ed01bd0339a958da86077e0436d3797a6")


def raw_call(address: str, data: str, value_sun: int = 0) -> Call:
    abi = Abi([{"type": "function", "name": "f", "inputs": []}])
    return Call(normalise(address), abi.function("f"), bytes.fromhex(data), abi, value_sun)


def signed_as(raw_data: Any, payload: Payload) -> Signed:
    """The payload, signed by ALICE with block, times and limit of a recorded transaction."""
    block_id = "0" * 12 + raw_data["ref_block_bytes"] + raw_data["ref_block_hash"] + "0" * 32
    times = {"now_ms": raw_data["timestamp"], "expires_ms": raw_data["expiration"]}
    return sign(payload, ALICE, Reference(0, block_id), fee_limit_sun=raw_data.get("fee_limit", 0), **times)


@pytest.mark.parametrize("prefix", ["042", "119"])
def test_our_transactions_are_the_recorded_ones_to_the_last_bit(
    recorded_request: Callable[[str], Any], prefix: str
) -> None:
    request = recorded_request(prefix)
    raw_data = request["raw_data"]
    value = raw_data["contract"][0]["parameter"]["value"]
    payload: Payload = (
        Transfer(value["to_address"], value["amount"])
        if "amount" in value
        else raw_call(value["contract_address"], value["data"])
    )
    signed = signed_as(raw_data, payload)
    assert signed.tx_id == request["txID"]
    assert signed.wire.hex().endswith(request["signature"][0])
    assert signer(bytes.fromhex(signed.tx_id), bytes.fromhex(request["signature"][0])) == ALICE.address == signed.owner


def test_our_creation_is_the_recorded_one_and_its_address_is_known_from_it(recorded: Callable[[str], Any]) -> None:
    answer = recorded("086")
    raw_data, info = answer["raw_data"], recorded("085")
    created = raw_data["contract"][0]["parameter"]["value"]["new_contract"]
    abi = created["abi"]["entrys"]
    payload = Creation(created["name"], bytes.fromhex(created["bytecode"]), abi, Abi(abi))
    signed = signed_as(raw_data, payload)
    assert signed.tx_id == answer["txID"] == info["id"]
    assert contract_address(signed.tx_id, signed.owner) == info["contract_address"]


def test_the_time_tells_two_equal_payloads_apart() -> None:
    ids = {sign(Transfer(ALICE.address, 1), ALICE, REFERENCE, now_ms=now, expires_ms=9).tx_id for now in (1, 2, 2)}
    assert len(ids) == 2


@pytest.mark.parametrize("amount", [-1, 2**63, 1.0, True, "1"])
def test_an_amount_that_the_protocol_cannot_carry_is_refused(amount: Any) -> None:
    with pytest.raises(InvalidArgument, match="amount_sun: expected an amount of sun"):
        sign(Transfer(ALICE.address, amount), ALICE, REFERENCE, now_ms=1, expires_ms=2)
    with pytest.raises(InvalidArgument, match="fee_limit_sun"):
        sign(Transfer(ALICE.address, 1), ALICE, REFERENCE, now_ms=1, expires_ms=2, fee_limit_sun=amount)


def test_a_fee_limit_above_the_networks_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="at most 15000000000"):
        sign(Transfer(ALICE.address, 1), ALICE, REFERENCE, now_ms=1, expires_ms=2, fee_limit_sun=15_000_000_001)


def test_what_no_node_takes_is_refused_before_it_is_signed() -> None:
    day_ms = 24 * 60 * 60 * 1000
    sign(Transfer(CONTRACT, 1), ALICE, REFERENCE, now_ms=1, expires_ms=1 + day_ms)
    with pytest.raises(InvalidArgument, match="expires_ms: expected at most 86400000 ms after now_ms, got 86400001"):
        sign(Transfer(CONTRACT, 1), ALICE, REFERENCE, now_ms=1, expires_ms=2 + day_ms)
    wire = sign(raw_call(CONTRACT, "00" * 511_700), ALICE, REFERENCE, now_ms=1, expires_ms=2).wire
    assert len(wire) <= 500 * 1024
    with pytest.raises(InvalidArgument, match="payload: expected a transaction of at most 512000 bytes, got"):
        sign(raw_call(CONTRACT, "00" * 511_900), ALICE, REFERENCE, now_ms=1, expires_ms=2)


@pytest.mark.parametrize(("number", "encoded"), [(0, "00"), (1, "01"), (127, "7f"), (128, "8001"), (300, "ac02")])
def test_varints_are_protobufs(number: int, encoded: str) -> None:
    assert varint(number).hex() == encoded


def test_a_key_never_shows_itself() -> None:
    assert repr(ALICE) == "Key(THHsfg2eNiv6MSXC4y5d4t5wkvRVADRKiF)"
    assert Key.from_hex("0x" + "02" * 32).address == ALICE.address
    assert Key.random().address != Key.random().address
    for secret in (b"", bytes(32), b"\xff" * 32, bytes(31)):
        with pytest.raises(ValueError, match=r"."):
            Key(secret)


def test_a_signature_that_is_none_is_refused() -> None:
    for signature in (b"", bytes(65), b"\xff" * 65):
        with pytest.raises(ValueError, match="not a signature"):
            signer(bytes(32), signature)


def test_an_authorisation_is_signed_by_the_verifier_over_every_field() -> None:
    claim: dict[str, Any] = {"claim_id": "ab" * 32, "pool": 1, "claimant": ALICE.address, "amount": 5, "deadline": 99}
    verifier = Key(bytes([7]) * 32)
    vault = Key(bytes([8]) * 32).address
    digest = claim_digest(vault, 1, **claim)
    signature = authorise_claim(verifier, vault, 1, **claim)
    assert signature[64] in (27, 28)
    assert signer(digest, signature) == verifier.address
    changed = [{**claim, key: value} for key, value in [("claim_id", "cd" * 32), ("pool", 2), ("amount", 6)]]
    changed += [{**claim, "deadline": 100}, {**claim, "claimant": vault}]
    others = {claim_digest(vault, 1, **c) for c in changed} | {claim_digest(vault, 2, **claim)}
    assert len(others | {digest, claim_digest(ALICE.address, 1, **claim)}) == 8
    with pytest.raises(InvalidArgument, match=r"claim\.field2: expected uint8"):
        claim_digest(vault, 1, **{**claim, "pool": 256})


def test_keccak_is_not_the_standardised_sha3() -> None:
    assert keccak256(b"").hex() == "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"
