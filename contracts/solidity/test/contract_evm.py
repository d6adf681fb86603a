"""The five contracts on an EVM (revm, at the Paris rules that they are compiled for), called by name.

A function of a contract is a method: `receipt = evm.nft.buyEdition(track, sender=alice, value=5)`. A receipt gives its
events: `receipt["PrimarySale"]["priceSun"] == 5`. A refusal is named: `with evm.reverts("SoldOut", track, 1): ...`.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from re import search
from typing import Any

import pyrevm
import pytest
from coincurve import PrivateKey
from eth_abi.abi import decode, encode
from eth_utils.crypto import keccak

HERE = Path(__file__).parent
CHAIN_ID = 1  # revm's default
NOON = 1_700_049_600  # 2023-11-15 12:00:00 UTC
DAY = 86_400
TRX = 1_000_000  # sun
TOKEN = 10**18
NOBODY = "0x" + "00" * 20
NONE = bytes(32)
ERROR_STRING = keccak(text="Error(string)")[:4]  # what revert("…") answers


def artifact(name: str) -> dict[str, Any]:
    """The committed artefact of a contract, or of one of the hostile ones."""
    paths = (HERE.parent / "artifacts" / f"{name}.json", HERE / "artifacts" / f"{name}.json")
    loaded: dict[str, Any] = json.loads(next(path for path in paths if path.exists()).read_text())
    return loaded


def account(name: str) -> str:
    """An address that belongs to nobody else: the same name, the same address."""
    return "0x" + keccak(text=f"account {name}")[12:].hex()


def hash_of(text: str) -> bytes:
    return keccak(text=text)


def role(name: str) -> bytes:
    return NONE if name == "DEFAULT_ADMIN_ROLE" else keccak(text=name)


@dataclass(frozen=True)
class Signer:
    """A key and its address, for authorisations."""

    key: PrivateKey

    @classmethod
    def named(cls, name: str) -> "Signer":
        return cls(PrivateKey(keccak(text=f"key {name}")))

    @property
    def address(self) -> str:
        return "0x" + keccak(self.key.public_key.format(compressed=False)[1:])[12:].hex()

    def sign(self, digest: bytes) -> bytes:
        """65 bytes r, s, v over a digest."""
        signature = self.key.sign_recoverable(digest, hasher=None)
        return signature[:64] + bytes([27 + signature[64]])


Attempts = tuple[Callable[[], object], ...]  # calls that are all expected to end alike


class Reverted(Exception):
    """A call reverted; `error` and `args` are those of the contract's custom error."""

    def __init__(self, error: str, arguments: tuple[Any, ...]) -> None:
        super().__init__(f"{error}{arguments}")
        self.error, self.arguments = error, arguments


@dataclass(frozen=True)
class Event:
    name: str
    args: dict[str, Any]


@dataclass(frozen=True)
class Receipt:
    """What a transaction did: `value` it returned, events in order, gas; `receipt["Name"]` is the one such event."""

    value: Any
    events: tuple[Event, ...]
    gas: int

    def all(self, name: str) -> list[dict[str, Any]]:
        return [event.args for event in self.events if event.name == name]

    def __getitem__(self, name: str) -> dict[str, Any]:
        (found,) = self.all(name)
        return found


def _type(entry: dict[str, Any]) -> str:
    kind: str = entry["type"]
    if not kind.startswith("tuple"):
        return kind
    return "(" + ",".join(map(_type, entry["components"])) + ")" + kind.removeprefix("tuple")


def signature(entry: dict[str, Any]) -> str:
    """`name(type,…)`, whose hash is the selector or topic."""
    return f"{entry['name']}({','.join(map(_type, entry['inputs']))})"


def _decode(entries: Sequence[dict[str, Any]], data: bytes) -> tuple[Any, ...]:
    return tuple(decode([_type(entry) for entry in entries], data))


class Contract:
    """A deployed contract. Each function of its ABI is a method; `sender` is the administrator unless given."""

    def __init__(self, evm: "Evm", name: str, address: str) -> None:
        self.evm, self.name, self.address = evm, name, address
        self.abi: list[dict[str, Any]] = artifact(name)["abi"]

    def calldata(self, function: str, *args: Any) -> bytes:
        entry = self._function(function, len(args))
        return keccak(text=signature(entry))[:4] + encode([_type(i) for i in entry["inputs"]], args)

    def __getattr__(self, function: str) -> Callable[..., Any]:
        def call(*args: Any, sender: str = self.evm.admin, value: int = 0) -> Any:
            entry = self._function(function, len(args))
            view = entry["stateMutability"] in ("view", "pure")
            receipt = self.evm.transact(sender, self.address, self.calldata(function, *args), value)
            outputs = _decode(entry["outputs"], receipt.value)
            result = outputs[0] if len(outputs) == 1 else outputs
            return result if view else Receipt(result, receipt.events, receipt.gas)

        return call

    def _function(self, name: str, arity: int) -> dict[str, Any]:
        for entry in self.abi:
            if entry["type"] == "function" and entry["name"] == name and len(entry["inputs"]) == arity:
                return entry
        raise AttributeError(f"{self.name}: no function {name} of {arity} arguments")


class Evm:
    """A fresh chain on which the five contracts are deployed and wired."""

    admin = account("admin")
    platform = account("platform")  # gets the fee
    verifier = Signer.named("verifier")

    def __init__(self, fee_bps: int = 500) -> None:
        self.revm = pyrevm.EVM(spec_id="MERGE")
        self.addresses: dict[str, Contract] = {}
        self.at(NOON)
        self.rich(self.admin)
        self.token = self.deploy("DCMXToken", self.admin, 1_000_000 * TOKEN, 100_000 * TOKEN)
        self.registry = self.deploy("ComplianceRegistry", self.admin)
        self.royalties = self.deploy("RoyaltyDistributor", self.admin, self.platform, fee_bps)
        self.nft = self.deploy("MusicNFT", self.admin, self.royalties.address)
        self.vault = self.deploy("RewardVault", self.admin, self.token.address, self.verifier.address)
        self.five = (self.token, self.nft, self.royalties, self.vault, self.registry)
        self.royalties.grantRole(role("REGISTRAR_ROLE"), self.nft.address)
        self.token.approve(self.vault.address, 50_000 * TOKEN)
        for pool in range(5):
            self.vault.configurePool(pool, 100 * TOKEN, True)
            self.vault.fundPool(pool, 1_000 * TOKEN)

    def deploy(self, name: str, *args: Any) -> Contract:
        built = artifact(name)
        inputs: list[dict[str, Any]] = next(
            (entry["inputs"] for entry in built["abi"] if entry["type"] == "constructor"), []
        )
        code = bytes.fromhex(built["bytecode"][2:]) + encode([_type(i) for i in inputs], args)
        address = self._run(lambda: self.revm.deploy(self.admin, code)).lower()
        self.addresses[address] = Contract(self, name, address)
        return self.addresses[address]

    def transact(self, sender: str, to: str, data: bytes, value: int = 0, gas: int = 30_000_000) -> Receipt:
        """Runs a transaction; the receipt's value is the raw answer."""
        answer = self._run(lambda: self.revm.message_call(sender, to, calldata=data, value=value, gas=gas))
        result = self._result()
        return Receipt(bytes(answer), tuple(map(self._event, result.logs)), result.gas_used)

    def energy_of_deploying(self, name: str, *args: Any) -> int:
        self.deploy(name, *args)
        return self._result().gas_used

    def rich(self, who: str, sun: int = 10**15) -> str:
        """Gives an account TRX; returns it."""
        self.revm.set_balance(who, sun)
        return who

    def listener(self, name: str) -> str:
        return self.rich(account(name))

    def artist(self, name: str) -> str:
        """An account that may release tracks."""
        self.nft.grantRole(role("ARTIST_ROLE"), account(name))
        return self.listener(name)

    def balance(self, who: str) -> int:
        return int(self.revm.get_balance(who))

    def at(self, timestamp: int) -> None:
        self.revm.set_block_env(pyrevm.BlockEnv(number=1, timestamp=timestamp))

    @contextmanager
    def reverts(self, error: str, *arguments: Any) -> Iterator[None]:
        """The block must revert with this custom error; its arguments are compared if any are given."""
        with pytest.raises(Reverted) as caught:
            yield
        assert caught.value.error == error, f"expected {error}, got {caught.value}"
        assert not arguments or caught.value.arguments == arguments, f"expected {arguments}, got {caught.value}"

    def authorise(
        self, claim: str, pool: int, claimant: str, amount: int, *, deadline: int = NOON + DAY, by: Signer | None = None
    ) -> tuple[bytes, int, int, int, bytes]:
        """The arguments of `vault.claim`, signed by the verifier over a digest computed here, not by the vault."""
        claim_id = hash_of(claim)
        domain = keccak(
            encode(
                ["bytes32", "bytes32", "bytes32", "uint256", "address"],
                [
                    keccak(text="EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                    keccak(text="RewardVault"),
                    keccak(text="1"),
                    CHAIN_ID,
                    self.vault.address,
                ],
            )
        )
        kind = "Claim(bytes32 claimId,uint8 pool,address claimant,uint256 amount,uint256 deadline)"
        message = keccak(
            encode(
                ["bytes32", "bytes32", "uint8", "address", "uint256", "uint256"],
                [keccak(text=kind), claim_id, pool, claimant, amount, deadline],
            )
        )
        digest = keccak(b"\x19\x01" + domain + message)
        return claim_id, pool, amount, deadline, (by or self.verifier).sign(digest)

    def _result(self) -> pyrevm.ExecutionResult:
        assert self.revm.result is not None
        return self.revm.result

    def _run(self, action: Callable[[], Any]) -> Any:
        try:
            return action()
        except RuntimeError as error:  # pyrevm's only exception; the answer is in its text
            output = search(r"^Revert \{ gas_used: \d+, output: 0x([0-9a-f]*) \}$", str(error))
            if output is None:
                raise Reverted(str(error), ()) from error
            raise self.decode_error(bytes.fromhex(output[1])) from error

    def decode_error(self, data: bytes) -> Reverted:
        """The custom error in the answer of a reverted call."""
        if data[:4] == ERROR_STRING:
            return Reverted("Error", decode(["string"], data[4:]))
        contracts = [artifact(path.stem)["abi"] for path in sorted((HERE.parent / "artifacts").glob("*.json"))]
        for entry in (entry for abi in contracts for entry in abi if entry["type"] == "error"):
            if keccak(text=signature(entry))[:4] == data[:4]:
                return Reverted(entry["name"], _decode(entry["inputs"], data[4:]))
        return Reverted(f"unknown error 0x{data.hex()}", ())

    def _event(self, log: Any) -> Event:
        topics, data = log.data
        for entry in self.addresses[log.address.lower()].abi:
            if entry["type"] == "event" and keccak(text=signature(entry)) == topics[0]:
                indexed = [i for i in entry["inputs"] if i["indexed"]]
                plain = [i for i in entry["inputs"] if not i["indexed"]]
                values = {i["name"]: _decode([i], t)[0] for i, t in zip(indexed, topics[1:], strict=True)}
                values |= dict(zip((i["name"] for i in plain), _decode(plain, data), strict=True))
                return Event(entry["name"], values)
        raise AssertionError(f"{log.address}: event not in the ABI: {topics[0].hex()}")
