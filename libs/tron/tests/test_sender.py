"""The sender against a node that answers from a script: what refuses, fails, lags."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import pytest

from tron.abi import Abi
from tron.address import hex41
from tron.client import NodeClient
from tron.contract import Call, View
from tron.errors import BroadcastRefused, CallReverted, NodeLied, NodeUnavailable, NotIncluded, TransactionFailed
from tron.keys import Key
from tron.retry import Retry
from tron.sender import Sender, check
from tron.transaction import Signed, Transfer

ALICE = Key(bytes([2]) * 32)
CONTRACT = "THY25XRZMr6AtsrhP4Z7ekMLBmniRo6dYH"
BROADCAST = "wallet/broadcasthex"
CONSTANT = "wallet/triggerconstantcontract"
ABI = Abi(
    [
        {"type": "function", "name": "transfer", "inputs": [{"name": "to", "type": "address"}], "outputs": []},
        {"type": "function", "name": "name", "inputs": [], "outputs": [{"name": "", "type": "string"}]},
        {
            "type": "error",
            "name": "Insufficient",
            "inputs": [
                {"name": n, "type": t} for n, t in [("who", "address"), ("have", "uint256"), ("want", "uint256")]
            ],
        },
    ]
)
CALL = Call(CONTRACT, ABI.function("transfer"), ABI.function("transfer").encode([CONTRACT]), ABI)
NAME: View[str] = View(CONTRACT, ABI.function("name"), ABI.function("name").encode([]), ABI)
Recorded = Callable[[str], Any]


@pytest.fixture
async def sender(node: Any, recorded: Recorded) -> AsyncIterator[Sender]:
    node.answers["walletsolidity/getnowblock"] = recorded("308")
    node.answers["wallet/getchainparameters"] = {
        "chainParameter": [{"key": "x"}, {"key": "getEnergyFee", "value": 100}]
    }
    async with NodeClient(node.url, timeout=120.0) as client:
        yield Sender(client, retry=Retry(attempts=3, first=0.01))


@pytest.mark.parametrize(
    ("prefix", "code", "kind", "message"),
    [
        ("050", "CONTRACT_VALIDATE_ERROR", "resources", "balance is not sufficient"),
        ("053", "SIGERROR", "invalid", "Validate signature error"),
        ("062", "TRANSACTION_EXPIRATION_ERROR", "expired", "Transaction expired"),
        ("069", "TAPOS_ERROR", "expired", "Tapos check error."),
        ("047", "CONTRACT_VALIDATE_ERROR", "invalid", "Cannot transfer TRX to yourself."),
    ],
)
async def test_recorded_refusals_are_classified_and_their_messages_readable(
    sender: Sender, node: Any, recorded: Recorded, prefix: str, code: str, kind: str, message: str
) -> None:
    node.answers[BROADCAST] = recorded(prefix)
    with pytest.raises(BroadcastRefused, match=message) as caught:
        await sender.send(Transfer(CONTRACT, 1), ALICE)
    assert (caught.value.code, caught.value.kind) == (code, kind)


async def test_a_transaction_refers_to_a_solidified_block_that_no_reorganisation_can_lose(
    sender: Sender, recorded: Recorded
) -> None:
    solidified = recorded("308")
    reference = await sender.reference()
    assert reference.hash == solidified["blockID"]
    assert reference.number == solidified["block_header"]["raw_data"]["number"]


async def test_messages_in_clear_are_left_alone(sender: Sender, node: Any) -> None:
    node.answers[BROADCAST] = {"result": False, "code": "SERVER_BUSY", "message": "Server busy."}
    with pytest.raises(BroadcastRefused, match="SERVER_BUSY: Server busy") as caught:
        await sender.send(Transfer(CONTRACT, 1), ALICE)
    assert caught.value.kind == "network"


async def test_a_broadcast_whose_answer_was_lost_is_repeated_and_the_duplicate_is_success(
    sender: Sender, node: Any, recorded: Recorded
) -> None:
    answers = [node.answer({}, hang_up=True), recorded("043")]
    node.answers[BROADCAST] = lambda body: answers.pop(0)
    await sender.send(Transfer(CONTRACT, 1), ALICE)
    first, second = [body for path, body, _ in node.requests if path == BROADCAST]
    assert first == second


async def test_a_broadcast_is_given_up_after_a_bounded_number_of_attempts(sender: Sender, node: Any) -> None:
    node.answers[BROADCAST] = node.answer({}, 503)
    with pytest.raises(NodeUnavailable):
        await sender.send(Transfer(CONTRACT, 1), ALICE)
    assert [path for path, _, _ in node.requests].count(BROADCAST) == 3


async def test_an_answer_of_another_shape_is_a_lie(sender: Sender, node: Any) -> None:
    node.answers[BROADCAST] = []
    with pytest.raises(NodeLied):
        await sender.send(Transfer(CONTRACT, 1), ALICE)


async def test_equal_payloads_become_different_transactions_and_one_reference_serves_them_all(
    sender: Sender, node: Any
) -> None:
    signed = [await sender.sign(Transfer(CONTRACT, 1), ALICE) for _ in range(500)]
    assert len({transaction.tx_id for transaction in signed}) == 500
    assert len(node.requests) == 1
    assert {transaction.reference_number for transaction in signed} == {69}


async def test_the_fee_limit_is_the_estimate_and_a_margin(sender: Sender, node: Any, recorded: Recorded) -> None:
    node.answers[CONSTANT] = recorded("100")
    energy = recorded("100")["energy_used"]
    estimate = await sender.estimate(CALL, ALICE.address)
    assert (estimate.energy, estimate.energy_fee_sun) == (energy, energy * 100)
    assert estimate.fee_limit_sun == energy * 125 // 100 * 100
    ((_, body, _),) = [request for request in node.requests if request[0] == CONSTANT]
    assert body == {
        "owner_address": hex41(ALICE.address),
        "contract_address": hex41(CONTRACT),
        "data": CALL.data.hex(),
        "call_value": 0,
    }


@pytest.mark.parametrize(
    ("prefix", "reason"),
    [
        ("101", "Insufficient(who=TEdea7WvtoCNceWPwaz7JbkBjbb6omTQcL, have=0, want=5000000000000000)"),
        ("102", "plain reason"),
        ("103", "panic 0x12: division by zero"),
        ("104", "reverted without a known reason (no error selector)"),
        ("105", "OTHER_ERROR: class org.tron.core.vm.program.Program$OutOfEnergyException"),
        ("106", "CONTRACT_VALIDATE_ERROR: Smart contract is not exist."),
    ],
)
async def test_recorded_reverts_are_explained_before_anything_is_sent(
    sender: Sender, node: Any, recorded: Recorded, prefix: str, reason: str
) -> None:
    node.answers[CONSTANT] = recorded(prefix)
    with pytest.raises(CallReverted) as caught:
        await sender.send(CALL, ALICE)
    assert caught.value.reason.startswith(reason)
    assert BROADCAST not in [path for path, _, _ in node.requests]


async def test_views_are_read(sender: Sender, node: Any, recorded: Recorded) -> None:
    node.answers[CONSTANT] = recorded("109")
    assert await sender.read(NAME) == "Tok"


@pytest.mark.parametrize(
    ("prefix", "kind", "reason"),
    [
        ("161", "execution", "REVERT: Insufficient(who=TEdea7WvtoCNceWPwaz7JbkBjbb6omTQcL, have=12345,"),
        ("166", "execution", "REVERT: plain reason"),
        ("181", "energy", "OUT_OF_ENERGY: Not enough energy for 'SSTORE'"),
    ],
)
async def test_recorded_failures_are_explained(
    sender: Sender, node: Any, recorded: Recorded, prefix: str, kind: str, reason: str
) -> None:
    node.replay(prefix)
    info = await sender.result(recorded(prefix)["id"])
    with pytest.raises(TransactionFailed) as caught:
        check(info, ABI)
    assert caught.value.kind == kind
    assert reason in str(caught.value)


async def test_waiting_ends(sender: Sender, node: Any, recorded: Recorded) -> None:
    node.answers["wallet/gettransactioninfobyid"] = {}
    node.answers["wallet/getnowblock"] = recorded("308")
    with pytest.raises(NotIncluded, match=r"1 transactions are in no block after 0\.05 s"):
        await sender.result("ab" * 32, within=0.05, poll=0.01)
    signed = await sender.sign(Transfer(CONTRACT, 1), ALICE)
    with pytest.raises(NotIncluded) as caught:
        await sender.results([signed], within=0.05, poll=0.01)
    assert caught.value.tx_ids == [signed.tx_id]
    assert await sender.results([]) == {}


async def test_a_transaction_that_a_reorganisation_moved_is_found_by_its_id(
    sender: Sender, node: Any, recorded: Recorded
) -> None:
    node.answers["wallet/getnowblock"] = recorded("308")
    signed = await sender.sign(Transfer(CONTRACT, 1), ALICE)
    node.answers["wallet/gettransactioninfobyid"] = {**recorded("028"), "id": signed.tx_id}
    found = await sender.results([signed], within=0.05, poll=0.01)
    assert found[signed.tx_id].success


def block(number: int, time_ms: int, *transactions: Signed) -> dict[str, Any]:
    """A block as a node shows it; its parent is the one of the number before."""
    raw = {"number": number, "parentHash": block_id(number - 1), "timestamp": time_ms}
    shown: dict[str, Any] = {"blockID": block_id(number), "block_header": {"raw_data": raw}}
    if transactions:
        transfer = {"type": "TransferContract", "parameter": {"value": {"owner_address": hex41(ALICE.address)}}}
        shown["transactions"] = [{"txID": one.tx_id, "raw_data": {"contract": [transfer]}} for one in transactions]
    return shown


def block_id(number: int) -> str:
    return f"{number:016x}" + "ab" * 24


@pytest.mark.parametrize("included_in", [None, 72, 73, 74])
async def test_a_transaction_is_dead_when_the_last_block_that_could_hold_it_is_solid_and_none_does(
    sender: Sender, node: Any, included_in: int | None
) -> None:
    signed = replace(await sender.sign(Transfer(CONTRACT, 1), ALICE), expires_ms=5_000)
    assert signed.reference_number == 69
    times = {70: 1_000, 71: 3_000, 72: 4_999, 73: 6_000, 74: 9_000}  # the parent of 73 is of before it expires
    blocks = {n: block(n, time, *[signed] if n == included_in else []) for n, time in times.items()}
    node.answers["walletsolidity/getblockbylimitnext"] = lambda body: {
        "block": [blocks[number] for number in range(body["startNum"], body["endNum"])]
    }
    node.answers["walletsolidity/getnowblock"] = blocks[72]
    assert not await sender.is_dead(signed)
    node.answers["walletsolidity/getnowblock"] = blocks[74]
    assert await sender.is_dead(signed) is (included_in not in (72, 73))


async def test_a_dry_run_says_what_a_call_returns_emits_and_costs(
    sender: Sender, node: Any, recorded: Recorded
) -> None:
    node.answers[CONSTANT] = recorded("100")
    ran = await sender.dry_run(CALL, ALICE.address)
    assert ran.estimate == await sender.estimate(CALL, ALICE.address)
    assert BROADCAST not in [path for path, _, _ in node.requests]
