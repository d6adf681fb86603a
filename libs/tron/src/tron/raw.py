"""What a transaction does by its raw bytes, whose hash is its id: a node may show something else beside them.

Only the fields that `tron.model.Transaction` has are read. Bytes that are no message as a client would write it, which
a node may yet have taken, tell nothing and hold nobody up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tron.address import base58

_FIXED_BYTES = {1: 8, 5: 4}
_OWNER_SECOND = frozenset({"TransferAssetContract", "AccountUpdateContract", "SetAccountIdContract"})
_NO_OWNER = frozenset({"ShieldedTransferContract"})


@dataclass(frozen=True, slots=True)
class Raw:
    """What the raw bytes say; None where they say nothing, or where that kind of transaction has no such field."""

    kind: str
    owner: str | None
    to: str | None
    contract_address: str | None
    amount_sun: int
    call_value_sun: int
    data: str
    fee_limit: int


def read(raw_data: bytes) -> Raw | None:
    """Return what a transaction's `raw_data` says; None for what cannot be read."""
    try:
        transaction = _message(raw_data)
        parameter = _message(_message(transaction[_content(11)])[_content(2)])
        kind = parameter[_content(1)].decode("ascii").rpartition(".")[2]
        value = _message(parameter.get(_content(2), b""))
        called = _message(value[_content(2)]) if kind == "CreateSmartContract" else value
    except (IndexError, KeyError, ValueError):
        return None
    transfer, trigger = kind == "TransferContract", kind == "TriggerSmartContract"
    to = {"TransferContract": 2, "TransferAssetContract": 3}.get(kind)
    paid = {"TriggerSmartContract": 3, "CreateSmartContract": 5}.get(kind)
    return Raw(
        kind,
        owner=None if kind in _NO_OWNER else _address(value, 2 if kind in _OWNER_SECOND else 1),
        to=_address(value, to) if to is not None else None,
        contract_address=_address(value, 2) if trigger else None,
        amount_sun=_signed(value, 3) if transfer else 0,
        call_value_sun=_signed(called, paid) if paid is not None else 0,
        data=value.get(_content(4), b"").hex() if trigger else "",
        fee_limit=_signed(transaction, 18),
    )


def _content(field: int) -> int:
    """The tag of a field of bytes, a text or a message."""
    return field << 3 | 2


def _message(message: bytes) -> dict[int, Any]:
    """The fields of a message by their tags: integers as they stand in it, others as bytes. The last one counts."""
    found: dict[int, Any] = {}
    at, end = 0, len(message)
    while at < end:
        tag = message[at]
        at += 1
        if tag > 0x7F:
            tag, at = _varint(message, at - 1)
        kind = tag & 7
        if kind in (0, 2):
            size = message[at]
            at += 1
            if size > 0x7F:
                size, at = _varint(message, at - 1)
            if kind == 0:
                found[tag] = size
                continue
        elif (size := _FIXED_BYTES.get(kind, end)) == end:
            raise ValueError(f"wire type {kind}")
        if at + size > end:
            raise ValueError("a field longer than its message")
        found[tag] = message[at : at + size]
        at += size
    return found


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("a varint of more than ten bytes")


def _signed(message: dict[int, Any], field: int) -> int:
    value: int = message.get(field << 3, 0) & 2**64 - 1
    return value - 2**64 if value >= 2**63 else value


def _address(message: dict[int, Any], field: int) -> str | None:
    value: bytes = message.get(_content(field), b"")
    return base58(value[1:]) if len(value) == 21 and value[0] == 0x41 else None
