"""Accounts, contracts and the undo log: everything that is not inside the virtual machine.

Balances live in both places: here they are authoritative for transfers and fees, and every change is written
through to the virtual machine; what contracts move is read back after each call (`executor`).
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from typing import Any

from devnet.evm import VirtualMachine
from devnet.proto import SMART_CONTRACT, Dict, decode, encode
from devnet.settings import DAY_MS


@dataclass(slots=True)
class Account:
    """A TRX account. Times are in milliseconds of the chain."""

    address: bytes
    balance: int = 0
    created_ms: int | None = None
    name: str = ""
    contract: Dict | None = None
    """For a contract: its `SmartContract` message, None for one that another contract created."""
    is_contract: bool = False
    operated_ms: int = 0
    free_usage: int = 0
    free_usage_ms: int = 0
    energy_ms: int = 0

    def free_used(self, now_ms: int) -> int:
        """Returns the free bandwidth in use: it recovers linearly over a day."""
        elapsed = now_ms - self.free_usage_ms
        return self.free_usage * (DAY_MS - elapsed) // DAY_MS if elapsed < DAY_MS else 0


@dataclass(slots=True)
class Undo:
    """How to go back to the state before a block: the virtual machine's mark and the accounts as they were."""

    mark: Any
    accounts: dict[bytes, Account | None] = field(default_factory=dict)
    burnt: int = 0


class State:
    """All accounts, with an undo record for the open block."""

    def __init__(self, vm: VirtualMachine) -> None:
        self.vm = vm
        self.accounts: dict[bytes, Account] = {}
        self.contracts: dict[bytes, int] = {}
        """Every address with code, with its nonce in the virtual machine (it tells of contracts made by contracts)."""
        self.burnt = 0
        self.undo = Undo(vm.checkpoint())

    def begin(self) -> Undo:
        """Starts a new undo record and returns it."""
        self.undo = Undo(self.vm.checkpoint(), burnt=self.burnt)
        return self.undo

    def touch(self, address: bytes, now_ms: int) -> Account:
        """Returns the account for changing it, created if there is none; the old state goes into the undo record."""
        account = self.accounts.get(address)
        if address not in self.undo.accounts:
            self.undo.accounts[address] = copy.copy(account)
        if account is None:
            account = self.accounts[address] = Account(address, created_ms=now_ms)
        return account

    def credit(self, address: bytes, amount: int, now_ms: int) -> None:
        """Adds `amount` sun (which may be negative) and writes the balance through to the virtual machine."""
        account = self.touch(address, now_ms)
        account.balance += amount
        self.vm.set_balance(address, account.balance)

    def add_contract(self, address: bytes, now_ms: int, contract: Dict | None, nonce: int = 1) -> None:
        """Records that there is code at `address` now; 1 is the nonce of a contract that has created none."""
        account = self.touch(address, now_ms)
        account.is_contract = True
        account.contract = contract
        account.name = contract.get("name", "") if contract else ""
        self.contracts[address] = nonce

    def dump(self) -> Dict:
        """Returns everything as JSON, bytes in hex: accounts, contracts, and what the virtual machine holds."""
        machine = [
            [address.hex(), str(balance), nonce, code.hex(), [[hex(slot), hex(word)] for slot, word in words]]
            for address, balance, nonce, code, words in self.vm.dump()
        ]
        contracts = {address.hex(): nonce for address, nonce in self.contracts.items()}
        accounts = [_packed(account) for account in self.accounts.values()]
        return {"burnt": self.burnt, "accounts": accounts, "contracts": contracts, "machine": machine}

    def load(self, dump: Dict) -> None:
        """Fills a state that has nothing with what `dump` returned."""
        self.vm.load(
            (
                bytes.fromhex(address),
                int(balance),
                nonce,
                bytes.fromhex(code),
                [(int(s, 16), int(w, 16)) for s, w in words],
            )
            for address, balance, nonce, code, words in dump["machine"]
        )
        self.burnt = dump["burnt"]
        self.contracts = {bytes.fromhex(address): nonce for address, nonce in dump["contracts"].items()}
        self.accounts = {account.address: account for account in map(_unpacked, dump["accounts"])}

    def rollback(self, undos: Iterable[Undo]) -> None:
        """Goes back over the given records, newest first, to the state before the last of them."""
        before: dict[bytes, Account | None] = {}
        last: Undo | None = None
        for last in undos:
            before.update(last.accounts)
        if last is None:
            return
        self.vm.rollback(last.mark)
        self.burnt = last.burnt
        for address, account in before.items():
            self._restore(address, account)
        for address in self.contracts:
            self.contracts[address] = self.vm.nonce(address)
        self.undo = Undo(self.vm.checkpoint(), burnt=self.burnt)

    def _restore(self, address: bytes, account: Account | None) -> None:
        if self.accounts[address].is_contract and not (account and account.is_contract):
            del self.contracts[address]
            self.vm.remove_code(address)
        if account is None:
            del self.accounts[address]
        else:
            self.accounts[address] = account
        self.vm.set_balance(address, account.balance if account else 0)


def _packed(account: Account) -> Dict:
    shown = {entry.name: getattr(account, entry.name) for entry in fields(account)}
    contract = encode(SMART_CONTRACT, account.contract).hex() if account.contract is not None else None
    return {**shown, "address": account.address.hex(), "contract": contract}


def _unpacked(shown: Dict) -> Account:
    contract = shown["contract"]
    return Account(
        **{
            **shown,
            "address": bytes.fromhex(shown["address"]),
            "contract": decode(SMART_CONTRACT, bytes.fromhex(contract)) if contract is not None else None,
        }
    )
