"""The byte search finds what is there, wherever it was put: so that its finding nothing means something."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import secrets
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from local_stack import kafka as kafka_server
from local_stack import postgres as postgres_server
from local_stack.postgres import PostgresServer
from local_stack.stack import scratch_folder

sys.path.append(str(Path(__file__).parent))  # for what the tests here share

from byte_search import ByteSearch, Found, connected, databases, flush

TEXT = "Zoë.Müller@example.org"
SEARCH = ByteSearch({"email": TEXT})


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[tuple[PostgresServer, Path]]:
    """A PostgreSQL server of its own, and the folder of its data."""
    with scratch_folder(f"test-{secrets.token_hex(6)}") as (folder, lock):
        process, found = await postgres_server.start(folder, password="secret", durable=False, hold=(lock,))
        yield found, folder / "postgres" / "data"
        await process.stop()


@pytest.mark.parametrize(
    "data",
    [
        TEXT.encode(),
        TEXT.swapcase().encode(),
        TEXT.encode("utf-16-le"),
        TEXT.encode("utf-16-be"),
        json.dumps({"email": TEXT}).encode(),
        json.dumps({"email": TEXT}, ensure_ascii=False).encode(),
        TEXT.encode().hex().upper().encode(),
        *(base64.b64encode(b"x" * shift + TEXT.encode() + b"xyz"[shift:]) for shift in range(4)),
        base64.b64encode(TEXT.lower().encode()),
        b"to=Zo%C3%AB.M%C3%BCller%40example.org&",
    ],
    ids=repr,
)
def test_a_text_is_found_in_every_form(data: bytes) -> None:
    assert list(SEARCH.bytes(b"\0before" + data + b"after\xff", "here"))


def test_another_text_is_not_found() -> None:
    other = TEXT.replace("Zo", "Jo").encode()
    assert list(SEARCH.bytes(other + base64.b64encode(other) + other.hex().encode(), "here")) == []


def test_a_text_is_found_across_the_border_of_two_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("byte_search.CHUNK", 64)
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "file").write_bytes(bytes(range(1, 55)) + TEXT.encode() + bytes(200))
    assert {found.form for found in SEARCH.files(tmp_path)} == {"text"}


async def test_what_postgresql_holds_is_found_in_heap_index_log_and_compressed(
    server: tuple[PostgresServer, Path],
) -> None:
    postgres, data = server
    url = await asyncio.to_thread(postgres.create_database)
    async with connected(url) as connection:
        await connection.execute("CREATE TABLE found (value text PRIMARY KEY); CREATE TABLE packed (value jsonb)")
        await connection.execute("CREATE TABLE raw (value bytea)")
        assert await places(url) == set()
        assert list(SEARCH.files(data)) == []
        await connection.execute("INSERT INTO found VALUES ($1)", f"mail to {TEXT}")
        await connection.execute("INSERT INTO raw VALUES ($1)", base64.b64encode(TEXT.encode()))
        await connection.execute("INSERT INTO packed VALUES ($1)", json.dumps(["repeated " * 2_000, TEXT.upper()]))
        size = await connection.fetchval("SELECT pg_column_size(value) FROM packed")
        heap, index = [
            await connection.fetchval("SELECT pg_relation_filepath($1::regclass)", name)
            for name in ("found", "found_pkey")
        ]
    assert size < 2_000, "compressed"
    assert await places(url) == {"public.found", "public.packed", "public.raw"}
    await flush(url)
    found = {found.place for found in SEARCH.files(data)}
    assert {str(data / heap), str(data / index)} <= found
    assert any("/pg_wal/" in place for place in found)
    assert url in await databases(postgres.url())


async def places(url: str) -> set[str]:
    return {found.place async for found in SEARCH.rows(url)}


@pytest.mark.parametrize("codec", [None, "gzip"])
async def test_what_kafka_holds_is_found_also_in_compressed_batches(codec: str | None) -> None:
    with scratch_folder(f"test-{secrets.token_hex(6)}") as (folder, lock):
        process, address = await kafka_server.start(folder, durable=False, hold=(lock,))
        try:
            await kafka_server.create_topic(address, "told", partitions=1)
            async with AIOKafkaProducer(bootstrap_servers=address, compression_type=codec) as producer:
                await producer.send_and_wait("told", b"nothing " * 50)
                assert list(SEARCH.segments(folder / "kafka")) == []
                await producer.send_and_wait("told", (TEXT + " ").encode() * 50)
            places = {Path(found.place).parent.name for found in SEARCH.segments(folder / "kafka")}
        finally:
            await process.stop()
    assert places == {"told-0"}


def test_a_segment_that_cannot_be_unpacked_is_an_error(tmp_path: Path) -> None:
    batch = bytearray(61) + gzip.compress(b"x")[:5]
    batch[8:12] = (len(batch) - 12).to_bytes(4, "big")
    batch[16], batch[22] = 2, 1  # format 2, gzip
    (tmp_path / "0.log").write_bytes(batch)
    with pytest.raises((EOFError, OSError)):
        list(SEARCH.segments(tmp_path))


def test_what_is_found_has_a_name() -> None:
    both = ByteSearch({"first": "Ada", "last": "Lovelace"})
    assert list(both.bytes(b"Lovelace", "here")) == [Found("last", "text", "here")]
