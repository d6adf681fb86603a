"""Who sees what a party was paid: itself, by its id or a wallet that it has proven, and the staff for a purpose."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from royalties_platform import START, agreed, post, sale

from contracts.compliance import WalletLinked, WalletUnlinked
from contracts.testing import address
from projections.testing import rebuilt_alike
from service import WalletOwners

WALLET, ANOTHER = address(5), address(6)
PATHS = [
    "/parties/{}/statement?asset=USD",
    "/parties/{}/statements",
    "/parties/{}/moves",
    "/parties/{}/distributions",
    "/artists/{}/earnings",
    "/balances/earnings:{}",
    "/accounts/earnings:{}/entries?asset=USD",
]


async def statuses(ledger: Any, party: str, subject: str, *roles: str, **more: str) -> set[int]:
    """What a caller is answered about a party, wherever its money is shown."""
    return {await ledger.status(path.format(party), subject, *roles, **more) for path in PATHS}


async def sold(ledger: Any, party: str) -> None:
    await agreed(ledger.client, "song", **{party: 1_000_000})
    await post(ledger.client, "/sales", {"sales": [sale("s-1", 100)]})
    await ledger.shown()


async def test_a_wallet_shows_its_money_to_whoever_has_proven_it(ledger: Any) -> None:
    await sold(ledger, WALLET)
    assert await statuses(ledger, WALLET, "ada", "artist") == {403}
    key = f"wallet/{WALLET}"
    linked = WalletLinked(address=WALLET, subject="ada", linked_at=datetime.now(UTC))
    await ledger.receive([(key, linked)])
    others = WalletLinked(address=ANOTHER, subject="eve", linked_at=datetime.now(UTC))
    await ledger.receive([(key, linked), (f"wallet/{ANOTHER}", others)])
    await ledger.shown()
    assert await statuses(ledger, WALLET, "ada", "artist") == {200}
    assert (await ledger.command(f"/periods/{START:%Y-%m}/close")).status_code == 200
    await ledger.shown()
    number = f"/statements/{datetime.now(UTC).year}-000001"
    for who, status in (("ada", 200), ("bob", 404), ("eve", 404)):
        assert await ledger.status(number, who, "user") == status
    assert await statuses(ledger, WALLET, "bob", "user") == {403}
    (line,) = (await ledger.get(f"/parties/{WALLET}/statement", asset="USD"))["lines"]
    why = f"/lines/{line['position']}/{line['posting']}/why"
    for who, status in (("ada", 200), ("bob", 404)):
        assert await ledger.status(why, who, "user") == status

    await ledger.receive([(key, WalletUnlinked(address=WALLET, subject="ada"))])
    await ledger.shown()
    assert await statuses(ledger, WALLET, "ada", "artist") == {403}
    assert await ledger.pool.fetchval("SELECT count(*) FROM events WHERE stream = $1", f"wallet-owner/{WALLET}") == 2
    await rebuilt_alike(ledger.log, [WalletOwners()])


async def test_the_staff_sees_a_party_for_a_purpose_that_is_put_on_record(ledger: Any) -> None:
    await sold(ledger, WALLET)
    assert await statuses(ledger, WALLET, "aud", "auditor") == {403}
    assert await statuses(ledger, WALLET, "aud", "auditor", **{"annals-purpose": "audit"}) == {200}
    reads = "SELECT data->>'route' FROM events WHERE type = 'PersonalDataRead' AND data->>'subject' = $1"
    assert len({row[0] for row in await ledger.pool.fetch(reads, WALLET)}) == len(PATHS)
    for account in ("/balances/clearing:stripe", "/accounts/clearing:stripe/entries?asset=USD"):
        assert await ledger.status(account, "ada", "user") == 200, "nobody's"
