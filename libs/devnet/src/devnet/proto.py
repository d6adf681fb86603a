"""The protobuf messages of TRON that this network understands, as tables, and their wire format.

A message is a plain dict: addresses and bytes are `bytes`, integers `int`, enums their names. Fields with
default values are left out, on the wire as in the dict. Source: java-tron's `Tron.proto` and
`core/contract/*.proto` (field numbers only; the codec is written from the protobuf encoding guide).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Dict = dict[str, Any]


class DecodeError(ValueError):
    """The bytes are not a message of the expected type."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field: its name, kind (int, bool, bytes, address, string, enum or message) and, if needed, its type."""

    name: str
    kind: str
    repeated: bool = False
    message: Mapping[int, Field] | None = None
    enum: tuple[str, ...] = ()


Message = Mapping[int, Field]

CONTRACT_TYPES = {
    "AccountCreateContract": 0,
    "TransferContract": 1,
    "CreateSmartContract": 30,
    "TriggerSmartContract": 31,
}
TYPE_URL = "type.googleapis.com/protocol."

_PARAM: Message = {1: Field("indexed", "bool"), 2: Field("name", "string"), 3: Field("type", "string")}
_ENTRY: Message = {
    1: Field("anonymous", "bool"),
    2: Field("constant", "bool"),
    3: Field("name", "string"),
    4: Field("inputs", "message", repeated=True, message=_PARAM),
    5: Field("outputs", "message", repeated=True, message=_PARAM),
    6: Field(
        "type", "enum", enum=("UnknownEntryType", "Constructor", "Function", "Event", "Fallback", "Receive", "Error")
    ),
    7: Field("payable", "bool"),
    8: Field("stateMutability", "enum", enum=("UnknownMutabilityType", "Pure", "View", "Nonpayable", "Payable")),
}
_ABI: Message = {1: Field("entrys", "message", repeated=True, message=_ENTRY)}
SMART_CONTRACT: Message = {
    1: Field("origin_address", "address"),
    2: Field("contract_address", "address"),
    3: Field("abi", "message", message=_ABI),
    4: Field("bytecode", "bytes"),
    5: Field("call_value", "int"),
    6: Field("consume_user_resource_percent", "int"),
    7: Field("name", "string"),
    8: Field("origin_energy_limit", "int"),
    9: Field("code_hash", "bytes"),
    10: Field("trx_hash", "bytes"),
    11: Field("version", "int"),
}
CONTRACTS: Mapping[str, Message] = {
    "AccountCreateContract": {
        1: Field("owner_address", "address"),
        2: Field("account_address", "address"),
        3: Field("type", "enum", enum=("Normal", "AssetIssue", "Contract")),
    },
    "TransferContract": {
        1: Field("owner_address", "address"),
        2: Field("to_address", "address"),
        3: Field("amount", "int"),
    },
    "CreateSmartContract": {
        1: Field("owner_address", "address"),
        2: Field("new_contract", "message", message=SMART_CONTRACT),
        3: Field("call_token_value", "int"),
        4: Field("token_id", "int"),
    },
    "TriggerSmartContract": {
        1: Field("owner_address", "address"),
        2: Field("contract_address", "address"),
        3: Field("call_value", "int"),
        4: Field("data", "bytes"),
        5: Field("call_token_value", "int"),
        6: Field("token_id", "int"),
    },
}
_ANY: Message = {1: Field("type_url", "string"), 2: Field("value", "bytes")}
CONTRACT: Message = {
    1: Field("type", "int"),
    2: Field("parameter", "message", message=_ANY),
    5: Field("Permission_id", "int"),
}
RAW: Message = {
    1: Field("ref_block_bytes", "bytes"),
    3: Field("ref_block_num", "int"),
    4: Field("ref_block_hash", "bytes"),
    8: Field("expiration", "int"),
    10: Field("data", "bytes"),
    11: Field("contract", "message", repeated=True, message=CONTRACT),
    12: Field("scripts", "bytes"),
    14: Field("timestamp", "int"),
    18: Field("fee_limit", "int"),
}
RAW_PACKED: Message = {**RAW, 11: Field("contract", "bytes", repeated=True)}
"""The same with contracts that are encoded already."""
_RESULT: Message = {1: Field("fee", "int"), 2: Field("ret", "int"), 3: Field("contractRet", "int")}
TRANSACTION: Message = {
    1: Field("raw_data", "bytes"),
    2: Field("signature", "bytes", repeated=True),
    5: Field("ret", "message", repeated=True, message=_RESULT),
}
HEADER: Message = {
    1: Field("timestamp", "int"),
    2: Field("txTrieRoot", "bytes"),
    3: Field("parentHash", "bytes"),
    7: Field("number", "int"),
    8: Field("witness_id", "int"),
    9: Field("witness_address", "address"),
    10: Field("version", "int"),
}


def varint(value: int) -> bytes:
    """Returns a base-128 varint; a negative int64 takes ten bytes as protobuf demands."""
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def encode(message: Message, value: Mapping[str, Any]) -> bytes:
    """Returns the canonical wire form: fields in order of their numbers, default values left out.

    Raises:
        ValueError: an integer does not fit into int64.
    """
    out = bytearray()
    for number, field in message.items():
        content = value.get(field.name)
        if not content:
            continue
        for item in content if field.repeated else (content,):
            _encode_field(out, number, field, item)
    return bytes(out)


def _encode_field(out: bytearray, number: int, field: Field, item: Any) -> None:
    match field.kind:
        case "int" | "bool":
            if not -(1 << 63) <= item < 1 << 63:
                raise ValueError(f"{field.name}: {item} does not fit into 64 bits")
            out += varint(number << 3)
            out += varint(int(item))
            return
        case "enum":
            out += varint(number << 3)
            out += varint(field.enum.index(item))
            return
        case "string":
            data = item.encode()
        case "message":
            assert field.message is not None
            data = encode(field.message, item)
        case _:
            data = item
    out += varint(number << 3 | 2)
    out += varint(len(data))
    out += data


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise DecodeError("Protocol message was truncated or has a malformed varint.")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & ((1 << 64) - 1), at
        shift += 7


def decode(message: Message, data: bytes) -> Dict:
    """Returns the fields found in `data`; unknown fields are skipped, defaults are absent.

    Raises:
        DecodeError: the bytes are not protobuf or a field has the wrong wire type.
    """
    value: Dict = {}
    at = 0
    while at < len(data):
        key, at = _read_varint(data, at)
        number, wire = key >> 3, key & 7
        if number == 0:
            raise DecodeError("Protocol message contained an invalid tag (zero).")
        content: int | bytes
        if wire == 0:
            content, at = _read_varint(data, at)
        elif wire in (1, 2, 5):
            length, at = _read_varint(data, at) if wire == 2 else (8 if wire == 1 else 4, at)
            content, at = data[at : at + length], at + length
            if at > len(data):
                raise DecodeError("Protocol message was truncated.")
        else:
            raise DecodeError("Protocol message tag had invalid wire type.")
        field = message.get(number)
        if field is not None:
            _store(value, field, content)
    return value


def _store(value: Dict, field: Field, content: int | bytes) -> None:
    scalar = field.kind in ("int", "bool", "enum")
    if scalar != isinstance(content, int):
        raise DecodeError(f"Protocol message has the wrong wire type for {field.name}.")
    item: Any = content
    if isinstance(content, int):
        if field.kind == "enum":
            item = field.enum[content] if content < len(field.enum) else field.enum[0]
        else:
            item = bool(content) if field.kind == "bool" else content - (1 << 64) if content >> 63 else content
    elif field.kind == "string":
        item = content.decode("utf-8", "replace")
    elif field.message is not None:
        item = decode(field.message, content)
    if field.repeated:
        value.setdefault(field.name, []).append(item)
    elif item or field.kind == "message":
        value[field.name] = item
