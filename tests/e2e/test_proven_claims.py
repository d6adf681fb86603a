"""From a listen to tokens in the wallet of somebody whom nobody knows: committed, proven, verified, paid, shown."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any

import httpx
import pytest
from small_town import HEARD, Place, listens, recorded, status

import rewards.app
from messaging.testing import eventually
from rewards.api import activity, zk
from rewards.claiming import operation_of
from rewards.domain import period_of
from service.testing import serving
from tron.client import NodeClient
from tron.contract import Call
from tron.contracts import RewardVault
from tron.deploy import TOKEN
from tron.errors import CallReverted
from tron.keys import Key
from tron.sender import Sender
from zk import Claim, Commitment, Proof, Prover, Record, Secret
from zk.claims import FIELD

pytestmark = pytest.mark.devnet("--block-time", "0.1", "--solid-distance", "12")

NOW = datetime.now(UTC)
THEN = NOW.replace(hour=12) - timedelta(days=NOW.weekday() + 12)  # in the middle of the week before the last one
WEEK = period_of(THEN.date())
THRESHOLD, AMOUNT = 2 * HEARD - 100, 3 * TOKEN


@contextmanager
def back_then() -> Iterator[None]:
    """The clock of the two routes that what happened then is told to; all else goes on with the real one."""

    class Then(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Any:
            return THEN

    with pytest.MonkeyPatch.context() as clock:
        for route in (activity, zk):
            clock.setattr(route, "datetime", Then)
        yield


@dataclass(frozen=True, slots=True)
class Listener:
    """Somebody's own machine: it keeps the secret, and proves for whatever account it likes."""

    prover: Prover
    secret: Secret

    def invented(self, proof: Proof) -> Proof:
        """Of a tree that nobody has committed to."""
        tree = self.prover.commit(proof.scope, [Record(self.secret.member, proof.threshold)])
        claim = Claim(self.secret.secret, proof.threshold, proof.threshold, proof.recipient)
        return self.prover.prove(self.prover.witness(tree, claim))

    async def proof(self, client: httpx.AsyncClient, user: str, recipient: str, threshold: int = THRESHOLD) -> Proof:
        """Made of what the API tells to everybody, and of what it tells to this user alone."""
        tree = Commitment.from_dict((await client.get(f"/periods/{WEEK}/tree")).json())
        own = (await client.get(f"/users/{user}/listening-periods/{WEEK}")).json()
        claim = Claim(self.secret.secret, own["seconds"], threshold, recipient)
        return await asyncio.to_thread(lambda: self.prover.prove(self.prover.witness(tree, claim)))


async def bring(relay: httpx.AsyncClient, proof: Proof, to: str, period: int = WEEK) -> tuple[int, str]:
    """Status and claim, or reason."""
    answer = await relay.post("/claims/zk", json={"period": period, "recipient": to, "proof": proof.to_dict()})
    body = answer.json()
    return answer.status_code, body.get("claim_id") or str(body["type"]).removeprefix("urn:annals:problem:")


async def test_a_listener_is_paid_for_a_proof_once_and_whatever_is_changed_in_it_is_refused_here_and_by_the_vault(
    chain_of_claims: Place, database: str, kafka: str, annals_prover: Path
) -> None:
    town, prover = chain_of_claims, Prover(annals_prover)
    vault, wallet, thief = RewardVault(town.at.vault), Key.random().address, Key.random().address
    ada = Listener(prover, prover.secret())
    async with (
        serving(rewards.app.create, database, kafka, prover=annals_prover, **town.rewards_settings) as service,
        service.client("player", "service") as player,
        service.client("ada", "user") as ada_s_client,
        service.client("olga", "officer") as olga,
        service.client("relay", "user") as relay,
        NodeClient(town.url) as node,
    ):
        with back_then():
            for user, secret in [("ada", ada.secret), ("bob", prover.secret())]:
                body, key = {"member": f"{secret.member:064x}"}, {"idempotency-key": user}
                registered = await player.post(f"/users/{user}/members", json=body, headers=key)
                assert registered.json()["events"] == 2, registered.text
                await listens(player, user, 2, THEN)

        deadline = int((datetime.now(UTC) + timedelta(hours=1)).timestamp())
        terms = {"threshold": THRESHOLD, "amount": str(AMOUNT), "deadline": deadline}
        committed = await olga.post(f"/periods/{WEEK}/commitment", json=terms, headers={"idempotency-key": "week"})
        assert committed.json()["members"] == 2, committed.text
        await eventually(status(olga, f"/periods/{WEEK}", "opened"))
        await eventually(recorded(service.pool, "PoolConfigured"))
        await eventually(recorded(service.pool, "PoolFunded"))

        proof = await ada.proof(ada_s_client, "ada", wallet)
        less = await ada.proof(ada_s_client, "ada", wallet, THRESHOLD - 1)
        stolen = await ada.proof(ada_s_client, "ada", thief)
        richer = await asyncio.to_thread(ada.invented, proof)

        def claim(changed: Proof, period: int = WEEK) -> Call:
            return vault.claim_listening(period, changed.claim_id, changed.recipient, changed.points)

        async def refused(changed: Proof, reason: str, error: str, *, to: str = wallet, period: int = WEEK) -> None:
            assert (await bring(relay, changed, to, period))[1] == reason
            with pytest.raises(CallReverted, match=error):
                await Sender(node).dry_run(claim(changed, period), thief)

        first, *rest = proof.points
        await refused(replace(proof, recipient=thief), "proof-invalid", "ProofInvalid", to=thief)
        await refused(replace(proof, points=stolen.points), "proof-invalid", "ProofInvalid")
        await refused(replace(proof, nullifier=proof.nullifier ^ 1), "proof-invalid", "ProofInvalid")
        await refused(replace(proof, nullifier=proof.nullifier + FIELD), "not-in-field", "PublicInputNotInField")
        await refused(replace(proof, points=(first ^ 1, *rest)), "malformed-points", "ProofInvalid")
        await refused(replace(proof, points=(2**256 - 1, *rest)), "malformed-points", "ProofInvalid")
        await refused(less, "below-threshold", "ProofInvalid")
        await refused(proof, "period-not-open", "PeriodNotOpened", period=WEEK - 1)
        await refused(richer, "wrong-commitment", "ProofInvalid")
        assert await bring(relay, stolen, wallet) == (422, "wrong-recipient")

        # The vault pays in a block that is given up, and once in the end.
        town.control("block-time", seconds=None)
        assert await bring(relay, proof, wallet) == (200, proof.claim_id)
        is_paid = status(relay, f"/claims/{proof.claim_id}", "paid")
        await town.reorganises(operation_of(proof.claim_id), is_paid)
        town.control("block-time", seconds=0.1)
        await eventually(is_paid)
        await eventually(recorded(service.pool, "ClaimSettled"))
        assert (await town.holds(wallet), await town.holds(thief)) == (AMOUNT, 0)

        # Again, for whatever account, it is the same nullifier.
        await refused(proof, "already-claimed", "ClaimAlreadyPaid")
        await refused(stolen, "already-claimed", "ClaimAlreadyPaid", to=thief)

        await service.shown()
        story = (await relay.get(f"/claims/{proof.claim_id}")).json()
        assert [step["step"] for step in story["steps"]][:2] == ["reserved", "proven"]
        assert (story["user"], story["claimant"], story["amount"]) == (None, wallet, str(AMOUNT))
        assert (await node.transaction_info(story["tx_id"])).block_number == story["block_number"]
        (budget,) = (await relay.get("/pools/listening/budgets")).json()["items"]
        assert (budget["paid"], budget["reserved"]) == (str(AMOUNT), "0")
        (pool,) = (await relay.get("/pools")).json()
        assert int(pool["balance"]) == 100 * TOKEN - AMOUNT
