"""The service that the tests run as a process of its own: notes, and a worker that can be told to fail."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Annotated, Literal

import asyncpg
from fastapi import Depends, Response
from pydantic import BaseModel, Field
from pydantic_settings import SettingsConfigDict
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from service import (
    After,
    Caller,
    CurrentCaller,
    EventStream,
    IdempotencyKey,
    LastEventId,
    Page,
    Paging,
    Problem,
    Router,
    Service,
    ServiceSettings,
    StreamEvent,
    Tagged,
    Token,
    await_position,
    connect_pool,
    connect_queries,
    create_api,
    find_migrations,
    kafka_check,
    require,
    run,
)


class TinySettings(ServiceSettings):
    model_config = SettingsConfigDict(env_prefix="TINY_")

    kafka: bool = Field(False, description="Whether /ready asks Kafka.")
    topic: str | None = Field(None, description="Topic that must exist.")
    stubborn: bool = Field(False, description="Whether the worker ignores its cancellation.")


class Note(BaseModel):
    text: str = Field(max_length=1000)
    amount: int = Field(0, strict=True, ge=0)


class Counter:
    """A worker: each batch writes two rows in one transaction, so an odd number would show a half batch."""

    name = "counter"

    def __init__(self, pool: asyncpg.Pool, stubborn: bool) -> None:
        self._pool = pool
        self._stubborn = stubborn
        self.fail: Literal["no", "transient", "fatal", "return"] = "no"

    async def run(self) -> None:
        while True:
            fail, self.fail = self.fail, "no"
            if fail == "transient":
                raise ConnectionError("broker went away, password=hunter2")
            if fail == "fatal":
                raise KeyError("no such projection")
            if fail == "return":
                return
            try:
                async with self._pool.acquire() as connection, connection.transaction():
                    await connection.execute("INSERT INTO ticks DEFAULT VALUES")
                    await asyncio.sleep(0.05)
                    await connection.execute("INSERT INTO ticks DEFAULT VALUES")
            except asyncio.CancelledError:
                if not self._stubborn:
                    raise


async def notes_after(pool: asyncpg.Pool, last: int) -> AsyncGenerator[StreamEvent, None]:
    """Each note; `end` is the last one, at `break` the database goes away."""
    while True:
        for number, words in await pool.fetch("SELECT id, text FROM notes WHERE id > $1 ORDER BY id", last):
            last = number
            if words == "break":
                raise ConnectionError("the database went away")
            yield StreamEvent(number, "note", Note(text=words))
            if words == "end":
                return
        await asyncio.sleep(0.02)


def routes(pool: asyncpg.Pool, queries: AsyncEngine, counter: Counter) -> Router:
    router = Router(route_class=Tagged)

    @router.post("/notes", status_code=201)
    async def write(
        note: Note, key: IdempotencyKey, caller: Annotated[Caller, Depends(require("writer", "admin"))]
    ) -> dict[str, str]:
        sql = """INSERT INTO notes (key, author, text) VALUES ($1, $2, $3)
                 ON CONFLICT (key) DO UPDATE SET key = excluded.key RETURNING id"""
        number = await pool.fetchval(sql, key, caller.subject, note.text)
        return {"id": str(number), "token": Token(log="tiny", stream="notes", position=number).encode()}

    @router.get("/notes")
    async def read(paging: Paging, after: After) -> Page[str]:
        async def checkpoint(_: Token) -> int:
            return int(await pool.fetchval("SELECT coalesce(max(id), 0) FROM notes"))

        async def parked(token: Token) -> str | None:
            return "the note cannot be read" if token.stream == "parked" else None

        await await_position(after, log="tiny", checkpoint=checkpoint, parked=parked, seconds=0.3)
        last = paging.after(int) or (0,)
        async with queries.connect() as connection:
            result = await connection.execute(
                text("SELECT id, text FROM notes WHERE id > :last ORDER BY id LIMIT :limit"),
                {"last": last[0], "limit": paging.limit + 1},
            )
            rows = result.all()
        page = paging.page(rows, key=lambda row: (row.id,))
        return Page(items=[row.text for row in page.items], next=page.next)

    @router.get("/admin")
    async def admin(caller: Annotated[Caller, Depends(require("admin"))]) -> str:
        return caller.subject

    @router.post("/slow")
    async def slow(seconds: float) -> str:
        async with pool.acquire() as connection, connection.transaction():
            await connection.execute("INSERT INTO notes (key, author, text) VALUES (gen_random_uuid(), 'slow', 'slow')")
            await asyncio.sleep(seconds)
        return "done"

    @router.get("/notes/events", response_class=EventStream)
    async def follow(caller: CurrentCaller, last_event_id: LastEventId = 0) -> EventStream:
        return EventStream(notes_after(pool, last_event_id), caller)

    @router.get("/boom")
    async def boom() -> str:
        raise RuntimeError("could not open postgresql://tiny:hunter2@db/tiny")

    @router.get("/teapot")
    async def teapot() -> str:
        raise Problem(409, "teapot", "It is a teapot.", "Brew tea.", pot="brown")

    @router.get("/write-by-query")
    async def write_by_query() -> str:
        async with queries.connect() as connection:
            await connection.execute(text("DELETE FROM notes"))
        return "deleted"

    @router.get("/read-model")
    async def read_model() -> str:
        async with queries.connect() as connection:
            await connection.execute(text("SELECT * FROM totals_v1.totals"))
        return "read"

    @router.post("/fail/{how}")
    async def fail(how: Literal["transient", "fatal", "return"], response: Response) -> None:
        counter.fail = how
        response.status_code = 202

    return router


def create(settings: TinySettings) -> Service:
    pool = connect_pool(settings)
    queries = connect_queries(settings)
    counter = Counter(pool, settings.stubborn)
    api = create_api(settings, routes(pool, queries, counter), title="Tiny", version="1")
    topics = [settings.topic] if settings.topic else []
    return Service(
        settings,
        api,
        pool=pool,
        queries=queries,
        migrations=find_migrations("tiny"),
        workers=[counter],
        checks=[kafka_check(settings, topics)] if settings.kafka else [],
    )


if __name__ == "__main__":
    run(create)
