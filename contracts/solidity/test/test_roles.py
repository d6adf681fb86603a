"""Who may do what: every guarded function refuses a stranger by name; administration changes hands in two steps."""

from typing import Any

import pytest
from contract_evm import NOBODY, NONE, Evm, account, hash_of, role

STRANGER, SUCCESSOR = account("stranger"), account("successor")
ADMIN, PAUSER = "DEFAULT_ADMIN_ROLE", "PAUSER_ROLE"

GUARDED: list[tuple[str, str, tuple[Any, ...], str]] = [
    ("token", "authorizeMinter", (STRANGER, 1), ADMIN),
    ("token", "revokeMinter", (STRANGER,), ADMIN),
    ("token", "mint", (STRANGER, 1), "MINTER_ROLE"),
    ("nft", "releaseTrack", ("t", "a", hash_of("x"), 1, 1, 1), "ARTIST_ROLE"),
    ("royalties", "registerTrack", (1, STRANGER), "REGISTRAR_ROLE"),
    ("royalties", "setPlatformFee", (1,), ADMIN),
    ("royalties", "setFeeRecipient", (STRANGER,), ADMIN),
    ("vault", "configurePool", (0, 1, True), ADMIN),
    ("vault", "sweepPool", (0, STRANGER), ADMIN),
    ("vault", "setVerifier", (STRANGER,), ADMIN),
    ("vault", "setListeningVerifier", (STRANGER,), ADMIN),
    ("vault", "openPeriod", (1, 1, 1, 1, 2**64 - 1), "PUBLISHER_ROLE"),
    ("vault", "closePeriod", (1,), ADMIN),
    ("vault", "openBatch", (1, 0, hash_of("x"), 1, 2**64 - 1), "PUBLISHER_ROLE"),
    ("registry", "publishDocument", (0, hash_of("x"), ""), "OFFICER_ROLE"),
    ("registry", "completeDeletion", (hash_of("x"), hash_of("y")), "OFFICER_ROLE"),
    ("registry", "denyDeletion", (hash_of("x"), 1), "OFFICER_ROLE"),
    ("registry", "anchorRoot", (hash_of("x"), 1, hash_of("y")), "ANCHOR_ROLE"),
] + [
    (contract, function, args, guard)
    for contract in ("token", "nft", "royalties", "vault", "registry")
    for function, args, guard in (
        ("pause", (), PAUSER),
        ("unpause", (), PAUSER),
        ("grantRole", (role(PAUSER), STRANGER), ADMIN),
        ("revokeRole", (role(PAUSER), Evm.admin), ADMIN),
    )
]


@pytest.mark.parametrize(("contract", "function", "args", "guard"), GUARDED)
def test_a_stranger_is_refused(evm: Evm, contract: str, function: str, args: tuple[Any, ...], guard: str) -> None:
    with evm.reverts("AccessControlUnauthorizedAccount", STRANGER, role(guard)):
        getattr(getattr(evm, contract), function)(*args, sender=STRANGER)


def test_the_administrator_begins_with_administration_and_pausing_only(evm: Evm) -> None:
    for contract in evm.five:
        assert contract.hasRole(NONE, evm.admin)
        assert contract.hasRole(role(PAUSER), evm.admin)
    for contract, name in (
        (evm.token, "MINTER_ROLE"),
        (evm.nft, "ARTIST_ROLE"),
        (evm.vault, "PUBLISHER_ROLE"),
        (evm.registry, "OFFICER_ROLE"),
        (evm.registry, "ANCHOR_ROLE"),
    ):
        assert getattr(contract, name)() == role(name)
        assert not contract.hasRole(role(name), evm.admin)


def test_administration_changes_hands_when_the_successor_removes_the_predecessor(evm: Evm) -> None:
    for contract in evm.five:
        contract.grantRole(NONE, SUCCESSOR)
        contract.revokeRole(NONE, evm.admin, sender=SUCCESSOR)
        with evm.reverts("AccessControlUnauthorizedAccount", evm.admin, NONE):
            contract.grantRole(NONE, evm.admin)


def test_no_contract_is_deployed_without_an_administrator(evm: Evm) -> None:
    for name, args in (
        ("ComplianceRegistry", (NOBODY,)),
        ("RoyaltyDistributor", (NOBODY, STRANGER, 0)),
        ("RoyaltyDistributor", (STRANGER, NOBODY, 0)),
        ("MusicNFT", (NOBODY, STRANGER)),
        ("MusicNFT", (STRANGER, NOBODY)),
        ("RewardVault", (NOBODY, STRANGER, STRANGER)),
        ("RewardVault", (STRANGER, NOBODY, STRANGER)),
        ("RewardVault", (STRANGER, STRANGER, NOBODY)),
    ):
        with evm.reverts("ZeroAddress"):
            evm.deploy(name, *args)
