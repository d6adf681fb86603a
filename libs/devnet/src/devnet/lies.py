"""What a broken or lying node says instead: each lie takes the true answer's JSON and returns another of its kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_HASHES = ("blockID", "blockHash", "hash")
_LISTS = ("block", "transactions", "log", "logs")


def empty(value: Any) -> Any:
    """Nothing is there: what a node says of a block that it does not have."""
    return [] if isinstance(value, list) else {}


def short(value: Any) -> Any:
    """The last one of a list is missing: a receipt, a block, a transaction, a log of JSON-RPC."""
    if isinstance(value, list):
        return value[:-1]
    if isinstance(value, dict):
        for name in _LISTS:
            if value.get(name):
                return {**value, name: value[name][:-1]}
    return value


def no_logs(value: Any) -> Any:
    """No receipt has a log, and no log is found: a node without the index (bloom) that it looks them up in."""
    if isinstance(value, list) and all(_is_log(item) for item in value):
        return []
    return _without_logs(value, 0)


def a_log_less(value: Any) -> Any:
    """One log is missing in each receipt, or in what is found."""
    if isinstance(value, list) and value and all(_is_log(item) for item in value):
        return value[:-1]
    return _without_logs(value, -1)


def other_hash(value: Any) -> Any:
    """Blocks have another id than their header's."""
    if isinstance(value, list):
        return [other_hash(item) for item in value]
    if not isinstance(value, dict):
        return value
    is_transaction = "blockHash" in value
    return {
        name: _other(item)
        if name in _HASHES and isinstance(item, str) and not (name == "hash" and is_transaction)
        else other_hash(item)
        for name, item in value.items()
    }


LIES: dict[str, Callable[[Any], Any]] = {
    "empty": empty,
    "short": short,
    "no-logs": no_logs,
    "a-log-less": a_log_less,
    "other-hash": other_hash,
}


def _without_logs(value: Any, upto: int) -> Any:
    if isinstance(value, list):
        return [_without_logs(item, upto) for item in value]
    if not isinstance(value, dict):
        return value
    kept = {name: item[:upto] if name in ("log", "logs") else item for name, item in value.items()}
    return {name: item for name, item in kept.items() if name != "log" or item}


def _is_log(value: Any) -> bool:
    return isinstance(value, dict) and "logIndex" in value


def _other(digits: str) -> str:
    return digits[:-1] + f"{int(digits[-1], 16) ^ 1:x}"
