"""A contract that logs whatever it is told to, and what it has logged: events, anonymous ones, and nonsense."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tron.abi import Abi
from tron.codec import record
from tron.contract import Call
from tron.creation import Creation
from tron.keys import Key
from tron.sender import Sender

FEE_LIMIT = 200_000_000
FUNCTION = Abi([{"type": "function", "name": "echo"}]).function("echo")


def _push(value: int, size: int = 2) -> bytes:
    return bytes([0x5F + size]) + value.to_bytes(size, "big")


def _runtime() -> bytes:
    """The first byte of the call data is the number of topics; they follow, then the data."""
    cases = []
    for topics in range(5):
        start = 1 + 32 * topics
        size = _push(start) + b"\x36\x03"  # CALLDATASIZE - start
        code = b"\x5b" + size + _push(start) + _push(0) + b"\x37"  # JUMPDEST; CALLDATACOPY(0, start, size)
        code += b"".join(_push(1 + 32 * index) + b"\x35" for index in reversed(range(topics)))  # CALLDATALOAD
        cases.append(code + size + _push(0) + bytes([0xA0 + topics]) + b"\x00")  # LOGn(0, size, topics); STOP
    test = len(_push(0) + b"\x35" + _push(0xF8, 1) + b"\x1c" + _push(0, 1) + b"\x14" + _push(0) + b"\x57")
    at, table = 5 * test + 1, b""
    for topics, code in enumerate(cases):  # if byte 0 of the call data is `topics`: jump
        table += _push(0) + b"\x35" + _push(0xF8, 1) + b"\x1c" + _push(topics, 1) + b"\x14" + _push(at) + b"\x57"
        at += len(code)
    return table + b"\x00" + b"".join(cases)


def _creation() -> bytes:
    """Returns the code behind the first 32 bytes."""
    code = _runtime()
    head = _push(len(code)) + _push(32) + _push(0) + b"\x39" + _push(len(code)) + _push(0) + b"\xf3"  # CODECOPY, RETURN
    return head.ljust(32, b"\0") + code


def _event(name: str, *inputs: tuple[str, bool], anonymous: bool = False, **more: Any) -> dict[str, Any]:
    parameters = [
        {"name": f"{name.lower()}Value{index}", "type": kind, "indexed": indexed, **more}
        for index, (kind, indexed) in enumerate(inputs)
    ]
    return {"type": "event", "name": name, "inputs": parameters, "anonymous": anonymous}


PING = _event("Ping", ("uint256", True), ("string", False))
NOTE = _event("Note", ("bytes4", True), ("address", True), ("bytes", False), anonymous=True)
PAIR = {"components": [{"name": "bigOne", "type": "uint256"}, {"name": "list", "type": "int128[2][]"}]}
MOVED = _event("Moved", ("tuple", False), **PAIR)
FIRST_ABI, SECOND_ABI = [PING, NOTE], [MOVED]


@dataclass
class Echo:
    """The contract on a chain; `logs` are of one round: a Ping, a Note, a Moved, and a Ping that says nothing."""

    address: str
    key: Key

    def logs(self, number: int) -> list[tuple[list[bytes], bytes]]:
        ping, moved = (next(iter(Abi([entry]).events.values())).topic0 or "" for entry in (PING, MOVED))
        word = number.to_bytes(32, "big")
        pair = {"bigOne": 2**200 + number, "list": [[number, -1]] * (number % 3)}
        return [
            ([bytes.fromhex(ping), word], record(PING["inputs"][1:]).write([f"Nr. {number}"], "ping")),
            (
                [word[-4:].ljust(32, b"\0"), word[-20:].rjust(32, b"\0")],
                record(NOTE["inputs"][2:]).write([word], "note"),
            ),
            ([bytes.fromhex(moved)], record(MOVED["inputs"]).write([pair], "moved")),
            ([bytes.fromhex(ping), word], b"nothing that an ABI knows"),
        ]

    async def echo(self, sender: Sender, number: int) -> None:
        """Sends the transactions of a round; whoever mines puts them into a block."""
        for topics, data in self.logs(number):
            call = Call(self.address, FUNCTION, bytes([len(topics)]) + b"".join(topics) + data, Abi([]))
            await sender.send(call, self.key, FEE_LIMIT)


def creation() -> Creation:
    """The contract, to be created; the chain stores its first ABI."""
    return Creation("Echo", _creation(), FIRST_ABI, Abi(FIRST_ABI))
