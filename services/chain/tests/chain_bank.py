"""For tests of sending: a chain to pay on, what to pay, a network that fails, and the truth about who was paid."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import socket
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import httpx
import uvicorn

from chain.domain import operation as op
from eventlog import EventLog, Executor, Intent
from tron.client import NodeClient
from tron.keys import Key

NOW = datetime(2026, 1, 1, tzinfo=UTC)
FAULTS = ("refused", "lost", "unanswered", "dropped", "twice", "502", "502 after", "429", "limited", "busy")
HANG_SECONDS = 1.0


@dataclass
class Bank:
    """A devnet with fast blocks. `keys` pay, by name; `token` is DCMX, of which every one of them has some."""

    url: str
    keys: dict[str, Key]
    contracts: dict[str, str]

    def control(self, action: str, **body: Any) -> dict[str, Any]:
        """Calls the devnet's control interface."""
        answer = httpx.post(f"{self.url}/devnet/{action}", json=body, timeout=30).raise_for_status()
        return dict(answer.json())


def trx(number: int, sender: str, to: str, amount_sun: int) -> op.OperationIntended:
    return op.OperationIntended(operation_id(number), sender, op.TrxPayment(to, amount_sun), "/tests")


def call(number: int, sender: str, contract: str, method: str, **args: Any) -> op.OperationIntended:
    payload = op.ContractCall(contract, method, args)
    return op.OperationIntended(operation_id(number), sender, payload, "/tests")


def operation_id(number: int) -> str:
    return str(UUID(int=number))


async def intend(log: EventLog, wishes: Iterable[op.OperationIntended]) -> None:
    """As the API or the consumer does it."""
    intents = [Intent(op.operation_stream(wish.operation_id), op.operation, op.Intend(wish), NOW) for wish in wishes]
    await Executor(log).execute(intents)


async def states(log: EventLog) -> dict[str, op.Operation]:
    """Every operation as the journal has it."""
    found: dict[str, op.Operation] = {}
    for recorded in await log.read(0, 2**62, limit=1_000_000, streams=op.OPERATIONS):
        operation = recorded.stream.removeprefix(op.OPERATIONS)
        found[operation] = op.evolve(found.get(operation, op.Operation()), recorded.event)
    return found


async def all_final(log: EventLog) -> bool:
    """Whether every operation has ended."""
    ends = log.types.names([op.OperationSolidified, op.OperationFailed, op.OperationExpired])
    sql = """SELECT count(*) FILTER (WHERE type = 'OperationIntended') = count(*) FILTER (WHERE type = ANY ($1))
             FROM events"""
    return bool(await log.pool.fetchval(sql, ends))


async def payments(url: str, payers: Sequence[str]) -> Counter[tuple[str, int]]:
    """How often each (receiver, sun) was paid by the payers: from all blocks of the node, solidified or not."""
    paid: Counter[tuple[str, int]] = Counter()
    async with NodeClient(url) as node:
        head = await node.head()
        for block in await node.blocks(0, head.number, solid=False):
            for transaction in block.transactions:
                if transaction.kind == "TransferContract" and transaction.owner in payers:
                    paid[str(transaction.to), transaction.amount_sun] += 1
    return paid


@dataclass
class BadNetwork:
    """A node behind a network that fails: of the broadcasts `share`, of other requests a sixth of that.

    The next new transactions, as many as `doom` says, are always taken and never there.
    """

    upstream: str
    client: httpx.AsyncClient
    share: float = 0.3
    doom: int = 0
    chance: random.Random = field(default_factory=lambda: random.Random(7))
    faults: Counter[str] = field(default_factory=Counter)
    broadcasts: int = 0
    _doomed: dict[str, bool] = field(default_factory=dict)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        question = b""
        while (part := await receive())["type"] == "http.request":
            question += part["body"]
            if not part["more_body"]:
                break
        else:
            return  # whoever asked was killed
        status, answer = await self._answer(scope["path"], question)
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": answer})

    async def _answer(self, path: str, question: bytes) -> tuple[int, bytes]:
        if not path.endswith("/broadcasthex"):
            if self.chance.random() < self.share / 6:
                self.faults["read"] += 1
                return self.chance.choice([(502, b"bad gateway"), (429, b"{}"), (200, b'{"Error":"frequency limit"}')])
            return await self._forward(path, question)
        self.broadcasts += 1
        wire = str(json.loads(question)["transaction"])
        if wire not in self._doomed:
            self._doomed[wire] = self.doom > 0
            self.doom -= 1
        if self._doomed[wire]:
            self.faults["doomed"] += 1
            return 200, b'{"result":true}'
        if self.chance.random() >= self.share:
            return await self._forward(path, question)
        fault = self.chance.choice(FAULTS)
        self.faults[fault] += 1
        return await self._fail(fault, path, question)

    async def _fail(self, fault: str, path: str, question: bytes) -> tuple[int, bytes]:
        if fault in ("unanswered", "twice", "502 after"):
            answer = await self._forward(path, question)
        match fault:
            case "refused":
                return 200, b'{"code":"NO_CONNECTION","message":""}'
            case "lost" | "unanswered":
                await asyncio.sleep(HANG_SECONDS)
                return 504, b"too late"
            case "dropped":
                return 200, b'{"result":true}'
            case "twice":
                return await self._forward(path, question)
            case "502" | "502 after":
                return 502, b"bad gateway"
            case "429":
                return 429, b"{}"
            case "limited":
                return 200, b'{"Error":"this exceed the user rate limit"}'
            case "busy":
                return 200, b'{"code":"SERVER_BUSY","message":"53657276657220697320627573792e"}'
        return answer

    async def _forward(self, path: str, question: bytes) -> tuple[int, bytes]:
        answer = await self.client.post(self.upstream + path, content=question)
        return answer.status_code, answer.content


@contextlib.asynccontextmanager
async def listening(app: Any) -> AsyncIterator[str]:
    """Serves an ASGI application inside the block, at the address given."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    config = uvicorn.Config(app, lifespan="off", log_config=None, timeout_graceful_shutdown=1, interface="asgi3")
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server._serve(sockets=[listener]))  # without uvicorn's signal handlers
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await serving
