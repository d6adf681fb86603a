"""What the generated contract classes build on: an address, an ABI, and calls that are bound to nothing.

A method of a typed contract makes no request. It checks its arguments and returns a `Call` or a `Creation` (to sign and
send) or a `View` (to read); `tron.sender.Sender` takes them. So one class serves every way of sending, and a call can
be inspected, estimated, journalled or batched before anything happens.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any, ClassVar, Generic, TypeVar

from tron.abi import Abi, Decoded, Function, Raw
from tron.address import normalise
from tron.creation import Creation
from tron.model import TransactionInfo
from tron.transaction import amount, content, number, wire_address

T = TypeVar("T")
Hex = str | bytes
"""Bytes, as such or as hex with or without 0x."""


@dataclass(frozen=True, slots=True)
class Artifact:
    """A compiled contract. `entries` is the compiler's ABI, `bytecode` the code that creates it, `code` the code that
    is then on the chain (both hex), where each of the `immutables` stands at its offsets as 32 zero bytes.
    """

    name: str
    entries: list[dict[str, Any]]
    bytecode: str
    code: str
    immutables: dict[str, list[int]]
    abi: Abi


@cache
def artifact(name: str) -> Artifact:
    """Return one of the five compiled contracts that this package carries.

    Its ABI also knows the errors of the others: a call that fails inside another contract fails with that one's error.
    """
    source = _sources()[name]
    foreign = [entry for other in _sources().values() for entry in other["abi"] if entry["type"] == "error"]
    abi = Abi([*foreign, *source["abi"]])
    return Artifact(name, source["abi"], source["bytecode"], source["code"], source["immutables"], abi)


@cache
def _sources() -> dict[str, dict[str, Any]]:
    files = resources.files("tron").joinpath("abis").iterdir()
    return {file.name.removesuffix(".json"): json.loads(file.read_text()) for file in files}


@dataclass(frozen=True, slots=True)
class Call:
    """A call that changes state, with its arguments encoded."""

    contract_address: str
    function: Function
    data: bytes
    abi: Abi = field(repr=False, compare=False)
    value_sun: int = 0

    @property
    def signature(self) -> str:
        """What is called, for messages."""
        return self.function.signature

    def contract(self, owner: bytes) -> tuple[int, str, bytes]:
        """See `tron.transaction.Payload`."""
        target = wire_address(self.contract_address)
        body = content(1, owner) + content(2, target) + number(3, self.value_sun) + content(4, self.data)
        return 31, "TriggerSmartContract", body


@dataclass(frozen=True, slots=True)
class View(Generic[T]):
    """A call that only reads; `T` is what it returns."""

    contract_address: str
    function: Function
    data: bytes
    abi: Abi = field(repr=False, compare=False)

    value_sun = 0

    @property
    def signature(self) -> str:
        """What is called, for messages."""
        return self.function.signature

    def result(self, data: bytes) -> T:
        """Return the decoded answer. Raises `tron.codec.Undecodable`."""
        value: T = self.function.result(data)
        return value


class Contract:
    """A deployed contract; the generated subclasses add its methods."""

    NAME: ClassVar[str]

    def __init__(self, address: str) -> None:
        self.address = normalise(address)

    @classmethod
    def artifact(cls) -> Artifact:
        """Return the compiled contract."""
        return artifact(cls.NAME)

    @classmethod
    def _creation(cls, *args: Any) -> Creation:
        source = artifact(cls.NAME)
        arguments = source.abi.constructor.encode(args, f"{cls.NAME}.constructor")
        return Creation(cls.NAME, bytes.fromhex(source.bytecode) + arguments, source.entries, source.abi)

    def events(self, info: TransactionInfo) -> list[Decoded | Raw]:
        """Return what this contract has logged in a transaction, decoded; `Raw` where it cannot be."""
        abi = artifact(self.NAME).abi
        return [abi.decode_event(log.topics, log.data) for log in info.logs if log.address == self.address]

    def _call(self, signature: str, *args: Any, value_sun: int = 0) -> Call:
        abi, function, data = self._encode(signature, args)
        path = f"{self.NAME}.{function.name}.value_sun"
        return Call(self.address, function, data, abi, amount(value_sun, path))

    def _view(self, signature: str, *args: Any) -> View[Any]:
        abi, function, data = self._encode(signature, args)
        return View(self.address, function, data, abi)

    def _encode(self, signature: str, args: tuple[Any, ...]) -> tuple[Abi, Function, bytes]:
        abi = artifact(self.NAME).abi
        function = abi.functions[signature]
        return abi, function, function.encode(args, f"{self.NAME}.{function.name}")

    def __repr__(self) -> str:
        return f"{self.NAME}({self.address})"
