"""A node that means harm: whatever it sends becomes a `NodeError`, soon and in little memory, or what its id says."""

from __future__ import annotations

import asyncio
import copy
import datetime
import gzip
import ipaddress
import json
import ssl
import time
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tron import parse, wire
from tron.client import NodeClient
from tron.errors import BudgetSpent, NodeError, NodeLied, NodeRefused, NodeUnavailable, RateLimited, TooMuch
from tron.pace import MOST_CLOSED_SECONDS, Budget

Json = dict[str, Any]
FIXTURES = Path(__file__).parent / "fixtures"
NOW, RANGE = "wallet/getnowblock", "wallet/getblockbylimitnext"
INFOS = "wallet/gettransactioninfobyblocknum"


# ---- what comes over the wire ---------------------------------------------------------------------------------------

Behave = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def behaving(behave: Behave, context: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """A server that reads a request and then does as it likes; its address."""

    async def connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            await behave(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(connection, "127.0.0.1", 0, ssl=context)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


def saying(content: bytes) -> Behave:
    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(content)
        await writer.drain()

    return behave


def answer(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    lines = "".join(f"{line}\r\n" for line in (f"Content-Length: {len(body)}", *headers))
    return f"HTTP/1.1 {status}\r\n{lines}\r\n".encode() + body


def layers(count: int) -> bytes:
    """Zeros, packed so many times: each layer is a thousandth of the one in it."""
    body = b"0" * (50 * 1024 * 1024)
    for _ in range(count):
        body = gzip.compress(body)
    return body


GARBAGE = {
    "no HTTP": b"\x00\xff\xfe garbage\r\n\r\n",
    "another protocol's greeting": b"SSH-2.0-OpenSSH_9.2\r\n",
    "a status that is none": b"HTTP/1.1 abc\r\n\r\n",
    "a length that is none": b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    "chunks that are none": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}",
    "a header of megabytes": b"HTTP/1.1 200 OK\r\nX: " + b"a" * 3_000_000 + b"\r\n\r\n",
    "a redirect without a place": answer(b"", status="302 Found"),
    "an encoding nobody asked for": answer(b"{}", "Content-Encoding: br"),
    "gzip that is none": answer(b"{}", "Content-Encoding: gzip"),
    "half a gzip": answer(gzip.compress(b'{"a": 1}' * 1000)[:-20], "Content-Encoding: gzip"),
    "an encoding that is no text": answer(b"{}", "Content-Encoding: \xe9"),
    "nothing": answer(b""),
    "no text": answer(b"\xff\xfe\x00"),
    "ever deeper": answer(b"[" * 1_000_000),
    "not a number": answer(b'{"a": NaN}'),
    "half a surrogate": answer(b'{"a": "\\ud800"}'),
}


@pytest.mark.parametrize("said", GARBAGE.values(), ids=GARBAGE)
async def test_garbage_is_a_node_error(said: bytes) -> None:
    async with behaving(saying(said)) as at, NodeClient(f"http://{at}", timeout=5.0) as client:
        with pytest.raises(NodeError):
            await client.head()


async def test_packed_answers_are_read(recorded: Callable[[str], Any]) -> None:
    body = gzip.compress(json.dumps(recorded("007")).encode())
    async with behaving(saying(answer(body, "Content-Encoding: gzip"))) as at, NodeClient(f"http://{at}") as client:
        assert (await client.head()).number == 1


@pytest.mark.parametrize(("count", "encoding"), [(1, "gzip"), (2, "gzip, gzip"), (3, "gzip, gzip, gzip")])
async def test_a_bomb_is_not_unpacked(count: int, encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "MOST_BYTES", 1_000_000)
    bomb = answer(layers(count), f"Content-Encoding: {encoding}")
    async with behaving(saying(bomb)) as at, NodeClient(f"http://{at}") as client:
        tracemalloc.start()
        try:
            with pytest.raises(NodeUnavailable, match=r"more than 1,000,000 bytes|expected gzip or nothing"):
                await client.head()
            assert tracemalloc.get_traced_memory()[1] < 20_000_000
        finally:
            tracemalloc.stop()


async def test_too_much_is_the_question_s_fault_only_where_less_can_be_asked(
    node: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "MOST_BYTES", 1_000)
    node.answers[NOW] = node.answers[RANGE] = {"a": "b" * 2_000}
    async with NodeClient(node.url) as client:
        for ask in (client.head(), client.blocks(5, 5, solid=False)):
            with pytest.raises(NodeUnavailable, match="more than 1,000 bytes"):
                await ask
        with pytest.raises(TooMuch):
            await client.blocks(5, 6, solid=False)


async def test_an_answer_that_drips_is_given_up_in_time() -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while True:
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.02)

    async with behaving(drip) as at, NodeClient(f"http://{at}", timeout=0.5) as client:
        began = time.monotonic()
        with pytest.raises(NodeUnavailable, match="Timeout"):
            await client.head()
        assert time.monotonic() - began < 5


async def test_a_redirect_is_not_followed_and_the_key_stays_where_it_belongs(node: Any) -> None:
    node.answers[NOW] = {}
    moved = answer(b"", f"Location: {node.url}/{NOW}", status="307 Temporary Redirect")
    async with behaving(saying(moved)) as at, NodeClient(f"http://{at}", api_key="secret") as client:
        with pytest.raises(NodeRefused, match="HTTP 307"):
            await client.head()
    assert node.requests == []


def self_signed(folder: Path) -> ssl.SSLContext:
    """The certificate of somebody whom nobody trusts, for 127.0.0.1."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    alternative = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + datetime.timedelta(days=1))
        .add_extension(alternative, critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "node.pem").write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "node.pem")
    return context


async def test_a_certificate_that_nobody_vouches_for_is_not_taken(tmp_path: Path) -> None:
    heard: list[bytes] = []

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(b"a request")

    async with behaving(listen, self_signed(tmp_path)) as at:
        async with NodeClient(f"https://{at}", api_key="secret") as client:
            with pytest.raises(NodeUnavailable, match="CERTIFICATE_VERIFY_FAILED"):
                await client.head()
        assert heard == []
    async with behaving(saying(answer(b"{}"))) as at, NodeClient(f"https://{at}", timeout=1.0) as client:
        with pytest.raises(NodeUnavailable, match="ConnectTimeout"):  # it speaks no TLS at all
            await client.head()


async def test_a_node_cannot_close_its_budget_for_ever(node: Any) -> None:
    budget = Budget()
    node.answers[NOW] = node.answer({}, 429, {"Retry-After": "9" * 400})
    async with NodeClient(node.url, budget=budget) as client:
        with pytest.raises(RateLimited):
            await client.head()
        assert budget.wait() <= MOST_CLOSED_SECONDS
        with pytest.raises(BudgetSpent):
            await client.head()


async def test_a_complaint_of_megabytes_is_cut(node: Any) -> None:
    async with NodeClient(node.url) as client:
        for complaint in ("x" * 5_000_000, {"deep": "y" * 5_000_000}):
            node.answers[NOW] = {"Error": complaint}
            with pytest.raises(NodeRefused) as caught:
                await client.head()
            assert len(str(caught.value)) < 500


BATCHES: dict[str, Callable[[list[Json]], Any]] = {
    "ids that are texts": lambda answers: [{**one, "id": str(one["id"])} for one in answers],
    "ids that are lists": lambda answers: [{**one, "id": [one["id"]]} for one in answers],
    "ids of another batch": lambda answers: [{**one, "id": one["id"] + 7} for one in answers],
    "one id twice": lambda answers: [{**one, "id": 0} for one in answers],
    "ids that are equal to others": lambda answers: [{**one, "id": float(one["id"])} for one in answers],
    "no ids": lambda answers: [{"jsonrpc": "2.0", "result": one["result"]} for one in answers],
    "one missing": lambda answers: answers[:-1],
    "results and errors that are neither": lambda answers: [{"id": one["id"]} for one in answers],
}


@pytest.mark.parametrize("bend", BATCHES.values(), ids=BATCHES)
async def test_a_batch_with_foreign_answers_is_refused(node: Any, bend: Callable[[list[Json]], Any]) -> None:
    node.answers["jsonrpc"] = lambda batch: bend([{"jsonrpc": "2.0", "id": one["id"], "result": 1} for one in batch])
    async with NodeClient(node.url) as client:
        with pytest.raises(NodeError):
            await client.rpc.batch([("eth_chainId", []), ("eth_blockNumber", [])])


async def test_a_batch_in_another_order_is_put_into_ours(node: Any) -> None:
    node.answers["jsonrpc"] = lambda batch: [{"id": one["id"], "result": one["method"]} for one in batch][::-1]
    async with NodeClient(node.url) as client:
        assert await client.rpc.batch([("a", []), ("b", []), ("c", [])]) == ["a", "b", "c"]


# ---- what the answers say -------------------------------------------------------------------------------------------

HOSTILE: list[Any] = [
    None, True, False, -1, 2**31, 2**63, 2**64 - 1, 1.5, "", "x", "70", "0x46", "\0", "T" + "1" * 33, "41" + "0" * 40,
    [], {}, [[]], [{}], {"a": 1}, [None], "SUCCESS\0", "ab" * 32,
]  # fmt: skip
GONE = object()


def recorded_block() -> tuple[Json, list[Json]]:
    """A block of four calls with its receipts, addresses in hex, as they are asked for."""
    block, infos = (
        json.loads(next(FIXTURES.glob(f"{prefix}_*.json")).read_text())["response"] for prefix in ("304", "293")
    )
    return next(one for one in block["block"] if one.get("transactions")), infos


def places(value: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths of everything in a JSON value."""
    if above:
        yield above
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from places(item, (*above, key))


def changed(value: Any, path: tuple[Any, ...], to: Any) -> Any:
    value = copy.deepcopy(value)
    inner = value
    for key in path[:-1]:
        inner = inner[key]
    if to is GONE:
        del inner[path[-1]]
    else:
        inner[path[-1]] = to
    return value


async def test_a_block_with_anything_changed_is_refused_or_reads_as_before(
    node: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    block, _ = recorded_block()
    number = block["block_header"]["raw_data"]["number"]
    async with NodeClient(node.url, prove=True) as client:
        said: Any = block

        async def request(path: str, body: Json, **options: Any) -> Any:
            return {"block": [said]}

        monkeypatch.setattr(client, "request", request)
        (expected,) = await client.blocks(number, number, solid=False)
        for path in places(block):
            for value in (*HOSTILE, GONE):
                said = changed(block, path, value)
                try:
                    (found,) = await client.blocks(number, number, solid=False)
                except NodeLied:
                    continue
                assert found == expected, (path, value)


async def test_receipts_with_anything_changed_are_refused_or_keep_what_is_proven(
    node: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, infos = recorded_block()
    block = parse.block(source)
    async with NodeClient(node.url) as client:
        said: Any = infos

        async def request(path: str, body: Json, **options: Any) -> Any:
            return said

        monkeypatch.setattr(client, "request", request)
        expected = await client.infos_of(block, solid=False)
        for path in places(infos):
            for value in (*HOSTILE, GONE):
                said = changed(infos, path, value)
                try:
                    found = await client.infos_of(block, solid=False)
                except NodeError:
                    continue
                for one, other in zip(found, expected, strict=True):
                    assert (one.tx_id, one.success, one.result) == (other.tx_id, other.success, other.result)
                    assert 0 <= one.fee_sun < 2**63
                    assert "\0" not in one.message


@pytest.mark.parametrize("time_ms", [-1, 253_402_300_800_000, 2**63 - 1, 2**64 - 1])
def test_a_time_that_no_calendar_has_is_a_lie(time_ms: int) -> None:
    block, _ = recorded_block()
    block["block_header"]["raw_data"]["timestamp"] = time_ms
    with pytest.raises(parse.Contradiction, match="timestamp should be"):
        parse.block(block)


async def test_time_does_not_go_backwards(node: Any) -> None:
    first, second = (
        {
            "blockID": f"{number:016x}" + "a" * 48,
            "block_header": {
                "raw_data": {
                    "number": number,
                    "timestamp": 9_000 - number,
                    "parentHash": f"{number - 1:016x}" + "a" * 48,
                }
            },
        }
        for number in (5, 6)
    )
    node.answers[RANGE] = {"block": [first, second]}
    async with NodeClient(node.url) as client:
        with pytest.raises(NodeLied, match="block 6 is of 8994, its parent of 8995"):
            await client.blocks(5, 6, solid=False)
