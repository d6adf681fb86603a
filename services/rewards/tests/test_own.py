"""People see what was claimed and paid under their ids and under the wallets that they have proven, and no more."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from contracts import Message
from contracts.compliance import WalletLinked, WalletUnlinked
from contracts.testing import address, hash_of
from eventlog import EventLog, EventTypes, Executor, Intent
from messaging.testing import eventually, send
from privacy import SubjectErased, erasure, erasure_stream
from projections.testing import rebuilt_alike
from rewards import domain
from service import WalletOwners
from service.testing import Running

sys.path.append(str(Path(__file__).parent))

from claims_stage import DCMX, ask, earned, opened, told_paid, wish

WALLET, ANOTHER = address(5), address(6)


@pytest.fixture
def rewards(paying: Running) -> Running:
    return paying


def linked(subject: str, wallet: str = WALLET) -> tuple[str, Message]:
    return f"wallet/{wallet}", WalletLinked(address=wallet, subject=subject, linked_at=datetime.now(UTC))


async def owned_by(rewards: Running, kafka: str, subject: str | None, told: tuple[str, Message]) -> None:
    """Compliance tells of the wallet, and the read model shows it."""
    await send(kafka, told, told)
    owner = "SELECT subject FROM wallet_owners_v1.wallet_owners WHERE address = $1"

    async def known() -> bool:
        return bool(await rewards.pool.fetchval(owner, WALLET) == subject)

    await eventually(known)


async def test_a_wallet_shows_what_it_was_paid_to_whoever_has_proven_it(rewards: Running, kafka: str) -> None:
    await send(kafka, told_paid(hash_of("foreign"), DCMX, to=5), linked("eve", ANOTHER))
    async with rewards.client("ada", "user") as ada, rewards.client("bob", "user") as bob:

        async def statuses() -> list[int]:
            """What Ada and Bob are answered about the wallet."""
            paths = (f"/claims?subject={WALLET}", f"/totals/{WALLET}")
            return [(await client.get(path)).status_code for client in (ada, bob) for path in paths]

        assert await statuses() == [403] * 4
        await owned_by(rewards, kafka, "ada", linked("ada"))
        assert await statuses() == [200, 200, 403, 403]
        await rewards.shown()
        [claim] = (await ada.get("/claims", params={"subject": WALLET})).json()["items"]
        assert (claim["claimant"], claim["status"]) == (WALLET, "paid")
        [total] = (await ada.get(f"/totals/{WALLET}")).json()
        assert total["paid"] == str(DCMX)
        assert (await bob.get(f"/claims/{hash_of('foreign')}")).status_code == 200, "the chain shows it to everybody"

        await owned_by(rewards, kafka, "bob", linked("bob"))
        assert await statuses() == [403, 403, 200, 200]
        given_up = WalletUnlinked(address=WALLET, subject="bob")
        await owned_by(rewards, kafka, None, (f"wallet/{WALLET}", given_up))
        assert await statuses() == [403] * 4

        await owned_by(rewards, kafka, "ada", linked("ada"))
        log = EventLog(rewards.pool, EventTypes(domain.EVENTS))
        gone = SubjectErased("request", WALLET, datetime.now(UTC))
        await Executor(log).execute([Intent(erasure_stream("request", WALLET), erasure, gone, gone.ordered_at)])
        await rewards.shown()
        assert await statuses() == [403] * 4, "nobody's any more"
    recorded = "SELECT count(*) FROM events WHERE stream = $1"
    assert await rewards.pool.fetchval(recorded, f"wallet-owner/{WALLET}") == 4, "each is recorded once"
    await rebuilt_alike(log, [WalletOwners()])


async def test_claims_and_totals_are_their_users_and_of_the_staff_with_a_purpose(rewards: Running) -> None:
    await earned(rewards.pool, ["ada"], 5 * DCMX)
    await opened(rewards.pool, 100 * DCMX)
    async with rewards.client("ada", "user") as ada, rewards.client("bob", "user") as bob:
        made = (await ask(ada, wish("ada", DCMX))).json()
        after, path = {"annals-after": made["token"]}, f"/claims/{made['claim_id']}"
        assert (await ada.get(path, headers=after)).json()["user"] == "ada"
        [claim] = (await ada.get("/claims", params={"subject": "ada"})).json()["items"]
        assert claim["claim_id"] == made["claim_id"]
        assert (await bob.get(path)).status_code == 404, "as if it were not there"
        for hidden in ("/claims", "/claims?subject=ada", "/totals/ada"):
            assert (await bob.get(hidden)).status_code == 403, hidden
    async with rewards.client("aud", "auditor") as auditor:
        assert (await auditor.get(path)).json()["claim_id"] == made["claim_id"]
        read = "SELECT data->>'subject' FROM events WHERE type = 'PersonalDataRead'"
        assert await rewards.pool.fetchval(read) == "ada"
