"""Old blocks on the disk: the answers that ingestion reads, as they are served; from them a block can be made again.

So the chain needs little memory however long it grows, an old block is served as fast as a file is read, and a saved
chain (`snapshot`) is these very bytes.
"""

from __future__ import annotations

import os
import tempfile
import weakref
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from pathlib import Path

import orjson

from devnet.block_views import block_bytes, infos_bytes
from devnet.blocks import Block
from devnet.proto import Dict
from devnet.transactions import Internal, Receipt, Transaction, from_raw

KEYS = ("block False", "infos False", "logs")
"""The answers that are kept: `getblockbynum`, `gettransactioninfobyblocknum`, and the logs of JSON-RPC."""
_DECODED = 8


class Archive:
    """A file of answers that only grows."""

    def __init__(self, path: Path | None = None) -> None:
        """Opens the file at `path` for reading; without one a temporary file, which is gone with the process."""
        if path is None:
            self._file, name = tempfile.mkstemp(prefix="devnet-")
            os.unlink(name)
        else:
            self._file = os.open(path, os.O_RDONLY)
        weakref.finalize(self, os.close, self._file)
        self.size = os.fstat(self._file).st_size
        """Bytes in the file."""
        self._decoded: OrderedDict[int, list[Transaction]] = OrderedDict()

    def keep(self, block: Block) -> Stored:
        """Writes what the block holds; returns the contents that stand for it."""
        bodies = answers(block)
        at, data = self.size, memoryview(b"".join(bodies))
        while data:
            written = os.pwrite(self._file, data, self.size)
            self.size += written
            data = data[written:]
        return Stored(self, at, tuple(len(body) for body in bodies))

    def read(self, at: int, size: int) -> bytes:
        """Returns the bytes there."""
        return os.pread(self._file, size, at)

    def decoded(self, stored: Stored) -> list[Transaction]:
        """Returns a block's transactions; those of the last few blocks asked for are kept."""
        if stored.at not in self._decoded:
            self._decoded[stored.at] = _decode(stored)
            if len(self._decoded) > _DECODED:
                self._decoded.popitem(last=False)
        self._decoded.move_to_end(stored.at)
        return self._decoded[stored.at]


class Stored:
    """The contents of an old block: where its answers are."""

    __slots__ = ("archive", "at", "sizes")

    def __init__(self, archive: Archive, at: int, sizes: tuple[int, ...]) -> None:
        self.archive = archive
        self.at = at
        self.sizes = sizes

    @property
    def transactions(self) -> list[Transaction]:
        """In their order, each with its receipt."""
        return self.archive.decoded(self)

    @property
    def logs(self) -> list[Dict]:
        """Ready to be served by JSON-RPC."""
        logs: list[Dict] = orjson.loads(self.kept("logs"))
        return logs

    def kept(self, key: str) -> bytes:
        """Returns one of the answers of `KEYS`."""
        index = KEYS.index(key)
        return self.archive.read(self.at + sum(self.sizes[:index]), self.sizes[index])

    def body(self, key: str, make: Callable[[], bytes]) -> bytes:
        """Returns an answer about the block, made again each time if it is none that is kept."""
        return self.kept(key) if key in KEYS else make()


def answers(block: Block) -> list[bytes]:
    """Returns the answers of `KEYS` about a block."""
    if isinstance(block.contents, Stored):
        return [block.contents.kept(key) for key in KEYS]
    return [block_bytes(block, False), infos_bytes(block, False), orjson.dumps(block.logs)]


def _decode(stored: Stored) -> list[Transaction]:
    shown = orjson.loads(stored.kept("block False")).get("transactions", [])
    infos = orjson.loads(stored.kept("infos False"))
    transactions = []
    for index, (source, info) in enumerate(zip(shown, infos, strict=True)):
        signatures = [bytes.fromhex(signature) for signature in source["signature"]]
        transaction = from_raw(bytes.fromhex(source["raw_data_hex"]), signatures)
        transaction.block, transaction.index = info["blockNumber"], index
        transaction.receipt = _receipt(info)
        transactions.append(transaction)
    return transactions


def _receipt(info: Dict) -> Receipt:
    costs, unhex = info["receipt"], partial(_bytes, info)
    return Receipt(
        fee=info.get("fee", 0),
        net_usage=costs.get("net_usage", 0),
        net_fee=costs.get("net_fee", 0),
        energy=costs.get("energy_usage_total", 0),
        energy_fee=costs.get("energy_fee", 0),
        result=costs.get("result"),
        output=bytes.fromhex(info["contractResult"][0]),
        message=unhex("resMessage").decode(),
        contract=unhex("contract_address") or None,
        logs=tuple(
            (_bytes(log, "address"), [bytes.fromhex(topic) for topic in log.get("topics", [])], _bytes(log, "data"))
            for log in info.get("log", [])
        ),
        internals=tuple(
            Internal(
                hash=_bytes(moved, "hash"),
                caller=_bytes(moved, "caller_address"),
                to=_bytes(moved, "transferTo_address"),
                value=moved["callValueInfo"][0].get("callValue", 0),
                note=_bytes(moved, "note").decode(),
            )
            for moved in info.get("internal_transactions", [])
        ),
    )


def _bytes(source: Dict, name: str) -> bytes:
    return bytes.fromhex(source.get(name, ""))
