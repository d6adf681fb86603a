"""The HTTP API: `/wallet/<name>` at the head and `/walletsolidity/<name>` at the solidified height.

Every handler takes the request's parameters and returns a JSON value, or bytes that are JSON already.
Errors are HTTP 200 with an `Error`, a `code` or an empty object, as recorded from java-tron.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson

from devnet import block_views, views
from devnet.blocks import Block
from devnet.chain import Chain
from devnet.evm import contract_address
from devnet.executor import Refused
from devnet.keys import keccak, recover
from devnet.proto import CONTRACTS, DecodeError, Dict
from devnet.state import Account
from devnet.transactions import (
    BadRequest,
    Transaction,
    build,
    from_bytes,
    from_json,
    parse,
    parse_address,
    to_json,
)

_DEFAULT_OWNER = b"\x41" + bytes(20)
_EXPIRATION_MS = 60_000
_MAINTENANCE_MS = 60_000
_ESTIMATE_PRECISION = 10_000  # energy; found from the recorded estimates


@dataclass(frozen=True, slots=True)
class Request:
    """One call: its parameters, and whether it asks for the solidified height."""

    params: Dict
    solid: bool

    @property
    def visible(self) -> bool:
        """Whether addresses are in base58."""
        return self.params.get("visible") in (True, "true")

    def address(self, name: str) -> bytes:
        """Returns an address parameter.

        Raises:
            BadRequest: it is missing or malformed.
        """
        if not self.params.get(name):
            raise BadRequest(f"class java.security.InvalidParameterException : {name} isn't set.")
        try:
            return parse_address(self.params[name], self.visible)
        except ValueError as error:
            if self.visible:  # java-tron passes a null on
                null = "class java.lang.NullPointerException : Cannot read the array length because 'bytes' is null"
                raise BadRequest(null) from error
            raise BadRequest(f"class org.tron.core.services.http.JsonFormat$ParseException : {error}") from error

    def number(self, name: str, default: int = 0) -> int:
        """Returns an integer parameter."""
        try:
            return int(self.params.get(name, default))
        except (TypeError, ValueError) as error:
            raise BadRequest(f"class java.lang.NumberFormatException : {name}: {self.params[name]!r}") from error

    def hex(self, name: str) -> bytes:
        """Returns a parameter of hex digits; empty when it is missing."""
        try:
            return bytes.fromhex(str(self.params.get(name) or "").removeprefix("0x"))
        except ValueError as error:
            parser = "class org.tron.core.services.http.JsonFormat$ParseException"
            raise BadRequest(f"{parser} : 1:11: INVALID hex String") from error


class Wallet:
    """The handlers by name: `both` are served at either height, `head_only` by `/wallet` alone."""

    def __init__(self, chain: Chain) -> None:
        self.chain = chain
        self.both: dict[str, Callable[[Request], Any]] = {
            "getnowblock": self._now_block,
            "getblock": self._block,
            "getblockbynum": lambda request: self._whole(
                self.chain.block(request.number("num"), request.solid), request
            ),
            "getblockbyid": lambda request: self._whole(
                self.chain.block_by_id(request.hex("value"), request.solid), request
            ),
            "getblockbylimitnext": self._blocks_by_limit,
            "getblockbylatestnum": self._latest_blocks,
            "gettransactionbyid": self._transaction,
            "gettransactioninfobyid": self._info,
            "gettransactioninfobyblocknum": self._infos,
            "gettransactioncountbyblocknum": self._count,
            "getaccount": self._account,
            "triggerconstantcontract": self._constant,
            "estimateenergy": self._estimate,
            "getnodeinfo": lambda _: views.node_info(self.chain),
            "getReward": lambda _: {"reward": 0},  # nobody votes
            "getBrokerage": lambda _: {"brokerage": 20},
            "listwitnesses": lambda _: views.witnesses(self.chain),
            "getenergyprices": lambda _: {"prices": f"0:{self.chain.settings.energy_price_sun}"},
            "getbandwidthprices": lambda _: {"prices": f"0:{self.chain.settings.bandwidth_price_sun}"},
            "getburntrx": lambda _: {"burnTrxAmount": self.chain.state.burnt},
        }
        self.head_only: dict[str, Callable[[Request], Any]] = {
            "getaccountresource": lambda request: self._resource(request, views.resources),
            "getaccountnet": lambda request: self._resource(request, views.bandwidth),
            "getcontract": self._contract,
            "getcontractinfo": self._contract_info,
            "getchainparameters": lambda _: {"chainParameter": self.chain.settings.chain_parameters()},
            "getnextmaintenancetime": lambda _: {"num": self._next_maintenance()},
            "getassetissuebyid": lambda _: {},  # there is no TRC-10
            "getassetissuelist": lambda _: {},
            "getmemofee": lambda _: {"prices": f"0:{self.chain.settings.memo_fee_sun}"},
            "getpendingsize": lambda _: {"pendingSize": len(self.chain.pending)},
            "gettransactionlistfrompending": self._pending,
            "validateaddress": self._validate_address,
            "getsignweight": self._sign_weight,
            "createtransaction": lambda request: self._create("TransferContract", request),
            "createaccount": lambda request: self._create("AccountCreateContract", request),
            "triggersmartcontract": self._trigger,
            "deploycontract": self._deploy,
            "broadcasttransaction": lambda request: self._broadcast(from_json(request.params)),
            "broadcasthex": self._broadcast_hex,
        }

    def handler(self, name: str, solid: bool) -> Callable[[Request], Any] | None:
        """Returns the handler of a path's last part; None for an unknown one."""
        return self.both.get(name) or (None if solid else self.head_only.get(name))

    # ── blocks and transactions ─────────────────────────────────────────────

    def _whole(self, block: Block | None, request: Request) -> Any:
        return block_views.block_bytes(block, request.visible) if block is not None else {}

    def _now_block(self, request: Request) -> Any:
        chain = self.chain
        return self._whole(chain.block(chain.solid_number if request.solid else chain.head.number), request)

    def _block(self, request: Request) -> Any:
        chain, wanted = self.chain, str(request.params.get("id_or_num", ""))
        if not wanted:
            block = chain.block(chain.solid_number if request.solid else chain.head.number)
        elif len(wanted) == 64:
            block = chain.block_by_id(request.hex("id_or_num"), request.solid)
        else:
            block = chain.block(request.number("id_or_num"), request.solid)
        if block is None:
            return {}
        if request.params.get("detail") in (True, "true"):
            return self._whole(block, request)
        return block_views.header(block, request.visible)

    def _many(self, numbers: range, request: Request) -> Any:
        blocks = [block for number in numbers if (block := self.chain.block(number, request.solid)) is not None]
        if not blocks:
            return {}
        return b'{"block":[' + b",".join(block_views.block_bytes(block, request.visible) for block in blocks) + b"]}"

    def _blocks_by_limit(self, request: Request) -> Any:
        start, end = request.number("startNum"), request.number("endNum")
        return self._many(range(start, end), request) if 0 <= start < end <= start + 100 else {}

    def _latest_blocks(self, request: Request) -> Any:
        count, chain = request.number("num"), self.chain
        top = chain.solid_number if request.solid else chain.head.number
        return self._many(range(max(0, top - count + 1), top + 1), request) if 0 < count < 100 else {}

    def _transaction(self, request: Request) -> Any:
        found = self.chain.transaction(request.hex("value"), request.solid)
        return block_views.mined(found, request.visible) if found is not None else {}

    def _info(self, request: Request) -> Any:
        found = self.chain.transaction(request.hex("value"), request.solid)
        block = self.chain.block(found.block) if found is not None else None
        if found is None or block is None or block.number == 0:
            return {}
        return block_views.info(found, block, request.visible)

    def _infos(self, request: Request) -> Any:
        block = self.chain.block(request.number("num"), request.solid)
        return block_views.infos_bytes(block, request.visible) if block is not None else []

    def _count(self, request: Request) -> Any:
        block = self.chain.block(request.number("num"), request.solid)
        return {"count": len(block.transactions) if block is not None else 0}

    def _next_maintenance(self) -> int:
        """When the producers' turns would be counted anew, in milliseconds."""
        return (self.chain.head.timestamp // _MAINTENANCE_MS + 1) * _MAINTENANCE_MS

    def _pending(self, _: Request) -> Any:
        ids = [identity.hex() for identity in self.chain.pending]
        return {"txId": ids} if ids else {}

    # ── accounts and contracts ──────────────────────────────────────────────

    def _found(self, request: Request, name: str) -> Account | None:
        return self.chain.account(request.address(name), request.solid)

    def _account(self, request: Request) -> Any:
        found = self._found(request, "address")
        return views.account(found, request.visible) if found is not None else {}

    def _resource(self, request: Request, view: Callable[[Chain, Account], Dict]) -> Any:
        found = self._found(request, "address")
        return view(self.chain, found) if found is not None else {}

    def _contract(self, request: Request) -> Any:
        found = self._found(request, "value")
        return views.contract(found, request.visible) if found is not None else {}

    def _contract_info(self, request: Request) -> Any:
        found = self._found(request, "value")
        if found is None or found.contract is None:
            return {}
        return views.contract_info(self.chain, found, request.visible)

    def _validate_address(self, request: Request) -> Any:
        text = str(request.params.get("address", ""))
        for visible, name in ((True, "Base58check format"), (False, "Hex string format")):
            try:
                parse_address(text, visible)
            except ValueError:
                continue
            return {"result": True, "message": name}
        return {"result": False, "message": "Invalid address"}

    # ── calls ───────────────────────────────────────────────────────────────

    def _call_data(self, request: Request) -> bytes:
        selector = request.params.get("function_selector")
        if not selector:
            return request.hex("data")
        return keccak(str(selector).encode())[:4] + request.hex("parameter")

    def _call(self, request: Request) -> Transaction:
        """The transaction that a call would be, unsigned."""
        owner = request.address("owner_address") if request.params.get("owner_address") else _DEFAULT_OWNER
        value = request.number("call_value")
        if request.params.get("contract_address"):
            call = {"owner_address": owner, "contract_address": request.address("contract_address")}
            return self._draft("TriggerSmartContract", {**call, "call_value": value, "data": self._call_data(request)})
        new = {"origin_address": owner, "bytecode": self._call_data(request), "call_value": value}
        new |= {"consume_user_resource_percent": 100, "origin_energy_limit": 1}
        return self._draft("CreateSmartContract", {"owner_address": owner, "new_contract": new})

    def _simulate(self, transaction: Transaction, solid: bool) -> Any:
        chain, value = self.chain, transaction.value
        if transaction.kind == "TriggerSmartContract":
            target = value["contract_address"]
            if solid and chain.account(target, solid=True) is None:
                raise Refused("CONTRACT_VALIDATE_ERROR", "Smart contract is not exist.")
            return chain.simulate(transaction.owner, target, value.get("data", b""), value.get("call_value", 0))
        new, target = value["new_contract"], contract_address(transaction.id, transaction.owner)
        return chain.simulate_creation(transaction.owner, target, new.get("bytecode", b""), new.get("call_value", 0))

    def _constant(self, request: Request) -> Any:
        try:
            transaction = self._call(request)
            outcome = self._simulate(transaction, request.solid)
        except Refused as error:
            return {"result": {"code": error.code, "message": str(error)}}
        except BadRequest as error:
            return {"result": {"code": "OTHER_ERROR", "message": str(error)}}
        if outcome.result == "OUT_OF_ENERGY":
            text = f"class org.tron.core.vm.program.Program$OutOfEnergyException : {outcome.message}"
            return {"result": {"code": "OTHER_ERROR", "message": text}}
        return views.constant_result(outcome, transaction, request.visible)

    def _estimate(self, request: Request) -> Any:
        try:
            outcome = self._simulate(self._call(request), request.solid)
        except Refused as error:
            return {"result": {"code": error.code, "message": str(error)}}
        except BadRequest as error:
            return {"result": {"code": "OTHER_ERROR", "message": str(error)}}
        if not outcome.ok:
            return {"result": {"code": "CONTRACT_EXE_ERROR", "message": outcome.message}}
        return {"result": {"result": True}, "energy_required": estimate(outcome.energy)}

    # ── building and sending ────────────────────────────────────────────────

    def _draft(self, kind: str, value: Dict, fee_limit: int = 0, permission_id: int = 0) -> Transaction:
        """Returns an unsigned transaction that names the head block and expires in a minute."""
        chain = self.chain
        now, head = chain.client_time_ms(), chain.head.id
        raw: Dict = {"ref_block_bytes": head[6:8], "ref_block_hash": head[8:16], "expiration": now + _EXPIRATION_MS}
        return build(kind, value, {**raw, "timestamp": now, "fee_limit": fee_limit}, permission_id)

    def _create(self, kind: str, request: Request) -> Any:
        value = _parsed(kind, request.params, request)
        if self.chain.account(value.get("owner_address", b"")) is None:
            exception = "class org.tron.core.exception.ContractValidateException"
            raise BadRequest(f"{exception} : Validate {kind} error, no OwnerAccount.")
        draft = self._draft(kind, value, permission_id=request.number("Permission_id"))
        return {"visible": request.visible, **to_json(draft, request.visible)}

    def _trigger(self, request: Request) -> Any:
        try:
            target = request.address("contract_address")
            call: Dict = {"owner_address": request.address("owner_address"), "contract_address": target}
            call |= {"call_value": request.number("call_value"), "data": self._call_data(request)}
        except BadRequest as error:
            return {"result": {"code": "OTHER_ERROR", "message": str(error).encode().hex()}}
        if target not in self.chain.state.contracts:
            message = "No contract or not a valid smart contract"
            return {"result": {"code": "CONTRACT_VALIDATE_ERROR", "message": message}}
        permission = request.number("Permission_id")
        draft = self._draft("TriggerSmartContract", call, request.number("fee_limit"), permission)
        shown = {"visible": request.visible, **to_json(draft, request.visible)}
        return {"result": {"result": True}, "transaction": shown}

    def _deploy(self, request: Request) -> Any:
        params = request.params
        try:
            abi = orjson.loads(params["abi"]) if isinstance(params.get("abi"), str) else params.get("abi") or []
        except orjson.JSONDecodeError as error:
            raise BadRequest(f"class com.alibaba.fastjson.JSONException : {error}") from error
        source = {**params, "abi": abi if isinstance(abi, dict) else {"entrys": abi}}
        source["origin_address"] = params.get("owner_address")
        source["bytecode"] = str(params.get("bytecode", "")) + str(params.get("parameter") or "")
        source |= {name: params[name] for name in ("call_value", "origin_energy_limit") if params.get(name)}
        form = {"owner_address": params.get("owner_address"), "new_contract": source}
        value = _parsed("CreateSmartContract", form, request)
        draft = self._draft("CreateSmartContract", value, request.number("fee_limit"))
        return {"visible": request.visible, **to_json(draft, request.visible)}

    def _sign_weight(self, request: Request) -> Any:
        transaction = from_json(request.params)
        approved, problem = [], ""
        for signature in transaction.signatures:
            try:
                signer = recover(signature, transaction.id)
            except ValueError as error:
                problem = str(error)
                continue
            if signer == transaction.owner:
                approved.append(signer)
            else:
                problem = f"{signature.hex()} is signed by {signer.hex()} but it is not contained of permission."
        return views.sign_weight(self.chain, transaction, approved, problem, request.visible)

    def _broadcast(self, transaction: Transaction) -> Dict:
        try:
            self.chain.broadcast(transaction)
        except Refused as error:
            return {"code": error.code, "txid": transaction.id.hex(), "message": str(error).encode().hex()}
        return {"result": True, "txid": transaction.id.hex()}

    def _broadcast_hex(self, request: Request) -> Any:
        try:
            transaction = from_bytes(request.hex("transaction"))
        except DecodeError as error:
            raise BadRequest(f"class com.google.protobuf.InvalidProtocolBufferException : {error}") from error
        answer = self._broadcast(transaction)
        return {**answer, "transaction": orjson.dumps(to_json(transaction, request.visible)).decode()}


def _parsed(kind: str, form: Dict, request: Request) -> Dict:
    try:
        return parse(CONTRACTS[kind], form, request.visible)
    except (ValueError, TypeError, AttributeError) as error:
        raise BadRequest(f"class org.tron.core.services.http.JsonFormat$ParseException : {error}") from error


def estimate(used: int) -> int:
    """Returns the energy that java-tron's binary search between `used` and twice that ends with."""
    high = 2 * used
    while high - used > _ESTIMATE_PRECISION:
        high = (used + high + 1) // 2
    return high
