"""One codec per ABI type, compiled once: how to read a value from bytes and how to write one.

Source of the format: the Solidity contract ABI specification. Reading is strict, because the bytes come from
strangers: padding must be zero, lengths must fit the data, and the parts of a dynamic value must stand one after the
other, as every compiler writes them. That last rule bounds the work by the size of the data; without it, nested arrays
whose offsets all point at one place expand a kilobyte into gigabytes.

Values: ints as int, addresses as base58check, bytes as hex without 0x, arrays as lists, tuples as dicts. Text that is
not UTF-8, and NUL, become U+FFFD, so that every string can be stored as JSON in PostgreSQL.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal, InvalidOperation
from typing import Any

from tron import address
from tron.errors import InvalidAddress, InvalidArgument

Entry = Mapping[str, Any]
"""One parameter of the JSON ABI: `name`, `type`, and for tuples `components`."""

_EXACT = Context(prec=100, traps=[InvalidOperation])
MAX_DEPTH = 16
_MAX_STATIC_BYTES = 1 << 20
_ARRAY = re.compile(r"(.+)\[([0-9]{0,9})\]")
_NUMBER = re.compile(r"(u?int|bytes|u?fixed)([0-9]{1,3})?(?:x([0-9]{1,2}))?")
_HEX = re.compile(r"(?:[0-9a-fA-F]{2})*")


class Undecodable(Exception):
    """Bytes that are no encoding of the declared types; the message is the reason kept beside the raw data."""


class UnsupportedType(Exception):
    """A type in an ABI that no codec can be made for, such as a tuple without components."""


@dataclass(frozen=True, slots=True)
class Codec:
    """How to read and write one ABI type.

    `read(data, at)` of a static type returns the value; the caller has checked that `head` bytes are there. Of a
    dynamic type it returns `(value, end)`, `at` being the start of its tail. `write(value, path)` returns the encoding
    or raises `InvalidArgument` naming the path.
    """

    type: str
    head: int
    dynamic: bool
    read: Callable[[bytes, int], Any]
    write: Callable[[Any, str], bytes]


def refuse(path: str, expected: str, got: object) -> InvalidArgument:
    """Return the error for an argument; long values are shortened."""
    shown = repr(got)
    return InvalidArgument(f"{path}: expected {expected}, got {shown if len(shown) <= 80 else shown[:77] + '...'}")


def codec(parameter: Entry, depth: int = 0) -> Codec:
    """Compile the codec of one JSON ABI parameter. Raises `UnsupportedType`."""
    kind = parameter.get("type")
    if not isinstance(kind, str) or depth > MAX_DEPTH:
        raise UnsupportedType(f"not an ABI type: {kind!r}")
    if array := _ARRAY.fullmatch(kind):
        element = codec({**parameter, "type": array[1]}, depth + 1)
        return _list(element) if array[2] == "" else _fixed_list(element, int(array[2]))
    if kind == "tuple":
        components = parameter.get("components")
        if not components:
            raise UnsupportedType("a tuple without components")
        return record(components, depth + 1)
    if kind in _WORDS:
        return _WORDS[kind]
    if kind in ("bytes", "string"):
        return _bytes() if kind == "bytes" else _string()
    return _number(kind)


# -- words: what takes exactly 32 bytes ------------------------------------------------------------------------------


def _word(kind: str, read: Callable[[bytes, int], Any], write: Callable[[Any, str], bytes]) -> Codec:
    return Codec(kind, 32, False, read, write)


def _number(kind: str) -> Codec:
    match = _NUMBER.fullmatch(f"{kind}128x18" if kind in ("fixed", "ufixed") else kind)
    if match is None:
        raise UnsupportedType(f"unknown type {kind!r}")
    base, size, places = match[1], int(match[2] or 0), match[3]
    if base == "bytes" and 1 <= size <= 32 and places is None:
        return _fixed_bytes(kind, size)
    if base.endswith("fixed") and 8 <= size <= 256 and size % 8 == 0 and places and 0 < int(places) <= 80:
        return _fixed_point(match[0], size, int(places), signed=base == "fixed")
    if base.endswith("int") and 8 <= size <= 256 and size % 8 == 0 and places is None:
        return _integer(kind, size, signed=base == "int")
    raise UnsupportedType(f"unknown type {kind!r}")


def _integer(kind: str, bits: int, signed: bool) -> Codec:
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)

    def read(data: bytes, at: int) -> int:
        value = int.from_bytes(data[at : at + 32], "big", signed=signed)
        if low <= value <= high:
            return value
        raise Undecodable(f"{kind} out of range")

    def write(value: Any, path: str) -> bytes:
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise refuse(path, f"{kind} ({low}..{high})" if bits <= 64 else kind, value)
        return value.to_bytes(32, "big", signed=signed)

    return _word(kind, read, write)


def _fixed_point(kind: str, bits: int, places: int, signed: bool) -> Codec:
    whole = _integer(kind, bits, signed)

    def write(value: Any, path: str) -> bytes:
        if isinstance(value, bool | float) or not isinstance(value, int | Decimal):
            raise refuse(path, kind, value)
        scaled = Decimal(value).scaleb(places, _EXACT)
        if not scaled.is_finite() or scaled != scaled.to_integral_value():
            raise refuse(path, f"{kind} (at most {places} decimals)", value)
        return whole.write(int(scaled), path)

    return _word(kind, lambda data, at: Decimal(whole.read(data, at)).scaleb(-places, _EXACT), write)


def _read_bool(data: bytes, at: int) -> bool:
    value = int.from_bytes(data[at : at + 32], "big")
    if value > 1:
        raise Undecodable("bool is neither 0 nor 1")
    return value == 1


def _write_bool(value: Any, path: str) -> bytes:
    if not isinstance(value, bool):
        raise refuse(path, "bool", value)
    return int(value).to_bytes(32, "big")


_NO_PREFIX = bytes(12)
_TRON_PREFIX = bytes(11) + b"\x41"  # early TVM versions put 21-byte addresses into words


def _read_address(data: bytes, at: int) -> str:
    if data[at : at + 12] != _NO_PREFIX and data[at : at + 12] != _TRON_PREFIX:
        raise Undecodable("address with dirty padding")
    return address.base58(data[at + 12 : at + 32])


def _write_address(value: Any, path: str) -> bytes:
    try:
        return _NO_PREFIX + address.raw(value if isinstance(value, str) else "")
    except InvalidAddress:
        raise refuse(path, "an address", value) from None


def _as_bytes(value: Any, path: str, expected: str) -> bytes:
    if isinstance(value, str):
        digits = value.removeprefix("0x")
        if _HEX.fullmatch(digits):
            return bytes.fromhex(digits)
    elif isinstance(value, bytes):
        return value
    raise refuse(path, expected, value)


def _fixed_bytes(kind: str, size: int) -> Codec:
    padding = bytes(32 - size)

    def read(data: bytes, at: int) -> str:
        if data[at + size : at + 32] != padding:
            raise Undecodable(f"{kind} with dirty padding")
        return data[at : at + size].hex()

    def write(value: Any, path: str) -> bytes:
        content = _as_bytes(value, path, f"{kind} (bytes or hex)")
        if len(content) != size:
            raise refuse(path, f"{size} bytes", value)
        return content + padding

    return _word(kind, read, write)


_UINT256 = _integer("uint256", 256, signed=False)
_WORDS = {
    "address": _word("address", _read_address, _write_address),
    "bool": _word("bool", _read_bool, _write_bool),
    "function": _fixed_bytes("function", 24),
    "uint": _UINT256,
    "int": _integer("int256", 256, signed=True),
    "trcToken": Codec("trcToken", 32, False, _UINT256.read, _UINT256.write),  # TRON's own: the id of a TRC-10 token
}


# -- byte strings ----------------------------------------------------------------------------------------------------


def _read_length(data: bytes, at: int) -> int:
    if at + 32 > len(data):
        raise Undecodable("length beyond the end of the data")
    return int.from_bytes(data[at : at + 32], "big")


def _read_content(data: bytes, at: int) -> tuple[bytes, int]:
    length = _read_length(data, at)
    start = at + 32
    end = start + (length + 31) // 32 * 32
    if end > len(data):
        raise Undecodable(f"{length} bytes declared, {len(data) - start} there")
    if any(data[start + length : end]):
        raise Undecodable("bytes with dirty padding")
    return data[start : start + length], end


def _padded(content: bytes) -> bytes:
    return len(content).to_bytes(32, "big") + content + bytes(-len(content) % 32)


def _bytes() -> Codec:
    def read(data: bytes, at: int) -> tuple[str, int]:
        content, end = _read_content(data, at)
        return content.hex(), end

    return Codec("bytes", 32, True, read, lambda value, path: _padded(_as_bytes(value, path, "bytes (bytes or hex)")))


def _string() -> Codec:
    def read(data: bytes, at: int) -> tuple[str, int]:
        content, end = _read_content(data, at)
        return content.decode("utf-8", "replace").replace("\0", "\ufffd"), end

    def write(value: Any, path: str) -> bytes:
        if not isinstance(value, str):
            raise refuse(path, "a text", value)
        try:
            return _padded(value.encode())
        except UnicodeEncodeError:
            raise refuse(path, "a text without lone surrogates", value) from None

    return Codec("string", 32, True, read, write)


# -- arrays and tuples -----------------------------------------------------------------------------------------------


def _read_parts(data: bytes, start: int, parts: Sequence[Codec]) -> tuple[list[Any], int]:
    """Read heads and tails that start at `start`; return the values and where the last tail ends."""
    at = start
    end = start + sum(part.head for part in parts)
    if end > len(data):
        raise Undecodable(f"{end - start} bytes of head declared, {max(len(data) - start, 0)} there")
    values = []
    for part in parts:
        if part.dynamic:
            tail = start + int.from_bytes(data[at : at + 32], "big")
            if tail != end:
                raise Undecodable("offset outside the data or into another part, or a gap before it")
            value, end = part.read(data, tail)
        else:
            value = part.read(data, at)
        values.append(value)
        at += part.head
    return values, end


def _write_parts(parts: Sequence[Codec], values: Sequence[Any], paths: Sequence[str]) -> bytes:
    heads: list[bytes] = []
    tails: list[bytes] = []
    offset = sum(part.head for part in parts)
    for part, value, path in zip(parts, values, paths, strict=True):
        content = part.write(value, path)
        if part.dynamic:
            heads.append(offset.to_bytes(32, "big"))
            tails.append(content)
            offset += len(content)
        else:
            heads.append(content)
    return b"".join(heads) + b"".join(tails)


def _elements(value: Any, path: str, kind: str, size: int | None) -> Sequence[Any]:
    if not isinstance(value, list | tuple) or (size is not None and len(value) != size):
        raise refuse(path, kind, value)
    return value


def _list(element: Codec) -> Codec:
    kind = f"{element.type}[]"

    def read(data: bytes, at: int) -> tuple[list[Any], int]:
        length = _read_length(data, at)
        if length * element.head > len(data) - at - 32:
            raise Undecodable(f"{length} elements of {element.type} declared, {len(data) - at - 32} bytes there")
        return _read_parts(data, at + 32, [element] * length)

    def write(value: Any, path: str) -> bytes:
        values = _elements(value, path, f"a list of {element.type}", None)
        paths = [f"{path}[{index}]" for index in range(len(values))]
        return len(values).to_bytes(32, "big") + _write_parts([element] * len(values), values, paths)

    return Codec(kind, 32, True, read, write)


def _fixed_list(element: Codec, size: int) -> Codec:
    kind = f"{element.type}[{size}]"
    if size < 1 or size * element.head > _MAX_STATIC_BYTES:
        raise UnsupportedType(f"an array of {size} elements")
    parts = [element] * size

    def read(data: bytes, at: int) -> Any:
        values, end = _read_parts(data, at, parts)
        return (values, end) if element.dynamic else values

    def write(value: Any, path: str) -> bytes:
        values = _elements(value, path, f"a list of {size} {element.type}", size)
        return _write_parts(parts, values, [f"{path}[{index}]" for index in range(size)])

    return Codec(kind, 32 if element.dynamic else size * element.head, element.dynamic, read, write)


def names_of(parameters: Sequence[Entry]) -> list[str]:
    """Return a distinct name for each parameter; unnamed and repeated ones are called by position: `_0`, `a_1`."""
    names: list[str] = []
    for index, parameter in enumerate(parameters):
        name = parameter.get("name") or f"_{index}"
        while name in names:
            name += f"_{index}"
        names.append(name)
    return names


def record(components: Sequence[Entry], depth: int = 0) -> Codec:
    """Compile a tuple: a contract's arguments, results and structs. Values are read as dicts by component name."""
    parts = [codec(component, depth) for component in components]
    names = names_of(components)
    kind = f"({','.join(part.type for part in parts)})"
    dynamic = any(part.dynamic for part in parts)
    head = sum(part.head for part in parts)
    if head > _MAX_STATIC_BYTES:
        raise UnsupportedType(f"a tuple of {head} bytes")

    def read(data: bytes, at: int) -> Any:
        values, end = _read_parts(data, at, parts)
        value = dict(zip(names, values, strict=True))
        return (value, end) if dynamic else value

    def write(value: Any, path: str) -> bytes:
        if isinstance(value, Mapping):
            if set(value) != set(names):
                raise refuse(path, f"the fields {names}", sorted(map(str, value)))
            value = [value[name] for name in names]
        values = _elements(value, path, f"{len(parts)} values ({', '.join(names)})", len(parts))
        return _write_parts(parts, values, [f"{path}.{name}" for name in names])

    return Codec(kind, 32 if dynamic else head, dynamic, read, write)
