"""What java-tron's HTTP API shows of blocks and what is in them, as JSON dicts; old blocks are kept in these forms."""

from __future__ import annotations

from typing import Any

import orjson

from devnet.blocks import Block
from devnet.proto import Dict
from devnet.transactions import Internal, Transaction, show_address, to_json


def without_defaults(**fields: Any) -> Dict:
    return {name: value for name, value in fields.items() if value or value is False}


def header(block: Block, visible: bool) -> Dict:
    """Returns a block without its transactions."""
    raw = without_defaults(
        number=block.number,
        txTrieRoot=block.header["txTrieRoot"].hex(),
        witness_address=show_address(block.witness, visible),
        parentHash=block.header["parentHash"].hex(),
        version=block.header.get("version"),
        timestamp=block.timestamp,
    )
    shown: Dict = {"raw_data": raw}
    if block.signature:
        shown["witness_signature"] = block.signature.hex()
    return {"blockID": block.id.hex(), "block_header": shown}


def block_bytes(block: Block, visible: bool) -> bytes:
    """Returns a whole block as JSON; kept, because ingestion reads a block many times."""

    def make() -> bytes:
        shown = header(block, visible)
        if block.transactions:
            shown["transactions"] = [mined(transaction, visible) for transaction in block.transactions]
        return orjson.dumps(shown)

    return block.contents.body(f"block {visible}", make)


def infos_bytes(block: Block, visible: bool) -> bytes:
    """Returns the receipts of a block as a JSON array; none for the genesis block, as on a node."""

    def make() -> bytes:
        transactions = block.transactions if block.number else []
        return orjson.dumps([info(transaction, block, visible) for transaction in transactions])

    return block.contents.body(f"infos {visible}", make)


def mined(transaction: Transaction, visible: bool) -> Dict:
    """Returns a transaction as it stands in a block."""
    if transaction.block == 0:
        return to_json(transaction, visible)
    shown = to_json(transaction, visible)
    return {
        "ret": [{"contractRet": transaction.receipt.result or "SUCCESS"}],
        "signature": [signature.hex() for signature in transaction.signatures],
        **shown,
    }


def info(transaction: Transaction, block: Block, visible: bool) -> Dict:
    """Returns the receipt. Logs: 20-byte hex addresses, or base58 with `visible`; defaults left out."""
    receipt = transaction.receipt
    shown = without_defaults(
        id=transaction.id.hex(),
        fee=receipt.fee,
        blockNumber=block.number,
        blockTimeStamp=block.timestamp,
    )
    shown["contractResult"] = [receipt.output.hex()]
    if receipt.contract:
        shown["contract_address"] = show_address(receipt.contract, visible)
    shown["receipt"] = without_defaults(
        energy_fee=receipt.energy_fee,
        energy_usage_total=receipt.energy,
        net_usage=receipt.net_usage,
        net_fee=receipt.net_fee,
        result=receipt.result,
    )
    if not receipt.ok:
        shown["result"] = "FAILED"
        shown["resMessage"] = receipt.message if visible else receipt.message.encode().hex()
    if receipt.logs:
        shown["log"] = [
            without_defaults(
                address=show_address(b"\x41" + address, True) if visible else address.hex(),
                topics=[topic.hex() for topic in topics],
                data=data.hex(),
            )
            for address, topics, data in receipt.logs
        ]
    if receipt.internals:
        shown["internal_transactions"] = [_internal(internal, visible) for internal in receipt.internals]
    return shown


def _internal(internal: Internal, visible: bool) -> Dict:
    return {
        "hash": internal.hash.hex(),
        "caller_address": show_address(internal.caller, visible),
        "transferTo_address": show_address(internal.to, visible),
        "callValueInfo": [without_defaults(callValue=internal.value)],
        "note": internal.note.encode().hex(),
    }
