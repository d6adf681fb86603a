from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
from pydantic import SecretStr

from contracts import Message
from eventlog import EventLog, EventTypes, Executor, Intent, Watermark
from local_stack.postgres import PostgresServer
from messaging import Received, TopicSpec, ensure
from messaging.testing import delete_topics, eventually
from projections import Runner
from royalties import domain, handlers, projections
from royalties.app import create
from royalties.domain.reconciliation import RECONCILIATION, Compared, RecordReconciliation, reconciliation
from royalties.recorder import Recorder
from royalties.settings import RoyaltiesSettings
from service import Queries, find_migrations, migrate
from service.testing import Running, serving
from service.tokens import generate_keys, mint

sys.path.append(str(Path(__file__).parent))  # for royalties_chain

from royalties_chain import Keyed

PRIVATE, PUBLIC = generate_keys()


@pytest.fixture
async def royalties(database: str, kafka: str) -> AsyncIterator[Running]:
    """The service as it runs in production, on an empty database and an empty Kafka, its read models made."""
    await delete_topics(kafka)
    heard = [TopicSpec(topic) for topic in handlers.TOPICS if topic.startswith("chain.")]
    await ensure(kafka, [*heard, TopicSpec("chain.blocks", partitions=1)])
    async with serving(create, database, kafka, distributions_look_seconds=0.2) as running:
        await running.shown()
        yield running


@dataclass
class Ledger:
    """The service without Kafka: messages go to its handler in a transaction, as the consumer hands them over."""

    pool: asyncpg.Pool
    client: httpx.AsyncClient
    reads: Queries
    log: EventLog = field(init=False)

    def __post_init__(self) -> None:
        self.watermark = Watermark(self.pool, poll_seconds=0.05)
        self.log = EventLog(self.pool, EventTypes(domain.EVENTS), self.watermark)
        executor = Executor(self.log)
        self.handle = handlers.handle_messages(executor, Recorder(self.log, executor))
        self._offset = 0

    async def receive(self, keyed: Sequence[Keyed]) -> None:
        """One batch, one transaction."""
        batch = [self._received(key, message) for key, message in keyed]
        async with self.pool.acquire() as connection, connection.transaction():
            committed = await self.handle(batch, connection)
        if committed is not None:
            committed()

    async def compared(self, block: int, *differing: Compared) -> None:
        """As if the books had been held against the contracts."""
        command = RecordReconciliation(block, 5, differing)
        await Executor(self.log).execute([Intent(RECONCILIATION, reconciliation, command, datetime.now(UTC))])

    async def get(self, path: str, **params: Any) -> Any:
        """What is shown there."""
        answer = await self.client.get(path, params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def status(self, path: str, subject: str, *roles: str, **headers: str) -> int:
        """What somebody is answered there."""
        return (await self.client.get(path, headers=bearer(subject, *roles) | headers)).status_code

    async def command(self, path: str, key: str = "k") -> httpx.Response:
        """What an officer asks for."""
        return await self.client.post(path, headers=bearer("olga", "officer") | {"idempotency-key": key})

    async def shown(self) -> None:
        """Waits until the read models show all there is."""
        end = await self.pool.fetchval("SELECT max(position) FROM events")

        async def all_there() -> bool:
            behind = "SELECT count(*) FROM checkpoints WHERE position < $1"
            return not await self.pool.fetchval(behind, end)

        await eventually(all_there)
        assert await self.pool.fetchval("SELECT count(*) FROM dead_letters") == 0

    def _received(self, key: str, message: object) -> Received:
        self._offset += 1
        assert isinstance(message, Message)
        return Received(message, f"id-{self._offset}", "/chain", message.topic, 0, self._offset, key)


def bearer(subject: str, *roles: str) -> dict[str, str]:
    return {"authorization": f"Bearer {mint(PRIVATE, subject, roles)}"}


@pytest.fixture
def user() -> dict[str, str]:
    """The headers of bob, who is nobody's officer."""
    return bearer("bob", "user")


@pytest.fixture
def olga() -> dict[str, str]:
    """The headers of an officer."""
    return bearer("olga", "officer", "service")


@asynccontextmanager
async def opened_ledger(database: str) -> AsyncIterator[Ledger]:
    await migrate("royalties", find_migrations("royalties"), database)
    service = create(RoyaltiesSettings(database_url=SecretStr(database), jwt_public_key=PUBLIC))
    async with service.opened():
        transport = httpx.ASGITransport(service.api)
        headers = bearer("tester", "service")
        async with httpx.AsyncClient(transport=transport, base_url="http://royalties", headers=headers) as client:
            made = Ledger(service.pool, client, Queries("royalties", service.queries, service.pool))
            runner = Runner(made.pool, made.log, made.watermark, projections.ALL)
            await runner.create_missing()
            workers = [asyncio.create_task(worker.run()) for worker in (made.watermark, runner)]
            yield made
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)


@pytest.fixture
async def ledger(database: str) -> AsyncIterator[Ledger]:
    async with opened_ledger(database) as made:
        yield made


@pytest.fixture
async def other_ledger(postgres: PostgresServer) -> AsyncIterator[Ledger]:
    """Another one, on a database of its own."""
    database = postgres.create_database()
    async with opened_ledger(database) as made:
        yield made
    postgres.drop_database(database)
