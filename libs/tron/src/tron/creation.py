"""The creation of a contract as a transaction of one's own, and the address that the contract will have."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tron.abi import Abi
from tron.address import base58, keccak256
from tron.transaction import content, number, wire_address

_KINDS = ("", "constructor", "function", "event", "fallback", "receive", "error")
_MUTABILITIES = ("", "pure", "view", "nonpayable", "payable")
"""The enums of the protocol's `SmartContract.ABI.Entry`, whose first members stand for "unknown"."""


@dataclass(frozen=True, slots=True)
class Creation:
    """A contract to create: `data` is the creation code with the constructor's arguments.

    Callers pay all of the energy (`consume_user_resource_percent` 100), so the creator's limit is of no account. The
    compiler's ABI (`entries`) is stored on the chain with it, where wallets and explorers look for it.
    """

    name: str
    data: bytes = field(repr=False)
    entries: Sequence[Mapping[str, Any]] = field(repr=False, compare=False)
    abi: Abi = field(repr=False, compare=False)

    value_sun = 0

    @property
    def signature(self) -> str:
        """What is called, for messages."""
        return f"{self.name}.constructor"

    def contract(self, owner: bytes) -> tuple[int, str, bytes]:
        """See `tron.transaction.Payload`."""
        created = (
            content(1, owner)
            + content(3, abi_message(self.entries))
            + content(4, self.data)
            + number(6, 100)
            + content(7, self.name.encode())
            + number(8, 10_000_000)
        )
        return 30, "CreateSmartContract", content(1, owner) + content(2, created)


def contract_address(tx_id: str, owner: str) -> str:
    """Return the address of the contract that a transaction creates: known as soon as it is signed."""
    return base58(keccak256(bytes.fromhex(tx_id) + wire_address(owner))[-20:])


def abi_message(entries: Iterable[Mapping[str, Any]]) -> bytes:
    """Return an ABI as the protocol's message. What it has no place for is left out: components, internal types."""
    return b"".join(content(1, _entry(entry)) for entry in entries)


def _entry(entry: Mapping[str, Any]) -> bytes:
    mutability = str(entry.get("stateMutability") or "").lower()  # a node re-cases what it stores
    return (
        number(1, int(bool(entry.get("anonymous"))))
        + content(3, str(entry.get("name") or "").encode())
        + b"".join(_message(4, _parameter(parameter)) for parameter in entry.get("inputs") or ())
        + b"".join(_message(5, _parameter(parameter)) for parameter in entry.get("outputs") or ())
        + number(6, _KINDS.index(str(entry["type"]).lower()))
        + number(8, _MUTABILITIES.index(mutability))
    )


def _message(tag: int, body: bytes) -> bytes:
    """Return a repeated message, which is there even when it is empty."""
    return content(tag, body) or bytes([tag << 3 | 2, 0])


def _parameter(parameter: Mapping[str, Any]) -> bytes:
    return (
        number(1, int(bool(parameter.get("indexed"))))
        + content(2, str(parameter.get("name") or "").encode())
        + content(3, str(parameter["type"]).encode())
    )
