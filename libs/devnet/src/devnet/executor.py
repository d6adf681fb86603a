"""Executes transactions as java-tron's actuators do: validate, charge bandwidth, act, charge energy."""

from __future__ import annotations

from dataclasses import dataclass

from devnet.evm import Outcome, contract_address
from devnet.keys import PREFIX, keccak, to_base58
from devnet.settings import Settings
from devnet.state import State
from devnet.transactions import Internal, Receipt, Transaction


class Refused(Exception):
    """A transaction that may not enter a block. `code` is java-tron's; the text its message in clear."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def invalid(message: str) -> Refused:
    """Returns the refusal of a transaction that is well formed but not allowed."""
    return Refused("CONTRACT_VALIDATE_ERROR", f"Contract validate error : {message}")


@dataclass(slots=True)
class _Charge:
    """What entering the block costs: bandwidth from the free allowance or paid, and flat fees."""

    net_usage: int = 0
    net_fee: int = 0
    flat_fee: int = 0

    @property
    def total(self) -> int:
        return self.net_fee + self.flat_fee


class Executor:
    """Applies transactions to the state, one at a time, in the block that is set in the virtual machine."""

    def __init__(self, state: State, settings: Settings) -> None:
        self._state = state
        self._settings = settings

    def execute(self, transaction: Transaction, now_ms: int) -> None:
        """Executes and fills in the receipt; `now_ms` is the block's time.

        Raises:
            Refused: it may not enter a block; nothing has changed.
        """
        if transaction.owner not in self._state.accounts:
            raise invalid(f"account [{to_base58(transaction.owner)}] does not exist")
        match transaction.kind:
            case "TransferContract":
                receipt = self._transfer(transaction, now_ms)
            case "AccountCreateContract":
                receipt = self._create_account(transaction, now_ms)
            case "TriggerSmartContract":
                receipt = self._trigger(transaction, now_ms)
            case _:
                receipt = self._create_contract(transaction, now_ms)
        owner = self._state.touch(transaction.owner, now_ms)
        owner.operated_ms = now_ms
        if receipt.net_usage:
            owner.free_usage = owner.free_used(now_ms) + receipt.net_usage
            owner.free_usage_ms = now_ms
        receipt.fee += receipt.net_fee + receipt.energy_fee
        self._state.burnt += receipt.fee
        transaction.receipt = receipt

    def _charge(self, transaction: Transaction, now_ms: int, creates: bool = False) -> _Charge:
        settings, owner = self._settings, self._state.accounts[transaction.owner]
        charge = _Charge()
        if transaction.fields.get("data"):
            charge.flat_fee += settings.memo_fee_sun
        if len(transaction.signatures) > 1:
            charge.flat_fee += settings.multi_sign_fee_sun
        if creates:
            charge.net_fee = settings.create_account_bandwidth_fee_sun
        elif owner.free_used(now_ms) + transaction.bandwidth <= settings.free_bandwidth:
            charge.net_usage = transaction.bandwidth
        else:
            charge.net_fee = transaction.bandwidth * settings.bandwidth_price_sun
        if charge.total > owner.balance:
            raise Refused("BANDWITH_ERROR", "Account resource insufficient error.")
        return charge

    def _transfer(self, transaction: Transaction, now_ms: int) -> Receipt:
        state, value = self._state, transaction.value
        owner, to, amount = transaction.owner, value.get("to_address", b""), value.get("amount", 0)
        if len(to) != 21 or to[:1] != PREFIX:
            raise invalid("Invalid toAddress!")
        if to == owner:
            raise invalid("Cannot transfer TRX to yourself.")
        if amount <= 0:
            raise invalid("Amount must be greater than 0.")
        creates = to not in state.accounts
        charge = self._charge(transaction, now_ms, creates)
        if creates:
            charge.flat_fee += self._settings.create_account_fee_sun
        if amount + charge.total > state.accounts[owner].balance:
            raise invalid("Validate TransferContract error, balance is not sufficient.")
        state.credit(owner, -amount - charge.total, now_ms)
        state.credit(to, amount, now_ms)
        return Receipt(fee=charge.flat_fee, net_usage=charge.net_usage, net_fee=charge.net_fee)

    def _create_account(self, transaction: Transaction, now_ms: int) -> Receipt:
        state, address = self._state, transaction.value.get("account_address", b"")
        if len(address) != 21 or address[:1] != PREFIX:
            raise invalid("Invalid account address")
        if address in state.accounts:
            raise invalid("Account has existed")
        charge = self._charge(transaction, now_ms, creates=True)
        charge.flat_fee += self._settings.create_account_fee_sun
        if charge.total > state.accounts[transaction.owner].balance:
            raise invalid("Validate CreateAccountActuator error, insufficient fee.")
        state.credit(transaction.owner, -charge.total, now_ms)
        state.credit(address, 0, now_ms)
        return Receipt(fee=charge.flat_fee, net_usage=charge.net_usage, net_fee=charge.net_fee)

    def _trigger(self, transaction: Transaction, now_ms: int) -> Receipt:
        value = transaction.value
        target = value.get("contract_address", b"")
        if target not in self._state.contracts:
            raise invalid("No contract or not a valid smart contract")
        call_value = value.get("call_value", 0)
        charge, limit = self._prepare(transaction, now_ms, call_value)
        outcome = self._state.vm.call(transaction.owner, target, value.get("data", b""), call_value, limit)
        return self._settle(transaction, now_ms, charge, outcome, target, call_value)

    def _create_contract(self, transaction: Transaction, now_ms: int) -> Receipt:
        state, new = self._state, transaction.value.get("new_contract", {})
        if new.get("origin_address") != transaction.owner:
            raise invalid("OwnerAddress is not equals OriginAddress")
        if not 0 <= new.get("consume_user_resource_percent", 0) <= 100:
            raise invalid("percent must be >= 0 and <= 100")
        if len(new.get("name", "").encode()) > 32:
            raise invalid("contractName's length cannot be greater than 32")
        target = contract_address(transaction.id, transaction.owner)
        if target in state.accounts:
            raise invalid(f"Trying to create a contract with existing contract address: {to_base58(target)}")
        call_value = new.get("call_value", 0)
        charge, limit = self._prepare(transaction, now_ms, call_value)
        outcome = state.vm.deploy(transaction.owner, target, new.get("bytecode", b""), call_value, limit)
        if outcome.ok:
            stored = {**new, "contract_address": target, "code_hash": keccak(outcome.output)}
            state.add_contract(target, now_ms, stored)
        return self._settle(transaction, now_ms, charge, outcome, target, call_value)

    def _prepare(self, transaction: Transaction, now_ms: int, call_value: int) -> tuple[_Charge, int]:
        """Charges bandwidth and returns the charge and the energy that the owner can pay for."""
        state, settings = self._state, self._settings
        if not 0 <= transaction.fee_limit <= settings.max_fee_limit_sun:
            raise invalid(f"feeLimit must be >= 0 and <= {settings.max_fee_limit_sun}")
        if call_value < 0:
            raise invalid("callValue must be >= 0")
        charge = self._charge(transaction, now_ms)
        left = state.accounts[transaction.owner].balance - charge.total - call_value
        if left < 0:
            raise invalid("Validate InternalTransfer error, balance is not sufficient.")
        state.credit(transaction.owner, -charge.total, now_ms)
        return charge, min(transaction.fee_limit, left) // settings.energy_price_sun

    def _settle(
        self, transaction: Transaction, now_ms: int, charge: _Charge, outcome: Outcome, target: bytes, call_value: int
    ) -> Receipt:
        state, owner = self._state, transaction.owner
        receipt = Receipt(
            fee=charge.flat_fee,
            net_usage=charge.net_usage,
            net_fee=charge.net_fee,
            energy=outcome.energy,
            energy_fee=outcome.energy * self._settings.energy_price_sun,
            result=outcome.result,
            output=outcome.output,
            message=outcome.message,
            contract=target,
            logs=outcome.logs,
        )
        if outcome.ok:
            receipt.internals = self._follow(transaction, now_ms, target, call_value)
        account = state.touch(owner, now_ms)
        account.energy_ms = now_ms
        state.credit(owner, -receipt.energy_fee, now_ms)
        return receipt

    def _follow(self, transaction: Transaction, now_ms: int, target: bytes, call_value: int) -> tuple[Internal, ...]:
        """Brings the accounts up to date with what the contracts moved, and returns those movements.

        Only the balances of the caller and of contracts are compared, which is fast. When they do not add up,
        somebody else was paid, and all accounts are compared.
        """
        state, vm, owner = self._state, self._state.vm, transaction.owner
        if call_value:
            state.touch(owner, now_ms).balance -= call_value
            state.touch(target, now_ms).balance += call_value
        nonces = {address: vm.nonce(address) for address in state.contracts}
        parents = [address for address, nonce in nonces.items() if nonce != state.contracts[address]]
        moved = {
            address: change
            for address in (owner, *state.contracts)
            if (change := vm.balance(address) - state.accounts[address].balance)
        }
        children: list[bytes] = []
        if parents or sum(moved.values()):
            everyone = vm.accounts()
            children = [address for address, (_, code) in everyone.items() if code and address not in state.contracts]
            for address, (balance, _) in everyone.items():
                known = state.accounts.get(address)
                if change := balance - (known.balance if known else 0):
                    moved[address] = change
        for address, change in moved.items():
            state.touch(address, now_ms).balance += change
        state.contracts.update(nonces)
        movements = [(parents[0] if parents else target, child, 0, "create") for child in sorted(children)]
        for child in children:
            state.add_contract(child, now_ms, None, vm.nonce(child))
        movements += [(payer, payee, amount, "call") for payer, payee, amount in settle_net(moved)]
        return tuple(
            Internal(keccak(transaction.id + index.to_bytes(8, "big")), payer, payee, amount, note)
            for index, (payer, payee, amount, note) in enumerate(movements)
        )


def settle_net(moved: dict[bytes, int]) -> list[tuple[bytes, bytes, int]]:
    """Returns the transfers (payer, payee, amount) that explain the changes, payers and payees in order of address.

    With one payer or one payee there is only one answer. The sum of the changes must be zero.
    """
    payers = {address: -change for address, change in sorted(moved.items()) if change < 0}
    payees = {address: change for address, change in sorted(moved.items()) if change > 0}
    transfers: list[tuple[bytes, bytes, int]] = []
    for payer, owed in payers.items():
        for payee in payees:
            amount = min(owed, payees[payee])
            if amount:
                transfers.append((payer, payee, amount))
                owed -= amount
                payees[payee] -= amount
    return transfers
