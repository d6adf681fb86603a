"""Hostile contracts: receivers that refuse, burn all gas or call back; a reward token that calls back."""

import pytest
from contract_evm import NOON, TRX, Contract, Evm, account, hash_of

ACCEPT, REFUSE, BURN_GAS, CALL_BACK = range(4)
PRICE, RESALE = 10 * TRX, 20 * TRX
FRIEND = account("friend")


@pytest.fixture
def attacker(evm: Evm) -> Contract:
    return evm.deploy("Attacker")


def through(attacker: Contract, contract: Contract, function: str, *args: object, value: int = 0) -> object:
    """Has the attacker call a contract."""
    return attacker.run(contract.address, contract.calldata(function, *args), value=value)


@pytest.fixture
def listed(evm: Evm, track: int, attacker: Contract) -> int:
    """An edition that the attacker bought and offers."""
    through(attacker, evm.nft, "buyEdition", track, value=PRICE)
    token = track * 1_000_000 + 1
    assert evm.nft.ownerOf(token) == attacker.address
    through(attacker, evm.nft, "list", token, RESALE)
    return token


@pytest.mark.parametrize("mode", [REFUSE, BURN_GAS, CALL_BACK])
def test_a_hostile_seller_cannot_stop_a_sale(evm: Evm, attacker: Contract, listed: int, mode: int) -> None:
    attacker.prepare(mode, evm.nft.address, evm.nft.calldata("withdraw"))
    buyer = evm.listener("buyer")
    evm.nft.buy(listed, sender=buyer, value=RESALE)
    assert evm.nft.ownerOf(listed) == buyer
    assert evm.nft.withdrawable(attacker.address) == RESALE * 9 // 10


@pytest.mark.parametrize("mode", [REFUSE, BURN_GAS])
def test_a_receiver_that_refuses_keeps_its_claim_and_hurts_nobody(
    evm: Evm, track: int, artist: str, attacker: Contract, mode: int
) -> None:
    honest = evm.listener("honest")
    evm.royalties.configureSplit(track, [attacker.address, honest], (500_000, 500_000), sender=artist)
    attacker.prepare(mode, evm.royalties.address, b"")
    evm.royalties.pay(track, 2, sender=honest, value=2_000)
    owed = evm.royalties.withdrawable(attacker.address)
    assert owed == 950
    with evm.reverts("WithdrawalRefused", attacker.address, owed):
        through(attacker, evm.royalties, "withdraw")
    assert evm.royalties.withdrawable(attacker.address) == owed
    assert evm.royalties.withdraw(sender=honest).value == 950
    attacker.prepare(ACCEPT, evm.royalties.address, b"")
    through(attacker, evm.royalties, "withdraw")
    assert evm.balance(attacker.address) == owed


@pytest.mark.parametrize("held_by", ["nft", "royalties"])
def test_calling_back_during_a_withdrawal_gains_nothing(
    evm: Evm, track: int, artist: str, attacker: Contract, listed: int, held_by: str
) -> None:
    bank: Contract = getattr(evm, held_by)
    evm.royalties.configureSplit(track, [attacker.address, FRIEND], (500_000, 500_000), sender=artist)
    evm.nft.buy(listed, sender=evm.listener("buyer"), value=RESALE)  # other people's money is in both contracts
    owed, held = bank.withdrawable(attacker.address), evm.balance(bank.address)
    attacker.prepare(CALL_BACK, bank.address, bank.calldata("withdraw"))
    before = evm.balance(attacker.address)
    through(attacker, bank, "withdraw")
    assert attacker.callbacks() == 1
    assert not attacker.callbackSucceeded()
    assert evm.decode_error(attacker.callbackAnswer()).error == "ReentrancyGuardReentrantCall"
    assert evm.balance(attacker.address) - before == owed
    assert held - evm.balance(bank.address) == owed
    assert bank.withdrawable(attacker.address) == 0


def test_calling_back_into_another_function_finds_the_books_already_closed(
    evm: Evm, track: int, attacker: Contract, listed: int
) -> None:
    evm.nft.buy(listed, sender=evm.listener("buyer"), value=RESALE)
    owed = evm.nft.withdrawable(attacker.address)
    attacker.prepare(CALL_BACK, evm.nft.address, evm.nft.calldata("withdrawable", attacker.address))
    through(attacker, evm.nft, "withdraw")
    assert attacker.callbackSucceeded()
    assert int.from_bytes(attacker.callbackAnswer()) == 0
    assert evm.balance(attacker.address) == owed


@pytest.mark.parametrize("inner", ["claim", "fundPool", "sweepPool"])
def test_a_reward_token_that_calls_back_is_paid_out_once(evm: Evm, inner: str) -> None:
    token = evm.deploy("ReentrantToken")
    evm.vault = evm.deploy("RewardVault", evm.admin, token.address, evm.verifier.address)
    token.approve(evm.vault.address, 1_000)
    evm.vault.configurePool(0, 1_000, True)
    evm.vault.fundPool(0, 1_000)
    alice = account("alice")
    claim = evm.authorise("c1", 0, alice, 100, deadline=NOON)
    args = {"claim": claim, "fundPool": (0, 1), "sweepPool": (0, alice)}[inner]
    token.prepare(evm.vault.address, evm.vault.calldata(inner, *args))
    evm.vault.claim(*claim, sender=alice)
    assert not token.callbackSucceeded()
    assert evm.decode_error(token.callbackAnswer()).error == "ReentrancyGuardReentrantCall"
    assert token.balanceOf(alice) == 100
    assert (evm.vault.pools(0)[0], evm.vault.claimed(hash_of("c1"))) == (900, True)


def test_a_reward_token_that_refuses_leaves_the_claim_unpaid(evm: Evm) -> None:
    evm.token.pause()
    claim = evm.authorise("c1", 0, account("alice"), 100)
    with evm.reverts("EnforcedPause"):
        evm.vault.claim(*claim, sender=account("alice"))
    assert not evm.vault.claimed(hash_of("c1"))
    evm.token.unpause()
    evm.vault.claim(*claim, sender=account("alice"))


def test_a_contract_that_its_victim_calls_cannot_claim_in_the_victims_name(evm: Evm, attacker: Contract) -> None:
    victim = account("victim")
    claim = evm.authorise("c1", 0, victim, 100)
    with evm.reverts("NotAuthorized"):
        attacker.run(evm.vault.address, evm.vault.calldata("claim", *claim), sender=victim)
    assert not evm.vault.claimed(hash_of("c1"))
