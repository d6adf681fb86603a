"""`/jsonrpc`: the part of Ethereum's JSON-RPC that java-tron offers, with its limits and errors.

Addresses are 20 bytes; state can be asked at "latest" only; "finalized" is the solidified block.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

from devnet.blocks import Block
from devnet.chain import Chain
from devnet.executor import Refused
from devnet.filters import Filter, Filters, Match
from devnet.keys import PREFIX, keccak
from devnet.proto import Dict
from devnet.rpc_values import RpcError, invalid, matches, read_bytes, read_data, read_quantity, read_topics
from devnet.transactions import Transaction
from devnet.wallet import estimate

_ZERO_BLOOM = "0x" + "0" * 512
_ZERO_HASH = "0x" + "0" * 64
_ZERO_NONCE = "0x0000000000000000"
_ABSENT = (
    "eth_getTransactionCount",
    "eth_sendRawTransaction",
    "eth_sendTransaction",
    "eth_sign",
    "eth_signTransaction",
)


class JsonRpc:
    """The methods by name; `handle` takes one request or a batch."""

    def __init__(self, chain: Chain) -> None:
        self.chain = chain
        self._filters = Filters(chain)
        self._methods: dict[str, Callable[..., Any]] = {
            "web3_clientVersion": lambda: "TRON/v4.8.0/devnet",
            "net_version": lambda: hex(chain.chain_id),
            "net_listening": lambda: True,
            "net_peerCount": lambda: "0x0",
            "web3_sha3": lambda data: "0x" + keccak(read_data(data)).hex(),
            "eth_chainId": lambda: hex(chain.chain_id),
            "eth_protocolVersion": lambda: "0x20",
            "eth_syncing": lambda: False,
            "eth_accounts": lambda: [],
            "eth_gasPrice": lambda: hex(chain.settings.energy_price_sun),
            "eth_blockNumber": lambda: hex(chain.head.number),
            "eth_getBlockByNumber": lambda number, full: self._block(self._at(number), full),
            "eth_getBlockByHash": lambda block_hash, full: self._block(self._by_hash(block_hash), full),
            "eth_getBlockTransactionCountByNumber": lambda number: self._transaction_count(self._at(number)),
            "eth_getBlockTransactionCountByHash": lambda value: self._transaction_count(self._by_hash(value)),
            "eth_getBlockReceipts": self._block_receipts,
            "eth_getTransactionByHash": self._transaction_by_hash,
            "eth_getTransactionByBlockNumberAndIndex": lambda number, at: self._nth(self._at(number), at),
            "eth_getTransactionByBlockHashAndIndex": lambda value, at: self._nth(self._by_hash(value), at),
            "eth_getTransactionReceipt": self._transaction_receipt,
            "eth_getLogs": self._logs,
            "eth_newFilter": self._new_filter,
            "eth_newBlockFilter": lambda: self._filters.add(None, list),
            "eth_getFilterChanges": lambda name: self._filters.changes(self._filter(name)),
            "eth_getFilterLogs": self._filter_logs,
            "eth_uninstallFilter": self._uninstall,
            "eth_getBalance": self._balance,
            "eth_getCode": self._code,
            "eth_getStorageAt": self._storage,
            "eth_call": self._call,
            "eth_estimateGas": self._estimate,
        }

    def handle(self, body: Any) -> Any:
        """Returns the response to a request or to each of a batch."""
        return [self._one(item) for item in body] if isinstance(body, list) else self._one(body)

    def _one(self, request: Any) -> Dict:
        answer: Dict = {"jsonrpc": "2.0", "id": request.get("id") if isinstance(request, dict) else None}
        try:
            return {**answer, "result": self._dispatch(request)}
        except RpcError as error:
            shown: Dict = {"code": error.code, "message": str(error)}
            if error.data is not None:
                shown["data"] = error.data
            return {**answer, "error": shown}

    def _dispatch(self, request: Any) -> Any:
        if not isinstance(request, dict) or not isinstance(request.get("method"), str):
            raise RpcError(-32600, "invalid request", None)
        name, params = request["method"], request.get("params", [])
        if name in _ABSENT:
            raise RpcError(-32601, f"the method {name} does not exist/is not available")
        method = self._methods.get(name)
        if method is None:
            raise RpcError(-32601, "method not found", None)
        try:
            bound = _bind(method, params)
        except TypeError as error:
            raise RpcError(-32602, "method parameters invalid", None) from error
        return bound()

    # ── blocks and transactions ─────────────────────────────────────────────

    def _number(self, value: Any) -> int:
        if not isinstance(value, str):
            raise invalid("invalid block number")
        if value in ("pending", "safe"):
            raise invalid(f"TAG {value} not supported")
        tags = {"latest": self.chain.head.number, "finalized": self.chain.solid_number, "earliest": 0}
        if value in tags:
            return tags[value]
        return read_quantity(value, "block number")

    def _at(self, value: Any) -> Block | None:
        return self.chain.block(self._number(value))

    def _by_hash(self, value: Any) -> Block | None:
        return self.chain.block_by_id(read_bytes(value, 32, "hash value"))

    def _block(self, block: Block | None, full: bool) -> Dict | None:
        if block is None:
            return None
        shown: list[Any] = [
            self._transaction(transaction, block) if full else "0x" + transaction.id.hex()
            for transaction in block.transactions
        ]
        return {
            "baseFeePerGas": "0x0",
            "difficulty": "0x0",
            "extraData": "0x",
            "gasLimit": hex(sum(transaction.fee_limit for transaction in block.transactions)),
            "gasUsed": hex(sum(transaction.receipt.energy for transaction in block.transactions)),
            "hash": "0x" + block.id.hex(),
            "logsBloom": _ZERO_BLOOM,
            "miner": "0x" + (block.witness[1:].hex() if block.number else "0" * 40),
            "mixHash": _ZERO_HASH,
            "nonce": _ZERO_NONCE,
            "number": hex(block.number),
            "parentHash": "0x" + block.header["parentHash"].hex(),
            "receiptsRoot": _ZERO_HASH,
            "sha3Uncles": _ZERO_HASH,
            "size": hex(block.size),
            "stateRoot": "0x",
            "timestamp": hex(block.timestamp // 1000),
            "totalDifficulty": "0x0",
            "transactions": shown,
            "transactionsRoot": "0x" + block.header["txTrieRoot"].hex(),
            "uncles": [],
        }

    def _transaction_count(self, block: Block | None) -> str | None:
        return hex(len(block.transactions)) if block is not None else None

    def _found(self, value: Any) -> tuple[Transaction, Block] | None:
        transaction = self.chain.transaction(read_bytes(value, 32, "hash value"))
        block = self.chain.block(transaction.block) if transaction is not None else None
        return (transaction, block) if transaction is not None and block is not None else None

    def _transaction_by_hash(self, value: Any) -> Dict | None:
        found = self._found(value)
        return self._transaction(*found) if found else None

    def _nth(self, block: Block | None, index: Any) -> Dict | None:
        at = read_quantity(index, "index")
        if block is None or at >= len(block.transactions):
            return None
        return self._transaction(block.transactions[at], block)

    def _transaction_receipt(self, value: Any) -> Dict | None:
        found = self._found(value)
        if found is None:
            return None
        transaction, block = found
        return self._receipts(block)[transaction.index]

    def _block_receipts(self, value: Any) -> list[Dict] | None:
        is_hash = isinstance(value, str) and len(value) == 66
        block = self._by_hash(value) if is_hash else self._at(value)
        return self._receipts(block) if block is not None else None

    def _transaction(self, transaction: Transaction, block: Block) -> Dict:
        signature = transaction.signatures[0] if transaction.signatures else bytes(65)
        return {
            "blockHash": "0x" + block.id.hex(),
            "blockNumber": hex(block.number),
            "from": _sender(transaction),
            "gas": hex(transaction.receipt.energy),
            "gasPrice": hex(self.chain.settings.energy_price_sun),
            "hash": "0x" + transaction.id.hex(),
            "input": "0x" + transaction.value.get("data", b"").hex(),
            "nonce": _ZERO_NONCE,
            "r": "0x" + signature[:32].hex(),
            "s": "0x" + signature[32:64].hex(),
            "to": _recipient(transaction),
            "transactionIndex": hex(transaction.index),
            "type": "0x0",
            "v": hex(signature[64] + 27 if signature[64] < 27 else signature[64]),
            "value": hex(transaction.value.get("amount") or transaction.value.get("call_value") or 0),
        }

    def _receipts(self, block: Block) -> list[Dict]:
        by_transaction: dict[str, list[Dict]] = {}
        for log in block.logs:
            by_transaction.setdefault(log["transactionHash"], []).append(log)
        receipts: list[Dict] = []
        cumulative = 0
        for transaction in block.transactions:
            receipt, identity = transaction.receipt, "0x" + transaction.id.hex()
            cumulative += receipt.energy
            created = transaction.kind == "CreateSmartContract" and receipt.contract
            receipts.append(
                {
                    "blockHash": "0x" + block.id.hex(),
                    "blockNumber": hex(block.number),
                    "contractAddress": "0x" + receipt.contract[1:].hex() if created and receipt.contract else None,
                    "cumulativeGasUsed": hex(cumulative),
                    "effectiveGasPrice": hex(self.chain.settings.energy_price_sun),
                    "from": _sender(transaction),
                    "gasUsed": hex(receipt.energy),
                    "logs": by_transaction.get(identity, []),
                    "logsBloom": _ZERO_BLOOM,
                    "status": "0x1" if receipt.ok else "0x0",
                    "to": _recipient(transaction),
                    "transactionHash": identity,
                    "transactionIndex": hex(transaction.index),
                    "type": "0x0",
                }
            )
        return receipts

    # ── logs ────────────────────────────────────────────────────────────────

    def _logs(self, query: Any) -> list[Dict]:
        if not isinstance(query, dict):
            raise RpcError(-32602, "method parameters invalid", None)
        match = self._match(query)
        most = self.chain.settings.max_logs
        found: list[Dict] = []
        for block in self._range(query):
            found += match(block)
            if len(found) > most:
                raise RpcError(-32005, f"query returned more than {most} results")
        return found

    def _match(self, query: Dict) -> Match:
        addresses, topics = self._addresses(query.get("address")), read_topics(query.get("topics"))
        return lambda block: [
            log
            for log in block.logs
            if (addresses is None or log["address"] in addresses) and matches(log["topics"], topics)
        ]

    def _range(self, query: Dict) -> Iterator[Block]:
        if query.get("blockHash") is not None:
            if query.get("fromBlock") is not None or query.get("toBlock") is not None:
                raise invalid("cannot specify both BlockHash and FromBlock/ToBlock, choose one or the other")
            block = self._by_hash(query["blockHash"])
            if block is None:
                raise invalid("invalid blockHash")
            return iter([block])
        first, last = self._bounds(query)
        head = self.chain.head.number
        if min(last, head) - first > self.chain.settings.max_log_blocks:
            raise invalid(f"exceed max block range: {self.chain.settings.max_log_blocks}")
        numbers = range(first, min(last, head) + 1)
        return (block for number in numbers if (block := self.chain.block(number)) is not None)

    def _bounds(self, query: Dict) -> tuple[int, int]:
        """The first and the last block of a query, both included; the last may be one of the future."""
        head = self.chain.head.number
        first = self._number(query["fromBlock"]) if query.get("fromBlock") is not None else None
        last = self._number(query["toBlock"]) if query.get("toBlock") is not None else None
        if first is None:
            first = head if last is None else min(last, head)
        if last is None:
            last = max(first, head)
        if first > last:
            raise invalid("please verify: fromBlock <= toBlock")
        return first, last

    def _new_filter(self, query: Any) -> str:
        if not isinstance(query, dict):
            raise RpcError(-32602, "method parameters invalid", None)
        if query.get("blockHash") is not None:
            raise invalid("not support blockHash")
        first, last = self._bounds(query)
        if query.get("toBlock") in (None, "latest"):
            last = 2**63 - 1  # it goes on
        found = self._match(query)
        asked = {**query, "fromBlock": hex(first), "toBlock": hex(last)}
        return self._filters.add(
            lambda block: found(block) if first <= block.number <= last else (), lambda: self._logs(asked)
        )

    def _filter(self, name: Any) -> Filter:
        found = self._filters.find(name)
        if found is None:
            raise RpcError(-32000, "filter not found")
        return found

    def _filter_logs(self, name: Any) -> list[Dict]:
        found = self._filter(name)
        if found.match is None:
            raise RpcError(-32000, "filter not found")
        return found.logs()

    def _uninstall(self, name: Any) -> bool:
        self._filter(name)
        self._filters.remove(name)
        return True

    def _addresses(self, value: Any) -> set[str] | None:
        if value is None:
            return None
        wanted = value if isinstance(value, list) else [value]
        if len(wanted) > self.chain.settings.max_log_addresses:
            raise invalid(f"exceed max addresses: {self.chain.settings.max_log_addresses}")
        return {"0x" + read_bytes(item, 20, "address").hex() for item in wanted}

    # ── state ───────────────────────────────────────────────────────────────

    def _latest(self, tag: Any) -> None:
        if tag == "latest":
            return
        if tag in ("earliest", "pending", "finalized", "safe"):
            raise invalid(f"TAG {tag} not supported, just support TAG as latest")
        raise invalid("QUANTITY not supported, just support TAG as latest")

    def _balance(self, address: Any, tag: Any) -> str:
        self._latest(tag)
        account = self.chain.account(PREFIX + read_bytes(address, 20, "address"))
        return hex(account.balance if account else 0)

    def _code(self, address: Any, tag: Any) -> str:
        self._latest(tag)
        return "0x" + self.chain.vm.code(PREFIX + read_bytes(address, 20, "address")).hex()

    def _storage(self, address: Any, slot: Any, tag: Any) -> str:
        self._latest(tag)
        owner, at = PREFIX + read_bytes(address, 20, "address"), read_quantity(slot, "storage index")
        return f"0x{self.chain.vm.storage(owner, at):064x}"

    def _simulate(self, call: Any) -> Any:
        if not isinstance(call, dict):
            raise RpcError(-32602, "method parameters invalid", None)
        caller = PREFIX + read_bytes(call.get("from") or "0x" + "0" * 40, 20, "address")
        target = PREFIX + read_bytes(call.get("to"), 20, "address")
        try:
            data = bytes.fromhex(str(call.get("data") or call.get("input") or "0x").removeprefix("0x"))
            outcome = self.chain.simulate(caller, target, data, read_quantity(call.get("value") or "0x0", "value"))
        except Refused as error:
            raise RpcError(-32000, str(error)) from error
        except ValueError as error:
            raise invalid(f"invalid call: {error}") from error
        if not outcome.ok:
            raise RpcError(-32000, outcome.message)
        return outcome

    def _call(self, call: Any, tag: Any) -> str:
        self._latest(tag)
        return "0x" + str(self._simulate(call).output.hex())

    def _estimate(self, call: Any) -> str:
        return hex(estimate(self._simulate(call).energy))


def _bind(method: Callable[..., Any], params: Any) -> Callable[[], Any]:
    """Returns the call ready to run.

    Raises:
        TypeError: the number of parameters is wrong.
    """
    if not isinstance(params, list):
        raise TypeError("params: expected a list")
    inspect.signature(method).bind(*params)
    return lambda: method(*params)


def _sender(transaction: Transaction) -> str:
    return "0x" + transaction.owner[1:].hex() if len(transaction.owner) == 21 else "0x" + "0" * 40


def _recipient(transaction: Transaction) -> str | None:
    for name in ("to_address", "contract_address", "account_address"):
        if name in transaction.value:
            address: bytes = transaction.value[name]
            return "0x" + address[1:].hex()
    return None
