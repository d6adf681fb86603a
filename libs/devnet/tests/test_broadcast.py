"""What may not enter a block is refused at broadcast, in java-tron's words, and changes nothing."""

from __future__ import annotations

import time
from typing import Any

import pytest

from devnet.keys import from_base58, to_base58
from devnet.transactions import from_json


def words(recordings: dict[str, Any], case: str) -> tuple[str, str]:
    (name,) = [name for name in recordings if name.endswith(f"broadcasttransaction__{case}")]
    response = recordings[name]["response"]
    return response["code"], bytes.fromhex(response["message"]).decode()


def draft(node: Any, amount: int = 1, sender: int = 0, to: str = "", **raw: Any) -> dict[str, Any]:
    """An unsigned transfer in JSON whose other raw fields can be set."""
    fields = {"owner_address": node.address(sender), "to_address": to or node.address(1), "amount": amount}
    shown = dict(node.wallet("createtransaction", **fields, visible=True))
    shown["raw_data"] |= raw
    return shown


def signed(node: Any, shown: dict[str, Any], sender: int = 0) -> dict[str, Any]:
    identity = from_json(shown).id
    return {**shown, "txID": identity.hex(), "signature": [node.key(sender).sign_msg_hash(identity).hex()]}


def refused(node: Any, body: dict[str, Any]) -> tuple[str, str]:
    before = node.http.get("/devnet/status").json()["pending"]
    answer = node.wallet("broadcasttransaction", **body)
    assert answer["txid"] == from_json(body).id.hex()
    assert "result" not in answer
    assert node.http.get("/devnet/status").json()["pending"] == before
    return answer["code"], bytes.fromhex(answer["message"]).decode()


def test_expired_and_too_far_ahead(node: Any, recordings: dict[str, Any]) -> None:
    now = int(time.time() * 1000)
    late = signed(node, draft(node, expiration=now - 1000))
    assert refused(node, late) == words(recordings, "err_expired")
    early = signed(node, draft(node, expiration=now + 25 * 3600 * 1000))
    assert refused(node, early) == words(recordings, "err_expiration_too_far")


def test_twice_pending_or_mined(node: Any, recordings: dict[str, Any]) -> None:
    body = signed(node, draft(node))
    assert node.wallet("broadcasttransaction", **body) == {"result": True, "txid": body["txID"]}
    assert refused(node, body) == words(recordings, "err_duplicate")
    node.mine()
    assert refused(node, body) == words(recordings, "err_duplicate_mined")


def test_a_block_of_another_chain(node: Any, recordings: dict[str, Any]) -> None:
    foreign = signed(node, draft(node, ref_block_hash="0011223344556677"))
    assert refused(node, foreign) == words(recordings, "err_tapos")


def test_signatures(node: Any, recordings: dict[str, Any]) -> None:
    body = draft(node)
    assert refused(node, body) == words(recordings, "err_nosig")
    garbage = {**body, "signature": ["11" * 64 + "1b"]}
    assert refused(node, garbage)[0] == words(recordings, "err_garbage_sig")[0]
    short = {**body, "signature": ["11"]}
    assert refused(node, short)[0] == "SIGERROR"
    code, message = refused(node, signed(node, body, sender=1))
    assert code == "SIGERROR"
    assert f"is signed by {node.address(1)} but it is not contained of permission." in message
    twice = signed(node, body)
    twice["signature"] *= 2
    assert refused(node, twice)[0] == "SIGERROR"


def test_a_changed_transaction_has_lost_its_signature(node: Any) -> None:
    body = signed(node, draft(node, amount=5))
    body["raw_data"]["contract"][0]["parameter"]["value"]["amount"] = 6
    assert refused(node, body)[0] == "SIGERROR"


def test_balances(node: Any, recordings: dict[str, Any]) -> None:
    assert refused(node, signed(node, draft(node, amount=10**17))) == words(recordings, "err_balance")
    myself = signed(node, draft(node, to=node.address(0)))
    assert refused(node, myself) == words(recordings, "err_to_self")
    assert refused(node, signed(node, draft(node, amount=0)))[1].endswith("Amount must be greater than 0.")


def test_an_account_that_does_not_exist(node: Any, recordings: dict[str, Any]) -> None:
    body = draft(node)
    stranger = to_base58(bytes.fromhex("41cfc4fba10aa6c44152eb05658260459473943fe5"))
    body["raw_data"]["contract"][0]["parameter"]["value"]["owner_address"] = stranger
    code, message = refused(node, signed(node, body))
    assert (code, message) == words(recordings, "sender_missing")


def test_an_account_too_poor_for_its_bandwidth(node: Any) -> None:
    poor = node.key(0).__class__.random()
    node.transfer(0, poor.public_key.to_base58check_address(), 1)
    trx = node.tron().trx
    address = poor.public_key.to_base58check_address()
    body = trx.transfer(address, node.address(1), 1).memo("x" * 600).build().sign(poor).to_json()
    assert refused(node, body) == ("BANDWITH_ERROR", "Account resource insufficient error.")


def test_fee_limits(contract: Any, recordings: dict[str, Any]) -> None:
    node = contract.node
    over = contract.builder("deposit", fee_limit=16_000_000_000).build().sign(node.key(0)).to_json()
    assert refused(node, over) == words(recordings, "err_feelimit_over_max")
    none = contract.builder("deposit", fee_limit=0).build().sign(node.key(0)).to_json()
    assert node.wallet("broadcasttransaction", **none)["result"] is True


def test_more_value_than_the_caller_has(contract: Any) -> None:
    node = contract.node
    body = contract.builder("deposit", value=10**17).build().sign(node.key(0)).to_json()
    code, message = refused(node, body)
    assert (code, message.split(" : ")[1]) == (
        "CONTRACT_VALIDATE_ERROR",
        "Validate InternalTransfer error, balance is not sufficient.",
    )


def test_a_call_to_what_is_no_contract(contract: Any) -> None:
    node = contract.node
    body = contract.builder("deposit").build().to_json()
    target = body["raw_data"]["contract"][0]["parameter"]["value"]
    target["contract_address"] = from_base58(node.address(5)).hex()
    assert refused(node, signed(node, body))[1].endswith("No contract or not a valid smart contract")


def test_too_large(node: Any) -> None:
    body = signed(node, draft(node, data="00" * 500 * 1024))
    assert refused(node, body) == ("TOO_BIG_TRANSACTION_ERROR", "Transaction size is too big.")


@pytest.mark.parametrize("kind", ["VoteWitnessContract", "Nonsense"])
def test_kinds_of_contract_that_the_devnet_does_not_have(node: Any, kind: str) -> None:
    body = draft(node)
    body["raw_data"]["contract"][0]["type"] = kind
    assert "not supported" in node.wallet("broadcasttransaction", **body)["Error"]


def test_the_same_transaction_in_hex(node: Any) -> None:
    body = signed(node, draft(node))
    transaction = from_json(body)
    answer = node.wallet("broadcasthex", transaction=transaction.encoded().hex())
    assert (answer["result"], answer["txid"]) == (True, body["txID"])
    node.mine()
    assert node.info(body["txID"])["blockNumber"]
