"""Nonsense is answered, never with a server error, and leaves the chain as it was."""

from __future__ import annotations

import random
from typing import Any

import pytest

from devnet.chain import Chain
from devnet.jsonrpc import JsonRpc
from devnet.settings import Settings
from devnet.wallet import Wallet

_HASH, _ADDRESS = "ab" * 32, "TUzD1rsJtHzx5zQzzLgzmmaKUDzcDAU6KD"
_TRANSFER = {"type": "TransferContract", "parameter": {"value": {"owner_address": "41" * 21}}}
_WORDS: list[Any] = [
    *(None, True, -1, 0, 1, 1.5, 2**63, 2**300, "", "0x", "zz", "0xzz", "0x-1", "-0x1", "latest", "finalized"),
    *("41" * 21, "0x" + "11" * 20, "0x" + _HASH, _HASH, _ADDRESS, "ünïcode", [], {}, [[]], [None], {"a": 1}),
    *({"entrys": [{}]}, [{"type": "constructor", "inputs": 5}], {"contract": [{}]}, {"contract": [None]}),
    {"contract": [{"type": "TriggerSmartContract", "parameter": {"value": {"data": "zz"}}}]},
    {"contract": [{"type": "CreateSmartContract", "parameter": {"value": {"new_contract": 7}}}]},
    {"contract": [{**_TRANSFER, "Permission_id": "x"}]},
]
_FIELDS = [
    "address", "value", "num", "startNum", "endNum", "visible", "owner_address", "to_address", "contract_address",
    "amount", "call_value", "function_selector", "parameter", "data", "raw_data", "signature", "transaction", "abi",
    "bytecode", "fee_limit", "id_or_num", "detail", "account_address", "name", "Permission_id",
]  # fmt: skip
_CHAIN = Chain(Settings(block_time=None))
_NAMES = [(name, solid) for solid in (False, True) for name in sorted(Wallet(_CHAIN).both)]
_NAMES += [(name, False) for name in sorted(Wallet(_CHAIN).head_only)]
_METHODS = sorted(JsonRpc(_CHAIN)._methods)


@pytest.mark.parametrize(("name", "solid"), _NAMES)
def test_the_wallet_api_survives_nonsense(stage: Any, name: str, solid: bool) -> None:
    chance = random.Random(name)
    before = stage.node.http.get("/devnet/status").json()
    for _ in range(60):
        params = {field: chance.choice(_WORDS) for field in chance.sample(_FIELDS, 8)}
        answer = stage.node.http.post(f"/wallet{'solidity' if solid else ''}/{name}", json=_small(params))
        assert answer.status_code == 200, (params, answer.text)
        answer.json()
    after = stage.node.http.get("/devnet/status").json()
    assert {**after, "time_ms": 0} == {**before, "time_ms": 0}


@pytest.mark.parametrize("method", _METHODS)
def test_json_rpc_survives_nonsense(stage: Any, method: str) -> None:
    chance = random.Random(method)
    for _ in range(60):
        params: list[Any] = [chance.choice(_WORDS) for _ in range(chance.randint(0, 3))]
        if chance.random() < 0.5:
            names = ["fromBlock", "toBlock", "address", "topics", "blockHash", "to", "from", "data", "value"]
            params[:1] = [{field: chance.choice(_WORDS) for field in chance.sample(names, 4)}]
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": _small(params)}
        answer = stage.node.http.post("/jsonrpc", json=body)
        assert answer.status_code == 200, (params, answer.text)
        shown = answer.json()
        assert ("result" in shown) != ("error" in shown)


@pytest.mark.parametrize("content", [b"", b"[]", b"5", b"{", b"\xff\xfe", b'"text"', b"[" * 10_000])
def test_bodies_that_are_no_object(stage: Any, content: bytes) -> None:
    for path in ("/wallet/getaccount", "/wallet/broadcasttransaction", "/jsonrpc"):
        answer = stage.node.http.post(path, content=content)
        assert answer.status_code == 200
        assert "rror" in answer.text or answer.json() == []


def test_a_body_beyond_the_limit(stage: Any) -> None:
    answer = stage.node.http.post("/wallet/broadcasttransaction", content=b" " * (4 * 1024 * 1024 + 1))
    assert "too big" in answer.json()["Error"]


def _small(value: Any) -> Any:
    """JSON numbers beyond 64 bits do not survive every parser; they travel as text."""
    if isinstance(value, dict):
        return {key: _small(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_small(item) for item in value]
    return str(value) if isinstance(value, int) and not isinstance(value, bool) and value >= 2**63 else value
