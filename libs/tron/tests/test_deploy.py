"""Deployments on a devnet: killed at every step, resumed, verified, priced."""

from __future__ import annotations

import asyncio
import itertools
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest

from local_stack.process import blocking
from local_stack.testing import Devnet, running_devnet
from tron.address import ZERO
from tron.client import NodeClient
from tron.contract import artifact
from tron.contracts import DCMXToken, MusicNFT, RewardVault
from tron.cost import cost
from tron.deploy import TOKEN, Deployment, Plan, Pool, deploy, resumed, role
from tron.errors import CallReverted
from tron.journal import Journal, JournalError
from tron.keys import Key
from tron.model import Transaction
from tron.plan import stages
from tron.sender import Sender
from tron.transaction import Signed
from tron.verify import Verdict, code_at, difference, immutables, verify, without_metadata

pytestmark = pytest.mark.endurance

PROGRAM = Path(__file__).parent / "killed_deployment.py"
ONE_POOL = Plan(pools={1: Pool(1_000 * TOKEN, 10 * TOKEN)})
STEPS = 14


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Devnet]:
    """A devnet with a block every 0.05 s."""
    with running_devnet(tmp_path_factory.mktemp("devnet"), "--block-time", "0.05") as devnet:
        yield devnet


@pytest.fixture(scope="module")
def url(network: Devnet) -> str:
    return network.url


@pytest.fixture(scope="module")
def keys(network: Devnet) -> Iterator[Key]:
    """Rich accounts, one for each test: what an account has sent is then what the test has sent."""
    return iter([Key.from_hex(one) for one in network.private_keys()])


@pytest.fixture
def admin(keys: Iterator[Key]) -> Key:
    return next(keys)


@pytest.fixture
async def client(url: str) -> AsyncIterator[NodeClient]:
    async with NodeClient(url, prove=True) as client:
        yield client


@pytest.fixture(scope="module")
def deployed(url: str, keys: Iterator[Key]) -> Deployment:
    """A deployment for tests that only look at it."""

    async def run() -> Deployment:
        async with NodeClient(url) as client:
            return await deploy(client, next(keys), ONE_POOL)

    return blocking(run())


async def sent_by(client: NodeClient, owner: str) -> list[Transaction]:
    """Every transaction of an account, from the blocks."""
    blocks = await client.blocks(0, (await client.head()).number, solid=False)
    return [transaction for block in blocks for transaction in block.transactions if transaction.owner == owner]


def names(deployment: Deployment) -> dict[str, str]:
    return {contract.NAME: contract.address for contract in deployment.contracts()}


# -- killed and resumed ----------------------------------------------------------------------------------------------


async def test_killed_in_every_state_of_every_step_a_deployment_does_nothing_twice(
    url: str, client: NodeClient, admin: Key, tmp_path: Path
) -> None:
    journal = tmp_path / "journal"
    ran = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, PROGRAM, url, journal, admin.secret.hex()],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert 2 * STEPS <= int(ran.stdout) <= 3 * STEPS  # signed; sent, unless another step died meanwhile; included
    sent = await sent_by(client, admin.address)
    assert len(sent) == len({(one.contract_address, one.data) for one in sent}) == STEPS
    assert [one.kind for one in sent].count("CreateSmartContract") == 6
    with Journal.open(journal) as reopened:
        again = await deploy(client, admin, ONE_POOL, journal=reopened)
        assert [record["record"] for record in reopened.records].count("signed") == STEPS
    created = {one.contract_address for one in sent if one.kind == "CreateSmartContract"}
    assert created == {*names(again).values(), again.listening_verifier}
    assert len(await sent_by(client, admin.address)) == STEPS
    assert all(verdict.ok for verdict in await verify(client, names(again)))


class Interrupted(Exception):
    """Stands for what ends a process."""


class Interruption(Journal):
    """A journal whose process ends with the n-th record: before what it announces, and after it was written."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self.after = after

    def write(self, **record: Any) -> None:
        super().write(**record)
        if len(self.records) == self.after:
            raise Interrupted


async def test_what_was_signed_and_never_sent_is_signed_anew_once_it_is_proven_to_be_in_no_block(
    client: NodeClient, admin: Key
) -> None:
    journal = Interruption(after=2)  # the header, and a step as signed
    with pytest.raises(Interrupted):
        await deploy(client, admin, ONE_POOL, journal=journal, expiry=1.0)
    lost = [record["record"] for record in journal.records].count("signed")
    await asyncio.sleep(1.0)
    at = await deploy(client, admin, ONE_POOL, journal=journal)
    kinds = [record["record"] for record in journal.records]
    assert (kinds.count("dead"), kinds.count("signed"), kinds.count("included")) == (lost, STEPS + lost, STEPS)
    assert len(await sent_by(client, admin.address)) == STEPS
    assert await Sender(client).read(RewardVault(at.vault).token()) == at.token


async def test_what_was_included_and_not_written_down_is_found_long_after_it_has_expired(
    client: NodeClient, admin: Key
) -> None:
    journal = Journal()
    at = await deploy(client, admin, ONE_POOL, journal=journal, expiry=2.0)
    journal.records = [record for record in journal.records if record["record"] != "included"]
    await asyncio.sleep(2.0)
    assert await deploy(client, admin, ONE_POOL, journal=journal) == at
    assert len(await sent_by(client, admin.address)) == STEPS


async def test_a_failed_step_can_be_repeated_by_another_transaction(
    client: NodeClient, admin: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign = Sender.sign

    async def stingy(sender: Sender, payload: Any, key: Key, fee_limit_sun: int | None = None) -> Any:
        return await sign(sender, payload, key, 1_000_000 if payload.signature.startswith("fundPool") else None)

    monkeypatch.setattr(Sender, "sign", stingy)
    journal = Journal()
    with pytest.raises(Exception, match="OUT_OF_ENERGY"):
        await deploy(client, admin, ONE_POOL, journal=journal)
    monkeypatch.undo()
    at = await deploy(client, admin, ONE_POOL, journal=journal)
    kinds = [record["record"] for record in journal.records]
    assert (kinds.count("failed"), kinds.count("included")) == (1, STEPS)
    with pytest.raises(CallReverted, match="ERC20InsufficientAllowance"):  # an error of the token, inside the vault
        await Sender(client).dry_run(RewardVault(at.vault).fund_pool(1, 1), admin.address)
    pool = await Sender(client).read(RewardVault(at.vault).pools(1))
    assert pool["budget"] == 1_000 * TOKEN


async def test_reorganisations_that_lose_its_transactions_lose_nothing_of_a_deployment_that_waits_for_solid_blocks(
    url: str, client: NodeClient, admin: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    broadcast, handed_over = Sender.broadcast, list[str]()

    async def counting(sender: Sender, signed: Signed) -> Any:
        handed_over.append(signed.tx_id)
        return await broadcast(sender, signed)

    monkeypatch.setattr(Sender, "broadcast", counting)

    async def reorganise() -> None:
        async with httpx.AsyncClient(base_url=url) as http:
            for number in itertools.count(1):
                await asyncio.sleep(0.4)
                (await http.post("/devnet/reorg", json={"depth": 10, "transactions": "drop"})).raise_for_status()
                if number >= 5 and len(handed_over) > len(set(handed_over)):
                    return

    reorganising = asyncio.create_task(reorganise())
    journal = Journal()
    at = await deploy(client, admin, ONE_POOL, journal=journal, solid=True)
    await asyncio.wait_for(reorganising, 240)
    assert len(handed_over) > len(set(handed_over)) == STEPS  # some were lost, and sent again
    sent = await sent_by(client, admin.address)
    assert len(sent) == len({(one.contract_address, one.data) for one in sent}) == STEPS
    assert all(verdict.ok for verdict in await verify(client, names(at)))
    assert [record["record"] for record in journal.records].count("signed") == STEPS
    block = {record["step"]: record["block"] for record in journal.records if record["record"] == "included"}
    for earlier, later in pairwise(stages(ONE_POOL, admin.address)):
        assert max(block[step.name] for step in earlier) + 18 <= min(block[step.name] for step in later)


# -- the journal -----------------------------------------------------------------------------------------------------


async def test_a_journal_is_of_one_plan_one_deployer_and_one_chain(client: NodeClient, admin: Key) -> None:
    journal = Interruption(after=2)
    with pytest.raises(Interrupted):
        await deploy(client, admin, ONE_POOL, journal=journal)
    other = Plan(pools=ONE_POOL.pools, fee_bps=300)
    with pytest.raises(JournalError, match=r"another deployment: plan\.fee_bps: expected 250, got 300"):
        await deploy(client, admin, other, journal=journal)
    with pytest.raises(JournalError, match="another deployment: owner: expected"):
        await deploy(client, Key.random(), ONE_POOL, journal=journal)
    included = {"record": "included", "step": journal.records[1]["step"], "tx_id": "ab" * 32, "block": 7, "fee_sun": 1}
    journal.records.append(included)
    with pytest.raises(JournalError, match="is in block 7, but the node has no transaction abab"):
        await deploy(client, admin, ONE_POOL, journal=journal)


def test_a_record_that_a_kill_cut_off_is_forgotten_and_two_processes_cannot_write_one_journal(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with Journal.open(path) as journal:
        journal.write(record="dead", step="one")
        with pytest.raises(JournalError, match="another process is deploying"), Journal.open(path):
            pass
    with path.open("ab") as file:
        file.write(b'{"record":"sig')
    with Journal.open(path) as journal:
        assert journal.records == [{"record": "dead", "step": "one"}]
        journal.write(record="dead", step="two")
    with Journal.open(path) as journal:
        assert [record["step"] for record in journal.records] == ["one", "two"]
    path.write_text("nothing\n")
    with pytest.raises(JournalError, match="not a journal"), Journal.open(path):
        pass
    assert path.stat().st_mode & 0o777 == 0o600


# -- verified --------------------------------------------------------------------------------------------------------


async def test_the_code_on_the_chain_is_the_compiled_one_with_every_immutable_in_its_place(
    client: NodeClient, deployed: Deployment
) -> None:
    verdicts = await verify(client, names(deployed))
    assert {verdict.contract: verdict.problem for verdict in verdicts} == dict.fromkeys(names(deployed))
    vault = immutables("RewardVault", deployed.vault, names(deployed), deployed.chain_id)
    assert vault.keys() == artifact("RewardVault").immutables.keys()


async def test_code_that_differs_is_named_with_the_contract_and_the_place(
    client: NodeClient, deployed: Deployment
) -> None:
    at = names(deployed)
    swapped = {**at, "DCMXToken": at["ComplianceRegistry"], "MusicNFT": ZERO}
    problems = {verdict.contract: verdict.problem for verdict in await verify(client, swapped) if not verdict.ok}
    place = artifact("RewardVault").immutables["token"][0]
    assert problems == {
        "DCMXToken": "expected 4394 bytes of code, found 5750",
        "MusicNFT": "no contract is there",
        "RewardVault": f"immutable token at byte {place}: expected {at['ComplianceRegistry']}, found {at['DCMXToken']}",
    }


async def test_one_changed_byte_is_found_and_metadata_of_another_build_is_no_difference(
    client: NodeClient, deployed: Deployment
) -> None:
    code, compiled = await code_at(client, deployed.token), artifact("DCMXToken")
    assert difference(compiled, code, {}) is None
    metadata = b"\xa1\x64solc\x43\x00\x08\x25"
    assert difference(compiled, code + metadata + len(metadata).to_bytes(2, "big"), {}) is None
    assert without_metadata(code) == code
    changed = bytearray(code)
    changed[100] ^= 1
    assert str(difference(compiled, bytes(changed), {})).startswith("code differs from byte 100 on: expected ")
    cap = bytearray(code)
    cap[compiled.immutables["_cap"][1] + 31] ^= 1
    assert str(difference(compiled, bytes(cap), {})).startswith("immutable _cap at byte 3480: expected ")


async def test_a_registrar_that_was_not_granted_and_a_verifier_that_was_not_set_are_problems(
    client: NodeClient, deployed: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = client.request

    async def denying(path: str, body: Any, **how: Any) -> Any:
        answer = await request(path, body, **how)
        return {**answer, "constant_result": ["0" * 64]} if path == "wallet/triggerconstantcontract" else answer

    monkeypatch.setattr(client, "request", denying)
    problem = f"REGISTRAR_ROLE is not granted to MusicNFT ({deployed.nft})"
    wrong = [verdict for verdict in await verify(client, names(deployed)) if not verdict.ok]
    assert wrong == [
        Verdict("RoyaltyDistributor", deployed.distributor, problem),
        Verdict("RewardVault", deployed.vault, f"listening verifier {ZERO}: no contract is there"),
    ]


# -- priced, and handed over -----------------------------------------------------------------------------------------


async def test_the_cost_is_known_before_and_is_no_less_than_what_is_paid(client: NodeClient, admin: Key) -> None:
    journal = Journal()
    before = await cost(client, admin.address, ONE_POOL, await resumed(client, admin.address, ONE_POOL, journal))
    assert (before.steps, before.staked_energy, before.affordable) == (STEPS, 0, True)
    assert before.warnings == ("the deployer's key alone will administer the contracts",)
    at = await deploy(client, admin, ONE_POOL, journal=journal)
    assert at.fee_sun <= before.fee_sun <= at.fee_sun * 1.15
    after = await cost(client, admin.address, ONE_POOL, await resumed(client, admin.address, ONE_POOL, journal))
    assert (after.steps, after.fee_sun) == (0, 0)


async def test_administration_is_handed_over_and_the_deployer_keeps_nothing(client: NodeClient, admin: Key) -> None:
    council, verifier = Key.random().address, Key.random().address
    plan = Plan(pools=ONE_POOL.pools, administrator=council, verifier=verifier, renounce=True)
    progress = await resumed(client, admin.address, plan, Journal())
    expected = await cost(client, admin.address, plan, progress)
    assert expected.warnings == (f"the administrator {council} is no account on this chain yet",)
    at = await deploy(client, admin, plan)
    sender = Sender(client)
    for contract in at.contracts():
        for name in ("DEFAULT_ADMIN_ROLE", "PAUSER_ROLE"):
            holders = [
                account
                for account in (council, admin.address)
                if await sender.read(contract.has_role(role(name), account))  # type: ignore[attr-defined]  # all have it
            ]
            assert holders == [council], f"{contract} {name}"
    assert await sender.read(DCMXToken(at.token).balance_of(admin.address)) == 0
    assert await sender.read(DCMXToken(at.token).balance_of(council)) == plan.initial_supply - 1_000 * TOKEN
    with pytest.raises(CallReverted, match="AccessControlUnauthorizedAccount"):
        await sender.dry_run(MusicNFT(at.nft).pause(), admin.address)
    await sender.dry_run(MusicNFT(at.nft).pause(), council)
    assert at.fee_sun <= expected.fee_sun


@pytest.mark.parametrize(("threshold", "warned"), [(2, False), (1, True)])
async def test_an_administrator_that_one_key_can_act_for_is_warned_of(
    client: NodeClient,
    admin: Key,
    recorded: Callable[[str], Any],
    monkeypatch: pytest.MonkeyPatch,
    threshold: int,
    warned: bool,
) -> None:
    council = recorded("271")  # two keys of weight 1
    council["owner_permission"]["threshold"] = threshold
    plan = Plan(pools=ONE_POOL.pools, administrator=council["address"], verifier=admin.address)
    request = client.request

    async def knowing(path: str, body: Any, **how: Any) -> Any:
        asked = path == "wallet/getaccount" and body["address"] == council["address"]
        return council if asked else await request(path, body, **how)

    monkeypatch.setattr(client, "request", knowing)
    price = await cost(client, admin.address, plan, await resumed(client, admin.address, plan, Journal()))
    warning = f"the administrator {council['address']} is no multi-signature account: one key is enough"
    assert price.warnings == ((warning,) if warned else ())


async def test_the_main_network_is_refused_unless_it_is_accepted(
    client: NodeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main(_: NodeClient) -> int:
        return 728_126_428

    monkeypatch.setattr(NodeClient, "chain_id", main)
    with pytest.raises(ValueError, match="unaudited"):
        await deploy(client, Key.random())
