"""TRX and sun. Amounts are whole sun (int) everywhere; TRX is only for reading and writing by people."""

from __future__ import annotations

import re

SUN_PER_TRX = 1_000_000
_TRX = re.compile(r"(\d+)(?:\.(\d{1,6}))?")


def sun(trx: int | str) -> int:
    """Return whole sun for TRX given as an int or as a decimal text of at most 6 places: `sun("1.5")` is 1500000.

    Floats are refused: 0.1 has no exact binary form.
    """
    match = None if isinstance(trx, bool | float) else _TRX.fullmatch(str(trx))
    if match is None:
        raise ValueError(f"not an amount of TRX with at most 6 decimals: {trx!r}")
    whole, fraction = match.groups(default="")
    return int(whole) * SUN_PER_TRX + int(fraction.ljust(6, "0"))


def trx(amount_sun: int) -> str:
    """Return sun as TRX text without trailing zeros: `trx(1_500_000)` is "1.5"."""
    sign = "-" if amount_sun < 0 else ""
    whole, fraction = divmod(abs(amount_sun), SUN_PER_TRX)
    return f"{sign}{whole}.{fraction:06d}".rstrip("0").rstrip(".") if fraction else f"{sign}{whole}"
