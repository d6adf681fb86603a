"""RewardVault's batches: published once, paid entry by entry, the rest swept after the deadline."""

from typing import Any

import pytest
from contract_evm import DAY, NONE, NOON, TOKEN, Evm, account, role

from zk import Batch, Entry

SHARING, NUMBER, DEADLINE = 0, 3, NOON + DAY
BUDGET = 1_000 * TOKEN
PUBLISHER, RELAY = account("publisher"), account("relay")
ACCOUNTS = [account(f"listener {number}") for number in range(300)]  # the bitmap of more than one word
BATCH = Batch([Entry(each, TOKEN + number) for number, each in enumerate(ACCOUNTS)])


@pytest.fixture
def evm() -> Evm:
    """The five contracts; `PUBLISHER` may open batches."""
    evm = Evm()
    evm.vault.grantRole(role("PUBLISHER_ROLE"), PUBLISHER)
    return evm


@pytest.fixture
def opened(evm: Evm) -> Evm:
    told = evm.vault.openBatch(NUMBER, SHARING, BATCH.root, BATCH.total, DEADLINE, sender=PUBLISHER)["BatchOpened"]
    assert told == {
        "batch": NUMBER,
        "pool": SHARING,
        "root": BATCH.root,
        "total": BATCH.total,
        "deadline": DEADLINE,
    }
    return evm


def entry(index: int) -> tuple[Any, ...]:
    return NUMBER, index, BATCH.entries[index].account, BATCH.entries[index].amount, BATCH.proof(index)


def held(evm: Evm) -> int:
    """What the vault owes: its pools' budgets and what batches have left."""
    return sum(int(evm.vault.pools(pool)[0]) for pool in range(5)) + int(evm.vault.batches(NUMBER)[1])


def test_an_entry_is_paid_to_its_account_whoever_brings_it(opened: Evm) -> None:
    for index in (0, 255, 256, 299):
        assert not opened.vault.batchPaid(NUMBER, index)
        told = opened.vault.payBatch(*entry(index), sender=RELAY)["BatchPaid"]
        amount = TOKEN + index
        assert told == {"batch": NUMBER, "index": index, "account": ACCOUNTS[index], "amount": amount}
        assert opened.token.balanceOf(ACCOUNTS[index]) == amount
    assert [index for index in range(300) if opened.vault.batchPaid(NUMBER, index)] == [0, 255, 256, 299]
    assert held(opened) == opened.token.balanceOf(opened.vault.address)


def test_an_entry_is_paid_once(opened: Evm) -> None:
    opened.vault.payBatch(*entry(7), sender=RELAY)
    with opened.reverts("BatchEntryAlreadyPaid", NUMBER, 7):
        opened.vault.payBatch(*entry(7), sender=ACCOUNTS[7])


def test_no_field_of_an_entry_can_be_changed(opened: Evm) -> None:
    good = entry(7)
    for position, value in ((1, 8), (2, ACCOUNTS[8]), (3, good[3] + 1), (4, BATCH.proof(8)), (4, [])):
        changed = [*good[:position], value, *good[position + 1 :]]
        with opened.reverts("NotInBatch"):
            opened.vault.payBatch(*changed, sender=RELAY)
    with opened.reverts("BatchNotOpened", NUMBER + 1):
        opened.vault.payBatch(NUMBER + 1, *good[1:], sender=RELAY)


def test_a_batch_sets_its_total_aside_and_pays_no_more(evm: Evm) -> None:
    small = sum(entry.amount for entry in BATCH.entries[:2])
    evm.vault.openBatch(NUMBER, SHARING, BATCH.root, small, DEADLINE, sender=PUBLISHER)
    assert evm.vault.pools(SHARING)[0] == BUDGET - small
    for index in (0, 1):
        evm.vault.payBatch(*entry(index), sender=RELAY)
    with evm.reverts("BatchTotalExceeded", NUMBER, 0, TOKEN + 2):
        evm.vault.payBatch(*entry(2), sender=RELAY)
    assert evm.vault.dailyClaimed(SHARING, ACCOUNTS[0], NOON // DAY) == 0  # limits are for claims


def test_the_rest_returns_to_its_pool_after_the_deadline_only(opened: Evm) -> None:
    opened.vault.payBatch(*entry(0), sender=RELAY)
    opened.at(DEADLINE)
    with opened.reverts("BatchNotExpired", NUMBER, DEADLINE, DEADLINE):
        opened.vault.sweepBatch(NUMBER)
    opened.at(DEADLINE + 1)
    with opened.reverts("BatchExpired", NUMBER, DEADLINE, DEADLINE + 1):
        opened.vault.payBatch(*entry(1), sender=RELAY)
    told = opened.vault.sweepBatch(NUMBER, sender=RELAY)["BatchSwept"]
    assert told == {"batch": NUMBER, "pool": SHARING, "amount": BATCH.total - TOKEN}
    assert opened.vault.pools(SHARING)[0] == BUDGET - TOKEN
    assert held(opened) == opened.token.balanceOf(opened.vault.address)
    with opened.reverts("ZeroAmount"):
        opened.vault.sweepBatch(NUMBER)
    with opened.reverts("BatchNotOpened", NUMBER + 1):
        opened.vault.sweepBatch(NUMBER + 1)


def test_a_batch_is_opened_once_and_sensibly(opened: Evm) -> None:
    opened.vault.configurePool(1, 0, False)
    for number, pool, root, total, deadline, error in (
        (NUMBER, SHARING, BATCH.root, 1, DEADLINE, "BatchAlreadyOpened"),
        (4, SHARING, NONE, 1, DEADLINE, "InvalidCommitment"),
        (4, SHARING, BATCH.root, 0, DEADLINE, "ZeroAmount"),
        (4, SHARING, BATCH.root, 1, NOON - 1, "DeadlinePassed"),
        (4, SHARING, BATCH.root, 2**120, DEADLINE, "AmountTooLarge"),
        (4, SHARING, BATCH.root, BUDGET, DEADLINE, "PoolBudgetExceeded"),
        (4, 1, BATCH.root, 1, DEADLINE, "PoolInactive"),
        (4, 5, BATCH.root, 1, DEADLINE, "UnknownPool"),
    ):
        with opened.reverts(error):
            opened.vault.openBatch(number, pool, root, total, deadline, sender=PUBLISHER)


def test_pausing_stops_batches_and_not_their_return(opened: Evm) -> None:
    opened.vault.pause()
    with opened.reverts("EnforcedPause"):
        opened.vault.payBatch(*entry(0), sender=RELAY)
    opened.at(DEADLINE + 1)
    opened.vault.sweepBatch(NUMBER)
