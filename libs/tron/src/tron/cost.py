"""What a deployment will cost, and what somebody should know before they pay it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from tron.client import NodeClient
from tron.creation import Creation
from tron.journal import Progress
from tron.plan import Plan, stages
from tron.retry import Retry
from tron.sender import Sender
from tron.transaction import wire_address

CALL_ENERGY: Mapping[str, int] = {
    "approve": 30_000,
    "configurePool": 40_000,
    "fundPool": 90_000,
    "grantRole": 40_000,
    "renounceRole": 20_000,
    "setListeningVerifier": 40_000,
    "transfer": 50_000,
}
"""Energy of the calls that follow the creations, from above: a node cannot estimate them while there is no contract."""

_ENVELOPE_BYTES = 300
"""What a transaction is longer than its message: reference, times, signature, result; from above."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What is left to pay, from above. Energy that the owner has staked for is not burned; `fee_sun` takes it off."""

    owner: str
    balance_sun: int
    steps: int
    energy: int
    energy_price_sun: int
    staked_energy: int
    bandwidth: int
    bandwidth_price_sun: int
    warnings: tuple[str, ...]

    @property
    def fee_sun(self) -> int:
        """What will be burned at most."""
        burned = max(self.energy - self.staked_energy, 0)
        return burned * self.energy_price_sun + self.bandwidth * self.bandwidth_price_sun

    @property
    def affordable(self) -> bool:
        """Whether the owner's balance is enough."""
        return self.fee_sun <= self.balance_sun

    def to_dict(self) -> dict[str, Any]:
        """Return a form for JSON."""
        return {**asdict(self), "fee_sun": self.fee_sun, "affordable": self.affordable}


async def cost(client: NodeClient, owner: str, plan: Plan, progress: Progress) -> Cost:
    """Return what the steps that are not done yet will cost; creations are estimated by the node."""
    sender = Sender(client)
    # A contract that is not there yet stands in as the owner: as an argument it costs the same.
    at = defaultdict(lambda: owner, progress.addresses)
    left = [step for stage in stages(plan, owner) for step in stage if step.name not in progress.included]
    energy = bandwidth = 0
    for step in left:
        payload = step.payload(at)
        bandwidth += len(payload.contract(wire_address(owner))[2]) + _ENVELOPE_BYTES
        if isinstance(payload, Creation):
            energy += (await sender.estimate(payload, owner)).energy
        else:
            energy += CALL_ENERGY[payload.function.name]
    resources = await _ask(client, "getaccountresource", owner)
    return Cost(
        owner=owner,
        balance_sun=int((await _ask(client, "getaccount", owner)).get("balance", 0)),
        steps=len(left),
        energy=energy,
        energy_price_sun=await sender.energy_price(),
        staked_energy=max(int(resources.get("EnergyLimit", 0)) - int(resources.get("EnergyUsed", 0)), 0),
        bandwidth=bandwidth,
        bandwidth_price_sun=await sender.bandwidth_price(),
        warnings=await _warnings(client, plan),
    )


async def _warnings(client: NodeClient, plan: Plan) -> tuple[str, ...]:
    if plan.administrator is None:
        return ("the deployer's key alone will administer the contracts",)
    account = await _ask(client, "getaccount", plan.administrator)
    if account.get("type") == "Contract":
        return ()
    if not account:
        return (f"the administrator {plan.administrator} is no account on this chain yet",)
    permission = account.get("owner_permission", {})
    strongest = max((key.get("weight", 1) for key in permission.get("keys", [])), default=1)
    if permission.get("threshold", 1) > strongest:
        return ()
    return (f"the administrator {plan.administrator} is no multi-signature account: one key is enough",)


async def _ask(client: NodeClient, question: str, address: str) -> Mapping[str, Any]:
    body = {"address": address, "visible": True}
    answer: Mapping[str, Any] = await Retry()(partial(client.request, f"wallet/{question}", body))
    return answer
