"""What can go wrong between us and a node, by what the caller should do about it."""

from __future__ import annotations

from typing import Literal

Kind = Literal["network", "resources", "duplicate", "expired", "invalid", "energy", "execution"]
"""Why a transaction did not succeed: try again later (network), pay more or wait (resources, energy), look it up
(duplicate), build it anew (expired), mend it (invalid, execution)."""


class TronError(Exception):
    """The base of every error that this package raises on purpose."""


class InvalidAddress(TronError, ValueError):
    """A text that is no TRON address: wrong length, alphabet, prefix or checksum."""


class InvalidArgument(TronError, ValueError):
    """A contract argument of the wrong type or out of range; the message begins with the argument's path."""


class NodeError(TronError):
    """A request to a node that did not give a usable answer. `node` and `path` say which."""

    def __init__(self, node: str, path: str, problem: str) -> None:
        super().__init__(f"{node}/{path}: {problem}")
        self.node = node
        self.path = path
        self.problem = problem


class NodeUnavailable(NodeError):
    """No answer now: connection refused, time-out, 5xx, a body that is not JSON. Try again, or another node."""


class RateLimited(NodeUnavailable):
    """Too many requests (429, 503, 403, or HTTP 200 with an `Error` about it). `retry_after` is in seconds, if said."""

    def __init__(self, node: str, path: str, problem: str, retry_after: float | None = None) -> None:
        super().__init__(node, path, problem)
        self.retry_after = retry_after


class BudgetSpent(RateLimited):
    """Our own budget for this node allows no request now; `retry_after` says when. Nothing was sent."""


class NotServed(NodeError):
    """This origin does not serve this path (404, 405): a full node's port has no `/walletsolidity`, for instance."""


class NodeRefused(NodeError):
    """The node understood and declined: an `Error` field, or a 4xx that is no rate limit. Trying again is no use."""


class TooMuch(NodeRefused):
    """The answer would be too long for the node or for us. Ask for less: fewer blocks, or fewer addresses."""


class IncompleteAnswer(NodeError):
    """The node does not hold (yet) what was asked: a block is missing, or a block's receipts are."""


class NodeBehind(IncompleteAnswer):
    """The node's solidified height is below a block that is proven already: it lags, whatever it says is old."""


class NodeLied(NodeError):
    """The answer contradicts the question or itself: wrong number, broken parent chain, foreign receipts."""


class NodeDisagrees(NodeLied):
    """The node has another block where one is proven and solidified: one of the two is of another chain."""


_KINDS: dict[str, Kind] = {
    "SERVER_BUSY": "network",
    "NO_CONNECTION": "network",
    "NOT_ENOUGH_EFFECTIVE_CONNECTION": "network",
    "BLOCK_UNSOLIDIFIED": "network",
    "BANDWITH_ERROR": "resources",  # the protocol spells it so
    "DUP_TRANSACTION_ERROR": "duplicate",
    "TRANSACTION_EXPIRATION_ERROR": "expired",
    "TAPOS_ERROR": "expired",
    "CONTRACT_EXE_ERROR": "execution",
}


class BroadcastRefused(TronError):
    """A node did not take a transaction. `code` is java-tron's, `kind` says what to do about it."""

    def __init__(self, tx_id: str, code: str, message: str) -> None:
        super().__init__(f"transaction {tx_id}: {code}: {message}")
        self.tx_id = tx_id
        self.code = code
        self.message = message
        no_funds = code == "CONTRACT_VALIDATE_ERROR" and "balance is not sufficient" in message
        self.kind: Kind = "resources" if no_funds else _KINDS.get(code, "invalid")


class TransactionFailed(TronError):
    """A transaction is in a block and failed: it cost its fee and changed nothing else."""

    def __init__(self, tx_id: str, result: str, reason: str, fee_sun: int) -> None:
        super().__init__(f"transaction {tx_id}: {result}: {reason} (fee {fee_sun} sun)")
        self.tx_id = tx_id
        self.result = result
        self.reason = reason
        self.fee_sun = fee_sun
        self.kind: Kind = "energy" if result in ("OUT_OF_ENERGY", "OUT_OF_TIME") else "execution"


class CallReverted(TronError):
    """A read or an estimate reverted; nothing was sent. `reason` is the decoded error."""

    def __init__(self, call: str, reason: str) -> None:
        super().__init__(f"{call}: {reason}")
        self.reason = reason


class NotIncluded(TronError):
    """Transactions that are in no (solidified) block within the time given. They may still come until they expire."""

    def __init__(self, tx_ids: list[str], seconds: float) -> None:
        shown = ", ".join(tx_ids[:3]) + (", …" if len(tx_ids) > 3 else "")
        super().__init__(f"{len(tx_ids)} transactions are in no block after {seconds:g} s: {shown}")
        self.tx_ids = tx_ids
