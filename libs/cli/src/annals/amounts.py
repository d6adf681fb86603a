"""Amounts as people read them: exact, in the asset itself."""

from __future__ import annotations


def decimal(amount: int, scale: int) -> str:
    """An amount in the asset's smallest unit, with all its decimals."""
    whole, rest = divmod(abs(amount), 10**scale)
    return f"{'-' if amount < 0 else ''}{whole:,}" + (f".{rest:0{scale}}" if scale else "")


def trx(amount_sun: int) -> str:
    """An amount in TRX."""
    return decimal(amount_sun, 6)


def dcmx(amount: int) -> str:
    """An amount in DCMX, without zeros at the end."""
    return decimal(amount, 18).rstrip("0").rstrip(".")
