"""`/devnet/*`: what only a network of one's own can do. Errors are problem+json (RFC 9457) with status 400."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from devnet import keys, snapshot
from devnet.chain import Chain
from devnet.checks import number
from devnet.faults import Faults, describe_kinds
from devnet.load import Call, Load, Order, transfers
from devnet.proto import Dict
from devnet.transactions import build, from_raw, parse_address

_MOST_BLOCKS = 10_000
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}", re.IGNORECASE)
_RATE = number(0.1, 1_000_000)


class Control:
    """The control calls by path, and the loop that makes a block per interval."""

    def __init__(self, chain: Chain, data: Path, use: Callable[[Chain], None]) -> None:
        """`data` is the folder of saved chains; `use` is told of a chain that takes this one's place."""
        self.chain = chain
        self.faults = Faults()
        self.load = Load()
        self._data = data
        self._use = use
        self.calls: dict[tuple[str, str], Callable[[Dict], Any]] = {
            ("GET", "status"): self.status,
            ("GET", "accounts"): lambda _: [_describe(account) for account in keys.accounts(chain.settings.accounts)],
            ("POST", "mine"): self.mine,
            ("POST", "block-time"): self.set_block_time,
            ("POST", "time"): self.advance,
            ("POST", "reorg"): self.reorganise,
            ("POST", "faucet"): self.faucet,
            ("GET", "faults"): lambda _: [fault.describe() for fault in self.faults],
            ("POST", "faults"): self.add_fault,
            ("DELETE", "faults"): self.clear_faults,
            ("GET", "faults/kinds"): lambda _: describe_kinds(),
            ("GET", "load"): lambda _: asdict(self.load.progress),
            ("POST", "load"): self.start_load,
            ("DELETE", "load"): self.stop_load,
            ("GET", "saved"): self.saved,
            ("POST", "save"): self.save,
            ("POST", "restore"): self.restore,
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
        """Replaces the newest `depth` (1) blocks by one more; `transactions` is "keep" (default) or "drop".

        With `force` solidified blocks as well, which no real network does.
        """
        choice = params.get("transactions", "keep")
        if choice not in ("keep", "drop"):
            raise ValueError(f'transactions: expected "keep" or "drop", got {choice!r}')
        depth = _integer(params, "depth", 1, 1, _MOST_BLOCKS)
        force = params.get("force", False)
        if not isinstance(force, bool):
            raise ValueError(f"force: expected true or false, got {force!r}")
        blocks = self.chain.reorganise(depth, keep=choice == "keep", force=force)
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

    # ── faults ──────────────────────────────────────────────────────────────

    def add_fault(self, params: Dict) -> Dict:
        """Adds a fault; one that lags without saying how far is stuck at the head as it is now."""
        if params.get("kind") == "lag" and "blocks" not in params:
            params = {"at": self.chain.tip.number, **params}
        return self.faults.add(params).describe()

    def clear_faults(self, params: Dict) -> list[Dict]:
        """Clears the fault with the `id`, all of a `face`, or all; returns those."""
        if unknown := sorted(params.keys() - {"id", "face"}):
            raise ValueError(f"{unknown[0]}: faults are cleared by id, by face, or all")
        identity = params.get("id")
        if identity is not None and not str(identity).isdecimal():
            raise ValueError(f"id: expected a number, got {identity!r}")
        gone = self.faults.clear(None if identity is None else int(identity), params.get("face"))
        if identity is not None and not gone:
            raise ValueError(f"id: there is no fault {identity}")
        return [fault.describe() for fault in gone]

    # ── load ────────────────────────────────────────────────────────────────

    def start_load(self, params: Dict) -> Dict:
        """Sends `transactions` as fast as can be, or so many `per_second`, a block for every `block_transactions`.

        They are `calls`, round and round: {"from": "T…", "to": "T…", "data": "a9059cbb…", "value": 0}, `from` being a
        development account; without any, transfers of 1 sun among the development accounts.
        """
        paced = params.get("per_second") is not None
        order = Order(
            _integer(params, "transactions", None, 1, 100_000_000),
            float(_RATE("per_second", params["per_second"])) if paced else None,
            None
            if paced and "block_transactions" not in params
            else _integer(params, "block_transactions", 200, 1, 10_000),
        )
        self.load.start(self.chain, order, self._calls(params))
        return asdict(self.load.progress)

    def _calls(self, params: Dict) -> list[Call]:
        known = {account.address: account for account in keys.accounts(self.chain.settings.accounts)}
        forms = params.get("calls")
        if forms is None:
            return transfers(list(known.values()))
        if not isinstance(forms, list) or not forms:
            raise ValueError(f"calls: expected a list of calls, got {forms!r:.80}")
        return [_call(form, f"calls[{index}]", known) for index, form in enumerate(forms)]

    def stop_load(self, _: Dict) -> Dict:
        """Stops the load that runs."""
        self.load.stop()
        return asdict(self.load.progress)

    # ── saved chains ────────────────────────────────────────────────────────

    def saved(self, _: Dict) -> list[Dict]:
        """Returns the saved chains by name, with their size in bytes."""
        files = sorted(self._data.glob("*.chain"))
        return [{"name": file.stem, "bytes": file.stat().st_size} for file in files]

    def save(self, params: Dict) -> Dict:
        """Saves the chain under a `name`, over one that has it; the open block is sealed first."""
        path = self._path(params)
        snapshot.save(self.chain, path)
        return {"name": path.stem, "bytes": path.stat().st_size, **self.status(params)}

    def restore(self, params: Dict) -> Dict:
        """Puts the chain that was saved under a `name` in this one's place; the interval of blocks stays.

        Raises:
            ValueError: there is none, or a load is running.
        """
        if self.load.progress.running:
            raise ValueError("a load is running; stop it first")
        self.chain = snapshot.restore(self._path(params), self.chain.block_time)
        self._use(self.chain)
        self._changed.set()
        return self.status(params)

    def _path(self, params: Dict) -> Path:
        name = params.get("name")
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise ValueError(f"name: expected letters, digits, dots and dashes, got {name!r}")
        return self._data / f"{name}.chain"


def _call(form: Any, name: str, known: dict[str, keys.Account]) -> Call:
    if not isinstance(form, dict):
        raise ValueError(f"{name}: expected an object, got {form!r:.80}")
    if (owner := known.get(str(form.get("from")))) is None:
        raise ValueError(f"{name}.from: expected a development account in base58, got {form.get('from')!r}")
    try:
        value: Dict = {
            "contract_address": parse_address(form.get("to"), visible=True),
            "data": bytes.fromhex(str(form.get("data", "")).removeprefix("0x")),
            "call_value": _integer(form, "value", 0, 0, 1 << 62),
        }
        return Call(owner, "TriggerSmartContract", value, _integer(form, "fee_limit", 1_000_000_000, 0, 1 << 62))
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


def _describe(account: keys.Account) -> Dict:
    return {"address": account.address, "private_key": account.private_key, "purpose": "development key, public"}


def _integer(params: Dict, name: str, default: int | None, least: int, most: int) -> int:
    value = params.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ValueError(f"{name}: expected an integer from {least} to {most}, got {value!r}")
    return value
