"""RewardVault: authorisations, daily limits, budgets, pools."""

import pytest
from contract_evm import DAY, NOBODY, NOON, TOKEN, Attempts, Evm, Signer, account, hash_of

SHARING, LISTENING = 0, 1
LIMIT, BUDGET = 100 * TOKEN, 1_000 * TOKEN
TODAY = NOON // DAY
MIDNIGHT = (TODAY + 1) * DAY
ALICE, BOB = account("alice"), account("bob")


# --- authorisations ---------------------------------------------------------------------------------------------------


def test_an_authorised_claim_is_paid(evm: Evm) -> None:
    receipt = evm.vault.claim(*evm.authorise("c1", LISTENING, ALICE, 7 * TOKEN), sender=ALICE)
    assert receipt["RewardClaimed"] == {
        "claimId": hash_of("c1"),
        "pool": LISTENING,
        "claimant": ALICE,
        "amount": 7 * TOKEN,
        "day": TODAY,
    }
    assert receipt["Transfer"] == {"from": evm.vault.address, "to": ALICE, "value": 7 * TOKEN}
    assert evm.token.balanceOf(ALICE) == 7 * TOKEN
    assert evm.vault.claimed(hash_of("c1"))
    assert evm.vault.dailyClaimed(LISTENING, ALICE, TODAY) == 7 * TOKEN
    assert evm.vault.pools(LISTENING) == (BUDGET - 7 * TOKEN, LIMIT, True)
    assert evm.vault.pools(SHARING) == (BUDGET, LIMIT, True)


def test_the_digest_that_the_vault_tells_is_the_one_of_eip_712(evm: Evm) -> None:
    claim_id, pool, amount, deadline, signature = evm.authorise("c1", LISTENING, ALICE, 5)
    digest = evm.vault.claimDigest(claim_id, pool, ALICE, amount, deadline)
    assert evm.verifier.sign(digest) == signature
    fields, name, version, chain_id, vault, salt, extensions = evm.vault.eip712Domain()
    assert (name, version, chain_id, vault) == ("RewardVault", "1", 1, evm.vault.address)
    assert (fields, salt, extensions) == (b"\x0f", bytes(32), ())


def test_a_claim_is_paid_once(evm: Evm) -> None:
    claim = evm.authorise("c1", LISTENING, ALICE, TOKEN)
    evm.vault.claim(*claim, sender=ALICE)
    with evm.reverts("ClaimAlreadyPaid", hash_of("c1")):
        evm.vault.claim(*claim, sender=ALICE)
    for again in (("c1", SHARING, ALICE, TOKEN), ("c1", LISTENING, BOB, TOKEN), ("c1", LISTENING, ALICE, 1)):
        with evm.reverts("ClaimAlreadyPaid", hash_of("c1")):
            evm.vault.claim(*evm.authorise(*again), sender=again[2])


def test_an_authorisation_is_good_for_its_claimant_only(evm: Evm) -> None:
    with evm.reverts("NotAuthorized"):
        evm.vault.claim(*evm.authorise("c1", LISTENING, ALICE, TOKEN), sender=BOB)
    assert evm.token.balanceOf(BOB) == 0
    assert not evm.vault.claimed(hash_of("c1"))


def test_anybody_may_bring_a_claim_and_its_claimant_is_paid(evm: Evm) -> None:
    claim_id, pool, amount, deadline, signature = evm.authorise("c1", LISTENING, ALICE, 7 * TOKEN)
    receipt = evm.vault.payClaim(claim_id, pool, ALICE, amount, deadline, signature, sender=BOB)
    assert receipt["RewardClaimed"]["claimant"] == ALICE
    assert (evm.token.balanceOf(ALICE), evm.token.balanceOf(BOB)) == (7 * TOKEN, 0)
    assert [evm.vault.dailyClaimed(LISTENING, who, TODAY) for who in (ALICE, BOB)] == [7 * TOKEN, 0]
    with evm.reverts("ClaimAlreadyPaid", hash_of("c1")):
        evm.vault.claim(claim_id, pool, amount, deadline, signature, sender=ALICE)


def test_who_brings_a_claim_cannot_change_it(evm: Evm) -> None:
    claim_id, pool, amount, deadline, signature = evm.authorise("c1", LISTENING, ALICE, TOKEN)
    authorised = [claim_id, pool, ALICE, amount, deadline]
    for position, value in enumerate((hash_of("c2"), SHARING, BOB, TOKEN + 1, NOON + DAY + 1)):
        changed = [*authorised[:position], value, *authorised[position + 1 :]]
        with evm.reverts("NotAuthorized"):
            evm.vault.payClaim(*changed, signature, sender=BOB)


def test_an_authorisation_by_somebody_else_is_refused(evm: Evm) -> None:
    forger = Signer.named("forger")
    with evm.reverts("NotAuthorized", forger.address):
        evm.vault.claim(*evm.authorise("c1", LISTENING, ALICE, TOKEN, by=forger), sender=ALICE)


@pytest.mark.parametrize("position", range(4))
def test_no_field_of_an_authorisation_can_be_changed(evm: Evm, position: int) -> None:
    claim = list(evm.authorise("c1", LISTENING, ALICE, TOKEN))
    claim[position] = (hash_of("c2"), SHARING, TOKEN + 1, NOON + DAY + 1)[position]
    with evm.reverts("NotAuthorized"):
        evm.vault.claim(*claim, sender=ALICE)


def test_an_authorisation_is_good_for_one_vault_only(evm: Evm) -> None:
    other = evm.deploy("RewardVault", evm.admin, evm.token.address, evm.verifier.address)
    evm.token.approve(other.address, TOKEN)
    other.configurePool(LISTENING, LIMIT, True)
    other.fundPool(LISTENING, TOKEN)
    with evm.reverts("NotAuthorized"):
        other.claim(*evm.authorise("c1", LISTENING, ALICE, TOKEN), sender=ALICE)


@pytest.mark.parametrize("mangled", [b"", b"\0" * 65, b"\xff" * 65, b"\1" * 64, b"\1" * 66])
def test_a_malformed_signature_authorises_nothing(evm: Evm, mangled: bytes) -> None:
    with evm.reverts("NotAuthorized"):
        evm.vault.claim(*evm.authorise("c1", LISTENING, ALICE, TOKEN)[:4], mangled, sender=ALICE)


def test_the_mirrored_signature_is_refused(evm: Evm) -> None:
    """EIP-2: s and n - s are both valid in theory; only the lower one is accepted."""
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    *claim, signature = evm.authorise("c1", LISTENING, ALICE, TOKEN)
    mirrored = order - int.from_bytes(signature[32:64])
    with evm.reverts("NotAuthorized", NOBODY):
        evm.vault.claim(*claim, signature[:32] + mirrored.to_bytes(32) + bytes([55 - signature[64]]), sender=ALICE)


def test_an_authorisation_ends_after_its_deadline(evm: Evm) -> None:
    claim = evm.authorise("c1", LISTENING, ALICE, TOKEN, deadline=NOON + 60)
    evm.at(NOON + 61)
    with evm.reverts("ClaimExpired", NOON + 60, NOON + 61):
        evm.vault.claim(*claim, sender=ALICE)
    evm.at(NOON + 60)
    evm.vault.claim(*claim, sender=ALICE)


def test_a_new_verifier_voids_what_the_old_one_signed(evm: Evm) -> None:
    successor = Signer.named("successor")
    changed = evm.vault.setVerifier(successor.address)["VerifierChanged"]
    assert changed == {"oldVerifier": evm.verifier.address, "newVerifier": successor.address}
    with evm.reverts("NotAuthorized", evm.verifier.address):
        evm.vault.claim(*evm.authorise("c1", LISTENING, ALICE, TOKEN), sender=ALICE)
    evm.vault.claim(*evm.authorise("c1", LISTENING, ALICE, TOKEN, by=successor), sender=ALICE)
    with evm.reverts("ZeroAddress"):
        evm.vault.setVerifier(NOBODY)


# --- limits and budgets -----------------------------------------------------------------------------------------------


def test_the_daily_limit_is_per_account_and_pool(evm: Evm) -> None:
    evm.vault.claim(*evm.authorise("c1", LISTENING, ALICE, 60 * TOKEN), sender=ALICE)
    evm.vault.claim(*evm.authorise("c2", LISTENING, ALICE, 40 * TOKEN), sender=ALICE)
    with evm.reverts("DailyLimitExceeded", LISTENING, ALICE, LIMIT, LIMIT + 1):
        evm.vault.claim(*evm.authorise("c3", LISTENING, ALICE, 1), sender=ALICE)
    assert not evm.vault.claimed(hash_of("c3"))
    evm.vault.claim(*evm.authorise("c4", SHARING, ALICE, LIMIT), sender=ALICE)
    evm.vault.claim(*evm.authorise("c5", LISTENING, BOB, LIMIT), sender=BOB)


def test_the_daily_limit_begins_anew_at_midnight_utc(evm: Evm) -> None:
    evm.at(MIDNIGHT - 1)
    evm.vault.claim(*evm.authorise("c1", LISTENING, ALICE, LIMIT), sender=ALICE)
    refused = evm.authorise("c2", LISTENING, ALICE, LIMIT)
    with evm.reverts("DailyLimitExceeded"):
        evm.vault.claim(*refused, sender=ALICE)
    evm.at(MIDNIGHT)
    receipt = evm.vault.claim(*refused, sender=ALICE)
    assert receipt["RewardClaimed"]["day"] == TODAY + 1
    assert [evm.vault.dailyClaimed(LISTENING, ALICE, TODAY + n) for n in (0, 1)] == [LIMIT, LIMIT]


def test_a_pool_pays_no_more_than_its_budget(evm: Evm) -> None:
    evm.vault.configurePool(LISTENING, BUDGET * 2, True)
    evm.vault.claim(*evm.authorise("c1", LISTENING, ALICE, BUDGET - 1), sender=ALICE)
    with evm.reverts("PoolBudgetExceeded", LISTENING, 1, 2):
        evm.vault.claim(*evm.authorise("c2", LISTENING, BOB, 2), sender=BOB)
    assert evm.token.balanceOf(evm.vault.address) > 2, "other pools' money is there, and is not touched"
    evm.vault.claim(*evm.authorise("c3", LISTENING, BOB, 1), sender=BOB)
    assert evm.vault.pools(LISTENING)[0] == 0


def test_a_limit_lowered_during_the_day_counts_what_was_claimed_before(evm: Evm) -> None:
    evm.vault.claim(*evm.authorise("c1", LISTENING, ALICE, 60 * TOKEN), sender=ALICE)
    evm.vault.configurePool(LISTENING, 50 * TOKEN, True)
    with evm.reverts("DailyLimitExceeded", LISTENING, ALICE, 50 * TOKEN, 61 * TOKEN):
        evm.vault.claim(*evm.authorise("c2", LISTENING, ALICE, TOKEN), sender=ALICE)


@pytest.mark.parametrize(
    ("pool", "amount", "error", "arguments"),
    [
        (5, 1, "UnknownPool", (5,)),
        (LISTENING, 0, "ZeroAmount", ()),
        (LISTENING, 2**120, "AmountTooLarge", (2**120,)),
        (LISTENING, 2**256 - 1, "AmountTooLarge", (2**256 - 1,)),
    ],
)
def test_absurd_claims_are_refused_even_when_authorised(
    evm: Evm, pool: int, amount: int, error: str, arguments: tuple[object, ...]
) -> None:
    with evm.reverts(error, *arguments):
        evm.vault.claim(*evm.authorise("c1", pool, ALICE, amount), sender=ALICE)


# --- pools ------------------------------------------------------------------------------------------------------------


def test_a_pool_begins_inactive_and_anyone_may_fund_it(evm: Evm) -> None:
    fresh = evm.deploy("RewardVault", evm.admin, evm.token.address, evm.verifier.address)
    assert fresh.pools(LISTENING) == (0, 0, False)
    evm.token.transfer(ALICE, 9)
    evm.token.approve(fresh.address, 9, sender=ALICE)
    funded = fresh.fundPool(LISTENING, 9, sender=ALICE)
    assert funded["PoolFunded"] == {"pool": LISTENING, "funder": ALICE, "amount": 9}
    assert fresh.pools(LISTENING) == (9, 0, False)
    assert evm.token.balanceOf(fresh.address) == 9


def test_an_inactive_pool_does_not_pay(evm: Evm) -> None:
    configured = evm.vault.configurePool(LISTENING, LIMIT, False)
    assert configured["PoolConfigured"] == {"pool": LISTENING, "dailyLimit": LIMIT, "active": False}
    with evm.reverts("PoolInactive", LISTENING):
        evm.vault.claim(*evm.authorise("c1", LISTENING, ALICE, 1), sender=ALICE)


def test_only_an_inactive_pool_is_swept(evm: Evm) -> None:
    with evm.reverts("PoolStillActive", LISTENING):
        evm.vault.sweepPool(LISTENING, BOB)
    evm.vault.configurePool(LISTENING, LIMIT, False)
    swept = evm.vault.sweepPool(LISTENING, BOB)
    assert swept["PoolSwept"] == {"pool": LISTENING, "to": BOB, "amount": BUDGET}
    assert evm.token.balanceOf(BOB) == BUDGET
    assert evm.vault.pools(LISTENING)[0] == 0
    with evm.reverts("ZeroAmount"):
        evm.vault.sweepPool(LISTENING, BOB)
    with evm.reverts("ZeroAddress"):
        evm.vault.sweepPool(LISTENING, NOBODY)


def test_faulty_funding_and_unknown_pools_are_refused(evm: Evm) -> None:
    with evm.reverts("ZeroAmount"):
        evm.vault.fundPool(LISTENING, 0)
    with evm.reverts("AmountTooLarge", 2**120):
        evm.vault.fundPool(LISTENING, 2**120)
    with evm.reverts("ERC20InsufficientAllowance", evm.vault.address, 0, 1):
        evm.vault.fundPool(LISTENING, 1, sender=ALICE)
    with evm.reverts("AmountTooLarge", 2**120):
        evm.vault.configurePool(LISTENING, 2**120, True)
    calls: Attempts = (
        lambda: evm.vault.fundPool(5, 1),
        lambda: evm.vault.configurePool(5, 1, True),
        lambda: evm.vault.sweepPool(5, BOB),
        lambda: evm.vault.pools(5),
    )
    for call in calls:
        with evm.reverts("UnknownPool", 5):
            call()


def test_the_vault_always_holds_what_its_pools_promise(evm: Evm) -> None:
    for number in range(10):
        pool = number % 5
        evm.vault.claim(*evm.authorise(f"c{number}", pool, ALICE, (number + 1) * TOKEN), sender=ALICE)
        promised = sum(evm.vault.pools(each)[0] for each in range(5))
        assert evm.token.balanceOf(evm.vault.address) == promised


def test_pausing_stops_claims_and_funding(evm: Evm) -> None:
    evm.vault.pause()
    with evm.reverts("EnforcedPause"):
        evm.vault.claim(*evm.authorise("c1", LISTENING, ALICE, 1), sender=ALICE)
    with evm.reverts("EnforcedPause"):
        claim_id, pool, amount, deadline, signature = evm.authorise("c1", LISTENING, ALICE, 1)
        evm.vault.payClaim(claim_id, pool, ALICE, amount, deadline, signature)
    with evm.reverts("EnforcedPause"):
        evm.vault.fundPool(LISTENING, 1)
    evm.vault.unpause()
    evm.vault.claim(*evm.authorise("c1", LISTENING, ALICE, 1), sender=ALICE)
