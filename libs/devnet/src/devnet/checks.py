"""Checks of what the control API is given: each returns the value, or says what was expected."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Check = Callable[[str, Any], Any]


def number(least: float, most: float, whole: bool = False) -> Check:
    def check(name: str, value: Any) -> Any:
        kinds = int if whole else int | float
        if isinstance(value, bool) or not isinstance(value, kinds) or not least <= value <= most:
            raise ValueError(
                f"{name}: expected {'an integer' if whole else 'a number'} from {least} to {most}, got {value!r}"
            )
        return value

    return check


def one_of(*choices: str) -> Check:
    def check(name: str, value: Any) -> Any:
        if str(value) not in choices:
            raise ValueError(f"{name}: expected one of {', '.join(choices)}, got {value!r}")
        return value

    return check


def flag(name: str, value: Any) -> Any:
    if not isinstance(value, bool):
        raise ValueError(f"{name}: expected true or false, got {value!r}")
    return value


def paths(name: str, value: Any) -> tuple[str, ...]:
    given = [value] if isinstance(value, str) else value
    if not isinstance(given, list) or not given or not all(isinstance(path, str) for path in given):
        raise ValueError(f'{name}: expected paths such as ["wallet/getnowblock", "jsonrpc/eth_getLogs"], got {value!r}')
    return tuple(path.lstrip("/") for path in given)


def text(name: str, value: Any) -> Any:
    if not isinstance(value, str):
        raise ValueError(f"{name}: expected a name, got {value!r}")
    return value
