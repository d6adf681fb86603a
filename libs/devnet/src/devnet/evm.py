"""The virtual machine: pyrevm, with the few rules in which TRON's differs.

* Energy is what the code itself uses: Ethereum's 21,000 per transaction and the price of call data are not charged.
* A contract's address comes from the transaction (see `contract_address`), not from the sender's nonce; its
  constructor therefore runs *at* that address, and 200 energy per byte of code are added.
* Nothing is ever finalised: every change stays in pyrevm's journal, so any earlier checkpoint can be restored.
  That is what a reorganisation does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pyrevm

from devnet.keys import PREFIX, keccak

SPEC = "CANCUN"
_INTRINSIC_GAS = 21_000
_NO_CODE = (b"", bytes(32), keccak(b""))
_CODE_ENERGY_PER_BYTE = 200
_MAX_CODE_BYTES = 24_576

# pyrevm's reason for a halt -> java-tron's contractResult and message
_HALTS = (
    ("OutOfGas", "OUT_OF_ENERGY", "Not enough energy"),
    ("OpcodeNotFound", "ILLEGAL_OPERATION", "Invalid operation code"),
    ("InvalidFEOpcode", "ILLEGAL_OPERATION", "Invalid operation code: opCode[fe];"),
    ("InvalidJump", "BAD_JUMP_DESTINATION", "Operation with pc isn't 'JUMPDEST'"),
    ("StackUnderflow", "STACK_TOO_SMALL", "Expected stack size is larger than the actual one"),
    ("StackOverflow", "STACK_OVERFLOW", "Stack size exceeded its maximum"),
)

# pyrevm shows which slots an account has only in its debug text; a test restores a chain and compares.
_ACCOUNT = re.compile(
    r"(0x[0-9a-f]{40}): Account \{ info: AccountInfo \{ balance: \d+, nonce: (\d+), .*? \}, "
    r"storage: \{((?:\d+: StorageSlot \{[^{}]*\}(?:, )?)*)\}, status"
)
_SLOT = re.compile(r"(\d+): StorageSlot \{ previous_or_original_value: \d+, present_value: (\d+) \}")

Cell = tuple[bytes, int, int, bytes, list[tuple[int, int]]]
"""An account of the virtual machine: address, balance in sun, nonce, code, and its storage slots with their words."""

Log = tuple[bytes, list[bytes], bytes]
"""Emitting contract (20 bytes), topics, data."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an execution did: its result in java-tron's words, energy used, output and logs (none on failure)."""

    result: str
    energy: int
    output: bytes = b""
    logs: tuple[Log, ...] = ()
    message: str = ""

    @property
    def ok(self) -> bool:
        """True when the execution neither reverted nor halted."""
        return self.result == "SUCCESS"


def contract_address(transaction_id: bytes, owner: bytes) -> bytes:
    """Returns the 21-byte address of the contract that this transaction creates (java-tron: WalletUtil)."""
    return PREFIX + keccak(transaction_id + owner)[12:]


def _hex(address: bytes) -> str:
    return "0x" + address[1:].hex()


class VirtualMachine:
    """Balances, code and storage of all accounts. Addresses are 21 bytes outside and 20 inside."""

    def __init__(self, chain_id: int) -> None:
        config = pyrevm.CfgEnv(chain_id=chain_id)
        self._evm = pyrevm.EVM(spec_id=SPEC, env=pyrevm.Env(cfg=config))

    def set_block(self, number: int, timestamp_ms: int, witness: bytes) -> None:
        """Sets what the code sees as the current block; its timestamp is in whole seconds."""
        block = pyrevm.BlockEnv(number=number, timestamp=timestamp_ms // 1000, coinbase=_hex(witness))
        self._evm.set_block_env(block)

    def checkpoint(self) -> Any:
        """Returns a mark to which `rollback` can return; committing at once keeps the journal's call depth at zero."""
        mark = self._evm.snapshot()
        self._evm.commit()
        return mark

    def rollback(self, mark: Any) -> None:
        """Undoes every execution since `mark`. Balances and code set from outside are the caller's to restore."""
        self._evm.snapshot()
        self._evm.revert(mark)

    def balance(self, address: bytes) -> int:
        """Returns the balance in sun."""
        return int(self._evm.get_balance(_hex(address)))

    def set_balance(self, address: bytes, balance: int) -> None:
        """Sets the balance in sun; not undone by `rollback`."""
        self._evm.set_balance(_hex(address), balance)

    def nonce(self, address: bytes) -> int:
        """Returns how many contracts this account created, plus one for a contract."""
        return int(self._evm.basic(_hex(address)).nonce)

    def code(self, address: bytes) -> bytes:
        """Returns the runtime code; empty when there is none."""
        return bytes(self._evm.get_code(_hex(address)) or b"")

    def storage(self, address: bytes, slot: int) -> int:
        """Returns one storage word."""
        return int(self._evm.storage(_hex(address), slot))

    def remove_code(self, address: bytes) -> None:
        """Makes an account plain again after its deployment was undone."""
        self._evm.insert_account_info(_hex(address), pyrevm.AccountInfo())

    def accounts(self) -> dict[bytes, tuple[int, bool]]:
        """Returns balance and whether there is code, for every account ever touched. Slow: for rare cases."""
        state = self._evm.journal_state
        return {
            PREFIX + bytes.fromhex(key[2:]): (int(info.balance), bytes(info.code_hash or b"") not in _NO_CODE)
            for key, info in state.items()
        }

    def dump(self) -> list[Cell]:
        """Returns every account ever touched, with every slot ever read or written: those are cheaper the next time."""
        text: str = self._evm.journal_str
        cells = []
        for name, nonce, slots in _ACCOUNT.findall(text, 0, text.index("}, transient_storage: {")):
            address = PREFIX + bytes.fromhex(name[2:])
            words = [(int(slot), int(word)) for slot, word in _SLOT.findall(slots)]
            cells.append((address, self.balance(address), int(nonce), self.code(address), words))
        return cells

    def load(self, cells: Iterable[Cell]) -> None:
        """Puts the accounts of a dump into a machine that has none."""
        for address, balance, nonce, code, words in cells:
            self._put_code(address, code, nonce, balance)
            for slot, word in words:
                self._evm.insert_account_storage(_hex(address), slot, word)

    def call(self, caller: bytes, to: bytes, data: bytes, value: int, energy_limit: int) -> Outcome:
        """Runs `to` with `data` and `value` sun. A failure leaves no trace; success stays until rolled back."""
        intrinsic = _INTRINSIC_GAS + 16 * len(data) - 12 * data.count(0)
        evm = self._evm
        evm.reset_transient_storage()
        try:
            output = evm.message_call(_hex(caller), _hex(to), calldata=data, value=value, gas=intrinsic + energy_limit)
        except RuntimeError as error:
            return self._failure(error, intrinsic, energy_limit)
        result = self._last()
        logs = tuple((bytes.fromhex(log.address[2:]), *log.data) for log in result.logs)
        used = result.gas_used + result.gas_refunded - intrinsic  # the TVM refunds nothing
        return Outcome("SUCCESS", used, bytes(output), logs)

    def _last(self) -> pyrevm.ExecutionResult:
        result = self._evm.result
        assert result is not None
        return result

    def _failure(self, error: RuntimeError, intrinsic: int, energy_limit: int) -> Outcome:
        text = str(error)
        if text.startswith("Revert"):
            output = bytes.fromhex(text.rpartition("output: 0x")[2].rstrip(" }"))
            used = self._last().gas_used - intrinsic
            return Outcome("REVERT", used, output, message="REVERT opcode executed")
        if not text.startswith("Halt"):
            raise error
        for reason, result, message in _HALTS:
            if reason in text:
                if result == "OUT_OF_ENERGY":
                    message += f" for the operation executing: curInvokeEnergyLimit[{energy_limit}]"
                return Outcome(result, energy_limit, message=message)
        return Outcome("UNKNOWN", energy_limit, message=text)

    def deploy(self, owner: bytes, address: bytes, code: bytes, value: int, energy_limit: int) -> Outcome:
        """Runs the constructor at `address` and leaves its code there. The output is the runtime code."""
        mark = self.checkpoint()
        balance = self.balance(address)
        self._put_code(address, code, nonce=1, balance=balance)
        outcome = self.call(owner, address, b"", value, energy_limit)
        if outcome.ok:
            energy = outcome.energy + _CODE_ENERGY_PER_BYTE * len(outcome.output)
            if energy > energy_limit:
                message = f"Not enough energy to save the code: curInvokeEnergyLimit[{energy_limit}]"
                outcome = Outcome("OUT_OF_ENERGY", energy_limit, message=message)
            elif len(outcome.output) > _MAX_CODE_BYTES:
                outcome = Outcome("INVALID_CODE", energy_limit, message="invalid code: code size exceeded")
            else:
                nonce, held = self.nonce(address), self.balance(address)
                self._put_code(address, outcome.output, nonce, held)
                return Outcome("SUCCESS", energy, outcome.output, outcome.logs)
        self.rollback(mark)
        self.remove_code(address)
        self.set_balance(address, balance)
        return outcome

    def _put_code(self, address: bytes, code: bytes, nonce: int, balance: int) -> None:
        self._evm.basic(_hex(address))  # loads the account, so that the code lands in the journalled state
        self._evm.insert_account_info(_hex(address), pyrevm.AccountInfo(nonce=nonce, code=code))
        self._evm.set_balance(_hex(address), balance)
