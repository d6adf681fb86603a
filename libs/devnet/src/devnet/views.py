"""What java-tron's HTTP API shows of accounts, contracts, resources and the node, as JSON dicts."""

from __future__ import annotations

from devnet.block_views import without_defaults
from devnet.blocks import Block
from devnet.chain import Chain
from devnet.evm import Outcome
from devnet.keys import base58check, producers
from devnet.proto import SMART_CONTRACT, Dict
from devnet.settings import TOTAL_BANDWIDTH, TOTAL_ENERGY
from devnet.state import Account
from devnet.transactions import Transaction, render, show_address, to_json

_OPERATIONS = "7fff1fc0033e0108000000000000000000000000000000000000000000000000"
_WINDOW = 28_800_000


def constant_result(outcome: Outcome, transaction: Transaction, visible: bool) -> Dict:
    """Returns the answer to `triggerconstantcontract`. A log's address is base58check of 20 bytes, as recorded."""
    result: Dict = {"result": True}
    ret: Dict = {}
    if not outcome.ok:
        result["message"] = outcome.message
        ret = {"ret": "FAILED"}
    shown: Dict = {"result": result, "energy_used": outcome.energy, "constant_result": [outcome.output.hex()]}
    if outcome.logs:
        shown["logs"] = [
            without_defaults(
                address=base58check(address) if visible else address.hex(),
                data=data.hex(),
                topics=[topic.hex() for topic in topics],
            )
            for address, topics, data in outcome.logs
        ]
    shown["transaction"] = {"ret": [ret], "visible": visible, **to_json(transaction, visible)}
    return shown


def account(found: Account, visible: bool) -> Dict:
    """Returns an account. Accounts of the genesis block have no permissions of their own, later ones do."""
    address = show_address(found.address, visible)
    resource = without_defaults(
        latest_consume_time_for_energy=found.energy_ms, energy_window_size=_WINDOW, energy_window_optimized=True
    )
    shown = without_defaults(
        account_name=found.name if visible else found.name.encode().hex(),
        type="Contract" if found.is_contract else None,
        address=address,
        balance=found.balance,
        create_time=found.created_ms if found.created_ms and not found.is_contract else None,
        latest_opration_time=found.operated_ms,
        free_net_usage=found.free_usage,
        latest_consume_free_time=found.free_usage_ms,
        net_window_size=_WINDOW,
        net_window_optimized=True,
        account_resource=resource,
    )
    if found.created_ms and not found.is_contract:
        keys = [{"address": address, "weight": 1}]
        shown["owner_permission"] = {"permission_name": "owner", "threshold": 1, "keys": keys}
        active = {"type": "Active", "id": 2, "permission_name": "active", "threshold": 1}
        shown["active_permission"] = [{**active, "operations": _OPERATIONS, "keys": keys}]
    shown["frozenV2"] = [{}, {"type": "ENERGY"}, {"type": "TRON_POWER"}]
    if not found.is_contract:
        shown["asset_optimized"] = True
    return shown


def bandwidth(chain: Chain, found: Account) -> Dict:
    """Returns `getaccountnet`."""
    return without_defaults(
        freeNetUsed=found.free_used(chain.now_ms()),
        freeNetLimit=chain.settings.free_bandwidth,
        TotalNetLimit=TOTAL_BANDWIDTH,
    )


def resources(chain: Chain, found: Account) -> Dict:
    """Returns `getaccountresource`; nobody stakes on this network, so there is no energy but paid energy."""
    return {**bandwidth(chain, found), "TotalEnergyLimit": TOTAL_ENERGY}


def contract(found: Account, visible: bool) -> Dict:
    """Returns `getcontract`: the ABI with its types re-cased; nothing for what a contract created."""
    if found.contract is None:
        return {}
    return render(SMART_CONTRACT, found.contract, visible)


def contract_info(chain: Chain, found: Account, visible: bool) -> Dict:
    """Returns `getcontractinfo`: the contract, its runtime code and its (empty) dynamic energy state."""
    shown = {"runtimecode": chain.vm.code(found.address).hex(), "smart_contract": contract(found, visible)}
    return {**shown, "contract_state": {"update_cycle": chain.head.number // 20}}


def sign_weight(chain: Chain, transaction: Transaction, approved: list[bytes], problem: str, visible: bool) -> Dict:
    """Returns `getsignweight`: who may sign, who did, and whether that is enough."""
    shown: Dict = {"result": {}}
    if transaction.owner in chain.state.accounts:
        keys = [{"address": show_address(transaction.owner, visible), "weight": 1}]
        shown["permission"] = {"keys": keys, "threshold": 1, "permission_name": "owner"}
        if problem:
            shown["result"] = {"code": "PERMISSION_ERROR", "message": problem}
        elif not approved:
            shown["result"] = {"code": "NOT_ENOUGH_PERMISSION"}
        else:
            shown["approved_list"] = [show_address(address, visible) for address in approved]
            shown["current_weight"] = len(approved)
    else:
        shown["result"] = {"code": "PERMISSION_ERROR", "message": "Account does not exist!"}
    body: Dict = {}
    if transaction.signatures:
        body["signature"] = [signature.hex() for signature in transaction.signatures]
    body |= to_json(transaction, visible)
    shown["transaction"] = {"result": {"result": True}, "txid": transaction.id.hex(), "transaction": body}
    return shown


def node_info(chain: Chain) -> Dict:
    """Returns `getnodeinfo`. The figures of machine and peers are constant: there is one node and no machine."""

    def place(block: Block | None) -> str:
        assert block is not None
        return f"Num:{block.number},ID:{block.id.hex()}"

    configuration = {
        "activeNodeSize": 0, "allowAdaptiveEnergy": 0, "allowCreationOfContracts": 1, "backupListenPort": 10001,
        "backupMemberSize": 0, "backupPriority": 8, "codeVersion": "4.8.0", "dbVersion": 2, "discoverEnable": False,
        "listenPort": 18888, "maxConnectCount": 3, "maxTimeRatio": 5.0, "minParticipationRate": 0,
        "minTimeRatio": 0.0, "p2pVersion": "20991231", "passiveNodeSize": 0, "sameIpMaxConnectCount": 2,
        "sendNodeSize": 0, "supportConstant": True, "versionNum": "18631",
    }  # fmt: skip
    machine = {
        "cpuCount": 1, "cpuRate": 0.0, "deadLockThreadCount": 0, "deadLockThreadInfoList": [], "freeMemory": 0,
        "javaVersion": "17.0.15", "jvmFreeMemory": 0, "jvmTotalMemory": 0, "memoryDescInfoList": [],
        "osName": "devnet", "processCpuRate": 0.0, "threadCount": 1, "totalMemory": 0,
    }  # fmt: skip
    return {
        "activeConnectCount": 0, "beginSyncNum": chain.solid_number, "block": place(chain.head),
        "cheatWitnessInfoMap": {}, "configNodeInfo": configuration, "currentConnectCount": 0,
        "machineInfo": machine, "passiveConnectCount": 0, "peerList": [],
        "solidityBlock": place(chain.block(chain.solid_number)), "totalFlow": 0,
    }  # fmt: skip


def witnesses(chain: Chain) -> Dict:
    """Returns `listwitnesses`."""
    produced: dict[bytes, list[int]] = {}
    for block in chain.blocks[1 : chain.head.number + 1]:
        produced.setdefault(block.witness, []).append(block.number)
    rows = []
    for index, producer in enumerate(producers(chain.settings.producers)):
        numbers = produced.get(producer.raw_address, [])
        rows.append(
            without_defaults(
                address=producer.raw_address.hex(),
                voteCount=100_000_000 - index,
                url=f"http://producer{index}.devnet",
                totalProduced=len(numbers),
                latestBlockNum=numbers[-1] if numbers else 0,
                isJobs=True,
            )
        )
    return {"witnesses": rows}
