"""Deploys the contracts and wires them together, so that it can be killed at any step and run again.

A deployment is a list of stages of steps, one transaction each. A step is signed, the signed transaction written to the
journal, and only then broadcast; a run that finds it there broadcasts the same bytes again, which the network takes
once. It is signed anew only when `Sender.is_dead` has proven that no block holds it or ever will, or when a solidified
receipt says that it failed. So nothing is deployed twice.
The contracts are unaudited: the main network is refused unless the caller says that they know.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Self

from tron.address import keccak256
from tron.client import NodeClient
from tron.contract import Call, Contract
from tron.contracts import ComplianceRegistry, DCMXToken, MusicNFT, RewardVault, RoyaltyDistributor
from tron.cost import CALL_ENERGY
from tron.creation import Creation
from tron.errors import BroadcastRefused, IncompleteAnswer, NotIncluded, TronError
from tron.journal import Journal, JournalError, Progress
from tron.keys import Key
from tron.model import TransactionInfo
from tron.plan import CREATED, Step, stages
from tron.plan import TOKEN as TOKEN
from tron.plan import Plan as Plan
from tron.plan import Pool as Pool
from tron.plan import role as role
from tron.retry import Retry
from tron.sender import Sender, check
from tron.transaction import Signed

MAIN_NETWORK = 728_126_428

_BROADCAST_AGAIN_SECONDS = 3.0
_ATTEMPTS = 5

Report = Callable[[str, str], None]
"""Called with the name of a step and what has become of it."""


class Unaudited(TronError, ValueError):
    """The main network was asked for without accepting that nobody has audited the contracts."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """Where the contracts are. No event of theirs is in a block before `first_block`; `fee_sun` is what it all cost."""

    token: str
    compliance: str
    distributor: str
    nft: str
    vault: str
    listening_verifier: str
    chain_id: int
    first_block: int
    fee_sun: int

    def contracts(self) -> list[Contract]:
        """Return the five typed contracts."""
        return [
            DCMXToken(self.token),
            ComplianceRegistry(self.compliance),
            RoyaltyDistributor(self.distributor),
            MusicNFT(self.nft),
            RewardVault(self.vault),
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return a form for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, source: Mapping[str, Any]) -> Self:
        """Return what `to_dict` gave."""
        return cls(**source)


async def deploy(
    client: NodeClient,
    admin: Key,
    plan: Plan | None = None,
    *,
    journal: Journal | None = None,
    solid: bool = False,
    within: float = 180.0,
    expiry: float = 60.0,
    poll: float = 0.3,
    accept_unaudited: bool = False,
    report: Report = lambda step, state: None,
) -> Deployment:
    """Deploy and wire the contracts, or go on where the journal ends; `admin` pays and administers.

    `solid`: a stage begins when the one before is solidified, as it should where reorganisations happen. In seconds:
    `within` for each transaction, `expiry` for how long one is valid, `poll` between two looks for its receipt. On
    failure what was created stays; run it again. Raises `JournalError`, `TransactionFailed`, `CallReverted`,
    `BroadcastRefused`, `NotIncluded` and `NodeError`.
    """
    plan = plan or Plan()
    progress = await resumed(client, admin.address, plan, journal or Journal(), accept_unaudited=accept_unaudited)
    runner = _Runner(Sender(client, expiry=expiry), admin, progress, solid, within, poll, report)
    for stage in stages(plan, admin.address):
        try:
            async with asyncio.TaskGroup() as together:
                for step in stage:
                    together.create_task(runner.finish(step))
        except ExceptionGroup as failed:  # the journal holds what the others were doing
            raise failed.exceptions[0] from None
    at = progress.addresses
    return Deployment(
        token=at["DCMXToken"],
        compliance=at["ComplianceRegistry"],
        distributor=at["RoyaltyDistributor"],
        nft=at["MusicNFT"],
        vault=at["RewardVault"],
        listening_verifier=at["ListeningVerifierV1"],
        chain_id=await client.chain_id(),
        first_block=min(record["block"] for record in progress.included.values()),
        fee_sun=progress.fee_sun,
    )


async def resumed(
    client: NodeClient, owner: str, plan: Plan, journal: Journal, *, accept_unaudited: bool = False
) -> Progress:
    """Return what has been done, checked against the plan and the chain. Raises `JournalError`."""
    chain_id = await client.chain_id()
    if chain_id == MAIN_NETWORK and not accept_unaudited:
        raise Unaudited("the contracts are unaudited; deploying to the main network must be accepted explicitly")
    progress = Progress(journal)
    code = {kind.NAME: keccak256(bytes.fromhex(kind.artifact().bytecode)).hex() for kind in CREATED}
    progress.begin(chain_id=chain_id, owner=owner, plan=plan.to_dict(), code=code)
    for step, record in progress.included.items():
        if await Retry()(partial(client.transaction_info, record["tx_id"])) is None:
            raise JournalError(
                f"the journal says that {step!r} is in block {record['block']}, but the node has no transaction "
                f"{record['tx_id']}: the chain was begun anew, or it is another one"
            )
    return progress


class _Runner:
    """Brings one step after another to its end."""

    def __init__(
        self, sender: Sender, admin: Key, progress: Progress, solid: bool, within: float, poll: float, report: Report
    ) -> None:
        self._sender = sender
        self._client = sender.client
        self._admin = admin
        self._progress = progress
        self._solid = solid
        self._within = within
        self._poll = poll
        self._report = report
        self._retry = Retry()

    async def finish(self, step: Step) -> None:
        """Return when the step is done, whoever began it."""
        payload = step.payload(self._progress.addresses)
        for _ in range(_ATTEMPTS):
            if step.name in self._progress.included:
                return
            signed = self._progress.pending.get(step.name) or await self._sign(step.name, payload)
            info = await self._outcome(signed)
            if info is None:
                self._progress.dead(step.name)
                self._report(step.name, f"expired: {signed.tx_id}")
                continue
            self._progress.settled(step.name, info)
            check(info, payload.abi)
            self._report(step.name, f"in block {info.block_number}")
        if step.name not in self._progress.included:
            raise NotIncluded([signed.tx_id], self._within)

    async def _sign(self, name: str, payload: Call | Creation) -> Signed:
        limit = (await self._sender.estimate(payload, self._admin.address)).fee_limit_sun
        if isinstance(payload, Call):  # the estimate knows nothing of the other calls of its stage that come before it
            limit = max(limit, CALL_ENERGY[payload.function.name] * await self._sender.energy_price())
        signed = await self._sender.sign(payload, self._admin, limit)
        self._progress.signed(name, signed)
        self._report(name, f"signed {signed.tx_id}")
        return signed

    async def _outcome(self, signed: Signed) -> TransactionInfo | None:
        """Broadcast until there is a receipt, and return it; None once it is proven that there never will be one.

        A failure counts when it is solidified: after a reorganisation the same transaction could succeed.
        """
        deadline = time.monotonic() + self._within
        again, expired = 0.0, False
        while time.monotonic() < deadline:
            info = await self._receipt(signed, solid=False)
            if info is not None and (self._solid or not info.success):
                info = await self._receipt(signed, solid=True)
            elif info is None and time.monotonic() >= again:
                again = time.monotonic() + _BROADCAST_AGAIN_SECONDS
                expired = not await self._accepted(signed)
            if info is not None:
                return info
            if expired and await self._dead(signed):
                return None
            await asyncio.sleep(self._poll)
        raise NotIncluded([signed.tx_id], self._within)

    async def _receipt(self, signed: Signed, *, solid: bool) -> TransactionInfo | None:
        return await self._retry(partial(self._client.transaction_info, signed.tx_id, solid=solid))

    async def _accepted(self, signed: Signed) -> bool:
        """Broadcast; return False when it is too late. What is wrong with the transaction itself is raised."""
        try:
            await self._sender.broadcast(signed)
        except BroadcastRefused as error:
            if error.kind not in ("network", "expired"):
                raise
            return error.kind == "network"
        return True

    async def _dead(self, signed: Signed) -> bool:
        try:
            return await self._sender.is_dead(signed)
        except IncompleteAnswer:  # nodes behind one address, one of which lags: ask again later
            return False
