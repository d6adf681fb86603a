"""The books hold for any history of splits, payments, sales and withdrawals, in any order that topics allow."""

from __future__ import annotations

from collections import Counter
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from royalties_chain import Chain, Keyed
from royalties_world import World

from contracts.chain import PaymentKind
from contracts.testing import address
from contracts.values import UINT256_MAX
from royalties.domain import SplitDifferenceFound

PEOPLE = [address(n) for n in range(8)]
amounts = st.one_of(st.integers(1, 20), st.integers(1, 10**17))


class Books(World):
    """What the messages of the chain lead to, all of it in TRX."""

    def balances(self) -> Counter[str]:  # type: ignore[override]  # one asset needs no name
        return Counter({account: amount for (account, _), amount in super().balances().items()})


def of_class(balances: Counter[str], account_class: str) -> int:
    return sum(amount for account, amount in balances.items() if account.partition(":")[0] == account_class)


def shuffled(chain: Chain, random: Random) -> list[Keyed]:
    """The messages in an order that keeps only that of each key."""
    queues = [list(reversed(queue)) for queue in chain.by_key().values()]
    mixed = []
    while queues:
        queue = random.choice(queues)
        mixed.append(queue.pop())
        if not queue:
            queues.remove(queue)
    return mixed


@st.composite
def histories(draw: st.DrawFn) -> Chain:
    chain = Chain(draw(st.one_of(st.sampled_from([0, 500, 3_000]), st.integers(0, 3_000))))
    for _ in range(draw(st.integers(1, 2))):
        chain.release(draw(st.sampled_from(PEOPLE)), draw(st.integers(0, 5_000)))
    steps = ("split", "pay", "pay", "buy", "buy", "resell", "give", "earnings", "proceeds", "fee", "control")
    for step in draw(st.lists(st.sampled_from(steps), min_size=1, max_size=25)):
        track = draw(st.sampled_from(sorted(chain.tracks)))
        person = draw(st.sampled_from(PEOPLE))
        match step:
            case "split":
                count = draw(st.integers(2, 8))
                cut = st.lists(st.integers(1, 10**6 - 1), min_size=count - 1, max_size=count - 1, unique=True)
                cuts = sorted(draw(cut))
                shares = [high - low for low, high in zip([0, *cuts], [*cuts, 10**6], strict=True)]
                chain.configure(track, draw(st.permutations(PEOPLE))[:count], shares)
            case "pay":
                chain.pay(track, draw(amounts), draw(st.sampled_from(PaymentKind)))
            case "buy":
                chain.buy_edition(track, person, draw(amounts))
            case "resell" | "give" if chain.owners:
                token = draw(st.sampled_from(sorted(chain.owners)))
                if step == "give":
                    chain.give_away(token, person)
                elif chain.owners[token] != person:
                    chain.resell(token, person, draw(amounts))
            case "earnings":
                chain.withdraw_earnings(person)
            case "proceeds":
                chain.withdraw_proceeds(person)
            case "fee":
                chain.set_fee(draw(st.integers(0, 3_000)))
            case "control":
                chain.hand_over(track, person)
            case _:
                pass  # there is no token yet
    return chain


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(chain=histories(), random=st.randoms(use_true_random=False))
def test_the_books_balance_and_equal_what_the_contracts_owe(chain: Chain, random: Random) -> None:
    books = Books()
    for key, message in shuffled(chain, random):
        books.receive(key, message)
    balances = books.balances()

    assert sum(balances.values()) == 0
    owed = Counter({account: -amount for account, amount in balances.items()})
    assert {who: owed[f"earnings:{who}"] for who in PEOPLE} == {who: chain.earnings[who] for who in PEOPLE}
    assert {who: owed[f"seller:{who}"] for who in PEOPLE} == {who: chain.proceeds[who] for who in PEOPLE}
    assert owed["platform-fee"] == chain.fees_sun
    assert of_class(owed, "carry") == chain.carry_sun
    assert balances["custody:royalty-distributor"] == chain.paid_sun - chain.withdrawn_sun
    # earnings, paid out or not, + carry + fees = payments
    assert of_class(owed, "earnings") + chain.withdrawn_sun + chain.carry_sun + chain.fees_sun == chain.paid_sun
    for track, state in chain.tracks.items():
        for version in range(state.version):  # closed
            assert owed[f"carry:{track}/{version}"] == 0
        assert 0 <= owed[f"carry:{track}/{state.version}"] < max(len(state.shares), 1)
    assert not [event for event in books.events if isinstance(event, SplitDifferenceFound)]


@settings(max_examples=30, deadline=None, derandomize=True, database=None)
@given(chain=histories(), random=st.randoms(use_true_random=False))
def test_messages_told_again_at_any_time_change_nothing(chain: Chain, random: Random) -> None:
    once, again = Books(), Books()
    for key, message in chain.messages:
        once.receive(key, message)
        again.receive(key, message)
        again.receive(key, message)
    for key, message in random.sample(chain.messages, len(chain.messages) // 2):
        again.receive(key, message)
    assert again.events == once.events


def test_the_largest_amount_there_is_loses_nothing() -> None:
    chain = Chain(fee_bps=3_000)
    track = chain.release(PEOPLE[0])
    chain.configure(track, PEOPLE[:3], (333_333, 333_333, 333_334))
    chain.pay(track, UINT256_MAX)
    books = Books()
    for key, message in chain.messages:
        books.receive(key, message)
    balances = books.balances()
    assert balances["custody:royalty-distributor"] == UINT256_MAX
    assert sum(balances.values()) == 0
