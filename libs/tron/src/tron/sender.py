"""Sending: sign here, broadcast, wait; read and estimate without sending.

A transaction costs one request, the broadcast: it is encoded, hashed and signed in this process, against a reference
block and an energy price that are fetched once in a while. The steps are separate (`sign`, `broadcast`, `result`), so
that a caller can journal between them; `execute` does all three.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from tron import parse
from tron.abi import Abi, Decoded, Raw
from tron.address import ZERO, hex41
from tron.client import Client
from tron.contract import Call, View
from tron.creation import Creation
from tron.errors import BroadcastRefused, CallReverted, NodeLied, NotIncluded, TransactionFailed
from tron.keys import Key
from tron.model import TransactionInfo
from tron.retry import Retry
from tron.transaction import MAX_FEE_LIMIT_SUN, Payload, Reference, Signed, sign

T = TypeVar("T")
_EMPTY_ABI = Abi([])


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a call would take: units of energy, what they cost if none are staked, and the fee limit to set."""

    energy: int
    energy_fee_sun: int
    fee_limit_sun: int


@dataclass(frozen=True, slots=True)
class DryRun:
    """What a call would do now: what it returns, its events (those of other contracts stay `Raw`), what it costs."""

    result: Any
    events: tuple[Decoded | Raw, ...]
    estimate: Estimate


class Sender:
    """Signs and sends through one node.

    `margin_percent` is added to the estimated energy for the fee limit (java-tron's own estimate is 25 % above the
    use); `expiry` is how long a transaction stays valid, in seconds (at most 24 h); `fresh` how long a reference block
    is used. The reference is a solidified block, so no reorganisation makes it unknown.
    """

    def __init__(
        self,
        client: Client,
        *,
        margin_percent: int = 25,
        expiry: float = 60.0,
        fresh: float = 5.0,
        retry: Retry | None = None,
    ) -> None:
        self.client = client
        self._margin_percent = margin_percent
        self._expiry_ms = int(expiry * 1000)
        self._fresh = fresh
        self._retry = retry or Retry()
        self._reference: Reference | None = None
        self._reference_until = 0.0
        self._parameters: dict[str, int] = {}
        self._parameters_until = 0.0
        self._lock = asyncio.Lock()
        self._last_ms = 0

    # -- sending -----------------------------------------------------------------------------------------------------

    async def sign(self, payload: Payload, key: Key, fee_limit_sun: int | None = None) -> Signed:
        """Return the signed transaction. Without a fee limit, a call's is estimated (one request).

        Raises `CallReverted` where the estimate shows that the call would revert, and `InvalidArgument`.
        """
        if fee_limit_sun is None:
            fee_limit_sun = 0
            if isinstance(payload, Call | Creation):
                fee_limit_sun = (await self.estimate(payload, key.address)).fee_limit_sun
        reference = await self.reference()
        now = self._next_ms()
        return sign(payload, key, reference, now_ms=now, expires_ms=now + self._expiry_ms, fee_limit_sun=fee_limit_sun)

    def _next_ms(self) -> int:
        """Return a time that no transaction of this sender had before: equal calls must not become one transaction."""
        self._last_ms = max(int(time.time() * 1000), self._last_ms + 1)
        return self._last_ms

    async def broadcast(self, signed: Signed) -> bool:
        """Hand the transaction to the node; repeating it is harmless. That it was taken does not mean it succeeds.

        A duplicate is success, too; return whether it was new to the node. Raises `BroadcastRefused` and `NodeError`.
        """
        path = "wallet/broadcasthex"
        answer = await self._retry(partial(self.client.request, path, {"transaction": signed.wire.hex()}))
        if not isinstance(answer, dict):
            raise NodeLied(self.client.url, path, f"expected an object, got {answer!r:.80}")
        if answer.get("result") is True or answer.get("code") == "DUP_TRANSACTION_ERROR":
            return answer.get("result") is True
        raise BroadcastRefused(signed.tx_id, str(answer.get("code")), parse.text(str(answer.get("message", ""))))

    async def send(self, payload: Payload, key: Key, fee_limit_sun: int | None = None) -> Signed:
        """Sign and broadcast."""
        signed = await self.sign(payload, key, fee_limit_sun)
        await self.broadcast(signed)
        return signed

    async def execute(
        self,
        payload: Payload,
        key: Key,
        fee_limit_sun: int | None = None,
        *,
        within: float = 60.0,
        solid: bool = False,
    ) -> TransactionInfo:
        """Send and wait until it is in a (solidified) block. Raises `TransactionFailed` with the decoded reason."""
        signed = await self.send(payload, key, fee_limit_sun)
        info = await self.result(signed.tx_id, within=within, solid=solid)
        check(info, payload.abi if isinstance(payload, Call | Creation) else _EMPTY_ABI)
        return info

    # -- waiting -----------------------------------------------------------------------------------------------------

    async def result(
        self, tx_id: str, *, within: float = 60.0, solid: bool = False, poll: float = 0.5
    ) -> TransactionInfo:
        """Return the receipt once there is one, successful or not. Raises `NotIncluded` after `within` seconds."""
        deadline = time.monotonic() + within
        while True:
            info = await self._retry(partial(self.client.transaction_info, tx_id, solid=solid))
            if info is not None:
                return info
            if time.monotonic() >= deadline:
                raise NotIncluded([tx_id], within)
            await asyncio.sleep(poll)

    async def results(
        self, sent: Collection[Signed], *, within: float = 120.0, solid: bool = False, poll: float = 0.5
    ) -> dict[str, TransactionInfo]:
        """Return the receipts of many transactions, by id, by following the blocks instead of asking one by one.

        Raises `NotIncluded` for those that are in no block after `within` seconds.
        """
        missing = {signed.tx_id for signed in sent}
        found: dict[str, TransactionInfo] = {}
        after = min((signed.reference_number for signed in sent), default=0)
        deadline = time.monotonic() + within
        while missing:
            head = await self._retry(self.client.solid_head if solid else self.client.head)
            for first in range(after + 1, head.number + 1, 20):
                last = min(first + 19, head.number)
                new = await self._infos(first, last, missing, solid)
                found |= new
                missing -= new.keys()
                after = last
            if missing and time.monotonic() >= deadline:
                return found | await self._last_look(missing, within, solid)
            if missing:
                await asyncio.sleep(poll)
        return found

    async def _last_look(self, missing: set[str], within: float, solid: bool) -> dict[str, TransactionInfo]:
        """Ask by id: a reorganisation can move a transaction into a block that we had passed."""
        found = {
            tx_id: await self._retry(partial(self.client.transaction_info, tx_id, solid=solid)) for tx_id in missing
        }
        if lost := sorted(tx_id for tx_id, info in found.items() if info is None):
            raise NotIncluded(lost, within)
        return {tx_id: info for tx_id, info in found.items() if info is not None}

    async def _infos(self, first: int, last: int, wanted: set[str], solid: bool) -> dict[str, TransactionInfo]:
        found = {}
        for block in await self._retry(partial(self.client.blocks, first, last, solid=solid)):
            if wanted.isdisjoint(transaction.tx_id for transaction in block.transactions):
                continue
            for info in await self._retry(partial(self.client.infos_of, block, solid=solid)):
                if info.tx_id in wanted:
                    found[info.tx_id] = info
        return found

    async def is_dead(self, signed: Signed) -> bool:
        """Return whether it is proven that the transaction is in no block and can come into none.

        A block takes it only while its parent is older than the expiry; so once a block of that time is solidified,
        the transaction is in a block up to that one, or never. All of them since the reference are looked through.
        """
        solid = await self._retry(self.client.solid_head)
        if solid.time_ms < signed.expires_ms:
            return False
        for first in range(signed.reference_number + 1, solid.number + 1, 20):
            last = min(first + 19, solid.number)
            for block in await self._retry(partial(self.client.blocks, first, last)):
                if any(transaction.tx_id == signed.tx_id for transaction in block.transactions):
                    return False
                if block.time_ms >= signed.expires_ms:
                    return True
        return False

    # -- reading -----------------------------------------------------------------------------------------------------

    async def read(self, view: View[T], caller: str | None = None, *, solid: bool = False) -> T:
        """Return what a view returns at the head, asked by `caller` or by nobody.

        `solid`: as of the last solidified block. Raises `CallReverted`.
        """
        answer = await self._constant(view, caller or ZERO, solid)
        return view.result(bytes.fromhex(answer["constant_result"][0]))

    async def estimate(self, payload: Call | Creation, caller: str) -> Estimate:
        """Return the energy that it would use now, and its price. Raises `CallReverted` where it would revert."""
        return await self._priced(await self._constant(payload, caller))

    async def dry_run(self, call: Call, caller: str) -> DryRun:
        """Return what a call would do now, without sending it. Raises `CallReverted` with the decoded reason."""
        answer = await self._constant(call, caller)
        events = tuple(call.abi.decode_event(log.get("topics", []), log.get("data", "")) for log in answer["logs"])
        result = call.function.result(bytes.fromhex(answer["constant_result"][0]))
        return DryRun(result, events, await self._priced(answer))

    async def _priced(self, answer: dict[str, Any]) -> Estimate:
        energy = int(answer["energy_used"])
        price = await self.energy_price()
        limit = energy * (100 + self._margin_percent) // 100 * price
        return Estimate(energy, energy * price, min(limit, MAX_FEE_LIMIT_SUN))

    async def _constant(self, payload: Call | Creation | View[Any], caller: str, solid: bool = False) -> dict[str, Any]:
        body = {"owner_address": hex41(caller), "data": payload.data.hex(), "call_value": payload.value_sun}
        if not isinstance(payload, Creation):
            body["contract_address"] = hex41(payload.contract_address)
        path = f"{'walletsolidity' if solid else 'wallet'}/triggerconstantcontract"
        answer = await self._retry(partial(self.client.request, path, body))
        result = answer.get("result", {}) if isinstance(answer, dict) else None
        if not isinstance(result, dict):
            raise NodeLied(self.client.url, path, f"expected an object with a result, got {answer!r:.80}")
        if result.get("result") is not True:
            raise CallReverted(payload.signature, f"{result.get('code')}: {parse.text(str(result.get('message')))}")
        outputs = answer.get("constant_result") or [""]
        energy = answer.get("energy_used", 0)
        if not isinstance(outputs, list) or not isinstance(outputs[0], str) or type(energy) is not int or energy < 0:
            raise NodeLied(self.client.url, path, f"expected outputs and energy, got {outputs!r:.80}, {energy!r:.80}")
        if "message" in result:  # a revert says result: true, and a message
            raise CallReverted(payload.signature, payload.abi.reason(outputs[0]))
        return {
            "constant_result": outputs,
            "energy_used": energy,
            "logs": answer.get("logs", []),
        }

    # -- what is fetched once in a while -----------------------------------------------------------------------------

    async def reference(self) -> Reference:
        """Return a recent solidified block to refer to; the same one for `fresh` seconds."""
        async with self._lock:
            if self._reference is None or time.monotonic() >= self._reference_until:
                block = await self._retry(self.client.solid_head)
                self._reference = Reference(block.number, block.hash)
                self._reference_until = time.monotonic() + self._fresh
            return self._reference

    async def energy_price(self) -> int:
        """Return the price of a unit of energy in sun; the network's parameters are asked for every ten minutes."""
        return await self._parameter("getEnergyFee")

    async def bandwidth_price(self) -> int:
        """Return the price of a byte of bandwidth in sun; see `energy_price`."""
        return await self._parameter("getTransactionFee")

    async def _parameter(self, name: str) -> int:
        async with self._lock:
            path = "wallet/getchainparameters"
            if time.monotonic() >= self._parameters_until:
                answer = await self._retry(partial(self.client.request, path, {}))
                try:
                    self._parameters = {item["key"]: int(item.get("value", 0)) for item in answer["chainParameter"]}
                except (KeyError, TypeError, ValueError, AttributeError) as error:
                    raise NodeLied(self.client.url, path, f"expected parameters, got {error!r:.80}") from error
                self._parameters_until = time.monotonic() + 600.0
            if name not in self._parameters:
                raise NodeLied(self.client.url, path, f"expected {name}, got {len(self._parameters)} others")
            return self._parameters[name]


def check(info: TransactionInfo, abi: Abi = _EMPTY_ABI) -> None:
    """Raise `TransactionFailed` if the receipt says so, with the reason decoded by the contract's ABI."""
    if not info.success:
        reason = abi.reason(info.output) if info.result == "REVERT" else info.message or info.result
        raise TransactionFailed(info.tx_id, info.result, reason, info.fee_sun)
