"""What other services ask the chain service to do (`chain.commands`), and what became of it (`chain.operations`).

A command's `operation_id` is chosen by whoever asks, once per thing to be done: the same id again changes nothing, so a
command may be sent as often as one likes. The results carry it.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from contracts.envelope import Message
from contracts.values import Address, Amount, Hash

OperationId = Annotated[
    str, StringConstraints(pattern=r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$")
]
"""A UUID in lower case."""
SenderName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,49}$")]
"""The name under which the chain service knows a sending key."""
FailureKind = Literal["network", "resources", "duplicate", "expired", "invalid", "energy", "execution"]


class ChainCommand(Message):
    """Something to be done on the chain, once."""

    operation_id: OperationId
    sender: SenderName = Field(description="the name of the key that signs and pays")


class CallContract(ChainCommand, type="chain.commands.CallContract.v1"):
    """Call a function of one of the contracts: mint, buy, claim, record an acceptance, request a deletion."""

    contract: str = Field(description="music-nft, dcmx-token, ...", max_length=100)
    method: str = Field(description="in snake case: buy_edition", max_length=100)
    args: dict[str, Any] = Field(description="by name in snake case; integers as numbers or decimal strings")
    value_sun: Amount = 0


def anchor_root(operation_id: str, sender: str, log_id: Hash, segment: int, root: Hash) -> CallContract:
    """The command that writes the root of a segment into ComplianceRegistry; `sender` needs ANCHOR_ROLE there."""
    args = {"log_id": log_id, "segment": segment, "root": root}
    return CallContract(
        operation_id=operation_id, sender=sender, contract="compliance-registry", method="anchor_root", args=args
    )


class PayTrx(ChainCommand, type="chain.commands.PayTrx.v1"):
    """Transfer TRX."""

    to: Address
    amount_sun: Amount


class PayToken(ChainCommand, type="chain.commands.PayToken.v1"):
    """Transfer a TRC-20 token; the amount is in its smallest unit."""

    token: Address
    to: Address
    amount: Amount


class OperationBroadcast(Message, type="chain.operations.OperationBroadcast.v1"):
    """A node took the operation's transaction; it may still never be in a block. Comes again with each attempt."""

    operation_id: OperationId
    tx_id: Hash
    attempt: int = Field(ge=1)


class OperationSolidified(Message, type="chain.operations.OperationSolidified.v1"):
    """The operation was done and can never be undone."""

    operation_id: OperationId
    tx_id: Hash
    block_number: int = Field(ge=0)
    block_hash: Hash
    fee_sun: Amount
    energy_used: int = Field(ge=0)


class OperationFailed(Message, type="chain.operations.OperationFailed.v1"):
    """The operation was not done and never will be. To try again, ask under another id."""

    operation_id: OperationId
    kind: FailureKind
    reason: str
    tx_id: Hash | None = Field(description="of the last attempt; null when that was never signed")


class OperationExpired(Message, type="chain.operations.OperationExpired.v1"):
    """The operation was not done and never will be: no attempt was put into a block before it lapsed."""

    operation_id: OperationId
    attempts: int = Field(ge=1)
    tx_id: Hash = Field(description="of the last attempt")
    reason: str
