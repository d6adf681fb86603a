"""`GET /v1/…/events`: decoded events, as the event server of public gateways answers them, for TronWeb.

A plain node has no such path. Served are the events that the ABI stored with a contract knows: of a contract, a
transaction or a block, newest first, in pages.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from devnet.blocks import Block
from devnet.chain import Chain
from devnet.evm import Log
from devnet.keys import PREFIX, from_base58, keccak, to_base58
from devnet.proto import Dict
from devnet.transactions import Transaction

_PAGE = 20
_LARGEST_PAGE = 200
_WORD = 32


@dataclass(frozen=True, slots=True)
class _Event:
    """An event of an ABI: `inputs` are (name, type, indexed)."""

    name: str
    inputs: tuple[tuple[str, str, bool], ...]

    @property
    def topic(self) -> bytes:
        return keccak(f"{self.name}({','.join(kind for _, kind, _ in self.inputs)})".encode())

    @property
    def described(self) -> str:
        parts = (f"{kind} indexed {name}" if indexed else f"{kind} {name}" for name, kind, indexed in self.inputs)
        return f"{self.name}({', '.join(part.strip() for part in parts)})"

    def result(self, topics: list[bytes], data: bytes) -> Dict:
        """Returns the arguments, by position and by name, all of them as text."""
        words, at, result = iter(topics[1:]), 0, {}
        for index, (name, kind, indexed) in enumerate(self.inputs):
            if indexed:
                word = next(words)
                value = word.hex() if _is_dynamic(kind) else _word(kind, word)
            else:
                value, at = _value(kind, data, at), at + _WORD
            result[str(index)] = value
            if name:
                result[name] = value
        return result


_Place = tuple[Block, Transaction, int]


def _logs(blocks: list[Block]) -> Iterator[tuple[_Place, Log]]:
    for block in blocks:
        index = 0
        for transaction in block.transactions:
            for log in transaction.receipt.logs:
                yield (block, transaction, index), log
                index += 1


class Events:
    """The event server over one chain."""

    def __init__(self, chain: Chain) -> None:
        self.chain = chain
        self._abis: dict[bytes, dict[bytes, _Event]] = {}  # by contract; an address is of one creation for ever

    def answer(self, path: str, params: Dict) -> Dict:
        """Returns a page of `contracts/<address>/events`, `transactions/<id>/events` or `blocks/<number>/events`."""
        chain = self.chain
        try:
            match path.split("/"):
                case ["contracts", address, "events"]:
                    wanted = from_base58(address)[1:]
                    return self._page((one for one in _logs(chain.blocks) if one[1][0] == wanted), params)
                case ["transactions", identity, "events"]:
                    found = chain.transaction(bytes.fromhex(identity))
                    blocks = [] if found is None else [chain.blocks[found.block]]
                    return self._page((one for one in _logs(blocks) if one[0][1].id.hex() == identity.lower()), params)
                case ["blocks", number, "events"]:
                    block = chain.head if number == "latest" else chain.block(int(number))
                    return self._page(_logs([] if block is None else [block]), params)
                case _:
                    return {"success": False, "error": f"/v1/{path}: not served", "statusCode": 404}
        except ValueError as error:
            return {"success": False, "error": str(error), "statusCode": 400}

    def _page(self, found: Iterator[tuple[_Place, Log]], params: Dict) -> Dict:
        shown = [event for place, log in found if (event := self._shown(*place, log)) and _wanted(event, params)]
        if params.get("order_by") != "block_timestamp,asc":
            shown.reverse()
        start = int(params.get("fingerprint") or 0)
        size = min(int(params.get("limit") or _PAGE), _LARGEST_PAGE)
        meta: Dict = {"at": self.chain.now_ms(), "page_size": len(shown[start : start + size])}
        if start + size < len(shown):
            meta["fingerprint"] = str(start + size)
        return {"data": shown[start : start + size], "success": True, "meta": meta}

    def _shown(self, block: Block, transaction: Transaction, index: int, log: Log) -> Dict | None:
        address, topics, data = log
        event = self._known(PREFIX + address).get(topics[0]) if topics else None
        if event is None or sum(indexed for _, _, indexed in event.inputs) != len(topics) - 1:
            return None
        shown: Dict = {
            "block_number": block.number,
            "block_timestamp": block.timestamp,
            "caller_contract_address": to_base58(PREFIX + address),
            "contract_address": to_base58(PREFIX + address),
            "event_index": index,
            "event_name": event.name,
            "result": event.result(list(topics), data),
            "result_type": {name: kind for name, kind, _ in event.inputs if name},
            "event": event.described,
            "transaction_id": transaction.id.hex(),
        }
        return shown if block.number <= self.chain.solid_number else {**shown, "_unconfirmed": True}

    def _known(self, address: bytes) -> dict[bytes, _Event]:
        if address in self._abis:
            return self._abis[address]
        account = self.chain.account(address)
        entries = (account.contract or {}).get("abi", {}).get("entrys", []) if account is not None else []
        events = [
            _Event(
                entry.get("name", ""),
                tuple((one.get("name", ""), one["type"], bool(one.get("indexed"))) for one in entry.get("inputs", [])),
            )
            for entry in entries
            if entry.get("type") == "Event"
        ]
        if events:
            self._abis[address] = {event.topic: event for event in events}
        return self._abis.get(address, {})


def _wanted(event: Dict, params: Dict) -> bool:
    solid = "_unconfirmed" not in event
    return (
        params.get("event_name") in (None, event["event_name"])
        and params.get("block_number") in (None, str(event["block_number"]))
        and (solid or params.get("only_confirmed") != "true")
        and (not solid or params.get("only_unconfirmed") != "true")
        and int(params.get("min_block_timestamp") or 0) <= event["block_timestamp"]
        and event["block_timestamp"] <= int(params.get("max_block_timestamp") or event["block_timestamp"])
    )


def _is_dynamic(kind: str) -> bool:
    return kind in ("string", "bytes") or kind.endswith("]")


def _word(kind: str, word: bytes) -> str:
    if kind == "address":
        return "0x" + word[12:].hex()
    if kind == "bool":
        return "true" if any(word) else "false"
    if kind.startswith("bytes"):
        return word[: int(kind.removeprefix("bytes"))].hex()
    return str(int.from_bytes(word, "big", signed=kind.startswith("int")))


def _value(kind: str, data: bytes, at: int) -> Any:
    word = data[at : at + _WORD]
    if not _is_dynamic(kind):
        return _word(kind, word)
    start = int.from_bytes(word, "big")
    length = int.from_bytes(data[start : start + _WORD], "big")
    body = data[start + _WORD :]
    if kind.endswith("[]") and not _is_dynamic(kind[:-2]):
        return [
            _word(kind[:-2], body[_WORD * index : _WORD * (index + 1)])
            for index in range(min(length, len(body) // _WORD))
        ]
    content = body[:length]
    return content.decode("utf-8", "replace") if kind == "string" else content.hex()
