"""A devnet on which a test makes every block, and what was told of it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import httpx

from contracts import message_class
from contracts.head import BlockAdded, BlockRetracted, HeadChain
from messaging.testing import eventually
from tron.address import hex41
from tron.client import NodeClient
from tron.contracts import DCMXToken
from tron.keys import Key
from tron.sender import Sender


@dataclass
class Stage:
    """A devnet that makes blocks when it is told to, solidified 20 blocks behind, with the five contracts."""

    url: str
    contracts: dict[str, str]
    keys: list[Key]
    client: httpx.AsyncClient
    node: NodeClient

    async def control(self, path: str, **body: Any) -> dict[str, Any]:
        answer = await self.client.post(f"{self.url}/devnet/{path}", json=body)
        answer.raise_for_status()
        return dict(answer.json())

    async def mine(self, blocks: int = 1) -> None:
        await self.control("mine", blocks=blocks)

    async def pay(self, count: int) -> None:
        """Transfers of tokens, each an event, into the next block."""
        token, sender = DCMXToken(self.contracts["dcmx-token"]), Sender(self.node)
        for _ in range(count):
            await sender.send(token.transfer(self.keys[3].address, 7), self.keys[0], 100_000_000)

    async def newest(self) -> tuple[int, str]:
        """Number and hash of the newest block."""
        head = await self.node.head()
        return head.number, head.hash

    async def hashes(self, first: int) -> list[str]:
        """Of the node's blocks from `first` on."""
        blocks = await self.node.blocks(first, (await self.newest())[0], solid=False)
        return [block.hash for block in blocks]

    async def events(self, first: int) -> list[tuple[str, int]]:
        """Block hash and index of every log of the contracts from block `first` on, by JSON-RPC."""
        addresses = ["0x" + hex41(address)[2:] for address in self.contracts.values()]
        bounds = {"fromBlock": hex(first), "toBlock": "latest", "address": addresses}
        question = {"jsonrpc": "2.0", "id": 1, "method": "eth_getLogs", "params": [bounds]}
        found = (await self.client.post(f"{self.url}/jsonrpc", json=question)).json()["result"]
        return [(log["blockHash"][2:], int(log["logIndex"], 16)) for log in found]


async def entries(pool: asyncpg.Pool) -> list[BlockAdded | BlockRetracted]:
    rows = await pool.fetch("SELECT type, data FROM head_entries ORDER BY position")
    return [message_of(row["type"], row["data"]) for row in rows]


def message_of(kind: str, data: str) -> BlockAdded | BlockRetracted:
    """The message of an entry, read as a consumer reads it."""
    cls = message_class(kind)
    message = cls.model_validate_json(data, strict=True) if cls is not None else None
    assert isinstance(message, BlockAdded | BlockRetracted), f"{kind}: expected a message of the head"
    return message


async def told(pool: asyncpg.Pool) -> list[str]:
    """The hashes of the blocks that stand, by replaying the head log."""
    return [parts[0].hash for parts in replayed(await entries(pool)).blocks]


def replayed(messages: list[BlockAdded | BlockRetracted]) -> HeadChain:
    chain = HeadChain()
    for message in messages:
        chain.apply(message)
    return chain


async def caught_up(pool: asyncpg.Pool, stage: Stage) -> None:
    """Waits until the head log ends with the node's newest block, then compares all that stands."""

    newest = await stage.newest()

    async def there() -> bool:
        row = await pool.fetchrow("SELECT number, hash FROM head_entries ORDER BY position DESC LIMIT 1")
        return row is not None and tuple(row) == newest

    await eventually(there)
    messages = await entries(pool)  # once: old ones may be deleted meanwhile
    standing = [parts[0].hash for parts in replayed(messages).blocks]
    assert standing == await stage.hashes(messages[0].number)


async def retracted(pool: asyncpg.Pool) -> list[int]:
    return [message.number for message in await entries(pool) if isinstance(message, BlockRetracted)]


class Nursery:
    """Starts processes that tell the head, and ends each as a power cut would."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @asynccontextmanager
    async def one(self) -> AsyncIterator[None]:
        """A process runs inside the block."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"\n")
        child = await self._said()
        yield
        os.kill(child, signal.SIGKILL)
        assert await self._said() == -signal.SIGKILL, "it ended by itself"

    async def _said(self) -> int:
        assert self._process.stdout is not None
        return int(await self._process.stdout.readline())


@asynccontextmanager
async def nursery(*arguments: str) -> AsyncIterator[Nursery]:
    worker = str(Path(__file__).with_name("head_worker.py"))
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, worker, *arguments, stdin=pipe, stdout=pipe, start_new_session=True
    )
    try:
        yield Nursery(process)
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # with a child that a failure has left
        await process.communicate()
