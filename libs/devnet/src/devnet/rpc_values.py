"""Parameters of JSON-RPC as java-tron reads them, and its errors where it cannot."""

from __future__ import annotations

from typing import Any


class RpcError(Exception):
    """An error of a call; `data` is java-tron's, "{}" where it sends any."""

    def __init__(self, code: int, message: str, data: str | None = "{}") -> None:
        super().__init__(message)
        self.code = code
        self.data = data


def invalid(message: str) -> RpcError:
    return RpcError(-32602, message)


def read_bytes(text: Any, size: int, name: str) -> bytes:
    data = b""
    if isinstance(text, str):
        try:
            data = bytes.fromhex(text.removeprefix("0x"))
        except ValueError:
            data = b""
    if len(data) != size:
        raise invalid(f"invalid {name}: {text}")
    return data


def read_data(text: Any) -> bytes:
    try:
        return bytes.fromhex(text.removeprefix("0x"))
    except (AttributeError, ValueError) as error:
        raise invalid("invalid input value") from error


def read_quantity(text: Any, name: str) -> int:
    if isinstance(text, str) and text.startswith("0x"):
        try:
            number = int(text, 16)
        except ValueError:
            number = 1 << 256
        if number < 1 << 256:
            return number
    raise invalid(f"invalid {name}")


def read_topics(value: Any) -> list[set[str] | None]:
    if value is None:
        return []
    if not isinstance(value, list) or len(value) > 4:
        raise invalid("topics size should be <= 4")
    wanted: list[set[str] | None] = []
    for item in value:
        options = item if isinstance(item, list) else [item]
        if item is None or None in options or not options:
            wanted.append(None)
        else:
            wanted.append({"0x" + read_bytes(option, 32, "topic").hex() for option in options})
    return wanted


def matches(topics: list[str], wanted: list[set[str] | None]) -> bool:
    if len(topics) < len(wanted):
        return False
    return all(options is None or topic in options for topic, options in zip(topics, wanted, strict=False))
