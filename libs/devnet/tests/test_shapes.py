"""The recorded exchanges re-enacted: same keys, same types, same forms of addresses and hashes, same omissions."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

_FORMS = {
    "base58": r"T[1-9A-HJ-NP-Za-km-z]{33}",
    "address": r"41[0-9a-f]{40}",
    "address20": r"[0-9a-f]{40}",
    "hash": r"[0-9a-f]{64}",
    "signature": r"[0-9a-f]{130}",
    "rpc address": r"0x[0-9a-f]{40}",
    "rpc hash": r"0x[0-9a-f]{64}",
    "rpc quantity": r"0x(0|[1-9a-f][0-9a-f]{0,15})",
    "rpc bloom": r"0x0{512}",
    "rpc data": r"0x[0-9a-f]*",
    "hex": r"[0-9a-f]+",
}

# Differences that are meant, by the dotted path within the response.
_IGNORED = {
    "machineInfo.memoryDescInfoList",  # no Java, no memory pools
    "contract_state.energy_usage",  # no dynamic energy
    "account_resource.acquired_delegated_frozenV2_balance_for_energy",  # no staking
    "Error",  # the words of Java's JSON library
}


def shape(value: Any, path: str = "") -> Any:
    """The skeleton of a value: keys and kinds. A list is the set of its elements' skeletons."""
    if path in _IGNORED:
        return "ignored"
    if isinstance(value, dict):
        keys = ((key, f"{path}.{key}".lstrip(".")) for key in sorted(value))
        kept = {key: shape(value[key], inner) for key, inner in keys if inner not in _IGNORED}
        return kept
    if isinstance(value, list):
        return sorted({repr(shape(item, path)) for item in value})
    if isinstance(value, str):
        return next((form for form, pattern in _FORMS.items() if re.fullmatch(pattern, value)), "text")
    return type(value).__name__


def recorded(recordings: dict[str, Any], number: str) -> dict[str, Any]:
    (name,) = [name for name in recordings if name.startswith(number)]
    return dict(recordings[name])


@pytest.fixture(scope="module")
def scene(stage: Any) -> dict[str, Any]:
    """Everything that the recording session did, done here: names to transaction ids."""
    node, trx = stage.node, stage.client.trx
    me, other = node.address(0), node.address(1)
    new = "TUzD1rsJtHzx5zQzzLgzmmaKUDzcDAU6KD"
    for _ in range(2):
        node.transfer(0, other, 1)  # uses up the free bandwidth
    done: dict[str, str] = {
        "deploy": stage.receipt["id"],
        "transfer": node.transfer(2, other, 1_000_000)["id"],
        "paid transfer": node.transfer(0, stage.address, 1_000_000)["id"],
        "new account": node.transfer(3, new, 5_000_000)["id"],
        "memo": node.send(trx.transfer(node.address(4), other, 7).memo("hello memo"), 4)["id"],
        "call": stage.call("transfer", other, 12_345)["id"],
        "note": stage.call("note", 77, "some text", bytes.fromhex("dead"))["id"],
        "deposit": stage.call("deposit", value=2_000_000)["id"],
        "pay": stage.call("pay", other, 500_000)["id"],
        "spawn": stage.call("spawn", 9)["id"],
        "custom error": stage.call("transfer", me, 10**15, sender=1)["id"],
        "reason": stage.call("failStrTx")["id"],
        "panic": stage.call("failPanic", 0)["id"],
        "empty revert": stage.call("failAssertEmpty")["id"],
        "out of energy": stage.call("spin", fee_limit=5_000_000)["id"],
    }
    burst = [
        stage.builder("note", number, f"t{number}", b"", sender=0).build().sign(node.key(0)) for number in range(4)
    ]
    done["burst"] = [item.broadcast()["txid"] for item in burst][-1]
    node.mine()
    return done


def fields(stage: Any, **more: Any) -> dict[str, Any]:
    return {
        "owner_address": stage.node.address(0),
        "contract_address": stage.address,
        "visible": True,
        **more,
    }


_WORD = f"{7:064x}"
_TO = "0" * 24 + "3325a78425f17a7e487eb5666b2bfd93abb06c70"
Ask = Callable[[Any, dict[str, Any]], Any]

INFOS = {
    "028": "transfer", "033": "new account", "038": "memo", "085": "deploy", "120": "call", "125": "note",
    "135": "paid transfer", "140": "pay", "145": "spawn", "166": "reason", "171": "panic", "176": "empty revert",
    "181": "out of energy",
}  # fmt: skip
TRANSACTIONS = {"029": "transfer", "034": "new account", "039": "memo", "086": "deploy", "121": "call"}


@pytest.mark.parametrize(("number", "name"), INFOS.items())
def test_receipts_have_the_recorded_shape(
    recordings: dict[str, Any], stage: Any, scene: dict[str, str], number: str, name: str
) -> None:
    ours = stage.node.info(scene[name])
    theirs = recorded(recordings, number)["response"]
    assert shape(ours) == shape(theirs)
    if name != "out of energy":  # the words name the operation there
        assert ours.get("resMessage") == theirs.get("resMessage")
    assert ours["receipt"].get("result") == theirs["receipt"].get("result")


@pytest.mark.parametrize(("number", "name"), TRANSACTIONS.items())
def test_transactions_have_the_recorded_shape(
    recordings: dict[str, Any], stage: Any, scene: dict[str, str], number: str, name: str
) -> None:
    ours = stage.node.wallet("gettransactionbyid", value=scene[name], visible=True)
    assert shape(ours) == shape(recorded(recordings, number)["response"])


def constant(signature: str, parameter: str = "", **more: Any) -> Ask:
    def ask(stage: Any, _: dict[str, Any]) -> Any:
        call = fields(stage, function_selector=signature, parameter=parameter, **more)
        return stage.node.wallet("triggerconstantcontract", **call)

    return ask


def head(stage: Any) -> int:
    return int(stage.node.http.get("/devnet/status").json()["head"])


def wallet(name: str, **params: Any) -> Ask:
    return lambda stage, scene: stage.node.wallet(name, **params)


WALLET: dict[str, Ask] = {
    "001": lambda stage, _: stage.node.wallet("getblockbynum", num=1),
    "007": wallet("getblockbynum", num=1, visible=True),
    "008": wallet("getblockbynum", num=10**9, visible=True),
    "009": lambda stage, _: stage.node.wallet("getaccount", address=stage.node.address(9), visible=True),
    "011": wallet("getaccount", address="TPL66VK2gCXNCD7EJg9pgJRfqcRazjhUZY", visible=True),
    "012": lambda stage, _: stage.node.wallet("getaccountresource", address=stage.node.address(9), visible=True),
    "013": lambda stage, _: stage.node.wallet("getaccountnet", address=stage.node.address(9), visible=True),
    "016": wallet("getaccountresource", address="TPL66VK2gCXNCD7EJg9pgJRfqcRazjhUZY", visible=True),
    "017": wallet("getchainparameters"),
    "018": wallet("getnodeinfo"),
    "024": wallet("getnextmaintenancetime"),
    "076": lambda stage, _: stage.node.wallet(
        "createtransaction",
        owner_address=stage.node.address(0), to_address=stage.node.address(1), amount=13, visible=True,
    ),
    "077": wallet(
        "createtransaction",
        owner_address="41924b6a5ee08786f2716a0a4dbb14f6fd2fc9a50e",
        to_address="413325a78425f17a7e487eb5666b2bfd93abb06c70", amount=13,
    ),
    "078": wallet(
        "createtransaction",
        owner_address="41fa9f5afaa25a41d5e4a97718326bb15960df1047",
        to_address="413325a78425f17a7e487eb5666b2bfd93abb06c70", amount=13,
    ),
    "079": wallet("gettransactionbyid", value="ab" * 32, visible=True),
    "080": wallet("gettransactioninfobyid", value="ab" * 32, visible=True),
    "081": wallet("gettransactionbyid", value="zz"),
    "088": lambda stage, _: stage.node.wallet("getcontract", value=stage.address, visible=True),
    "089": lambda stage, _: stage.node.wallet("getcontractinfo", value=stage.address, visible=True),
    "090": lambda stage, _: stage.node.wallet("getcontract", value=stage.node.address(1), visible=True),
    "092": lambda stage, _: stage.node.wallet("getcontractinfo", value=stage.node.address(1), visible=True),
    "094": constant("name()"),
    "100": constant("transfer(address,uint256)", _TO + _WORD),
    "101": constant("transfer(address,uint256)", _TO + f"{10**30:064x}"),
    "102": constant("failStrTx()"),
    "103": constant("failPanic(uint256)", "0" * 64),
    "105": constant("spin()"),
    "106": lambda stage, _: stage.node.wallet(
        "triggerconstantcontract", **fields(stage, contract_address=stage.node.address(1), function_selector="x()")
    ),
    "107": constant("nonexist()"),
    "108": constant("name()", owner_address="zzz"),
    "110": constant("note(uint256,string,bytes)", f"{3:064x}{96:064x}{160:064x}{1:064x}{'78':0<64}{1:064x}{'01':0<64}"),
    "111": lambda stage, _: stage.node.wallet(
        "triggerconstantcontract",
        owner_address="415050a4f4b3f9338c3472dcc01a87c76a144b3c9c", contract_address=stage.hex, data="06fdde03",
    ),
    "114": lambda stage, _: stage.node.wallet(
        "estimateenergy", **fields(stage, function_selector="transfer(address,uint256)", parameter=_TO + _WORD)
    ),
    "115": lambda stage, _: stage.node.wallet("estimateenergy", **fields(stage, function_selector="failStrTx()")),
    "211": lambda stage, _: stage.node.wallet(
        "triggersmartcontract",
        **fields(stage, function_selector="transfer(address,uint256)", parameter=_TO + _WORD, fee_limit=10**8),
    ),
    "212": lambda stage, _: stage.node.wallet(
        "triggersmartcontract", **fields(stage, contract_address=stage.node.address(1), function_selector="x()")
    ),
    "213": lambda stage, _: stage.node.wallet(
        "triggersmartcontract", owner_address=stage.node.address(0), function_selector="x()"
    ),
    "260": wallet("getaccount", address="TUzD1rsJtHzx5zQzzLgzmmaKUDzcDAU6KD", visible=True),
    "293": lambda stage, _: stage.node.wallet("gettransactioninfobyblocknum", num=head(stage)),
    "294": lambda stage, _: stage.node.wallet("gettransactioninfobyblocknum", num=stage.receipt["blockNumber"]),
    "295": wallet("gettransactioninfobyblocknum", num=1),
    "296": wallet("gettransactioninfobyblocknum", num=10**9),
    "298": lambda stage, _: stage.node.wallet("getblockbynum", num=head(stage), visible=True),
    "302": lambda stage, _: stage.node.wallet("getblock", id_or_num=str(head(stage)), detail=True),
    "303": wallet("getblock", detail=False),
    "306": lambda stage, _: stage.node.wallet("gettransactioncountbyblocknum", num=head(stage)),
    "307": wallet("gettransactioncountbyblocknum", num=10**9),
    "324": wallet("broadcasthex", transaction="00"),
    "325": wallet("getpendingsize"),
    "326": wallet("gettransactionlistfrompending"),
    "329": lambda stage, _: stage.node.http.get(f"/wallet/gettransactioninfobyblocknum?num={head(stage)}").json(),
}  # fmt: skip
EXACT = {"078", "106", "108", "115", "212", "213", "324"}  # the error texts too


@pytest.mark.parametrize("number", WALLET)
def test_wallet_answers_have_the_recorded_shape(
    recordings: dict[str, Any], stage: Any, scene: dict[str, str], number: str
) -> None:
    ours, theirs = WALLET[number](stage, scene), recorded(recordings, number)["response"]
    if number in EXACT:
        assert ours == theirs
    assert shape(ours) == shape(theirs)


def test_the_abi_comes_back_re_cased_and_without_empty_fields(recordings: dict[str, Any], stage: Any) -> None:
    ours = stage.node.wallet("getcontract", value=stage.address, visible=True)
    theirs = recorded(recordings, "088")["response"]
    assert ours["abi"] == theirs["abi"]
    assert ours["code_hash"] == theirs["code_hash"]
    assert ours["origin_energy_limit"] == theirs["origin_energy_limit"]


def test_the_genesis_block_allocates_by_unsigned_transfers(recordings: dict[str, Any], stage: Any) -> None:
    ours = stage.node.wallet("getblockbynum", num=0, visible=True)
    theirs = recorded(recordings, "006")["response"]
    ours["transactions"] = [
        item for item in ours["transactions"] if "amount" in item["raw_data"]["contract"][0]["parameter"]["value"]
    ]
    assert shape(ours) == shape(theirs)
    sender = [item["raw_data"]["contract"][0]["parameter"]["value"]["owner_address"] for item in theirs["transactions"]]
    assert ours["transactions"][0]["raw_data"]["contract"][0]["parameter"]["value"]["owner_address"] == sender[0]
    assert ours["block_header"]["raw_data"]["witness_address"] == theirs["block_header"]["raw_data"]["witness_address"]


def test_unknown_paths_are_jettys_405(recordings: dict[str, Any], stage: Any) -> None:
    answer = stage.node.http.post("/wallet/nosuch", json={})
    theirs = recorded(recordings, "327")
    assert (answer.status_code, answer.text) == (theirs["status"], theirs["response"])
    assert answer.headers["content-type"].startswith("text/html")


def test_malformed_json_is_an_error_with_status_200(recordings: dict[str, Any], stage: Any) -> None:
    answer = stage.node.http.post("/wallet/getblockbynum", content=b"not json")
    assert answer.status_code == recorded(recordings, "328")["status"]
    assert answer.json()["Error"].startswith("class com.alibaba.fastjson.JSONException")


def test_raw_receipts_show_failures_in_hex(stage: Any, scene: dict[str, str]) -> None:
    raw = stage.node.info(scene["reason"], visible=False)
    assert bytes.fromhex(raw["resMessage"]) == b"REVERT opcode executed"
    assert raw["contract_address"] == stage.hex
    (log,) = stage.node.info(scene["call"], visible=False)["log"]
    assert log["address"] == stage.hex[2:]


def test_what_wallets_ask_of_votes_and_tokens_that_are_not_there_is_answered_as_by_a_node(stage: Any) -> None:
    for origin in ("wallet", "walletsolidity"):
        for name, expected in (("getReward", {"reward": 0}), ("getBrokerage", {"brokerage": 20})):
            assert stage.node.post(f"/{origin}/{name}", address=stage.node.address(0), visible=True) == expected
    assert stage.node.wallet("getassetissuelist") == {}
    assert stage.node.wallet("getassetissuebyid", value=1_000_001) == {}
