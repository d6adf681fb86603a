"""`annals verify-statement`: no server, no settings, nothing but a file and a root."""

from __future__ import annotations

import json
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from annals.cli import app

SALT = bytes(range(32))
LINES = [
    {"at": "2026-01-05T12:00:00Z", "position": 7, "posting": 1, "amount": "500", "balance": "505"},
    {"at": "2026-01-05T12:00:00.5Z", "position": 6, "posting": 0, "amount": "-5", "balance": "500"},
]


def statement(**other: Any) -> dict[str, Any]:
    document = {
        "format": "annals-statement.v1", "number": "2026-000001", "party": "ada", "period": "2026-01", "asset": "TRX",
        "scale": 6, "from": "2026-01-01T00:00:00Z", "to": "2026-02-01T00:00:00Z", "position": 7,
        "opening_balance": "5", "closing_balance": "500", "count": 2, "lines": LINES,
    }  # fmt: skip
    return document | other


def proven(document: dict[str, Any]) -> dict[str, Any]:
    """Beside one other leaf, as RFC 6962 has it."""
    form = json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
    leaf, other = sha256(b"\0" + SALT + sha256(form).digest()).digest(), sha256(b"other").digest()
    root = sha256(b"\1" + other + leaf).hexdigest()
    return {
        "statement": document,
        "proof": {"salt": SALT.hex(), "index": 1, "size": 2, "path": [other.hex()], "root": root},
    }


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    def run(file: object, *options: str) -> Result:
        path = tmp_path / "statement.json"
        path.write_text(file if isinstance(file, str) else json.dumps(file, indent=2))
        return CliRunner().invoke(app, ["verify-statement", str(path), *options])

    for name in ("ANNALS_KAFKA_BOOTSTRAP", "ROYALTIES_DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)
    return run


def test_a_statement_is_verified_by_the_root_of_its_period(run: Callable[..., Result]) -> None:
    file = proven(statement())
    good = run(file, "--root", file["proof"]["root"])
    assert good.exit_code == 0, good.output
    assert "2 lines lead from 5 to 500 TRX, as it was issued" in " ".join(good.output.split())
    facts = json.loads(run(file, "--json").output)
    assert (facts["ok"], facts["trusted"], facts["root"]) == (True, False, file["proof"]["root"])
    other = run(file, "--root", 64 * "0", "--json")
    assert other.exit_code == 1
    assert json.loads(other.output)["problem"].startswith("root: expected 0000")


@pytest.mark.parametrize(
    ("other", "problem"),
    [
        ({"closing_balance": "501"}, "closing_balance: expected 500, got 501"),
        ({"opening_balance": "6"}, "line 1: balance"),
        ({"count": 3}, "count: expected 2, got 3"),
        ({"lines": LINES[:1], "closing_balance": "505"}, "count: expected 1, got 2"),
        ({"to": "2026-01-05T12:00:00.25Z"}, "line 2: at"),
        ({"lines": [LINES[0], LINES[0] | {"amount": "0"}]}, "line 2: place"),
        ({"format": "annals-statement.v2"}, "format: expected annals-statement.v1"),
        ({"party": None}, ""),
        ({"lines": None}, "the file"),
    ],
)
def test_a_statement_that_does_not_add_up_is_none_even_under_a_root(
    run: Callable[..., Result], other: dict[str, Any], problem: str
) -> None:
    refused = run(proven(statement()) | {"statement": statement(**other)}, "--json")
    assert refused.exit_code == 1, refused.output
    assert problem in json.loads(refused.output)["problem"]


@pytest.mark.parametrize(
    "file", ["", "{}", "[]", '{"statement": {}}', '{"statement":{"format":1.5}}', '{"statement":1,"statement":2}']
)
def test_what_is_no_statement_is_said_to_be_none(run: Callable[..., Result], file: str) -> None:
    refused = run(file)
    assert (refused.exit_code, "not as it was issued: the file" in refused.output) == (1, True), refused.output
