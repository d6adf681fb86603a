"""The verifier's signature for `RewardVault.claim`: EIP-712 typed data, bound to claimant, chain and vault.

The digest is the contract's `claimDigest`, computed here; a test compares the two on a chain.
"""

from __future__ import annotations

from tron.abi import Abi
from tron.address import keccak256
from tron.keys import Key

_DOMAIN = b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
_CLAIM = b"Claim(bytes32 claimId,uint8 pool,address claimant,uint256 amount,uint256 deadline)"


def _encoder(*kinds: str) -> Abi:
    inputs = [{"name": f"field{index}", "type": kind} for index, kind in enumerate(kinds)]
    return Abi([{"type": "constructor", "inputs": inputs}])


_DOMAIN_FIELDS = _encoder("bytes32", "bytes32", "bytes32", "uint256", "address")
_CLAIM_FIELDS = _encoder("bytes32", "bytes32", "uint8", "address", "uint256", "uint256")


def claim_digest(
    vault: str, chain_id: int, *, claim_id: str | bytes, pool: int, claimant: str, amount: int, deadline: int
) -> bytes:
    """Return the 32 bytes that the vault's verifier signs; `amount` is in the token's smallest unit, `deadline` Unix
    seconds. `chain_id` is what the virtual machine says: see `NodeClient.chain_id`. Raises `InvalidArgument`.
    """
    fields = [keccak256(_CLAIM), claim_id, pool, claimant, amount, deadline]
    claim = _CLAIM_FIELDS.constructor.encode(fields, "claim")
    return keccak256(b"\x19\x01" + domain_separator(vault, chain_id) + keccak256(claim))


def domain_separator(vault: str, chain_id: int) -> bytes:
    """Return the hash that binds signatures to this vault on this chain (EIP-712)."""
    names = [keccak256(text) for text in (_DOMAIN, b"RewardVault", b"1")]
    return keccak256(_DOMAIN_FIELDS.constructor.encode([*names, chain_id, vault], "domain"))


def authorise_claim(
    verifier: Key,
    vault: str,
    chain_id: int,
    *,
    claim_id: str | bytes,
    pool: int,
    claimant: str,
    amount: int,
    deadline: int,
) -> bytes:
    """Return the 65-byte signature (v 27 or 28) to pass to `RewardVault.claim`."""
    digest = claim_digest(
        vault, chain_id, claim_id=claim_id, pool=pool, claimant=claimant, amount=amount, deadline=deadline
    )
    signature = verifier.sign(digest)
    return signature[:64] + bytes([signature[64] + 27])
