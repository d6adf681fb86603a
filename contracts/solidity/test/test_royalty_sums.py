"""The sums of RoyaltyDistributor hold for any splits and payments, not only for chosen ones."""

from collections import Counter
from dataclasses import dataclass

from contract_evm import Evm, account, hash_of
from hypothesis import given, settings
from hypothesis import strategies as st

PPM = 1_000_000
PEOPLE = [account(f"collaborator {n}") for n in range(8)]


@dataclass(frozen=True)
class Period:
    """One version of a split and what is paid under it."""

    recipients: tuple[str, ...]
    shares: tuple[int, ...]
    payments: tuple[int, ...]


@st.composite
def periods(draw: st.DrawFn) -> Period:
    recipients = draw(st.lists(st.sampled_from(PEOPLE), min_size=2, max_size=8, unique=True))
    cuts = draw(
        st.lists(st.integers(1, PPM - 1), min_size=len(recipients) - 1, max_size=len(recipients) - 1, unique=True).map(
            sorted
        )
    )
    shares = [high - low for low, high in zip([0, *cuts], [*cuts, PPM], strict=True)]
    amounts = st.one_of(st.integers(1, 20), st.integers(1, 10**17))  # 10**17 sun: all TRX there are
    return Period(tuple(recipients), tuple(shares), tuple(draw(st.lists(amounts, max_size=6))))


def largest_remainder(total: int, period: Period) -> Counter[str]:
    """What each recipient of a closed version must have been given: computed anew, in one go."""
    due = Counter({who: total * share // PPM for who, share in zip(period.recipients, period.shares, strict=True)})
    order = sorted(
        zip(period.recipients, period.shares, strict=True), key=lambda part: (-(total * part[1] % PPM), part[0])
    )
    for who, _ in order[: total - due.total()]:
        due[who] += 1
    return due


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(
    history=st.lists(periods(), min_size=1, max_size=3),
    fee_bps=st.one_of(st.sampled_from([0, 500, 3_000]), st.integers(0, 3_000)),
)
def test_every_sun_is_accounted_for_under_any_history(history: list[Period], fee_bps: int) -> None:
    evm = Evm(fee_bps)
    artist, fan = evm.artist("artist"), evm.rich(account("fan"), 10**20)
    track = evm.nft.releaseTrack("T", "A", hash_of("t"), 1, 0, 0, sender=artist).value
    fees, paid, owed = 0, 0, Counter[str]()

    for version, period in enumerate(history, start=1):
        evm.royalties.configureSplit(track, period.recipients, period.shares, sender=artist)
        given_out, total = Counter[str](), 0
        for amount in period.payments:
            receipt = evm.royalties.pay(track, 2, sender=fan, value=amount)
            payment = receipt["PaymentReceived"]
            assert payment["feeSun"] == amount * fee_bps // 10_000
            assert payment["splitVersion"] == version
            fees, paid, total = fees + payment["feeSun"], paid + amount, total + amount - payment["feeSun"]
            for credit in receipt.all("RoyaltyCredited"):
                assert credit["amountSun"] > 0  # never negative, and nothing is no event
                given_out[credit["recipient"]] += credit["amountSun"]
            for who, share in zip(period.recipients, period.shares, strict=True):
                assert given_out[who] == total * share // PPM  # cumulative floor
            carry = evm.royalties.carryOf(track)
            assert given_out.total() + carry == total == evm.royalties.distributed(track, version)
            assert 0 <= carry < len(period.recipients)
        owed += largest_remainder(total, period)

    evm.royalties.configureSplit(track, PEOPLE[:2], (1, PPM - 1), sender=artist)  # closes the last period
    assert evm.royalties.carryOf(track) == 0
    assert {who: evm.royalties.withdrawable(who) for who in PEOPLE} == {who: owed[who] for who in PEOPLE}
    assert evm.royalties.withdrawable(evm.platform) == fees
    assert owed.total() + fees == paid == evm.balance(evm.royalties.address)

    for who in (*PEOPLE, evm.platform):
        if evm.royalties.withdrawable(who):
            evm.royalties.withdraw(sender=who)
    assert evm.balance(evm.royalties.address) == 0
