"""Is the code at an address the compiled contract, to the last byte?

The code that the compiler gives has holes where a contract keeps its immutables, which only the constructor knew. They
are filled in with what they must be (the token of this vault, this chain's id, …), so that nothing is left out of the
comparison; one that nothing tells, such as the token's cap, must be the same at all of its places. The compiler's
metadata, which other builds of the same sources append, is no code and is cut off.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from tron.address import base58, keccak256, raw
from tron.claims import domain_separator
from tron.client import NodeClient
from tron.contract import Artifact
from tron.contracts import ListeningVerifierV1, RewardVault, RoyaltyDistributor
from tron.plan import CONTRACTS, role
from tron.sender import Sender

_WORD = 32


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is at an address; `problem` is None where it is what it should be."""

    contract: str
    address: str
    problem: str | None

    @property
    def ok(self) -> bool:
        """Whether it is what it should be."""
        return self.problem is None

    def to_dict(self) -> dict[str, Any]:
        """Return a form for JSON."""
        return {**asdict(self), "ok": self.ok}


async def verify(client: NodeClient, addresses: Mapping[str, str]) -> list[Verdict]:
    """Compare contracts (by their compiled names) with the chain, and check how they are wired: that MusicNFT may
    register tracks, and that what RewardVault checks listening claims by is the compiled verifier.

    Those that are not named are left out, also where another one refers to them.
    """
    chain_id = await client.chain_id()
    verdicts = []
    for kind in CONTRACTS:
        if (address := addresses.get(kind.NAME)) is not None:
            expected = immutables(kind.NAME, address, addresses, chain_id)
            problem = difference(kind.artifact(), await code_at(client, address), expected)
            verdicts.append(Verdict(kind.NAME, address, problem))
    if not all(verdict.ok for verdict in verdicts):
        return verdicts
    wiring: dict[str, str | None] = {}
    if {"MusicNFT", "RoyaltyDistributor"} <= addresses.keys():
        wiring["RoyaltyDistributor"] = await _unregistered(client, addresses)
    if "RewardVault" in addresses:
        wiring["RewardVault"] = await _unverified(client, addresses["RewardVault"])
    return [replace(one, problem=wiring.get(one.contract)) for one in verdicts]


async def code_at(client: NodeClient, address: str) -> bytes:
    """Return the code of the contract at an address, nothing if there is none."""
    answer = await client.request("wallet/getcontractinfo", {"value": address, "visible": True})
    return bytes.fromhex(answer.get("runtimecode", ""))


def immutables(name: str, address: str, addresses: Mapping[str, str], chain_id: int) -> dict[str, bytes]:
    """Return what is known of the immutables of a contract at `address`, as words."""
    known: dict[str, bytes] = {}
    match name:
        case "MusicNFT":
            referred = {"distributor": addresses.get("RoyaltyDistributor")}
        case "RewardVault":
            referred = {"token": addresses.get("DCMXToken")}
            known = {  # OpenZeppelin's EIP712: short strings are left-aligned and end with their length
                "_cachedThis": _word(address),
                "_cachedChainId": chain_id.to_bytes(_WORD, "big"),
                "_cachedDomainSeparator": domain_separator(address, chain_id),
                "_hashedName": keccak256(b"RewardVault"),
                "_hashedVersion": keccak256(b"1"),
                "_name": b"RewardVault".ljust(_WORD - 1, b"\0") + bytes([len("RewardVault")]),
                "_version": b"1".ljust(_WORD - 1, b"\0") + bytes([1]),
            }
        case _:
            referred = {}
    return known | {name: _word(address) for name, address in referred.items() if address is not None}


def difference(compiled: Artifact, found: bytes, known: Mapping[str, bytes]) -> str | None:
    """Return how the code found differs from the compiled one, None if it does not."""
    if not found:
        return "no contract is there"
    code, found = bytearray.fromhex(compiled.code), without_metadata(found)
    if len(found) != len(code):
        return f"expected {len(code)} bytes of code, found {len(found)}"
    for name, places in compiled.immutables.items():
        first = found[places[0] : places[0] + _WORD]
        value = known.get(name, first)
        for place in places:
            if (there := found[place : place + _WORD]) != value:
                return f"immutable {name} at byte {place}: expected {_shown(value)}, found {_shown(there)}"
            code[place : place + _WORD] = value
    for at, (wanted, got) in enumerate(zip(code, found, strict=True)):
        if wanted != got:
            return (
                f"code differs from byte {at} on: expected {code[at : at + 8].hex()}, found {found[at : at + 8].hex()}"
            )
    return None


def without_metadata(code: bytes) -> bytes:
    """Return the code without the CBOR map that compilers append: its length stands in the last two bytes."""
    start = len(code) - 2 - int.from_bytes(code[-2:], "big")
    is_map = start > 0 and code[start] & 0xF0 == 0xA0
    return code[:start] if is_map and any(key in code[start:] for key in (b"solc", b"ipfs", b"bzzr")) else code


async def _unregistered(client: NodeClient, addresses: Mapping[str, str]) -> str | None:
    distributor = RoyaltyDistributor(addresses["RoyaltyDistributor"])
    granted = await Sender(client).read(distributor.has_role(role("REGISTRAR_ROLE"), addresses["MusicNFT"]))
    return None if granted else f"REGISTRAR_ROLE is not granted to MusicNFT ({addresses['MusicNFT']})"


async def _unverified(client: NodeClient, vault: str) -> str | None:
    at = await Sender(client).read(RewardVault(vault).listening_verifier())
    problem = difference(ListeningVerifierV1.artifact(), await code_at(client, at), {})
    return None if problem is None else f"listening verifier {at}: {problem}"


def _word(address: str) -> bytes:
    return raw(address).rjust(_WORD, b"\0")


def _shown(word: bytes) -> str:
    return base58(word[12:]) if not any(word[:12]) and any(word[12:16]) else word.hex()
