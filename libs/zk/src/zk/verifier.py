"""Verifies claims off the chain, by the very code that verifies them on the chain, in a virtual machine of its own.

Nothing here knows what a proof is. Whether one holds is said by `ListeningVerifierV1`, byte for byte as it is deployed,
and whether points are points by the precompiles that it uses. What is compared here only gives a refusal its name.
"""

from __future__ import annotations

import re

import pyrevm

from tron.address import keccak256, normalise
from tron.contract import artifact
from tron.contracts import ListeningVerifierV1
from zk.claims import BASE_FIELD, FIELD, Period, Proof, Reason, Refused

_CALLER = "0x" + "00" * 19 + "01"
_CONTRACT = "0x" + "00" * 18 + "c0de"
_ADD, _PAIRING = ("0x" + f"{number:040x}" for number in (6, 8))
_GAS = 10_000_000
_REVERTED = re.compile(r"Revert \{ gas_used: \d+, output: 0x([0-9a-f]*) \}")
_ORIGIN = bytes(64)


class Verifier:
    """Checks proofs, about 3 ms each. Not safe for use by several threads at once."""

    def __init__(self) -> None:
        self._contract = ListeningVerifierV1(_CONTRACT)
        code = bytes.fromhex(artifact(self._contract.NAME).code)
        self._revm = pyrevm.EVM(spec_id="MERGE")
        self._revm.insert_account_info(_CONTRACT, pyrevm.AccountInfo(code=code))

    def check(self, proof: Proof, period: Period, recipient: str, *, claimed: bool) -> None:
        """Return if RewardVault will pay this proof's claim to `recipient`; raises `Refused` with the reason if not.

        `claimed` says whether the proof's nullifier was paid (or is being paid). The period is what the chain tells.
        """
        _compare(proof, period, recipient, claimed)
        self._check_points(proof)
        if (error := self._reverted(_CONTRACT, self._contract.verify_proof(proof.points, proof.inputs).data)) is None:
            return
        if error != _selector("ProofInvalid()"):
            raise RuntimeError(f"the verifying contract failed with 0x{error.hex()}")
        raise Refused(Reason.PROOF_INVALID, "the proof is not one of this statement")

    def _check_points(self, proof: Proof) -> None:
        for index, coordinate in enumerate(proof.points):
            if coordinate >= BASE_FIELD:
                raise Refused(Reason.MALFORMED_POINTS, f"proof[{index}]: expected a number of the base field")
        data = b"".join(coordinate.to_bytes(32, "big") for coordinate in proof.points)
        a, b, c = data[:64], data[64:192], data[192:]
        asked = {"A": (_ADD, a + _ORIGIN), "B": (_PAIRING, _ORIGIN + b), "C": (_ADD, c + _ORIGIN)}
        for name, (precompile, given) in asked.items():
            if self._reverted(precompile, given) is not None:
                raise Refused(Reason.MALFORMED_POINTS, f"{name} is not on its curve, or not in its group")

    def _reverted(self, to: str, data: bytes) -> bytes | None:
        """What a call reverted with; nothing for a precompile; None if it did not."""
        try:
            self._revm.message_call(_CALLER, to, calldata=data, gas=_GAS)
        except RuntimeError as error:  # pyrevm's only exception; the answer is in its text
            reverted = _REVERTED.search(str(error))
            if reverted is None and to == _CONTRACT:
                raise
            return bytes.fromhex(reverted[1]) if reverted else b""
        return None


def _compare(proof: Proof, period: Period, recipient: str, claimed: bool) -> None:
    for name in ("commitment", "scope", "nullifier"):  # nullifier + FIELD would be another claim of the same listener
        if getattr(proof, name) >= FIELD:
            raise Refused(Reason.NOT_IN_FIELD, f"{name}: expected a number below the field's order")
    if proof.scope != period.scope:
        raise Refused(Reason.WRONG_PERIOD, "the proof is for another period, vault or chain")
    if proof.commitment != period.commitment:
        raise Refused(Reason.WRONG_COMMITMENT, f"expected {period.commitment:#066x}, got {proof.commitment:#066x}")
    if proof.threshold < period.threshold:
        detail = f"expected a proof of {period.threshold} seconds, got one of {proof.threshold}"
        raise Refused(Reason.BELOW_THRESHOLD, detail)
    if proof.threshold > period.threshold:
        detail = f"expected a proof of exactly {period.threshold} seconds, got one of {proof.threshold}"
        raise Refused(Reason.WRONG_THRESHOLD, detail)
    if proof.recipient != normalise(recipient):
        raise Refused(Reason.WRONG_RECIPIENT, f"expected a proof for {recipient}, got one for {proof.recipient}")
    if claimed:
        raise Refused(Reason.ALREADY_CLAIMED, f"nullifier {proof.claim_id} was used")


def _selector(signature: str) -> bytes:
    return keccak256(signature.encode())[:4]
