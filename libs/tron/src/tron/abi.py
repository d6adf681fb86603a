"""A contract's ABI, compiled: decode its events, calls and errors, encode calls to it.

Everything that comes from the chain is decoded without trust: what is unknown or does not fit comes back as `Raw` with
the reason, never as an exception, so that no stranger's log can stop ingestion. An event is found by its first topic
*and* its number of indexed parameters, because TRC-20 and TRC-721 share `Transfer(address,address,uint256)`. Nothing
names an anonymous event: a log that no event with a name claims is one if exactly one of them fits it to the last byte.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tron.address import keccak256
from tron.codec import MAX_DEPTH, Codec, Entry, Undecodable, UnsupportedType, codec, names_of, record


@dataclass(frozen=True, slots=True)
class Decoded:
    """A decoded event, call or error. `args` keeps the declared order; an indexed value that is no single word
    (string, bytes, array, tuple) is the Keccak hash of it, as hex: the chain does not store more. `inputs` are the
    parameters of an event as the ABI declares them.
    """

    name: str
    signature: str
    args: dict[str, Any]
    inputs: Sequence[Entry] = field(default=(), repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Raw:
    """What could not be decoded; the caller keeps the raw topics and data beside this reason."""

    reason: str


@dataclass(frozen=True, slots=True)
class Event:
    """An event of the ABI. `topic0` is None if it is anonymous.

    `layout` says which parameters stand in topics. `decode` takes the topics of the parameters, concatenated, followed
    by the data, as bytes; it raises `Undecodable`.
    """

    name: str
    signature: str
    topic0: str | None
    layout: tuple[bool, ...]
    inputs: Sequence[Entry] = field(repr=False, compare=False)
    decode: Callable[[bytes], dict[str, Any]] = field(repr=False, compare=False)

    @property
    def indexed(self) -> int:
        """How many parameters stand in topics."""
        return sum(self.layout)

    def read(self, topics: Sequence[str], data: str) -> Decoded | Raw:
        """Decode a log of this event, given the topics of its parameters."""
        try:
            content = bytes.fromhex("".join(topics) + data)
            if len(content) * 2 != 64 * len(topics) + len(data):
                raise Undecodable("a topic is not 64 hex digits")
            return Decoded(self.name, self.signature, self.decode(content), self.inputs)
        except (Undecodable, ValueError) as error:
            return Raw(f"{self.signature}: {error}")


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
    in_topics = tuple(bool(parameter.get("indexed")) for parameter in inputs)
    anonymous = bool(entry.get("anonymous"))
    if sum(in_topics) > 3 + anonymous:
        raise UnsupportedType(f"{sum(in_topics)} indexed parameters")
    rest = [part for part, is_indexed in zip(parts, in_topics, strict=True) if not is_indexed]
    signature = _canonical(entry["name"], parts)
    decode: Callable[[bytes], dict[str, Any]]
    if any(part.dynamic for part in rest):
        body = record([p for p, is_indexed in zip(inputs, in_topics, strict=True) if not is_indexed])
        decode = _decode_dynamic(names, parts, in_topics, body)
    else:
        decode = _decode_static(names, parts, in_topics)
    topic0 = None if anonymous else keccak256(signature.encode()).hex()
    return Event(entry["name"], signature, topic0, in_topics, inputs, decode)


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
        if len(data) != size:
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
        values, end = body.read(data, start)
        if end != len(data):
            raise Undecodable(f"{end} bytes declared, {len(data)} there")
        from_data = iter(values.values())
        return {name: next(from_topics if i else from_data) for name, i in zip(names, in_topics, strict=True)}

    return decode


def _function(entry: Entry, name: str) -> Function:
    inputs = record(entry.get("inputs") or [])
    signature = f"{name}{inputs.type}"
    selector = keccak256(signature.encode())[:4] if name else b""
    mutability = str(entry.get("stateMutability") or "nonpayable").lower()
    return Function(name, signature, selector, inputs, record(entry.get("outputs") or []), mutability)


def _checked(entry: Any) -> Entry:
    """The entry, if it has the form of one. Raises `UnsupportedType`."""
    if not isinstance(entry, Mapping):
        raise UnsupportedType("expected an object")
    kind, name = str(entry.get("type", "")).lower(), entry.get("name")
    if kind in ("event", "function", "error") and not (isinstance(name, str) and _NAME.fullmatch(name)):
        raise UnsupportedType(f"expected a name, got {name!r:.80}")
    for part in ("inputs", "outputs"):
        parameters = entry.get(part) or []
        if not isinstance(parameters, list | tuple) or not all(map(_is_parameter, parameters)):
            raise UnsupportedType(f"{part}: expected parameters")
    return entry


def _is_parameter(source: Any, depth: int = 0) -> bool:
    if not isinstance(source, Mapping) or depth > MAX_DEPTH:
        return False
    name = source.get("name") or ""
    if not isinstance(name, str) or (name and not _NAME.fullmatch(name)):
        return False
    components = source.get("components") or []
    return isinstance(components, list | tuple) and all(_is_parameter(one, depth + 1) for one in components)


_NAME = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]{0,199}")
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

    `refused` lists the entries that cannot be used, with the reason: unknown types, tuples without components (as the
    chain stores them), what is no entry at all.
    """

    def __init__(self, entries: Iterable[Any]) -> None:
        self.events: dict[tuple[str, int], Event] = {}
        self.alike: dict[tuple[str, int], list[Event]] = {}
        """Those that have topic and count of one in `events`, but other parameters in the topics."""
        self.anonymous: dict[int, list[Event]] = {}  # by indexed count, which is the number of topics
        self.functions: dict[str, Function] = {}  # by signature
        self.errors: dict[bytes, Function] = {}
        self.constructor = _function({}, "")
        self.refused: dict[str, str] = {}
        for entry in (*_BUILT_IN_ERRORS, *entries):
            try:
                self._add(_checked(entry))
            except UnsupportedType as error:
                what = f"{entry.get('type')} {entry.get('name')}" if isinstance(entry, Mapping) else f"{entry!r:.80}"
                self.refused[what] = str(error)
        self._by_selector = {function.selector: function for function in self.functions.values()}
        self._methods = {selector.hex(): function.name for selector, function in self._by_selector.items()}
        self._by_name: dict[str, list[Function]] = {}
        for function in self.functions.values():
            self._by_name.setdefault(function.name, []).append(function)

    def _add(self, entry: Entry) -> None:
        name = entry.get("name") or ""
        match str(entry.get("type", "")).lower():
            case "event":
                self._add_event(_event(entry))
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

    def _add_event(self, event: Event) -> None:
        """The first of two events that read the same logs in the same way is the one that counts."""
        if event.topic0 is None:
            same = self.anonymous.setdefault(event.indexed, [])
        else:
            first = self.events.setdefault((event.topic0, event.indexed), event)
            same = self.alike.setdefault((event.topic0, event.indexed), []) if event != first else [event]
        if event not in same:
            same.append(event)

    def function(self, name: str) -> Function:
        """Return a function by its signature, or by its name where that is unambiguous. Raises `KeyError`."""
        if name in self.functions:
            return self.functions[name]
        found = self._by_name.get(name, [])
        if len(found) != 1:
            raise KeyError(f"{name}: {[f.signature for f in found]}" if found else f"no function {name}")
        return found[0]

    def method(self, selector: str) -> str | None:
        """Return the name of the function with a selector (8 hex digits); None if there is none."""
        return self._methods.get(selector)

    def decode_event(self, topics: Sequence[str], data: str) -> Decoded | Raw:
        """Decode a log of hex topics (64 digits each, no 0x) and hex data. Never raises on anything a node sends."""
        return decode_event((self,), topics, data)

    def named(self, topics: Sequence[str], data: str) -> Decoded | Raw | None:
        """As `decode_event`, but None where no event with a name claims the log."""
        if not topics:
            return None
        key = (topics[0], len(topics) - 1)
        event = self.events.get(key)
        if event is None:
            return None
        if key not in self.alike:
            return event.read(topics[1:], data)
        return _only([event, *self.alike[key]], topics[1:], data)

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


def decode_event(abis: Sequence[Abi], topics: Sequence[str], data: str) -> Decoded | Raw:
    """Decode a log by several ABIs of one contract, the first that knows how; see `Abi.decode_event`.

    An event with a name goes before any anonymous one, of whichever ABI.
    """
    refusal: Raw | None = None
    for abi in abis:
        result = abi.named(topics, data)
        if isinstance(result, Decoded):
            return result
        refusal = refusal or result
    if refusal is not None:
        return refusal
    if unnamed := [event for abi in abis for event in abi.anonymous.get(len(topics), ())]:
        return _only(unnamed, topics, data)
    if not topics:
        return Raw("no topic: an anonymous event")
    return Raw(f"unknown event {topics[0]} with {len(topics) - 1} indexed parameters")


def _only(events: Iterable[Event], topics: Sequence[str], data: str) -> Decoded | Raw:
    """What the one event that fits says; of several that fit, each could be meant."""
    results = [event.read(topics, data) for event in events]
    fitting: list[Decoded] = []
    for result in results:
        if isinstance(result, Decoded) and result not in fitting:
            fitting.append(result)
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        return Raw(f"ambiguous: {', '.join(result.signature for result in fitting)} fit")
    return results[0] if len(results) == 1 else Raw(f"none of {len(results)} events fits")
