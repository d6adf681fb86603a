"""Transactions: from JSON or bytes to one record, and back to the JSON that java-tron serves.

`visible` decides how addresses look: base58 when true, 42 hex digits otherwise. Fields with default values are
left out of the JSON, as in the recordings.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

from devnet.evm import Log, contract_address
from devnet.keys import PREFIX, from_base58, to_base58
from devnet.proto import (
    CONTRACT_TYPES,
    CONTRACTS,
    RAW,
    TRANSACTION,
    TYPE_URL,
    DecodeError,
    Dict,
    Field,
    Message,
    decode,
    encode,
)
from devnet.settings import RESULT_BYTES

RESULTS = (
    "DEFAULT", "SUCCESS", "REVERT", "BAD_JUMP_DESTINATION", "OUT_OF_MEMORY", "PRECOMPILED_CONTRACT",
    "STACK_TOO_SMALL", "STACK_TOO_LARGE", "ILLEGAL_OPERATION", "STACK_OVERFLOW", "OUT_OF_ENERGY", "OUT_OF_TIME",
    "JVM_STACK_OVER_FLOW", "UNKNOWN", "TRANSFER_FAILED", "INVALID_CODE",
)  # fmt: skip
"""java-tron's `contractResult`, in the numbering of the protocol."""

_CONTRACT_NAMES = {number: name for name, number in CONTRACT_TYPES.items()}


class BadRequest(ValueError):
    """The request cannot be understood. The message is what java-tron would put into `Error`."""


@dataclass(frozen=True, slots=True)
class Internal:
    """A movement of TRX, or a creation, that a contract made. Net per transaction; see the README."""

    hash: bytes
    caller: bytes
    to: bytes
    value: int
    note: str


@dataclass(slots=True)
class Receipt:
    """What a transaction cost and did. Amounts in sun; `result` is None for what runs no code."""

    fee: int = 0
    net_usage: int = 0
    net_fee: int = 0
    energy: int = 0
    energy_fee: int = 0
    result: str | None = None
    output: bytes = b""
    message: str = ""
    contract: bytes | None = None
    logs: tuple[Log, ...] = ()
    internals: tuple[Internal, ...] = ()

    @property
    def ok(self) -> bool:
        """False when the transaction was mined but failed."""
        return self.result in (None, "SUCCESS")


@dataclass(slots=True)
class Transaction:
    """A transaction and, once executed, its receipt and place in the chain."""

    id: bytes
    raw: bytes
    fields: Dict
    kind: str
    value: Dict
    permission_id: int
    signatures: list[bytes]
    size: int
    receipt: Receipt = field(default_factory=Receipt)
    block: int = -1
    index: int = -1

    @property
    def owner(self) -> bytes:
        """The address that signs and pays."""
        return bytes(self.value.get("owner_address", b""))

    @property
    def bandwidth(self) -> int:
        """The bytes that are charged."""
        return self.size + RESULT_BYTES

    @property
    def fee_limit(self) -> int:
        """The most the owner will pay for energy, in sun."""
        return int(self.fields.get("fee_limit", 0))

    def encoded(self) -> bytes:
        """Returns the form in which a block holds it, with signatures and result; the genesis block's have neither."""
        body: Dict = {"raw_data": self.raw, "signature": self.signatures}
        if self.signatures:
            body["ret"] = [{"contractRet": RESULTS.index(self.receipt.result or "SUCCESS")}]
        return encode(TRANSACTION, body)


def from_raw(raw: bytes, signatures: list[bytes]) -> Transaction:
    """Returns the transaction whose raw data are these very bytes.

    Raises:
        DecodeError: the bytes are not a transaction of a supported kind.
    """
    fields = decode(RAW, raw)
    contracts = fields.get("contract", [])
    if len(contracts) != 1:
        raise DecodeError(f"expected one contract, found {len(contracts)}")
    kind = _CONTRACT_NAMES.get(contracts[0].get("type", 0))
    if kind is None:
        raise DecodeError(f"contract type {contracts[0].get('type')} is not supported by the devnet")
    value = decode(CONTRACTS[kind], contracts[0].get("parameter", {}).get("value", b""))
    size = len(encode(TRANSACTION, {"raw_data": raw, "signature": signatures}))
    identity = hashlib.sha256(raw).digest()
    return Transaction(identity, raw, fields, kind, value, contracts[0].get("Permission_id", 0), signatures, size)


def from_bytes(data: bytes) -> Transaction:
    """Returns the transaction in its wire form (as `broadcasthex` takes it).

    Raises:
        DecodeError: the bytes are not a transaction of a supported kind.
    """
    outer = decode(TRANSACTION, data)
    return from_raw(outer.get("raw_data", b""), outer.get("signature", []))


def from_json(body: Dict) -> Transaction:
    """Returns the transaction described by `raw_data` and `signature`; a given `txID` is not trusted.

    Raises:
        BadRequest: a field is missing or has no meaning.
        DecodeError: the contract is of an unsupported kind.
    """
    visible = bool(body.get("visible", False))
    try:
        source = body["raw_data"]
        if not source["contract"]:
            raise BadRequest("class java.lang.NullPointerException : null")
        contract = source["contract"][0]
        raw = {**parse(RAW, {**source, "contract": None}, visible)}
        value = parse(_message(contract["type"]), contract["parameter"]["value"], visible)
        signatures = [bytes.fromhex(item) for item in body.get("signature") or []]
    except (BadRequest, DecodeError):
        raise
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise BadRequest(f"class java.lang.NullPointerException : {error}") from error
    except ValueError as error:
        raise BadRequest(f"class org.tron.core.services.http.JsonFormat$ParseException : {error}") from error
    return build(contract["type"], value, raw, int(contract.get("Permission_id") or 0), signatures)


def build(
    kind: str, value: Dict, raw: Dict, permission_id: int = 0, signatures: list[bytes] | None = None
) -> Transaction:
    """Returns a transaction of one contract with the other raw fields given (in the dict form of `proto`).

    Raises:
        BadRequest: a number does not fit.
    """
    try:
        packed = {
            "type": CONTRACT_TYPES[kind],
            "parameter": {"type_url": TYPE_URL + kind, "value": encode(CONTRACTS[kind], value)},
            "Permission_id": permission_id,
        }
        return from_raw(encode(RAW, {**raw, "contract": [packed]}), signatures or [])
    except (ValueError, TypeError) as error:
        if isinstance(error, DecodeError):
            raise
        raise BadRequest(f"class java.lang.IllegalArgumentException : {error}") from error


def _message(kind: str) -> Message:
    if kind not in CONTRACTS:
        raise DecodeError(f"contract type {kind} is not supported by the devnet")
    return CONTRACTS[kind]


def parse_address(text: Any, visible: bool) -> bytes:
    """Returns the 21 bytes of an address in the form that `visible` says.

    Raises:
        ValueError: it is not an address in that form.
    """
    if visible:
        return from_base58(str(text))
    data = bytes.fromhex(str(text))
    if len(data) != 21 or data[:1] != PREFIX:
        raise ValueError(f"{text!r} is not an address: expected 42 hex digits beginning with 41")
    return data


def show_address(address: bytes, visible: bool) -> str:
    """Returns an address in the form that `visible` says."""
    return to_base58(address) if visible else address.hex()


def parse(message: Message, source: Dict, visible: bool) -> Dict:
    """Returns the dict form of a JSON message; unknown fields (such as an ABI's `internalType`) are dropped."""
    value: Dict = {}
    for entry in message.values():
        content = source.get(entry.name)
        if content is None:
            continue
        if entry.repeated:
            value[entry.name] = [_parse_field(entry, item, visible) for item in content]
        else:
            value[entry.name] = _parse_field(entry, content, visible)
    return value


def _parse_field(entry: Field, content: Any, visible: bool) -> Any:
    match entry.kind:
        case "address":
            return parse_address(content, visible)
        case "bytes":
            return bytes.fromhex(content)
        case "int":
            if isinstance(content, bool | float):
                raise ValueError(f"{entry.name}: {content!r} is not an integer")
            return int(content)
        case "bool":
            return content is True or content == "true"
        case "enum":
            names = {name.lower(): name for name in entry.enum}
            if str(content).lower() not in names:
                raise ValueError(f"{entry.name}: {content!r} is not one of {', '.join(entry.enum)}")
            return names[str(content).lower()]
        case "message":
            assert entry.message is not None
            return parse(entry.message, content, visible)
        case _:
            return str(content)


def render(message: Message, value: Dict, visible: bool) -> Dict:
    """Returns the JSON form of a message."""
    out: Dict = {}
    for entry in message.values():
        content = value.get(entry.name)
        if content is None or (not content and entry.kind != "message"):
            continue
        if entry.kind == "enum" and content == entry.enum[0]:
            continue
        if entry.repeated:
            out[entry.name] = [_render_field(entry, item, visible) for item in content]
        else:
            out[entry.name] = _render_field(entry, content, visible)
    return out


def _render_field(entry: Field, content: Any, visible: bool) -> Any:
    if entry.kind == "address":
        return show_address(content, visible)
    if entry.kind == "bytes":
        return content.hex()
    if entry.message is not None:
        return render(entry.message, content, visible)
    return content


def to_json(transaction: Transaction, visible: bool) -> Dict:
    """Returns the unsigned, unexecuted form: `txID`, `raw_data`, `raw_data_hex` (and a creation's address)."""
    contract: Dict = {
        "parameter": {
            "value": render(CONTRACTS[transaction.kind], transaction.value, visible),
            "type_url": TYPE_URL + transaction.kind,
        },
        "type": transaction.kind,
    }
    if transaction.permission_id:
        contract["Permission_id"] = transaction.permission_id
    raw = render(RAW, {**transaction.fields, "contract": None}, visible)
    out: Dict = {"txID": transaction.id.hex()}
    if transaction.kind == "CreateSmartContract":
        out["contract_address"] = contract_address(transaction.id, transaction.owner).hex()
    out["raw_data"] = {"contract": [contract], **raw}
    out["raw_data_hex"] = transaction.raw.hex()
    return out
