"""From a node's JSON to `tron.model`, checking on the way what can be checked.

A node leaves out fields that hold their default (number 0, data, fee, the result of a success), and writes addresses
in four forms; both are evened out here. What contradicts itself raises `Contradiction`, which the client turns into
`NodeLied` with the node's name.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from hashlib import sha256
from typing import Any

from tron import raw
from tron.address import ZERO, normalise
from tron.creation import contract_address
from tron.errors import InvalidAddress
from tron.model import Block, InternalTransfer, Log, Transaction, TransactionInfo

Json = dict[str, Any]

LATEST_MS = 253_402_300_799_999
"""The last millisecond of the year 9999: no block is of later."""

_HASH = re.compile(r"[0-9a-f]{64}")
_WORD = re.compile(r"[A-Za-z0-9_]{0,64}")
_TOPICS_AND_DATA = re.compile(r"(?:[0-9a-f]{64} ){0,4}[0-9a-f]*")
_DIGITS = re.compile(r"[0-9a-f]*")  # in pairs: to repeat a pair would take five times as long


class Contradiction(Exception):
    """An answer that cannot be true."""


def _get(source: Json, key: str, kind: type, default: Any) -> Any:
    value = source.get(key, default)
    if type(value) is not kind:
        raise Contradiction(f"{key} should be {kind.__name__}, is {value!r:.80}")
    return value


def _int(source: Json, key: str, least: int = 0, most: int = 2**63 - 1) -> int:
    value: int = source.get(key, 0)
    if type(value) is not int or not least <= value <= most:
        raise Contradiction(f"{key} should be a whole number from {least} to {most}, is {value!r:.80}")
    return value


def _word(source: Json, key: str, default: str) -> str:
    value: str = source.get(key, default)
    if type(value) is not str or not _WORD.fullmatch(value):
        raise Contradiction(f"{key} should be a name, is {value!r:.80}")
    return value


def _hash(source: Json, key: str) -> str:
    value: str = source.get(key, "")
    if type(value) is not str or not _HASH.fullmatch(value):
        raise Contradiction(f"{key} should be 64 hex digits, is {value!r:.80}")
    return value


def _is_hex(value: str) -> bool:
    return len(value) % 2 == 0 and _DIGITS.fullmatch(value) is not None


def _hex(source: Json, key: str) -> str:
    value: str = source.get(key, "")
    if type(value) is not str or not _is_hex(value):
        raise Contradiction(f"{key} should be hex, is {value!r:.80}")
    return value


def text(message: str) -> str:
    """Return a message of the node in clear: some are hex of UTF-8, some (with `visible: true`) are not.

    NUL, which no database stores, becomes U+FFFD as what is no UTF-8 does.
    """
    clear = bytes.fromhex(message).decode("utf-8", "replace") if _is_hex(message) else message
    return clear.replace("\0", "\ufffd")


def _address(source: Json, key: str) -> str | None:
    value = source.get(key)
    if value is None:
        return None
    try:
        return normalise(value)
    except (InvalidAddress, TypeError):
        raise Contradiction(f"{key} should be an address, is {value!r:.80}") from None


def _some_address(source: Json, key: str) -> str:
    value = _address(source, key)
    if value is None:
        raise Contradiction(f"{key} is missing")
    return value


def _objects(source: Json, key: str) -> Sequence[Json]:
    if key not in source:
        return ()
    values: list[Json] = _get(source, key, list, [])
    for value in values:
        if type(value) is not dict:
            raise Contradiction(f"{key} should hold objects, holds {value!r:.80}")
    return values


def block(source: Json) -> Block:
    """Read a block. The id must begin with the number; a transaction's id must be the hash of its raw data."""
    header = _get(_get(source, "block_header", dict, {}), "raw_data", dict, {})
    number, block_id = _int(header, "number"), _hash(source, "blockID")
    if int(block_id[:16], 16) != number:
        raise Contradiction(f"block {number} has the id {block_id}")
    transactions = tuple(transaction(item, genesis=number == 0) for item in _objects(source, "transactions"))
    time_ms = _int(header, "timestamp", most=LATEST_MS)
    return Block(number, block_id, _hash(header, "parentHash"), time_ms, transactions)


def transaction(source: Json, genesis: bool = False) -> Transaction:
    """Read a transaction of a block, or one answered by its id. It must do what its raw data says."""
    tx_id, raw_hex = _hash(source, "txID"), _hex(source, "raw_data_hex")
    raw_data = bytes.fromhex(raw_hex)
    if raw_hex and sha256(raw_data).hexdigest() != tx_id:
        raise Contradiction(f"transaction {tx_id} is not the hash of its raw data")
    told, shown = raw.read(raw_data), _get(source, "raw_data", dict, {})
    if told is None or told.owner is None or genesis or not _is_shown(told, shown):
        return _transaction_as_shown(tx_id, source, told, genesis)
    return Transaction(
        tx_id=tx_id,
        kind=told.kind,
        owner=told.owner,
        to=told.to,
        amount_sun=told.amount_sun,
        call_value_sun=told.call_value_sun,
        data=told.data,
        contract_address=told.contract_address,
        fee_limit=told.fee_limit,
        result=_outcome(source),
    )


def _is_shown(told: raw.Raw, shown: Json) -> bool:
    """Whether a node shows exactly what the raw data says, as most do of most transactions: told by one comparison."""
    return shown.get("contract") == [told.shown] and shown.get("fee_limit", 0) == told.fee_limit


def _outcome(source: Json) -> str | None:
    results = _objects(source, "ret") if "ret" in source else []
    said = _word(results[0], "contractRet", "DEFAULT") if results else "DEFAULT"
    return said if said != "DEFAULT" else None


def _transaction_as_shown(tx_id: str, source: Json, told: raw.Raw | None, genesis: bool) -> Transaction:
    """Read a transaction in whatever form it is shown, and hold that against what its raw data says."""
    raw_data = _get(source, "raw_data", dict, {})
    contracts = _objects(raw_data, "contract")
    if len(contracts) != 1:
        raise Contradiction(f"transaction {tx_id} has {len(contracts)} contracts, expected 1")
    kind = _word(contracts[0], "type", "")
    value = _get(_get(contracts[0], "parameter", dict, {}), "value", dict, {})
    created = kind == "CreateSmartContract"
    called = _get(value, "new_contract", dict, {}) if created else value
    found = Transaction(
        tx_id=tx_id,
        kind=kind,
        owner=(not genesis and _address(value, "owner_address")) or ZERO,
        to=_address(value, "to_address"),
        amount_sun=_int(value, "amount", least=-(2**63)) if kind == "TransferContract" else 0,
        call_value_sun=_int(called, "call_value"),
        data=_hex(value, "data") if kind == "TriggerSmartContract" else "",
        contract_address=_address(source if created else value, "contract_address"),
        fee_limit=_int(raw_data, "fee_limit"),
        result=_outcome(source),
    )
    if (field := _differs(found, told)) is not None:
        raise Contradiction(f"{field} of transaction {tx_id} is not what its raw data says")
    return found


def _differs(found: Transaction, told: raw.Raw | None) -> str | None:
    """The first field in which a transaction as shown differs from its raw data; None where nothing contradicts it."""
    if told is None:
        return None
    fields = ["kind", "fee_limit"]
    if told.owner is not None:  # the genesis block's sender is no address
        fields.append("owner")
    if told.kind in ("TransferContract", "TransferAssetContract", "TriggerSmartContract"):
        fields += ["to", "contract_address", "amount_sun", "call_value_sun", "data"]
    elif told.kind == "CreateSmartContract":
        fields += ["to", "call_value_sun"]
        if found.contract_address not in (None, contract_address(found.tx_id, found.owner)):
            return "contract_address"
    return next((field for field in fields if getattr(found, field) != getattr(told, field)), None)


def infos(sources: list[Json]) -> list[TransactionInfo]:
    """Read a block's receipts, which are in the order of its transactions; logs are numbered through the block."""
    result = []
    first_log = 0
    for source in sources:
        info = transaction_info(source, first_log)
        first_log += len(info.logs)
        result.append(info)
    return result


def transaction_info(source: Json, first_log: int = 0) -> TransactionInfo:
    """Read a receipt. A failed transaction must have no logs."""
    receipt = _get(source, "receipt", dict, {})
    outcome = _word(source, "result", "SUCCESS")
    outputs = _get(source, "contractResult", list, []) or [""]
    info = TransactionInfo(
        tx_id=_hash(source, "id"),
        block_number=_int(source, "blockNumber"),
        block_time_ms=_int(source, "blockTimeStamp", most=LATEST_MS),
        success=outcome == "SUCCESS",
        result=_word(receipt, "result", outcome),
        message=text(_get(source, "resMessage", str, "")),
        fee_sun=_int(source, "fee"),
        energy_used=_int(receipt, "energy_usage_total"),
        energy_fee_sun=_int(receipt, "energy_fee"),
        bandwidth_used=_int(receipt, "net_usage"),
        bandwidth_fee_sun=_int(receipt, "net_fee"),
        contract_address=_address(source, "contract_address"),
        output=_hex({"contractResult": outputs[0]}, "contractResult"),
        logs=tuple(_log(item, first_log + index) for index, item in enumerate(_objects(source, "log"))),
        internal_transfers=tuple(_internal(item) for item in _objects(source, "internal_transactions")),
    )
    if info.logs and not info.success:
        raise Contradiction(f"transaction {info.tx_id} failed and has logs")
    return info


def _log(source: Json, index: int) -> Log:
    topics, data = _get(source, "topics", list, []), source.get("data", "")
    try:
        content = " ".join((*topics, data))
    except TypeError:
        raise Contradiction(f"topics and data should be texts, are {topics!r:.80} and {data!r:.80}") from None
    # At once what is slower one by one. A space within a topic would make it longer than its 64 digits.
    if not _TOPICS_AND_DATA.fullmatch(content) or len(content) != 65 * len(topics) + len(data) or len(data) % 2:
        raise Contradiction(f"a log should have up to 4 topics of 64 hex digits and data in hex, has {content!r:.400}")
    return Log(_some_address(source, "address"), tuple(topics), data, index)


def _internal(source: Json) -> InternalTransfer:
    values = _objects(source, "callValueInfo")
    return InternalTransfer(
        caller=_some_address(source, "caller_address"),
        to=_some_address(source, "transferTo_address"),
        value_sun=sum(_int(value, "callValue") for value in values if "tokenId" not in value),
        note=text(_get(source, "note", str, "")),
        rejected=_get(source, "rejected", bool, False),
    )
