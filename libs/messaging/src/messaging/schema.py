"""The tables this package needs in a service's database."""

from __future__ import annotations

from importlib.resources import files


def install_sql() -> str:
    """Returns the SQL that creates the tables `offsets` and `parked` in the current schema, if they are missing."""
    return files("messaging").joinpath("schema.sql").read_text(encoding="utf-8")
