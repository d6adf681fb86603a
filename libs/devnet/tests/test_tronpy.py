"""Unmodified tronpy, sync and async, against a running network. Fixtures are typed Any: they live in conftest."""

from __future__ import annotations

import time
from typing import Any

import httpx
import pytest
from tronpy import AsyncTron, Contract, Tron
from tronpy.exceptions import (
    AddressNotFound,
    BadSignature,
    BlockNotFound,
    TransactionError,
    TransactionNotFound,
    TvmError,
    ValidationError,
)
from tronpy.keys import PrivateKey
from tronpy.providers.async_http import AsyncHTTPProvider

WAIT = {"timeout": 60, "interval": 0.05}


def deployed(live: Any, client: Tron, artifact: dict[str, Any]) -> Contract:
    code = Contract(bytecode=artifact["bytecode"], abi=artifact["abi"], name="T")
    sent = client.trx.deploy_contract(live.address(0), code).build().sign(live.key(0)).broadcast()
    receipt = sent.wait(**WAIT)
    assert receipt["receipt"]["result"] == "SUCCESS"
    return client.get_contract(receipt["contract_address"])


def test_a_transfer_to_a_new_address_creates_an_account(live: Any) -> None:
    client = live.tron()
    address = PrivateKey.random().public_key.to_base58check_address()
    with pytest.raises(AddressNotFound):
        client.get_account(address)
    sent = client.trx.transfer(live.address(0), address, 5_000_000).memo("hi").build().sign(live.key(0)).broadcast()
    receipt = sent.wait(**WAIT)
    assert receipt["fee"] == 1_000_000 + 100_000 + 1_000_000  # the account, its bandwidth, the memo
    assert client.get_account_balance(address) == 5
    assert client.get_account(address)["create_time"] == receipt["blockTimeStamp"]
    assert client.get_transaction(sent.txid)["raw_data"]["data"] == b"hi".hex()
    assert client.get_account_permission(address)["owner"]["keys"][0]["address"] == address


def test_a_contract_is_deployed_called_and_read(live: Any, artifact: dict[str, Any]) -> None:
    client = live.tron()
    contract = deployed(live, client, artifact)
    me, other = live.address(0), live.address(1)
    assert contract.functions.name() == "Tok"
    assert contract.functions.decimals() == 6
    before = contract.functions.balanceOf(me)
    sent = contract.functions.transfer(other, 12_345).with_owner(me).build().sign(live.key(0)).broadcast()
    assert sent.result(**WAIT) is True
    assert contract.functions.balanceOf(me) == before - 12_345
    assert contract.functions.balanceOf(other) == 12_345
    (event,) = contract.events.Transfer.process_receipt(sent.wait(**WAIT))
    assert event["args"] == {"from": me, "to": other, "value": 12_345}


def test_a_receipt_is_solid_only_when_its_block_is(live: Any) -> None:
    client = live.tron()
    sent = client.trx.transfer(live.address(1), live.address(2), 1).build().sign(live.key(1)).broadcast()
    included = sent.wait(**WAIT)
    assert sent.wait(solid=True, **WAIT) == included
    assert client.get_latest_solid_block_number() >= included["blockNumber"]
    assert client.get_latest_block_number() >= included["blockNumber"] + 3


def test_a_revert_raises_with_its_reason(live: Any, artifact: dict[str, Any]) -> None:
    client = live.tron()
    contract = deployed(live, client, artifact)
    sent = contract.functions.failStrTx().with_owner(live.address(0)).build().sign(live.key(0)).broadcast()
    with pytest.raises(TvmError, match="REVERT opcode executed: plain reason"):
        sent.result(**WAIT)
    with pytest.raises(TvmError, match="plain reason"):
        contract.functions.failStr()


def test_what_is_not_there_is_not_found(live: Any) -> None:
    client = live.tron()
    with pytest.raises(TransactionNotFound):
        client.get_transaction("ab" * 32)
    with pytest.raises(TransactionNotFound):
        client.get_transaction_info("ab" * 32)
    with pytest.raises(BlockNotFound):
        client.get_block(10**9)


def test_refusals_raise_tronpys_own_errors(live: Any) -> None:
    client = live.tron()
    transfer = client.trx.transfer(live.address(3), live.address(4), 10**18)
    with pytest.raises(ValidationError, match="balance is not sufficient"):
        transfer.build().sign(live.key(3)).broadcast()
    expiring = client.trx.transfer(live.address(3), live.address(4), 1).expiration(300).build().sign(live.key(3))
    time.sleep(0.5)
    with pytest.raises(TransactionError, match="expired"):
        expiring.broadcast()
    unsigned = client.trx.transfer(live.address(3), live.address(4), 1).build()
    with pytest.raises(BadSignature, match="miss sig"):
        unsigned.broadcast()


def test_the_chain_describes_itself(live: Any) -> None:
    client = live.tron()
    parameters = {row["key"]: row.get("value") for row in client.get_chain_parameters()}
    assert (parameters["getEnergyFee"], parameters["getTransactionFee"]) == (100, 1000)
    assert len(client.list_witnesses()) == 27
    assert client.get_bandwidth(live.address(9)) == 600
    assert client.get_energy(live.address(9)) == 0
    assert client.get_node_info()["configNodeInfo"]["codeVersion"] == "4.8.0"
    assert client.get_block(0)["transactions"]


async def test_the_async_client_does_the_same(live: Any, artifact: dict[str, Any]) -> None:
    http = httpx.AsyncClient(timeout=120)
    provider = AsyncHTTPProvider(live.url, client=http)
    async with AsyncTron(provider, conf={"fee_limit": 1_000_000_000}) as client:
        me, key = live.address(5), live.key(5)
        other = PrivateKey.random().public_key.to_base58check_address()
        sent = await (await client.trx.transfer(me, other, 2_000_000).build()).sign(key).broadcast()
        await sent.wait(**WAIT)
        assert await client.get_account_balance(other) == 2
        code = Contract(bytecode=artifact["bytecode"], abi=artifact["abi"], name="T")
        sent = await (await client.trx.deploy_contract(me, code).build()).sign(key).broadcast()
        receipt = await sent.wait(**WAIT)
        contract = await client.get_contract(receipt["contract_address"])
        assert await contract.functions.name() == "Tok"
        builder = await contract.functions.transfer(other, 7)
        sent = await (await builder.with_owner(me).build()).sign(key).broadcast()
        assert await sent.result(**WAIT) is True
        assert await contract.functions.balanceOf(other) == 7
        assert (await client.get_block(receipt["blockNumber"]))["transactions"][0]["txID"] == receipt["id"]
        with pytest.raises(TvmError, match="plain reason"):
            await contract.functions.failStr()
