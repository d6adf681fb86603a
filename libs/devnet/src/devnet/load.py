"""Transactions made inside the process, signed with the development keys: thousands a second, for benchmarks.

They are ordinary in every way: signed, referring to a block, charged and executed. Only the signature is not checked
again by the one who made it, and no JSON goes over a socket.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import cycle

from coincurve import PrivateKey

from devnet import keys
from devnet.chain import Chain
from devnet.executor import Refused
from devnet.proto import CONTRACT, CONTRACT_TYPES, CONTRACTS, RAW_PACKED, TRANSACTION, TYPE_URL, Dict, encode
from devnet.transactions import Transaction

_SLICE_SECONDS = 0.02
_EXPIRATION_MS = 60_000


@dataclass(frozen=True, slots=True)
class Order:
    """How many transactions, how fast (None: as fast as can be), and how many fill a block (None: no matter)."""

    transactions: int
    per_second: float | None = None
    block_transactions: int | None = None


@dataclass(slots=True)
class Progress:
    """How far a load is. `failed` transactions were mined and reverted, `refused` ones entered no block."""

    transactions: int = 0
    sent: int = 0
    failed: int = 0
    refused: int = 0
    refusal: str = ""
    seconds: float = 0.0
    running: bool = False


class Call:
    """A transaction that can be sent again and again: each time a new one, told apart by its times."""

    def __init__(self, owner: keys.Account, kind: str, value: Dict, fee_limit: int = 0) -> None:
        self._key = PrivateKey(bytes.fromhex(owner.private_key))
        self._kind = kind
        self._value = {"owner_address": owner.raw_address, **value}
        self._fee_limit = fee_limit
        parameter = {"type_url": TYPE_URL + kind, "value": encode(CONTRACTS[kind], self._value)}
        self._packed = encode(CONTRACT, {"type": CONTRACT_TYPES[kind], "parameter": parameter})

    def sign(self, reference: bytes, expiration: int, timestamp: int) -> Transaction:
        """Returns it signed, referring to the block with the id `reference`; times in milliseconds."""
        fields: Dict = {
            "ref_block_bytes": reference[6:8],
            "ref_block_hash": reference[8:16],
            "expiration": expiration,
            "contract": [self._packed],
            "timestamp": timestamp,
            "fee_limit": self._fee_limit,
        }
        raw = encode(RAW_PACKED, fields)
        identity = hashlib.sha256(raw).digest()
        signatures = [self._key.sign_recoverable(identity, hasher=None)]
        size = len(encode(TRANSACTION, {"raw_data": raw, "signature": signatures}))
        return Transaction(identity, raw, fields, self._kind, self._value, 0, signatures, size)


def transfers(accounts: Sequence[keys.Account]) -> list[Call]:
    """Returns one transfer of 1 sun from each account to the next."""
    following = [*accounts[1:], accounts[0]]
    return [
        Call(owner, "TransferContract", {"to_address": to.raw_address, "amount": 1})
        for owner, to in zip(accounts, following, strict=True)
    ]


class Load:
    """Sends calls, round and round; one load at a time."""

    def __init__(self) -> None:
        self._now_ms = 0
        self._within = 0
        self._task: asyncio.Task[None] | None = None
        self._progress = Progress()

    @property
    def progress(self) -> Progress:
        """How far the last load is."""
        running = self._task is not None and not self._task.done()
        return replace(self._progress, running=running)

    def start(self, chain: Chain, order: Order, calls: Sequence[Call]) -> None:
        """Begins; the loop goes on serving meanwhile.

        Raises:
            ValueError: a load is running.
        """
        if self.progress.running:
            raise ValueError("a load is running; stop it first")
        self._progress = Progress(order.transactions)
        self._task = asyncio.create_task(self._run(chain, order, calls))

    def stop(self) -> None:
        """Ends the load that runs, if any."""
        if self._task is not None:
            self._task.cancel()

    async def _run(self, chain: Chain, order: Order, calls: Sequence[Call]) -> None:
        progress, endless, start = self._progress, cycle(calls), time.monotonic()
        while progress.sent + progress.refused < order.transactions:
            began = time.monotonic()
            while time.monotonic() < began + _SLICE_SECONDS:
                done = progress.sent + progress.refused
                due = order.transactions
                if order.per_second is not None:
                    due = min(due, int((time.monotonic() - start) * order.per_second) + 1)
                if done >= due:
                    break
                self._send(chain, next(endless))
                if order.block_transactions and len(chain.pending) >= order.block_transactions:
                    chain.mine()
            progress.seconds = time.monotonic() - start
            await asyncio.sleep(0 if order.per_second is None else _SLICE_SECONDS / 4)
        if order.block_transactions and chain.pending:
            chain.mine()

    def _send(self, chain: Chain, call: Call) -> None:
        progress, now = self._progress, chain.client_time_ms()
        # The same call twice in one millisecond would be the same transaction: its expiry makes each its own.
        self._within = self._within + 1 if now <= self._now_ms else 0
        self._now_ms = max(self._now_ms, now)
        solid = chain.blocks[chain.solid_number]  # a reference that no reorganisation can take away
        transaction = call.sign(solid.id, self._now_ms + _EXPIRATION_MS + self._within, self._now_ms)
        try:
            chain.broadcast(transaction, signed_here=True)
        except Refused as refused:
            progress.refused += 1
            progress.refusal = str(refused)
            return
        progress.sent += 1
        progress.failed += not transaction.receipt.ok
