"""Assets that not everybody knows: how many decimals they have, once and for all."""

from __future__ import annotations

from dataclasses import dataclass

from eventlog import Decider
from royalties.domain.books import SCALES, Refused

MOST_DECIMALS = 36


@dataclass(frozen=True, slots=True)
class AssetRegistered:
    """A TRC-20 token, named by its contract's address, or a creator's coin, `coin:<creator>`."""

    asset: str
    scale: int  # decimals: 10^scale of the smallest unit are one


def decide(command: AssetRegistered, known: AssetRegistered | None) -> list[AssetRegistered]:
    """Nothing for what is known already. Raises Refused: amounts were given in the first scale."""
    scale = SCALES.get(command.asset) if known is None else known.scale
    if scale is None:
        return [command]
    if scale != command.scale:
        raise Refused("asset-conflict", f"{command.asset} has the scale {scale}, got {command.scale}")
    return []


asset: Decider[AssetRegistered, AssetRegistered | None, AssetRegistered] = Decider(None, decide, lambda _, event: event)
