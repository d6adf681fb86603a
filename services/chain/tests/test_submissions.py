"""What others ask for, by API and by topic, followed to its end."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from chain_bank import Bank, operation_id
from pydantic import SecretStr

from chain.app import create
from chain.domain import EVENTS
from chain.domain.operation import ContractCall, TokenPayment, TrxPayment
from chain.keyring import KeyringError, keyring
from chain.payloads import CLASSES, Payloads, methods
from chain.progress import Operations
from chain.settings import ChainSettings
from contracts import operations
from eventlog import EventLog, EventTypes
from messaging.testing import delete_topics, eventually, read_all, send
from projections.testing import rebuilt_alike
from service.testing import Running, events_of, serving
from tron.client import NodeClient
from tron.contracts import DCMXToken
from tron.errors import InvalidArgument
from tron.keys import Key
from tron.sender import Sender
from tron.signers import seal_keystore

pytestmark = pytest.mark.endurance

AT = "TGkWdpawVNfeset3P6uTBbLaPY7nZVZvXY"


@pytest.fixture
async def sending(bank: Bank, database: str, kafka: str) -> AsyncIterator[Running]:
    """The service with a bank's keys, on an empty database and an empty Kafka, its read models made."""
    await delete_topics(kafka)
    keys = SecretStr(json.dumps({name: key.secret.hex() for name, key in bank.keys.items()}))
    contracts = json.dumps(bank.contracts)
    async with serving(
        create, database, kafka, node_url=bank.url, contracts=contracts, sending_keys=keys, poll_seconds=0.1
    ) as running:
        await running.shown()
        yield running


def transfer(to: str, value: Any, **changes: Any) -> dict[str, Any]:
    payload = {"kind": "call", "contract": "dcmx-token", "method": "transfer", "args": {"to": to, "value": value}}
    return {"sender": "payer-1", "payload": payload | changes}


async def post(client: httpx.AsyncClient, body: dict[str, Any], key: str = "1") -> httpx.Response:
    return await client.post("/transactions", json=body, headers={"idempotency-key": key})


async def test_an_operation_is_asked_for_by_api_and_followed_to_its_solidified_block(
    sending: Running, bank: Bank
) -> None:
    to = Key.random().address
    async with sending.client("rewards", "service") as client:
        asked = await post(client, transfer(to, str(10**19)))
        assert asked.status_code == 202
        submitted = asked.json()
        path, token = f"/transactions/{submitted['operation_id']}", {"annals-after": submitted["token"]}
        first = (await client.get(path, headers=token)).json()
        assert (first["sender"], first["requested_by"]) == ("payer-1", "/rewards")
        assert first["payload"]["args"] == {"to": to, "value": str(10**19)}

        again = (await post(client, transfer(to, str(10**19)))).json()
        assert (again["operation_id"], again["events"]) == (submitted["operation_id"], 0)
        other = await post(client, transfer(to, "2"))
        assert (other.status_code, other.json()["type"]) == (409, "urn:annals:problem:operation-conflict")

        async def solidified() -> bool:
            return bool((await client.get(path)).json()["status"] == "solidified")

        await eventually(solidified)
        done = (await client.get(path)).json()
        assert done["attempts"] == 1
        assert done["block_number"] > 0

        async def shown() -> bool:
            return (await client.get(f"/transactions/{done['tx_id']}")).status_code == 200

        await eventually(shown)
        detail = (await client.get(f"/transactions/{done['tx_id']}")).json()
        assert detail["fee_sun"] == done["fee_sun"]
        assert (await client.get(f"/transactions/{operation_id(5)}")).status_code == 404
    async with NodeClient(bank.url) as node:
        assert await Sender(node).read(DCMXToken(bank.contracts["dcmx-token"]).balance_of(to)) == 10**19


async def test_each_step_of_an_operation_is_told_as_it_happens_and_again_from_any_step_on(
    sending: Running, bank: Bank
) -> None:
    async with sending.client("rewards", "service") as client, sending.client("ada", "user") as user:
        name = (await post(client, transfer(Key.random().address, "1"))).json()["operation_id"]
        path = f"/operations/{name}/events"
        async with asyncio.timeout(240):
            told = [event async for event in events_of(client, path)]
        assert [number for number, _, _ in told] == list(range(1, len(told) + 1))
        names = [status for _, status, _ in told]
        assert (names[:2], names[-1]) == (["intended", "signed"], "solidified")
        assert {"broadcast", "solidified"} <= set(names)
        assert all(step["status"] == status and step["operation_id"] == name for _, status, step in told)
        last = told[-1][2]
        assert (last["block_number"] > 0, last["attempts"], last["problem"]) == (True, 1, None)
        assert {step["tx_id"] for _, _, step in told[1:]} == {last["tx_id"]}

        assert [event async for event in events_of(client, path, 2)] == told[2:]
        assert (await client.get(path, headers={"last-event-id": str(len(told))})).status_code == 204
        assert (await client.get(f"/operations/{operation_id(5)}/events")).status_code == 404
        assert (await user.get(path)).status_code == 403

        wrong = operations.PayTrx(operation_id=operation_id(7), sender="nobody", to=AT, amount_sun=1)
        await send(sending.service.settings.kafka_bootstrap, (wrong.operation_id, wrong))
        path = f"/operations/{wrong.operation_id}/events"

        async def known() -> bool:
            return (await client.get(path, headers={"last-event-id": "9"})).status_code == 204

        await eventually(known)
        assert [(name, step["problem"]) async for _, name, step in events_of(client, path)] == [
            ("intended", None),
            ("failed", "invalid"),
        ]


WRONG = [
    (
        ContractCall("dcmx-token", "transfer", {"to": "T123", "value": "1"}),
        "DCMXToken.transfer.to: expected an address",
    ),
    (
        ContractCall("dcmx-token", "transfer", {"to": AT, "value": 1.5}),
        "DCMXToken.transfer.value: expected uint256, got",
    ),
    (
        ContractCall("dcmx-token", "transfer", {"to": AT, "value": "-1"}),
        "DCMXToken.transfer.value: expected uint256, got",
    ),
    (ContractCall("dcmx-token", "transfer", {"value": "1"}), "args.to: expected a value, got none"),
    (ContractCall("dcmx-token", "transfer", {"to": AT, "value": 1, "x": 1}), "args.x: expected only to, value"),
    (ContractCall("dcmx-token", "balance_of", {"account": AT}), "method: expected one of approve, "),
    (ContractCall("dcmx-token", "__init__", {"address": AT}), "method: expected one of approve, "),
    (ContractCall("reward-vault", "pause", {}), "contract: expected one of dcmx-token, music-nft; got 'reward-vault'"),
    (ContractCall("dcmx-token", "burn", {"value": 1}, 5), "value_sun: expected 0, burn takes no TRX; got 5"),
    (ContractCall("music-nft", "buy_edition", {"track_id": 1}, 2**63), "MusicNFT.buyEdition.value_sun: expected"),
    (TrxPayment(AT, 0), "amount_sun: expected 1 to 2^63-1 sun, got 0"),
    (TrxPayment(AT, 2**63), "amount_sun: expected 1 to 2^63-1 sun, got"),
    (TokenPayment(AT, AT, 2**256), "DCMXToken.transfer.value: expected uint256"),
]


@pytest.mark.parametrize(("payload", "problem"), WRONG)
def test_what_is_wrong_is_refused_with_the_fields_name(payload: Any, problem: str) -> None:
    with pytest.raises(InvalidArgument, match=f"^{re.escape(problem)}"):
        Payloads({"dcmx-token": AT, "music-nft": AT}).prepare(payload)


def test_every_function_of_every_contract_can_be_asked_for_and_none_that_only_reads() -> None:
    for name, cls in CLASSES.items():
        functions = cls.artifact().abi.functions.values()
        changing = [one for one in functions if one.mutability in ("nonpayable", "payable")]
        assert len(methods(cls)) == len(changing), name


async def test_who_may_not_send_or_asks_for_nonsense_is_refused(sending: Running) -> None:
    async with sending.client("ada", "user") as client:
        assert (await client.get(f"/transactions/{operation_id(1)}")).status_code == 403
        assert (await post(client, transfer(Key.random().address, "1"))).status_code == 403
    async with sending.client("rewards", "service") as client:
        stranger = await post(client, transfer(Key.random().address, "1") | {"sender": "nobody"})
        assert stranger.json()["detail"].startswith("sender: expected one of payer-1, payer-2")
        wrong = await post(client, transfer("T123", "1"))
        assert (wrong.status_code, wrong.json()["type"]) == (422, "urn:annals:problem:invalid-transaction")
        assert wrong.json()["detail"] == "DCMXToken.transfer.to: expected an address, got 'T123'"


async def test_commands_of_other_services_come_by_topic_and_their_ends_are_told_there(
    sending: Running, bank: Bank, kafka: str
) -> None:
    to = Key.random().address
    token = bank.contracts["dcmx-token"]
    commands = [
        operations.PayTrx(operation_id=operation_id(1), sender="payer-1", to=to, amount_sun=5_000_000),
        operations.PayToken(operation_id=operation_id(2), sender="payer-2", token=token, to=to, amount=10**19),
        operations.CallContract(
            operation_id=operation_id(3), sender="payer-2", contract="dcmx-token", method="mint", args={}
        ),
    ]
    for _ in range(2):  # a repeated command changes nothing
        await send(kafka, *((command.operation_id, command) for command in commands))

    async def told() -> list[tuple[str, str]]:
        records = await read_all(kafka, "chain.operations")
        types = (dict(record.headers)["ce_type"].decode().split(".")[2] for record in records)
        ids = (json.loads(record.value)["operation_id"] for record in records)
        return sorted((told_id, kind) for told_id, kind in zip(ids, types, strict=True) if kind != "OperationBroadcast")

    async def all_told() -> bool:
        return len(await told()) >= 3

    await eventually(all_told)
    assert await told() == [
        (operation_id(1), "OperationSolidified"),
        (operation_id(2), "OperationSolidified"),
        (operation_id(3), "OperationFailed"),
    ]
    async with NodeClient(bank.url) as node:
        assert await Sender(node).read(DCMXToken(token).balance_of(to)) == 10**19
    async with sending.client("rewards", "service") as client:
        await sending.shown()
        failed = (await client.get(f"/transactions/{operation_id(3)}")).json()
        assert (failed["status"], failed["problem"]) == ("failed", "invalid")
        assert failed["reason"] == "args.to: expected a value, got none"
    await _rebuilt_rows_are_the_live_ones(sending)


async def _rebuilt_rows_are_the_live_ones(sending: Running) -> None:
    pool = sending.pool
    [compared] = await rebuilt_alike(EventLog(pool, EventTypes(EVENTS)), [Operations()])
    assert [table.first_rows for table in compared.tables] == [3]


def test_keys_come_from_the_environment_and_from_encrypted_files(tmp_path: Any) -> None:
    one, two = Key.random(), Key.random()
    (tmp_path / "minter.json").write_text(seal_keystore(two, "secret", {"n": 1024, "r": 8, "p": 1}))
    keys = SecretStr(json.dumps({"treasury": one.secret.hex()}))
    settings = ChainSettings(sending_keys=keys, keystore=tmp_path, keystore_password=SecretStr("secret"))
    assert {name: signer.address for name, signer in keyring(settings).items()} == {
        "treasury": one.address,
        "minter": two.address,
    }
    shown = f"{settings!r} {settings.model_dump()} {keyring(settings)}"
    assert one.secret.hex() not in shown
    assert "secret" not in shown.replace("keystore_password=SecretStr", "").replace("SecretStr", "")


def test_a_signer_of_another_package_is_asked_for_by_name() -> None:
    with pytest.raises(KeyringError, match=r"expected package\.module:function, got 'kms'"):
        keyring(ChainSettings(signers="kms"))
    with pytest.raises(KeyringError, match=r"signers: nowhere:found: No module named 'nowhere'"):
        keyring(ChainSettings(signers="nowhere:found"))
    assert keyring(ChainSettings(signers="builtins:dict")) == {}


@pytest.mark.parametrize("text", ["nonsense", '{"treasury": "beef"}', '["a"]', '{"treasury": 5}'])
def test_keys_that_are_none_are_refused_without_showing_them(text: str) -> None:
    with pytest.raises(KeyringError, match=r"^sending_keys: expected a JSON object of names and private keys") as error:
        keyring(ChainSettings(sending_keys=SecretStr(text)))
    assert "beef" not in str(error.value)


async def test_a_key_that_is_none_ends_the_process_with_a_line_that_names_the_variable(tmp_path: Path) -> None:
    (tmp_path / "minter.json").write_text("{}")
    settings = {"CHAIN_KEYSTORE": str(tmp_path), "CHAIN_KEYSTORE_PASSWORD": "hunter2"}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "chain", "check", env={**os.environ, **settings}, stderr=asyncio.subprocess.PIPE
    )
    _, said = await process.communicate()
    assert process.returncode == 2
    assert said.decode().startswith(f"CHAIN_KEYSTORE: {tmp_path}/minter.json: keystore: not a file of version 3")
    assert len(said.splitlines()) == 1
