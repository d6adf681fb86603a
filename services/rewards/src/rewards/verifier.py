"""The verifier: its signature is what RewardVault asks for. The key is in memory only; nothing else ever has it."""

from __future__ import annotations

from dataclasses import dataclass

from rewards.domain import ClaimReserved
from rewards.settings import RewardsSettings
from tron.claims import claim_digest
from tron.keys import Key
from tron.signers import LocalSigner, Signer, open_keystore


class VerifierError(ValueError):
    """The settings name no usable verifier; the message never holds a key."""


@dataclass(frozen=True, slots=True)
class Verifier:
    """Signs for one vault on one chain."""

    signer: Signer
    vault: str
    chain_id: int

    async def sign(self, claim: ClaimReserved) -> str:
        """The 65 bytes r, s, v as hex, with which anybody can have the vault pay this claim to its claimant."""
        digest = claim_digest(
            self.vault,
            self.chain_id,
            claim_id=claim.claim_id,
            pool=claim.pool,
            claimant=claim.claimant,
            amount=claim.amount,
            deadline=claim.deadline,
        )
        signature = await self.signer.sign(digest)
        return (signature[:64] + bytes([signature[64] % 27 + 27])).hex()


def verifier_of(settings: RewardsSettings) -> Verifier | None:
    """The verifier that the settings name, None if they name none. Raises VerifierError, KeystoreError."""
    signer = _signer(settings)
    if signer is None:
        return None
    if settings.vault is None or settings.chain_id is None:
        raise VerifierError("a verifier's key is set: expected vault and chain_id with it")
    return Verifier(signer, settings.vault, settings.chain_id)


def _signer(settings: RewardsSettings) -> Signer | None:
    if settings.verifier_key is not None:
        try:
            return LocalSigner(Key.from_hex(settings.verifier_key.get_secret_value()))
        except ValueError:  # its message may hold a part of the key
            raise VerifierError("verifier_key: expected a private key of 64 hex digits") from None
    if settings.verifier_keystore is not None and settings.verifier_keystore_password is not None:
        password = settings.verifier_keystore_password.get_secret_value()
        return LocalSigner(open_keystore(settings.verifier_keystore.read_text(), password))
    return None
