"""The gateway before instances that answer, refuse, hang up or stream, as each test says."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from local_stack import nginx

SERVICES = ("chain", "compliance", "rewards", "royalties")
ORIGIN = "https://app.example"
NOT_READY = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n"


@dataclass(frozen=True)
class Request:
    """As it reached an instance."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Instance:
    """An instance of a service: keeps what reached it, and answers by writing `answer`, or hangs up if it is empty."""

    answer: bytes = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
    requests: list[Request] = field(default_factory=list)
    address: str = "127.0.0.1:1"  # nobody listens there
    until: asyncio.Event | None = None  # before the connection is closed

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while request := await _read(reader):
                self.requests.append(request)
                writer.write(self.answer)
                await writer.drain()
                if self.until is not None:
                    await self.until.wait()
                if not self.answer or self.until is not None:
                    return
        finally:
            writer.close()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[Instance]:
        async with await asyncio.start_server(self.serve, "127.0.0.1", 0) as server:
            host, port = server.sockets[0].getsockname()
            self.address = f"{host}:{port}"
            yield self


async def _read(reader: asyncio.StreamReader) -> Request | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
    except (asyncio.IncompleteReadError, ConnectionResetError):
        return None
    first, *lines = head.strip().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    method, path, _ = first.split(" ")
    return Request(method, path, headers, await reader.readexactly(int(headers.get("content-length", "0"))))


@dataclass
class Stage:
    """A gateway, and two instances of each service."""

    client: httpx.AsyncClient
    instances: dict[str, list[Instance]]
    log: Path

    def reached(self, service: str) -> list[Request]:
        return [request for instance in self.instances[service] for request in instance.requests]

    @property
    def all_reached(self) -> list[Request]:
        return [request for service in SERVICES for request in self.reached(service)]


Open = Callable[..., Awaitable[Stage]]


@pytest.fixture
async def opened(tmp_path: Path) -> AsyncIterator[Open]:
    """`await opened(SETTING=…)` starts a gateway with these settings."""
    async with AsyncExitStack() as stack:

        async def open_gateway(**settings: str) -> Stage:
            instances = {
                name: [await stack.enter_async_context(Instance().listening()) for _ in range(2)] for name in SERVICES
            }
            addresses = {name: [each.address for each in both] for name, both in instances.items()}
            process, url = await nginx.start(
                tmp_path, addresses, settings={"GATEWAY_ORIGINS": f"https://other.example {ORIGIN}", **settings}
            )
            stack.push_async_callback(process.stop)
            trusted = ssl.create_default_context(cafile=nginx.certificate(tmp_path))
            client = await stack.enter_async_context(httpx.AsyncClient(base_url=url, verify=trusted, timeout=120))
            return Stage(client, instances, process.log)

        yield open_gateway


@pytest.fixture
async def stage(opened: Open) -> Stage:
    return await opened()


@pytest.mark.parametrize(
    ("path", "service", "inside"),
    [
        ("/api/blockchain/transactions/ab12", "chain", "/transactions/ab12"),
        ("/api/rewards/pools?limit=2&x=%20", "rewards", "/pools?limit=2&x=%20"),
        ("/api/royalties/artists/a%2Fb/earnings", "royalties", "/artists/a%2Fb/earnings"),
        ("/api/compliance/documents", "compliance", "/documents"),
        ("/api/users/u-7/stats", "rewards", "/totals/u-7"),
        ("/api/users/u-7/stats?x=1", "rewards", "/totals/u-7?x=1"),
    ],
)
async def test_a_path_leads_to_its_service_as_it_came(stage: Stage, path: str, service: str, inside: str) -> None:
    assert (await stage.client.get(path)).text == "ok"
    assert [request.path for request in stage.reached(service)] == [inside]
    assert len(stage.all_reached) == 1


async def test_what_is_for_operators_stays_inside_and_other_paths_are_not_there(stage: Stage) -> None:
    inside = ("/metrics", "/ready", "/health", "//metrics", "/%6Detrics", "/x/../metrics", "/./ready")
    for path in (
        *(f"/api/rewards{each}" for each in inside),
        "/ready/rewards",
        "/api/admin/migrate",
        "/api/rewards",
        "/",
    ):
        answer = await stage.client.get(path)
        assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json"), path
        assert answer.json()["type"] == "urn:annals:problem:not-found"
    assert stage.all_reached == []


async def test_a_body_that_is_too_large_is_refused_before_it_reaches_a_service(opened: Open) -> None:
    stage = await opened(GATEWAY_BODY_BYTES="1000")
    answer = await stage.client.post("/api/rewards/claims", content=b"x" * 1001)
    assert (answer.status_code, answer.json()["type"]) == (413, "urn:annals:problem:body-too-large")
    assert stage.all_reached == []
    assert (await stage.client.post("/api/rewards/claims", content=b"x" * 1000)).status_code == 200


@pytest.mark.parametrize("limited", ["GATEWAY_CLIENT_RATE", "GATEWAY_TOKEN_RATE"])
async def test_too_many_requests_of_a_client_or_of_a_token_are_told_to_wait(opened: Open, limited: str) -> None:
    stage = await opened(**{limited: "1"})
    one = {"authorization": "Bearer a.b.signature"}
    answers = await asyncio.gather(*(stage.client.get("/api/rewards/pools", headers=one) for _ in range(30)))
    refused = [answer for answer in answers if answer.status_code != 200]
    assert {(answer.status_code, answer.headers["retry-after"]) for answer in refused} == {(429, "1")}
    assert refused[0].json()["type"] == "urn:annals:problem:too-many-requests"
    assert len(stage.reached("rewards")) == len(answers) - len(refused)
    if limited == "GATEWAY_TOKEN_RATE":
        other = await stage.client.get("/api/rewards/pools", headers={"authorization": "Bearer a.b.another"})
        assert other.status_code == 200


async def test_browsers_may_read_from_the_origins_that_are_listed_and_no_other(stage: Stage) -> None:
    asked = {"origin": ORIGIN, "access-control-request-method": "POST"}
    allowed = await stage.client.options("/api/rewards/claims", headers=asked)
    assert (allowed.status_code, allowed.headers["access-control-allow-origin"]) == (204, ORIGIN)
    assert "POST" in allowed.headers["access-control-allow-methods"]
    assert "Idempotency-Key" in allowed.headers["access-control-allow-headers"]
    assert stage.all_reached == []  # the service is not asked
    read = await stage.client.get("/api/rewards/pools", headers={"origin": ORIGIN})
    assert (read.headers["access-control-allow-origin"], read.headers["vary"]) == (ORIGIN, "Origin")
    for stranger in ("https://evil.example", f"{ORIGIN}.evil.example", "null"):
        answer = await stage.client.options("/api/rewards/claims", headers={**asked, "origin": stranger})
        assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize("path", ["/health", "/nowhere", "/api/rewards/pools"])
async def test_every_answer_carries_the_headers_that_protect(stage: Stage, path: str) -> None:
    headers = (await stage.client.get(path)).headers
    assert headers["strict-transport-security"].startswith("max-age=")
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["server"] == "nginx"  # and not its version


async def test_a_request_keeps_its_id_and_its_trace_on_all_its_way_and_the_log_names_nobody(stage: Stage) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    given = {"x-request-id": "mine-1", "traceparent": trace}
    answer = await stage.client.get("/api/rewards/users/alice/votes", headers=given)
    assert answer.headers["x-request-id"] == "mine-1"
    seen = stage.reached("rewards")[0].headers
    assert (seen["x-request-id"], seen["traceparent"]) == ("mine-1", trace)
    assert seen["x-forwarded-for"] == "127.0.0.1"
    drawn = await stage.client.get("/api/rewards/pools", headers={"x-request-id": "not one\tof ours"})
    assert drawn.headers["x-request-id"] == stage.reached("rewards")[1].headers["x-request-id"] != "not one\tof ours"
    async with asyncio.timeout(240):
        while drawn.headers["x-request-id"] not in (said := stage.log.read_text()):  # noqa: ASYNC110 - a file
            await asyncio.sleep(0.02)
    lines = [json.loads(line) for line in said.splitlines() if "mine-1" in line]
    assert [(line["service"], line["status"], line["traceparent"]) for line in lines] == [("rewards", 200, trace)]
    assert "alice" not in said


async def test_an_event_stream_arrives_event_by_event(stage: Stage) -> None:
    more = asyncio.Event()
    for instance in stage.instances["rewards"]:
        instance.until = more
        instance.answer = (
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nx-accel-buffering: no\r\n"
            b"connection: close\r\n\r\ndata: 1\n\n"
        )
    async with stage.client.stream("GET", "/api/rewards/claims/1/events") as answer:
        events = answer.aiter_text()
        assert await anext(events) == "data: 1\n\n"  # while the service still holds the connection open
        more.set()


HANGS_UP = b""


@pytest.mark.parametrize("failing", [NOT_READY, HANGS_UP])
async def test_what_may_be_repeated_is_asked_of_another_instance(stage: Stage, failing: bytes) -> None:
    bad, good = stage.instances["rewards"]
    bad.answer = failing
    for method, headers in (("GET", {}), ("PUT", {}), ("POST", {"idempotency-key": "k"})):
        for _ in range(2):  # they take turns
            answer = await stage.client.request(method, "/api/rewards/x", headers=headers, content=b"abc")
            assert answer.text == "ok", method
    assert len(good.requests) == 6
    assert {request.method for request in bad.requests} <= {"GET", "PUT", "POST"}
    assert bad.requests
    assert {request.body for request in good.requests} == {b"abc"}


async def test_a_command_without_a_key_is_never_sent_twice(stage: Stage) -> None:
    for instance in stage.instances["rewards"]:
        instance.answer = HANGS_UP
    answer = await stage.client.post("/api/rewards/x")
    assert (answer.status_code, answer.json()["type"]) == (502, "urn:annals:problem:unavailable")
    assert answer.headers["retry-after"] == "1"
    assert len(stage.reached("rewards")) == 1


async def test_an_instance_that_does_not_listen_costs_nobody_a_request(tmp_path: Path) -> None:
    async with Instance().listening() as only:
        addresses = {name: [Instance().address, only.address] for name in SERVICES}
        process, url = await nginx.start(tmp_path, addresses)
        try:
            async with httpx.AsyncClient(base_url=url, verify=False, timeout=120) as client:  # noqa: S501
                answers = [await client.post("/api/royalties/x") for _ in range(8)]
        finally:
            await process.stop()
    assert [answer.status_code for answer in answers] == [200] * 8
    assert len(only.requests) == 8


async def test_it_is_ready_when_every_service_has_an_instance_that_is(stage: Stage) -> None:
    stage.instances["royalties"][0].answer = NOT_READY
    for _ in range(2):
        answer = await stage.client.get("/ready")
        assert (answer.status_code, answer.json()) == (200, {"ready": True})
    assert {request.path for request in stage.all_reached} == {"/ready"}
    stage.instances["royalties"][1].answer = NOT_READY
    answer = await stage.client.get("/ready")
    assert (answer.status_code, answer.json()["type"]) == (503, "urn:annals:problem:unavailable")
    assert (await stage.client.get("/health")).json() == {"alive": True}
