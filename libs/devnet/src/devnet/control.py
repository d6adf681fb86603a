"""`/devnet/*`: what only a network of one's own can do. Errors are problem+json (RFC 9457) with status 400."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from devnet import keys
from devnet.chain import Chain
from devnet.proto import Dict
from devnet.transactions import build, from_raw

_MOST_BLOCKS = 10_000


class Control:
    """The control calls by path, and the loop that makes a block per interval."""

    def __init__(self, chain: Chain) -> None:
        self.chain = chain
        self.calls: dict[tuple[str, str], Callable[[Dict], Any]] = {
            ("GET", "status"): self.status,
            ("GET", "accounts"): lambda _: [_describe(account) for account in keys.accounts(chain.settings.accounts)],
            ("POST", "mine"): self.mine,
            ("POST", "block-time"): self.set_block_time,
            ("POST", "time"): self.advance,
            ("POST", "reorg"): self.reorganise,
            ("POST", "faucet"): self.faucet,
        }
        self._changed = asyncio.Event()

    async def produce(self) -> None:
        """Makes blocks at the set interval until cancelled."""
        while True:
            due = None if self.chain.block_time is None else self.chain.due_in_seconds()
            try:
                await asyncio.wait_for(self._changed.wait(), due)
                self._changed.clear()
            except TimeoutError:
                self.chain.mine()

    def status(self, _: Dict) -> Dict:
        """Returns heights, interval and chain id."""
        chain = self.chain
        return {
            "head": chain.head.number,
            "head_id": chain.head.id.hex(),
            "solid": chain.solid_number,
            "pending": len(chain.pending),
            "block_time": chain.block_time,
            "chain_id": chain.chain_id,
            "time_ms": chain.now_ms(),
        }

    def mine(self, params: Dict) -> Dict:
        """Makes `blocks` (1) blocks at once; the first holds what is pending."""
        for _ in range(_integer(params, "blocks", 1, 1, _MOST_BLOCKS)):
            self.chain.mine()
        self._changed.set()
        return self.status(params)

    def set_block_time(self, params: Dict) -> Dict:
        """Sets `seconds` between blocks; null means on demand."""
        seconds = params.get("seconds")
        if seconds is not None and (
            isinstance(seconds, bool) or not isinstance(seconds, int | float) or seconds < 0.01
        ):
            raise ValueError(f"seconds: expected null or a number of at least 0.01, got {seconds!r}")
        self.chain.block_time = seconds
        self._changed.set()
        return self.status(params)

    def advance(self, params: Dict) -> Dict:
        """Moves the chain's clock forward by `advance` seconds, for what depends on days."""
        self.chain.advance(_integer(params, "advance", None, 1, 10 * 366 * 86_400))
        self._changed.set()
        return self.status(params)

    def reorganise(self, params: Dict) -> Dict:
        """Replaces the newest `depth` (1) blocks by one more; `transactions` is "keep" (default) or "drop"."""
        choice = params.get("transactions", "keep")
        if choice not in ("keep", "drop"):
            raise ValueError(f'transactions: expected "keep" or "drop", got {choice!r}')
        depth = _integer(params, "depth", 1, 1, _MOST_BLOCKS)
        blocks = self.chain.reorganise(depth, keep=choice == "keep")
        self._changed.set()
        return {**self.status(params), "blocks": [block.id.hex() for block in blocks]}

    def faucet(self, params: Dict) -> Dict:
        """Sends `amount` sun from the faucet account to `address` (base58) in an ordinary signed transaction.

        Raises:
            Refused: the faucet is empty.
        """
        chain = self.chain
        to = keys.from_base58(str(params.get("address", "")))
        amount = _integer(params, "amount", None, 1, 1 << 62)
        now = chain.client_time_ms()
        solid = chain.blocks[chain.solid_number]  # a reference that no reorganisation can take away
        # Two equal gifts in one millisecond would be the same transaction; the count makes each its own.
        timestamp = now * 1000 + len(chain.pending) % 1000
        raw: Dict = {"ref_block_bytes": solid.id[6:8], "ref_block_hash": solid.id[8:16]}
        raw |= {"timestamp": timestamp, "expiration": now + 60_000}
        value = {"owner_address": keys.FAUCET.raw_address, "to_address": to, "amount": amount}
        draft = build("TransferContract", value, raw)
        transaction = from_raw(draft.raw, [keys.FAUCET.sign(draft.id)])
        chain.broadcast(transaction)
        return {"txid": transaction.id.hex()}


def _describe(account: keys.Account) -> Dict:
    return {"address": account.address, "private_key": account.private_key, "purpose": "development key, public"}


def _integer(params: Dict, name: str, default: int | None, least: int, most: int) -> int:
    value = params.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ValueError(f"{name}: expected an integer from {least} to {most}, got {value!r}")
    return value
