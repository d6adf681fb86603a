"""From records to money and back, on a chain: commit, open, prove, claim, paid; and what the chain refuses."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace

import pytest

from local_stack.process import blocking
from local_stack.testing import running_devnet
from tron.abi import Decoded
from tron.client import NodeClient
from tron.contract import Call
from tron.contracts import DCMXToken, ListeningVerifierV1, RewardVault
from tron.deploy import TOKEN, Deployment, Plan, Pool, deploy
from tron.errors import CallReverted
from tron.keys import Key
from tron.model import TransactionInfo
from tron.sender import Sender
from zk import Batch, Claim, Entry, Period, Proof, Prover, Reason, Record, Refused, Verifier, scope
from zk.claims import FIELD

LISTENING = 1
BUDGET, AMOUNT = 1_000 * TOKEN, 3 * TOKEN
THRESHOLD, HEARD = 3_600, 4_000
FAR = 2**40  # seconds since 1970


@dataclass(frozen=True)
class Chain:
    url: str
    keys: list[Key]
    at: Deployment

    @property
    def admin(self) -> Key:
        return self.keys[0]

    @property
    def relay(self) -> Key:
        return self.keys[1]

    @property
    def vault(self) -> RewardVault:
        return RewardVault(self.at.vault)


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    with running_devnet(tmp_path_factory.mktemp("devnet"), "--block-time", "0.2") as devnet:
        keys = [Key.from_hex(one) for one in devnet.private_keys()]
        yield Chain(devnet.url, keys, blocking(_deploy(devnet.url, keys[0])))


async def _deploy(url: str, admin: Key) -> Deployment:
    async with NodeClient(url) as client:
        return await deploy(client, admin, Plan(pools={LISTENING: Pool(BUDGET, 10 * TOKEN)}))


@pytest.fixture
async def sender(chain: Chain) -> AsyncIterator[Sender]:
    async with NodeClient(chain.url) as client:
        yield Sender(client)


def claim_of(vault: RewardVault, period: int, proof: Proof) -> Call:
    return vault.claim_listening(period, proof.claim_id, proof.recipient, proof.points)


def events(info: TransactionInfo, chain: Chain) -> dict[str, dict[str, object]]:
    abis = {chain.at.vault: RewardVault.artifact().abi, chain.at.token: DCMXToken.artifact().abi}
    found = [abis[log.address].decode_event(log.topics, log.data) for log in info.logs]
    return {event.name: dict(event.args) for event in found if isinstance(event, Decoded)}


async def test_a_listener_is_paid_for_a_proof_and_every_tampering_is_refused_on_the_chain_and_off_it(
    chain: Chain, sender: Sender, prover: Prover
) -> None:
    vault, recipient, thief = chain.vault, Key.random().address, chain.keys[7].address
    number = 202_645
    where = scope(vault.address, chain.at.chain_id, number)
    assert await sender.read(vault.period_scope(number)) == where

    # The platform commits to what it knows, and opens the period.
    listener = prover.secret()
    commitment = prover.commit(where, [Record(7, 9_000), Record(listener.member, HEARD), Record(8, 9_000)])
    opened = await sender.execute(vault.open_period(number, commitment.commitment, THRESHOLD, AMOUNT, FAR), chain.admin)
    assert events(opened, chain)["PeriodOpened"] == {
        "period": number,
        "commitment": commitment.commitment,
        "threshold": THRESHOLD,
        "amount": AMOUNT,
        "deadline": FAR,
        "verifier": chain.at.listening_verifier,
    }

    # The listener proves, on a machine of its own.
    proof = prover.prove(prover.witness(commitment, Claim(listener.secret, HEARD, THRESHOLD, recipient)))
    easy = prover.prove(prover.witness(commitment, Claim(listener.secret, HEARD, THRESHOLD - 1, recipient)))
    period, verifier = Period(where, commitment.commitment, THRESHOLD), Verifier()

    async def refused(
        changed: Proof, off_chain: Reason, on_chain: str, *, to: str = recipient, at: int = number
    ) -> None:
        with pytest.raises(Refused) as off:
            verifier.check(
                changed, replace(period, scope=scope(vault.address, chain.at.chain_id, at)), to, claimed=False
            )
        assert off.value.reason is off_chain
        with pytest.raises(CallReverted, match=on_chain):
            await sender.dry_run(claim_of(vault, at, changed), chain.relay.address)

    a, mirrored = proof.points[0], proof.points[6]
    await refused(replace(proof, recipient=thief), Reason.PROOF_INVALID, "ProofInvalid", to=thief)
    await refused(replace(proof, nullifier=proof.nullifier ^ 1), Reason.PROOF_INVALID, "ProofInvalid")
    await refused(replace(proof, nullifier=proof.nullifier + FIELD), Reason.NOT_IN_FIELD, "PublicInputNotInField")
    await refused(replace(proof, points=(a ^ 1, *proof.points[1:])), Reason.MALFORMED_POINTS, "ProofInvalid")
    await refused(replace(proof, points=(2**256 - 1, *proof.points[1:])), Reason.MALFORMED_POINTS, "ProofInvalid")
    await refused(replace(proof, points=(*proof.points[:6], mirrored, 0)), Reason.MALFORMED_POINTS, "ProofInvalid")
    await refused(easy, Reason.BELOW_THRESHOLD, "ProofInvalid")
    await refused(proof, Reason.WRONG_PERIOD, "PeriodNotOpened", at=number + 1)
    other = prover.commit(scope(vault.address, chain.at.chain_id, number + 2), [Record(7, 9_000)])
    await sender.execute(vault.open_period(number + 2, other.commitment, THRESHOLD, AMOUNT, FAR), chain.admin)
    await refused(proof, Reason.WRONG_PERIOD, "ProofInvalid", at=number + 2)

    # Anybody brings it; the vault pays whom the proof names.
    verifier.check(proof, period, recipient, claimed=False)
    paid = await sender.execute(claim_of(vault, number, proof), chain.relay)
    told = events(paid, chain)
    assert told["RewardClaimed"] | {"day": 0} == {
        "claimId": proof.claim_id,
        "pool": LISTENING,
        "claimant": recipient,
        "amount": AMOUNT,
        "day": 0,
    }
    assert await sender.read(DCMXToken(chain.at.token).balance_of(recipient)) == AMOUNT
    assert (await sender.read(vault.pools(LISTENING)))["budget"] == BUDGET - AMOUNT
    assert paid.energy_used < 350_000

    # Once, whoever is to be paid, and with whatever proof: the nullifier is the same.
    with pytest.raises(CallReverted, match="ClaimAlreadyPaid"):
        await sender.dry_run(claim_of(vault, number, proof), chain.relay.address)
    again = prover.prove(prover.witness(commitment, Claim(listener.secret, HEARD, THRESHOLD, thief)))
    with pytest.raises(CallReverted, match="ClaimAlreadyPaid"):
        await sender.dry_run(claim_of(vault, number, again), chain.relay.address)
    with pytest.raises(Refused, match="already-claimed"):
        verifier.check(again, period, thief, claimed=True)

    # What the library runs is what stands on the chain.
    inputs = ListeningVerifierV1(chain.at.listening_verifier).verify_proof(proof.points, proof.inputs)
    await sender.read(inputs)


async def test_a_batch_is_paid_entry_by_entry(chain: Chain, sender: Sender) -> None:
    vault = chain.vault
    accounts = [Key.random().address for _ in range(5)]
    batch = Batch([Entry(account, TOKEN + index) for index, account in enumerate(accounts)])
    before = (await sender.read(vault.pools(LISTENING)))["budget"]
    await sender.execute(vault.open_batch(1, LISTENING, batch.root, batch.total, FAR), chain.admin)
    assert (await sender.read(vault.pools(LISTENING)))["budget"] == before - batch.total
    pay = vault.pay_batch(1, 3, accounts[3], TOKEN + 3, batch.proof(3))
    info = await sender.execute(pay, chain.relay)
    assert events(info, chain)["BatchPaid"] == {"batch": 1, "index": 3, "account": accounts[3], "amount": TOKEN + 3}
    assert await sender.read(DCMXToken(chain.at.token).balance_of(accounts[3])) == TOKEN + 3
    with pytest.raises(CallReverted, match="BatchEntryAlreadyPaid"):
        await sender.dry_run(pay, chain.relay.address)
    with pytest.raises(CallReverted, match="NotInBatch"):
        await sender.dry_run(vault.pay_batch(1, 2, accounts[2], TOKEN + 3, batch.proof(2)), chain.relay.address)
