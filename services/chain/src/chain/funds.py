"""Watches what the sending keys have left to pay with: TRX, energy and bandwidth."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from chain import metrics
from service import get_logger
from service.health import Check
from tron.address import hex41
from tron.client import Client
from tron.errors import NodeError, NodeLied

LOOK_EVERY_SECONDS = 15.0
log = get_logger("chain.funds")


@dataclass(frozen=True, slots=True)
class Left:
    """What an account can still spend: sun, units of energy from stake, bytes of bandwidth from stake or free."""

    balance_sun: int
    energy: int
    bandwidth: int


class Funds:
    """What each sending key (name -> address) has left, as the node says; a worker.

    `low_sun` is the balance below which the health check names the key.
    """

    name = "funds"

    def __init__(self, node: Client, accounts: Mapping[str, str], low_sun: int) -> None:
        self._node = node
        self._accounts = accounts
        self._low_sun = low_sun
        self._left: dict[str, Left] = {}

    async def run(self) -> None:
        """Runs until cancelled."""
        while True:
            for name, address in self._accounts.items():
                try:
                    await self._look(name, address)
                except NodeError as error:
                    log.warning("what a sending key has left is not known", sender=name, reason=str(error))
            await asyncio.sleep(LOOK_EVERY_SECONDS)

    async def _look(self, name: str, address: str) -> None:
        body = {"address": hex41(address)}
        account, resources = await self._ask("getaccount", body), await self._ask("getaccountresource", body)
        left = Left(
            account.get("balance", 0),
            _left(resources, ("EnergyLimit",), ("EnergyUsed",)),
            _left(resources, ("NetLimit", "freeNetLimit"), ("NetUsed", "freeNetUsed")),
        )
        self._left[name] = left
        metrics.SENDER_BALANCE.labels(name).set(left.balance_sun)
        metrics.SENDER_ENERGY.labels(name).set(left.energy)
        metrics.SENDER_BANDWIDTH.labels(name).set(left.bandwidth)

    async def _ask(self, name: str, body: dict[str, str]) -> dict[str, int]:
        """The numbers in an answer; TRON leaves out those that are 0."""
        answer = await self._node.request(f"wallet/{name}", body)
        if not isinstance(answer, dict):
            raise NodeLied(self._node.url, f"wallet/{name}", f"expected an object, got {answer!r:.80}")
        return {key: value for key, value in answer.items() if type(value) is int}

    def check(self) -> Check:
        """A readiness check that fails while a key is known to have less than `low_sun`."""

        async def probe() -> str:
            low = [
                f"{name} ({self._accounts[name]}) has {left.balance_sun} sun"
                for name, left in self._left.items()
                if left.balance_sun < self._low_sun
            ]
            if low:
                raise RuntimeError(f"{', '.join(low)}; expected at least {self._low_sun}")
            return f"{len(self._left)} of {len(self._accounts)} sending keys have at least {self._low_sun} sun"

        return Check("funds", probe)


def _left(resources: Mapping[str, int], limits: tuple[str, ...], used: tuple[str, ...]) -> int:
    return sum(resources.get(name, 0) for name in limits) - sum(resources.get(name, 0) for name in used)
