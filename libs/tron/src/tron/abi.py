"""A contract's ABI, compiled: decode its events, calls and errors, encode calls to it.

Everything that comes from the chain is decoded without trust: what is unknown or does not fit comes back as `Raw` with
the reason, never as an exception, so that no stranger's log can stop ingestion. An event is found by its first topic
*and* its number of indexed parameters, because TRC-20 and TRC-721 share `Transfer(address,address,uint256)`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tron.address import keccak256
from tron.codec import Codec, Entry, Undecodable, UnsupportedType, codec, names_of, record


@dataclass(frozen=True, slots=True)
class Decoded:
    """A decoded event, call or error. `args` keeps the declared order; an indexed value that is no single word
    (string, bytes, array, tuple) is the Keccak hash of it, as hex: the chain does not store more.
    """

    name: str
    signature: str
    args: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Raw:
    """What could not be decoded; the caller keeps the raw topics and data beside this reason."""

    reason: str


@dataclass(frozen=True, slots=True)
class Event:
    """An event of the ABI. `decode` takes all topics but the first, concatenated, followed by the data, as bytes."""

    name: str
    signature: str
    topic0: str
    indexed: int
    decode: Callable[[bytes], dict[str, Any]] = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Function:
    """A function of the ABI, or its constructor (whose name and selector are empty)."""

    name: str
    signature: str
    selector: bytes
    inputs: Codec = field(repr=False)
    outputs: Codec = field(repr=False)
    mutability: str

    def encode(self, args: Sequence[Any] | Mapping[str, Any], path: str = "") -> bytes:
        """Return selector and encoded arguments. Raises `InvalidArgument`, its text beginning with the field's path."""
        return self.selector + self.inputs.write(args, path or self.name or "constructor")

    def decode(self, arguments: bytes) -> Decoded:
        """Return the decoded arguments (the data after the selector). Raises `Undecodable`."""
        return Decoded(self.name, self.signature, read_all(self.inputs, arguments))

    def result(self, data: bytes) -> Any:
        """Return what the function returned: nothing as None, one value bare, several as a dict.

        Raises `Undecodable`.
        """
        values = read_all(self.outputs, data)
        return values if len(values) > 1 else next(iter(values.values()), None)


def read_all(codec_: Codec, data: bytes) -> dict[str, Any]:
    """Read a whole argument list from the start of the data. Raises `Undecodable`."""
    if codec_.dynamic:
        values: dict[str, Any] = codec_.read(data, 0)[0]
        return values
    if len(data) < codec_.head:
        raise Undecodable(f"{codec_.head} bytes declared, {len(data)} there")
    values = codec_.read(data, 0)
    return values


def _canonical(name: str, parts: Iterable[Codec]) -> str:
    return f"{name}({','.join(part.type for part in parts)})"


def _hash_at(data: bytes, at: int) -> str:
    return data[at : at + 32].hex()


def _event(entry: Entry) -> Event:
    inputs: Sequence[Entry] = entry.get("inputs") or []
    parts = [codec(parameter) for parameter in inputs]
    names = names_of(inputs)
    in_topics = [bool(parameter.get("indexed")) for parameter in inputs]
    indexed = sum(in_topics)
    if indexed > 3:
        raise UnsupportedType(f"{indexed} indexed parameters")
    rest = [part for part, is_indexed in zip(parts, in_topics, strict=True) if not is_indexed]
    signature = _canonical(entry["name"], parts)
    decode: Callable[[bytes], dict[str, Any]]
    if any(part.dynamic for part in rest):
        body = record([p for p, is_indexed in zip(inputs, in_topics, strict=True) if not is_indexed])
        decode = _decode_dynamic(names, parts, in_topics, body)
    else:
        decode = _decode_static(names, parts, in_topics)
    return Event(entry["name"], signature, keccak256(signature.encode()).hex(), indexed, decode)


def _topic_reader(part: Codec) -> Callable[[bytes, int], Any]:
    """Value types stand in their topic; of reference types (bytes, string, array, tuple) a topic holds the hash."""
    is_reference = part.dynamic or part.type[-1] in ")]"
    return _hash_at if is_reference else part.read


def _decode_static(
    names: Sequence[str], parts: Sequence[Codec], in_topics: Sequence[bool]
) -> Callable[[bytes], dict[str, Any]]:
    """Every value stands at a known place: one length check, then one read each. This is the hot path."""
    plan = []
    topic, at = 0, 32 * sum(in_topics)
    for name, part, is_indexed in zip(names, parts, in_topics, strict=True):
        if is_indexed:
            plan.append((name, _topic_reader(part), topic))
            topic += 32
        else:
            plan.append((name, part.read, at))
            at += part.head
    size = at

    def decode(data: bytes) -> dict[str, Any]:
        if len(data) < size:
            raise Undecodable(f"{size} bytes declared, {len(data)} there")
        return {name: read(data, at) for name, read, at in plan}

    return decode


def _decode_dynamic(
    names: Sequence[str], parts: Sequence[Codec], in_topics: Sequence[bool], body: Codec
) -> Callable[[bytes], dict[str, Any]]:
    start = 32 * sum(in_topics)
    readers = [_topic_reader(part) for part, is_indexed in zip(parts, in_topics, strict=True) if is_indexed]
    topics = [(read, 32 * index) for index, read in enumerate(readers)]

    def decode(data: bytes) -> dict[str, Any]:
        from_topics = iter([read(data, at) for read, at in topics])
        from_data = iter(body.read(data, start)[0].values())
        return {name: next(from_topics if i else from_data) for name, i in zip(names, in_topics, strict=True)}

    return decode


def _function(entry: Entry, name: str) -> Function:
    inputs = record(entry.get("inputs") or [])
    signature = f"{name}{inputs.type}"
    selector = keccak256(signature.encode())[:4] if name else b""
    mutability = str(entry.get("stateMutability") or "nonpayable").lower()
    return Function(name, signature, selector, inputs, record(entry.get("outputs") or []), mutability)


_BUILT_IN_ERRORS: tuple[Entry, ...] = (
    {"type": "error", "name": "Error", "inputs": [{"name": "message", "type": "string"}]},
    {"type": "error", "name": "Panic", "inputs": [{"name": "code", "type": "uint256"}]},
)
PANICS = {
    0x01: "assertion failed",
    0x11: "arithmetic overflow",
    0x12: "division by zero",
    0x21: "not a member of the enum",
    0x31: "pop of an empty array",
    0x32: "array index out of bounds",
    0x41: "too much memory allocated",
    0x51: "call of an uninitialised function",
}
"""Solidity's codes of `Panic(uint256)` (documentation, "Panic via assert")."""


class Abi:
    """A compiled ABI. Takes the compiler's JSON, and the re-cased one that a node's `getcontract` answers.

    `refused` lists the entries that cannot be used, with the reason: anonymous events (nothing in their logs says
    which event it is), unknown types, tuples without components.
    """

    def __init__(self, entries: Iterable[Entry]) -> None:
        self.events: dict[tuple[str, int], Event] = {}
        self.functions: dict[str, Function] = {}  # by signature
        self.errors: dict[bytes, Function] = {}
        self.constructor = _function({}, "")
        self.refused: dict[str, str] = {}
        for entry in (*_BUILT_IN_ERRORS, *entries):
            try:
                self._add(entry)
            except UnsupportedType as error:
                self.refused[f"{entry.get('type')} {entry.get('name')}"] = str(error)
        self._by_selector = {function.selector: function for function in self.functions.values()}
        self._by_name: dict[str, list[Function]] = {}
        for function in self.functions.values():
            self._by_name.setdefault(function.name, []).append(function)

    def _add(self, entry: Entry) -> None:
        name = entry.get("name") or ""
        match str(entry.get("type", "")).lower():
            case "event" if entry.get("anonymous"):
                raise UnsupportedType("anonymous")
            case "event":
                event = _event(entry)
                self.events.setdefault((event.topic0, event.indexed), event)
            case "error":
                error = _function(entry, name)
                self.errors[error.selector] = error
            case "function":
                function = _function(entry, name)
                self.functions[function.signature] = function
            case "constructor":
                self.constructor = _function(entry, "")
            case "fallback" | "receive":
                pass  # they have no name and no arguments: nothing to decode
            case other:
                raise UnsupportedType(f"unknown kind of entry {other!r}")

    def function(self, name: str) -> Function:
        """Return a function by its signature, or by its name where that is unambiguous. Raises `KeyError`."""
        if name in self.functions:
            return self.functions[name]
        found = self._by_name.get(name, [])
        if len(found) != 1:
            raise KeyError(f"{name}: {[f.signature for f in found]}" if found else f"no function {name}")
        return found[0]

    def decode_event(self, topics: Sequence[str], data: str) -> Decoded | Raw:
        """Decode a log of hex topics (64 digits each, no 0x) and hex data. Never raises on anything a node sends."""
        if not topics:
            return Raw("no topic: an anonymous event")
        event = self.events.get((topics[0], len(topics) - 1))
        if event is None:
            return Raw(f"unknown event {topics[0]} with {len(topics) - 1} indexed parameters")
        try:
            content = bytes.fromhex("".join(topics[1:]) + data)
            if len(content) * 2 != 64 * event.indexed + len(data):
                raise Undecodable("a topic is not 64 hex digits")
            return Decoded(event.name, event.signature, event.decode(content))
        except (Undecodable, ValueError) as error:
            return Raw(f"{event.signature}: {error}")

    def decode_call(self, data: str) -> Decoded | Raw:
        """Decode a transaction's call data (hex): the function's name and arguments. Never raises."""
        return self._decode(self._by_selector, data, "function")

    def decode_error(self, data: str) -> Decoded | Raw:
        """Decode what a failed call returned (hex): a custom error, `Error(string)` or `Panic(uint256)`.

        Never raises.
        """
        return self._decode(self.errors, data, "error")

    def _decode(self, known: Mapping[bytes, Function], data: str, kind: str) -> Decoded | Raw:
        try:
            content = bytes.fromhex(data)
        except ValueError:
            return Raw("not hex")
        if len(content) < 4:
            return Raw(f"no {kind} selector")
        function = known.get(content[:4])
        if function is None:
            return Raw(f"unknown {kind} {content[:4].hex()}")
        try:
            return function.decode(content[4:])
        except Undecodable as error:
            return Raw(f"{function.signature}: {error}")

    def reason(self, data: str) -> str:
        """Return why a call reverted, for people: `Insufficient(have=1, want=2)`, the message, or the panic's text."""
        match self.decode_error(data):
            case Decoded(signature="Error(string)", args=args):
                return str(args["message"])
            case Decoded(signature="Panic(uint256)", args=args):
                return f"panic 0x{args['code']:02x}: {PANICS.get(args['code'], 'unknown')}"
            case Decoded(name=name, args=args):
                return f"{name}({', '.join(f'{key}={value}' for key, value in args.items())})"
            case Raw(reason=reason):
                return f"reverted without a known reason ({reason})"
