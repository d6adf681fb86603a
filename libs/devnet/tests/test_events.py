"""Decoded events by `/v1`, as public gateways serve them. Fixtures are typed Any: they live in conftest."""

from __future__ import annotations

from typing import Any


def events(stage: Any, path: str, **params: Any) -> dict[str, Any]:
    return dict(stage.node.http.get(f"/v1/{path}/events", params=params).json())


def test_events_are_decoded_filtered_and_paged(stage: Any) -> None:
    you = stage.node.address(1)
    sent = [stage.call("transfer", you, amount) for amount in (5, 6, 7)]
    contract = f"contracts/{stage.address}"
    answer = events(stage, contract, event_name="Transfer", limit=2)
    assert (answer["success"], answer["meta"]["page_size"]) == (True, 2)
    assert [event["result"]["value"] for event in answer["data"]] == ["7", "6"]
    further = events(stage, contract, event_name="Transfer", limit=2, fingerprint=answer["meta"]["fingerprint"])
    assert further["data"][0]["result"]["value"] == "5"

    newest = answer["data"][0]
    assert newest["_unconfirmed"]
    assert newest["contract_address"] == stage.address
    assert newest["transaction_id"] == sent[-1]["id"]
    assert newest["block_number"] == sent[-1]["blockNumber"]
    assert newest["event"] == "Transfer(address indexed from, address indexed to, uint256 value)"
    assert newest["result_type"] == {"from": "address", "to": "address", "value": "uint256"}
    assert events(stage, contract, event_name="Transfer", only_confirmed="true")["data"] == []
    oldest = events(stage, contract, event_name="Transfer", block_number=sent[0]["blockNumber"])["data"]
    assert [event["result"]["value"] for event in oldest] == ["5"]
    assert events(stage, f"blocks/{sent[0]['blockNumber']}")["data"] == oldest
    assert events(stage, f"transactions/{sent[0]['id']}")["data"] == oldest
    stage.node.mine(200)  # old blocks leave the memory
    (same,) = events(stage, f"transactions/{sent[0]['id']}")["data"]
    assert {**same, "_unconfirmed": True} == oldest[0]
    assert "_unconfirmed" not in events(stage, contract, only_confirmed="true")["data"][0]


def test_texts_and_bytes_are_decoded_and_an_anonymous_event_is_left_out(stage: Any) -> None:
    receipt = stage.call("note", 9, "für dich", b"\x01\x02")
    assert [bool(log.get("topics")) for log in receipt["log"]].count(True) == 1 < len(receipt["log"])
    (event,) = events(stage, f"transactions/{receipt['id']}")["data"]
    assert event["result"] == {"0": "9", "1": "für dich", "2": "0102", "id": "9", "text": "für dich", "data": "0102"}


def test_what_is_not_understood_is_said(stage: Any) -> None:
    for path in ("contracts/nobody", "transactions/xyz", "blocks/first"):
        answer = events(stage, path)
        assert (answer["success"], answer["statusCode"]) == (False, 400)
    assert events(stage, "accounts/nobody")["statusCode"] == 404
    assert events(stage, "transactions/" + "ab" * 32)["data"] == []
