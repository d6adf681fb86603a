"""Identities: recorded transactions and blocks keep their ids when they are taken apart and encoded again."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from devnet.blocks import block_id, genesis
from devnet.evm import contract_address
from devnet.keys import accounts, from_base58, recover, to_base58
from devnet.proto import CONTRACTS, HEADER, RAW, DecodeError, decode, encode, varint
from devnet.settings import Settings
from devnet.transactions import BadRequest, from_bytes, from_json, parse, render, to_json


def every_transaction(value: Any) -> list[dict[str, Any]]:
    if isinstance(value, dict):
        found = [value] if "raw_data_hex" in value else []
        return found + [item for inner in value.values() for item in every_transaction(inner)]
    if isinstance(value, list):
        return [item for inner in value for item in every_transaction(inner)]
    return []


def test_recorded_transactions_encode_to_the_recorded_bytes(recordings: dict[str, Any]) -> None:
    seen = 0
    for name, exchange in recordings.items():
        for shown in every_transaction(exchange["response"]):
            contract = shown["raw_data"]["contract"][0]
            if contract["type"] not in CONTRACTS or "_genesis" in name:
                continue
            if len(shown["raw_data_hex"]) == 80:
                continue  # cut short in the fixture
            visible = contract["parameter"]["value"]["owner_address"].startswith("T")
            transaction = from_json({**shown, "visible": visible})
            assert transaction.raw.hex() == shown["raw_data_hex"]
            assert transaction.id.hex() == shown["txID"]
            again = to_json(transaction, visible)
            assert again["raw_data"] == shown["raw_data"]
            assert again.get("contract_address") == shown.get("contract_address")
            seen += 1
    assert seen > 30


def test_recorded_signatures_lead_to_the_owner(recordings: dict[str, Any]) -> None:
    for exchange in recordings.values():
        for shown in every_transaction(exchange["response"]):
            for signature in shown.get("signature", []):
                owner = shown["raw_data"]["contract"][0]["parameter"]["value"]["owner_address"]
                expected = from_base58(owner) if owner.startswith("T") else bytes.fromhex(owner)
                if "Permission_id" not in shown["raw_data"]["contract"][0] and len(shown["signature"]) == 1:
                    assert recover(bytes.fromhex(signature), bytes.fromhex(shown["txID"])) == expected


def test_recorded_block_ids_follow_from_their_headers(recordings: dict[str, Any]) -> None:
    seen = 0
    for name, exchange in recordings.items():
        shown = exchange["response"]
        if not isinstance(shown, dict) or "blockID" not in shown or "genesis" in name:
            continue
        raw = shown["block_header"]["raw_data"]
        header = parse(HEADER, raw, visible=raw["witness_address"].startswith("T"))
        assert block_id(header).hex() == shown["blockID"]
        seen += 1
    assert seen >= 4


def test_the_recorded_contract_address_follows_from_transaction_and_owner(recordings: dict[str, Any]) -> None:
    (shown,) = [item["response"] for name, item in recordings.items() if name.startswith("086")]
    owner = from_base58(shown["raw_data"]["contract"][0]["parameter"]["value"]["owner_address"])
    assert contract_address(bytes.fromhex(shown["txID"]), owner).hex() == shown["contract_address"]


def test_base58_is_checked() -> None:
    address = "THHsfg2eNiv6MSXC4y5d4t5wkvRVADRKiF"
    assert to_base58(from_base58(address)) == address
    for wrong in ("THHsfg2eNiv6MSXC4y5d4t5wkvRVADRKiG", "T", "", "0OIl", "A" * 200, address[1:]):
        with pytest.raises(ValueError, match="base58"):
            from_base58(wrong)


def test_integers_survive_the_wire_at_their_limits() -> None:
    for number in (1, 127, 128, 2**63 - 1, -1, -(2**63)):
        message = {"amount": number}
        assert decode(CONTRACTS["TransferContract"], encode(CONTRACTS["TransferContract"], message)) == message
    with pytest.raises(ValueError, match="64 bits"):
        encode(CONTRACTS["TransferContract"], {"amount": 2**63})
    assert varint(300) == b"\xac\x02"


@pytest.mark.parametrize("data", [b"\x00", b"\x0a", b"\x0a\xff", b"\xff" * 11, b"\x0b", b"\x08\x01", b"\x0a\x00"])
def test_bytes_that_are_no_transaction_are_refused(data: bytes) -> None:
    with pytest.raises(DecodeError):
        from_bytes(data)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"raw_data": None},
        {"raw_data": {"contract": []}},
        {"raw_data": {"contract": [{"type": "TransferContract"}]}},
        {"raw_data": {"contract": [{"type": "TransferContract", "parameter": {"value": {"owner_address": "zz"}}}]}},
        {"raw_data": {"contract": [{"type": "TransferContract", "parameter": {"value": {"amount": 1.5}}}]}},
        {"raw_data": {"contract": [{"type": "TransferContract", "parameter": {"value": {"amount": 2**63}}}]}},
        {"raw_data": {"contract": [{"type": "TransferContract", "parameter": {"value": {}}}]}, "signature": ["xyz"]},
        {"raw_data": {"contract": [{"type": "TransferContract", "parameter": {"value": {}}}], "expiration": "soon"}},
    ],
)
def test_json_that_is_no_transaction_is_refused(body: dict[str, Any]) -> None:
    with pytest.raises(BadRequest):
        from_json(body)


def test_unknown_fields_on_the_wire_are_skipped() -> None:
    known = encode(RAW, {"timestamp": 5})
    assert decode(RAW, b"\x9a\x06\x01x" + known) == {"timestamp": 5}
    assert render(RAW, {"timestamp": 5, "fee_limit": 0}, visible=True) == {"timestamp": 5}


def test_the_same_settings_give_the_same_chain() -> None:
    assert genesis(Settings()).id == genesis(Settings()).id
    assert genesis(Settings()).id != genesis(Settings(accounts=21)).id
    assert [account.address for account in accounts(2)] == [account.address for account in accounts(20)][:2]
    first = accounts(1)[0]
    digest = hashlib.sha256(b"x").digest()
    assert recover(first.sign(digest), digest) == first.raw_address
