"""DCMXToken: the cap, minters and their allowances, burning, pausing."""

from contract_evm import NOBODY, TOKEN, Attempts, Evm, Receipt, account, role

ALICE, BOB, MINTER = account("alice"), account("bob"), account("minter")
UNLIMITED = 2**256 - 1


def test_the_initial_supply_belongs_to_the_administrator(evm: Evm) -> None:
    fresh = evm.deploy("DCMXToken", evm.admin, 10 * TOKEN, 4 * TOKEN)
    assert fresh.balanceOf(evm.admin) == fresh.totalSupply() == 4 * TOKEN
    assert (fresh.cap(), fresh.decimals(), fresh.symbol()) == (10 * TOKEN, 18, "DCMX")


def test_a_minter_mints_within_its_allowance(evm: Evm) -> None:
    authorised = evm.token.authorizeMinter(MINTER, 10 * TOKEN)
    assert authorised["MinterAuthorized"] == {"minter": MINTER, "allowance": 10 * TOKEN}
    minted = evm.token.mint(ALICE, 7 * TOKEN, sender=MINTER)
    assert minted["Minted"] == {"minter": MINTER, "to": ALICE, "amount": 7 * TOKEN}
    assert minted["Transfer"] == {"from": NOBODY, "to": ALICE, "value": 7 * TOKEN}
    assert evm.token.balanceOf(ALICE) == 7 * TOKEN
    assert evm.token.minterAllowance(MINTER) == 3 * TOKEN
    with evm.reverts("MinterAllowanceExceeded", MINTER, 3 * TOKEN, 3 * TOKEN + 1):
        evm.token.mint(ALICE, 3 * TOKEN + 1, sender=MINTER)


def test_an_unlimited_minter_is_stopped_by_the_cap_alone(evm: Evm) -> None:
    evm.token.authorizeMinter(MINTER, UNLIMITED)
    room = evm.token.cap() - evm.token.totalSupply()
    with evm.reverts("ERC20ExceededCap", evm.token.cap() + 1, evm.token.cap()):
        evm.token.mint(ALICE, room + 1, sender=MINTER)
    evm.token.mint(ALICE, room, sender=MINTER)
    assert evm.token.totalSupply() == evm.token.cap()
    assert evm.token.minterAllowance(MINTER) == UNLIMITED


def test_a_constructor_refuses_a_supply_beyond_the_cap_and_a_cap_of_zero(evm: Evm) -> None:
    with evm.reverts("ERC20ExceededCap", 2, 1):
        evm.deploy("DCMXToken", evm.admin, 1, 2)
    with evm.reverts("ERC20InvalidCap", 0):
        evm.deploy("DCMXToken", evm.admin, 0, 0)
    with evm.reverts("ZeroAddress"):
        evm.deploy("DCMXToken", NOBODY, 1, 1)


def test_the_role_alone_mints_nothing(evm: Evm) -> None:
    evm.token.grantRole(role("MINTER_ROLE"), MINTER)
    with evm.reverts("MinterAllowanceExceeded", MINTER, 0, 1):
        evm.token.mint(ALICE, 1, sender=MINTER)


def test_however_a_minter_loses_its_role_its_allowance_goes_too(evm: Evm) -> None:
    minter_role = role("MINTER_ROLE")
    ways: Attempts = (
        lambda: evm.token.revokeMinter(MINTER),
        lambda: evm.token.revokeRole(minter_role, MINTER),
        lambda: evm.token.renounceRole(minter_role, MINTER, sender=MINTER),
    )
    for lose in ways:
        evm.token.authorizeMinter(MINTER, 5)
        assert isinstance(lost := lose(), Receipt)
        assert lost["MinterRevoked"] == {"minter": MINTER}
        with evm.reverts("AccessControlUnauthorizedAccount", MINTER, minter_role):
            evm.token.mint(ALICE, 1, sender=MINTER)
        evm.token.grantRole(minter_role, MINTER)
        assert evm.token.minterAllowance(MINTER) == 0
        evm.token.revokeMinter(MINTER)


def test_revoking_who_is_no_minter_says_nothing(evm: Evm) -> None:
    assert evm.token.revokeMinter(ALICE).events == ()


def test_burning_shrinks_the_supply_and_makes_room_under_the_cap(evm: Evm) -> None:
    supply = evm.token.totalSupply()
    assert evm.token.burn(3)["Burned"] == {"from": evm.admin, "amount": 3}
    evm.token.approve(BOB, 2)
    assert evm.token.burnFrom(evm.admin, 2, sender=BOB)["Burned"] == {"from": evm.admin, "amount": 2}
    assert evm.token.totalSupply() == supply - 5
    with evm.reverts("ERC20InsufficientAllowance", BOB, 0, 1):
        evm.token.burnFrom(evm.admin, 1, sender=BOB)


def test_minting_zero_or_authorising_nobody_is_refused(evm: Evm) -> None:
    evm.token.authorizeMinter(MINTER, 5)
    with evm.reverts("ZeroAmount"):
        evm.token.mint(ALICE, 0, sender=MINTER)
    with evm.reverts("ZeroAddress"):
        evm.token.authorizeMinter(NOBODY, 1)


def test_nothing_moves_while_the_token_is_paused(evm: Evm) -> None:
    evm.token.authorizeMinter(MINTER, 5)
    evm.token.pause()
    moves: Attempts = (
        lambda: evm.token.transfer(ALICE, 1),
        lambda: evm.token.mint(ALICE, 1, sender=MINTER),
        lambda: evm.token.burn(1),
    )
    for move in moves:
        with evm.reverts("EnforcedPause"):
            move()
    evm.token.unpause()
    evm.token.transfer(ALICE, 1)
    assert evm.token.balanceOf(ALICE) == 1
