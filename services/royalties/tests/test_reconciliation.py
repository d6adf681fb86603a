"""The books as of a block, what a comparison with the contracts leaves in the log, and what is shown of it."""

from __future__ import annotations

from typing import Any

from royalties_chain import PEOPLE, Chain, busy_chain

from royalties.domain.reconciliation import (
    Compared,
    DifferenceFound,
    DifferenceSettled,
    ReconciliationDone,
    RecordReconciliation,
    reconciliation,
)
from royalties.reconciliation.books import Books, addresses, entries, read_books

ADA, BOB = f"earnings:{PEOPLE[0]}", f"seller:{PEOPLE[1]}"


def different(account: str, block: int, booked: int = 10, held: int = 9) -> Compared:
    return Compared(account, block, booked, held)


class Log:
    """Decides one comparison after the other."""

    def __init__(self) -> None:
        self.events: list[Any] = []

    def compare(self, block: int, *differences: Compared) -> list[Any]:
        state = reconciliation.fold(self.events)
        made = list(reconciliation.decide(RecordReconciliation(block, 5, differences), state))
        self.events += made
        return made


def test_a_difference_is_told_once_with_the_last_block_of_agreement_and_once_more_when_it_changes_or_ends() -> None:
    log = Log()
    assert log.compare(10) == [ReconciliationDone(10, 5, 0)]
    first = different(ADA, 20)
    assert log.compare(20, first) == [DifferenceFound(first, 10, 20), ReconciliationDone(20, 5, 1)]
    moved_alike = different(ADA, 30, booked=110, held=109)
    assert log.compare(30, moved_alike) == [ReconciliationDone(30, 5, 1)]
    larger = different(ADA, 40, held=2)
    assert log.compare(40, larger) == [
        DifferenceSettled(ADA, 20, 40),
        DifferenceFound(larger, 10, 40),
        ReconciliationDone(40, 5, 1),
    ]
    assert log.compare(50) == [DifferenceSettled(ADA, 40, 50), ReconciliationDone(50, 5, 0)]
    again = different(ADA, 60)
    assert log.compare(60, again)[0] == DifferenceFound(again, 50, 60)


def test_what_differed_from_the_first_look_on_was_never_the_same() -> None:
    assert Log().compare(10, different(ADA, 10))[0] == DifferenceFound(different(ADA, 10), None, 10)


def test_a_comparison_as_of_an_earlier_block_than_the_last_adds_nothing() -> None:
    log = Log()
    log.compare(10)
    assert log.compare(10, different(ADA, 10)) == []
    assert log.compare(9) == []


async def test_the_books_as_of_any_block_are_what_the_contracts_owed_then(ledger: Any) -> None:
    told: list[tuple[int, dict[str, int]]] = []

    def note(chain: Chain) -> None:
        told.append((chain.last_block, owed(chain)))

    chain = busy_chain(steps=60, after_each=note)
    await ledger.receive(chain.messages)
    books = await read_books(ledger.log)
    for block, expected in told:
        found = {account: books.balance(account, block) for account in books.accounts}
        assert {account: amount for account, amount in found.items() if amount} == expected


def owed(chain: Chain) -> dict[str, int]:
    """What the two contracts have for each account, without those that have nothing."""
    held = {f"earnings:{who}": amount for who, amount in (chain.earnings + chain.fees).items()}
    held |= {f"seller:{who}": amount for who, amount in chain.proceeds.items()}
    held |= {f"carry:{track}": state.carry_sun for track, state in chain.tracks.items()}
    held["custody:royalty-distributor"] = chain.paid_sun - chain.withdrawn_sun
    held["custody:music-nft"] = chain.proceeds.total()
    return {account: amount for account, amount in held.items() if amount}


async def test_the_entries_of_an_account_sum_to_its_balance_and_name_their_transactions(ledger: Any) -> None:
    chain = busy_chain(steps=60)
    await ledger.receive(chain.messages)
    books = await read_books(ledger.log)
    known = {message.source.tx_id for _, message in chain.messages}  # type: ignore[attr-defined]  # chain messages
    for account in books.accounts:
        all_of_it = await entries(ledger.log, account, -1, chain.last_block)
        assert sum(entry.amount_sun for entry in all_of_it) == books.balance(account, chain.last_block)
        assert {entry.tx_id for entry in all_of_it} <= known
        middle = chain.last_block // 2
        later = await entries(ledger.log, account, middle, chain.last_block)
        assert later == [entry for entry in all_of_it if entry.block_number > middle]


async def test_fees_of_a_time_before_anything_told_who_gets_them_are_nobodys(ledger: Any) -> None:
    chain = Chain(fee_bps=1_000)
    chain.pay(chain.release(PEOPLE[0]), 1_000)
    named = [keyed for keyed in chain.messages if keyed[1].type.endswith("FeeRecipientChanged.v1")]
    await ledger.receive([keyed for keyed in chain.messages if keyed not in named])
    assert (await read_books(ledger.log)).fees_of_nobody_sun == 100
    assert len(await addresses(ledger.log)) == 2
    await ledger.receive(named)
    assert (await read_books(ledger.log)).fees_of_nobody_sun == 0


def test_books_of_nothing_still_hold_the_two_contracts_to_nothing() -> None:
    books = Books([])
    assert books.accounts == ["custody:music-nft", "custody:royalty-distributor"]
    assert books.balance("custody:music-nft", 10**9) == 0


async def test_comparisons_are_shown_newest_first_each_with_what_it_was_first_to_find(ledger: Any) -> None:
    for block, found in ((10, ()), (20, (different(ADA, 21),)), (30, (different(ADA, 31), different(BOB, 30)))):
        await ledger.compared(block, *found)
    await ledger.shown()
    page = (await ledger.client.get("/reconciliations", params={"limit": 2})).json()
    later, earlier = page["items"]
    assert (later["block_number"], later["accounts"], later["differing"]) == (30, 5, 2)
    assert [one["account"] for one in later["found"]] == [BOB]
    (ada,) = earlier["found"]
    assert (ada["booked"], ada["held"], ada["asset"], ada["scale"]) == ("10", "9", "TRX", 6)
    assert (ada["found_block"], ada["agreed_block"], ada["settled_block"]) == (21, 10, None)
    rest = (await ledger.client.get("/reconciliations", params={"limit": 2, "cursor": page["next"]})).json()
    assert [(one["block_number"], one["found"]) for one in rest["items"]] == [(10, [])]
    assert rest["next"] is None
