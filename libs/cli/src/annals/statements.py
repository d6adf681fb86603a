"""Is this the statement that was issued? Told from its file and the root of its period, and nothing else."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

from contracts.canonical import canonical, read
from eventlog import merkle

FORMAT = "annals-statement.v1"


class InvalidStatement(Exception):
    """What is wrong with it: the field, the expected and the got."""


@dataclass(frozen=True, slots=True)
class Statement:
    """What was checked, and the root that somebody has to vouch for."""

    number: str
    party: str
    period: str
    asset: str
    opening_balance: str
    closing_balance: str
    lines: int
    sha256: str
    root: str

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def verify(text: bytes) -> Statement:
    """The statement in a file, once its lines add up and its hash leads to the root that it names.

    Raises InvalidStatement.
    """
    try:
        document = read(text)
        statement, proof = document["statement"], document["proof"]
        _check(statement["format"] == FORMAT, "format", FORMAT, statement["format"])
        _add_up(statement)
        form = canonical(statement)
        leaf = merkle.event_leaf(_bytes(proof["salt"]) + sha256(form).digest())
        path = [_bytes(neighbour) for neighbour in proof["path"]]
        root = merkle.climb(leaf, proof["index"], proof["size"], path).hex()
        _check(root == proof["root"], "root", proof["root"], root)
        names = ("number", "party", "period", "asset", "opening_balance", "closing_balance")
        named = {name: str(statement[name]) for name in names}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        what = f"no field {error}" if isinstance(error, KeyError) else str(error)
        raise InvalidStatement(f"the file: {what}") from error
    return Statement(**named, lines=statement["count"], sha256=sha256(form).hexdigest(), root=root)


def _add_up(statement: dict[str, Any]) -> None:
    """Raises InvalidStatement unless opening balance and lines make every balance and the closing one, in order."""
    balance, last = int(statement["opening_balance"]), None
    since, until = (datetime.fromisoformat(statement[name]) for name in ("from", "to"))
    for number, line in enumerate(statement["lines"], 1):
        balance += int(line["amount"])
        _check(line["balance"] == str(balance), f"line {number}: balance", str(balance), line["balance"])
        at = datetime.fromisoformat(line["at"])
        _check(since <= at < until, f"line {number}: at", f"{statement['from']} to {statement['to']}", line["at"])
        place = (at, line["position"], line["posting"])
        _check(last is None or place > last, f"line {number}: place", f"one after {last}", place)
        last = place
    _check(statement["closing_balance"] == str(balance), "closing_balance", str(balance), statement["closing_balance"])
    count = len(statement["lines"])
    _check(statement["count"] == count, "count", count, statement["count"])


def _bytes(hexadecimal: str) -> bytes:
    found = bytes.fromhex(hexadecimal)
    _check(len(found) == merkle.HASH_BYTES, "proof", f"{merkle.HASH_BYTES} bytes", hexadecimal)
    return found


def _check(good: bool, what: str, expected: object, got: object) -> None:
    if not good:
        raise InvalidStatement(f"{what}: expected {expected}, got {got}")
