"""What is recorded of the chain: asked for and told. The work is in the modules of the service."""

from __future__ import annotations

from typing import Any

from rich.console import Console

from annals.bars import counting
from annals.certificates import SERVICE
from annals.services import find


async def add(address: str, abi: str, name: str | None, past_from: int | None) -> Any:
    """Has a contract watched, and its logs from a block on read; returns what was asked for.

    Raises UnknownName without the service, LookupError for what cannot be.
    """
    service = find(SERVICE)
    async with service.log() as log:
        return await service.part("past.adding").add(log, service.settings(), address, abi, name, past_from)


async def register(contract: str, abi: str, first_block: int, last_block: int | None) -> Any:
    """Gives a contract a further ABI for a range of blocks. Raises as `add`."""
    service = find(SERVICE)
    async with service.log() as log:
        return await service.part("past.adding").register(log, contract, abi, first_block, last_block)


async def producers(blocks: int, console: Console) -> Any:
    """Who has signed the newest blocks, and how many. Raises UnknownName without the service, NodeError."""
    service = find(SERVICE)
    with counting(console, service.name, "blocks") as on_progress:
        return await service.part("producers").producers(service.settings(), blocks, on_progress)


async def status() -> Any:
    """Every contract that is watched, with how far its past was read."""
    service = find(SERVICE)
    async with service.log() as log:
        return await service.part("past.adding").status(log)
