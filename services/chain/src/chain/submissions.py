"""The other border: what others ask for, by API or on `chain.commands`, is checked and becomes an operation."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from chain.domain import operation as op
from chain.payloads import Payloads
from contracts import operations
from contracts.values import Address, Amount
from eventlog import Intent, Metadata
from messaging import Received, TopicSpec, orders
from service import Strict
from tron.errors import InvalidArgument

COMMANDS = TopicSpec("chain.commands")
"""Keyed by the operation, or by whatever stream of its own a service sends from: not by the sending key. The network
orders nothing among an account's transactions, so an order of commands would promise what it can't keep, and one
command that fails would hold up all payments of its key."""


Name = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9_-]+$")]


class ContractCall(Strict):
    """A function of one of our contracts: mint, buy, claim, record an acceptance, request a deletion."""

    kind: Literal["call"]
    contract: Name
    method: Name = Field(description="in snake case: buy_edition")
    args: dict[str, Any] = Field({}, description="by name in snake case; integers as numbers or decimal strings")
    value_sun: Amount = 0


class TrxPayment(Strict):
    kind: Literal["trx"]
    to: Address
    amount_sun: Amount


class TokenPayment(Strict):
    """A transfer of any TRC-20 token, in its smallest unit."""

    kind: Literal["trc20"]
    token: Address
    to: Address
    amount: Amount


class Submissions:
    """Checks what is asked for: there must be such a key, and such a function with such arguments."""

    def __init__(self, senders: Collection[str], payloads: Payloads) -> None:
        self._senders = senders
        self._payloads = payloads

    def verify(self, sender: str, payload: op.Payload) -> None:
        """Raises InvalidArgument, which begins with the field's name."""
        if sender not in self._senders:
            known = ", ".join(sorted(self._senders)) or "none, because no key is configured"
            raise InvalidArgument(f"sender: expected one of {known}; got {sender!r:.60}")
        self._payloads.prepare(payload)

    def asked(self, wish: op.OperationIntended, at: datetime, metadata: Metadata) -> Intent:
        """A request that somebody waits for. Raises InvalidArgument."""
        self.verify(wish.sender, wish.payload)
        return _intent(op.Intend(wish), at, metadata)

    def commanded(self, received: Received) -> Sequence[Intent]:
        """A command of another service, or an order to erase.

        What is wrong with a command is told on `chain.operations`, as a failure.
        """
        if not isinstance(command := received.message, operations.ChainCommand):
            return orders.ordered(received)
        at = received.time or datetime.now(UTC)
        wish = op.OperationIntended(command.operation_id, command.sender, payload_of(command), received.source)
        try:
            self.verify(wish.sender, wish.payload)
        except InvalidArgument as error:
            return [_intent(op.Intend(wish, str(error)), at, Metadata())]
        return [_intent(op.Intend(wish), at, Metadata())]


def payload_of(asked: ContractCall | TrxPayment | TokenPayment | operations.ChainCommand) -> op.Payload:
    """What is asked for, in our own words."""
    match asked:
        case ContractCall() | operations.CallContract():
            return op.ContractCall(asked.contract, asked.method, asked.args, asked.value_sun)
        case TrxPayment() | operations.PayTrx():
            return op.TrxPayment(asked.to, asked.amount_sun)
        case TokenPayment() | operations.PayToken():
            return op.TokenPayment(asked.token, asked.to, asked.amount)
        case _:
            raise TypeError(f"{type(asked).__name__}: expected a command of this release")


def _intent(command: op.Intend, at: datetime, metadata: Metadata) -> Intent:
    return Intent(op.operation_stream(command.intended.operation_id), op.operation, command, at, metadata)
