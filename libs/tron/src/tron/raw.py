"""What a transaction does by its raw bytes, whose hash is its id: a node may show something else beside them.

Only the fields that `tron.model.Transaction` has are read. Bytes that are no message of the protocol, which a node may
yet have taken, tell nothing and hold nobody up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from google.protobuf.descriptor_pb2 import FieldDescriptorProto as Field
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

from tron.address import base58

_BYTES, _INT64, _TEXT = Field.TYPE_BYTES, Field.TYPE_INT64, Field.TYPE_STRING
_MESSAGES: Mapping[str, Mapping[str, tuple[int, Field.Type.ValueType | str]]] = {
    "Any": {"type_url": (1, _TEXT), "value": (2, _BYTES)},
    "Contract": {"parameter": (2, "Any")},
    "Transaction": {"contract": (11, "Contract"), "fee_limit": (18, _INT64)},
    "TransferContract": {"owner_address": (1, _BYTES), "to_address": (2, _BYTES), "amount": (3, _INT64)},
    "TransferAssetContract": {"owner_address": (2, _BYTES), "to_address": (3, _BYTES)},
    "TriggerSmartContract": {
        "owner_address": (1, _BYTES), "contract_address": (2, _BYTES), "call_value": (3, _INT64), "data": (4, _BYTES),
    },
    "SmartContract": {"call_value": (5, _INT64)},
    "CreateSmartContract": {"owner_address": (1, _BYTES), "new_contract": (2, "SmartContract")},
    "AccountUpdateContract": {"owner_address": (2, _BYTES)},
    "SetAccountIdContract": {"owner_address": (2, _BYTES)},
    "ShieldedTransferContract": {},
    "Other": {"owner_address": (1, _BYTES)},
}  # fmt: skip
"""The protocol's messages, as far as they are read here: fields by name, each with its number and type.

Source: tronprotocol/protocol, `core/Tron.proto` and `core/contract/*.proto`; `Transaction` is its `raw`.
"""
_WHOLE = frozenset({"TransferContract", "TriggerSmartContract"})
"""Kinds of which all fields stand above that one in a thousand has."""


class Raw(NamedTuple):
    """What the raw bytes say; None where they say nothing, or where that kind of transaction has no such field.

    `shown` is what a node shows of most transactions like it as `raw_data.contract[0]`; one shown so is this one.
    """

    kind: str
    owner: str | None
    to: str | None
    contract_address: str | None
    amount_sun: int
    call_value_sun: int
    data: str
    fee_limit: int
    shown: Mapping[str, Any] | None


def read(raw_data: bytes) -> Raw | None:
    """Return what a transaction's `raw_data` says; None for what cannot be read."""
    try:
        transaction = _READERS["Transaction"](raw_data)
        (contract,) = transaction.contract
        type_url: str = contract.parameter.type_url
        kind = type_url.rpartition(".")[2]
        value = _READERS.get(kind, _READERS["Other"])(contract.parameter.value)
    except (DecodeError, ValueError):
        return None
    fields = _MESSAGES.get(kind, _MESSAGES["Other"])
    called = value.new_contract if "new_contract" in fields else value
    return Raw(
        kind,
        owner=_address(value.owner_address) if "owner_address" in fields else None,
        to=_address(value.to_address) if "to_address" in fields else None,
        contract_address=_address(value.contract_address) if "contract_address" in fields else None,
        amount_sun=value.amount if "amount" in fields else 0,
        call_value_sun=getattr(called, "call_value", 0),
        data=value.data.hex() if "data" in fields else "",
        fee_limit=transaction.fee_limit,
        shown=_shown(kind, type_url, value, fields) if kind in _WHOLE else None,
    )


def _shown(kind: str, type_url: str, value: Any, fields: Mapping[str, Any]) -> Mapping[str, Any]:
    shown = {}
    for name in fields:
        if told := getattr(value, name):  # what holds its default is left out
            shown[name] = told.hex() if isinstance(told, bytes) else told
    return {"parameter": {"value": shown, "type_url": type_url}, "type": kind}


def _address(value: bytes) -> str | None:
    return base58(value[1:]) if len(value) == 21 and value[0] == 0x41 else None


def _readers() -> Iterator[tuple[str, Callable[[bytes], Any]]]:
    """For each message what reads its bytes; raises DecodeError."""
    file = FileDescriptorProto(name="tron.proto", package="tron", syntax="proto3")
    for message, fields in _MESSAGES.items():
        described = file.message_type.add(name=message)
        for name, (number, kind) in fields.items():
            field = described.field.add(name=name, number=number, label=Field.LABEL_OPTIONAL)
            if isinstance(kind, str):
                field.type, field.type_name = Field.TYPE_MESSAGE, f".tron.{kind}"
            else:
                field.type = kind
            if name == "contract":
                field.label = Field.LABEL_REPEATED
    pool = DescriptorPool()
    pool.Add(file)
    for message in _MESSAGES:
        yield message, GetMessageClass(pool.FindMessageTypeByName(f"tron.{message}")).FromString


_READERS = dict(_readers())
