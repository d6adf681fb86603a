"""Bad input over real HTTP: always problem+json, always counted, never a word about the inside."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from typing import Any

import asyncpg
import httpx
import pytest
from prometheus_client import REGISTRY

Bearer = Callable[..., dict[str, str]]


@pytest.fixture
def writer(bearer: Bearer) -> dict[str, str]:
    return {**bearer("writer"), "idempotency-key": "k1"}


def problem(answer: httpx.Response, status: int, kind: str) -> dict[str, Any]:
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    body: dict[str, Any] = answer.json()
    assert (answer.status_code, body["status"], body["type"]) == (status, status, f"urn:annals:problem:{kind}")
    assert body["title"]
    assert len(body["trace_id"]) == 32
    return body


def counted(kind: str, status: int) -> float:
    return REGISTRY.get_sample_value("annals_problems_total", {"type": kind, "status": str(status)}) or 0


async def test_a_problem_carries_its_own_members_and_is_counted(served: httpx.AsyncClient) -> None:
    before = counted("teapot", 409)
    body = problem(await served.get("/teapot"), 409, "teapot")
    assert (body["title"], body["detail"], body["pot"]) == ("It is a teapot.", "Brew tea.", "brown")
    assert body["instance"] == "/teapot"
    assert counted("teapot", 409) == before + 1


async def test_an_unknown_path_and_an_unknown_method_are_problems(served: httpx.AsyncClient) -> None:
    problem(await served.get("/nope"), 404, "not-found")
    answer = await served.request("BREW", "/notes")
    problem(answer, 405, "method-not-allowed")
    assert "allow" in answer.headers


async def test_an_unexpected_error_shows_only_a_trace_id(served: httpx.AsyncClient) -> None:
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    answer = await served.get("/boom", headers={"traceparent": parent})
    assert problem(answer, 500, "internal")["trace_id"] == "0af7651916cd43dd8448eb211c80319c"
    assert "postgresql" not in answer.text
    assert "hunter2" not in answer.text


async def test_a_request_id_is_returned_unless_it_is_malformed(served: httpx.AsyncClient) -> None:
    assert (await served.get("/health", headers={"x-request-id": "abc-1"})).headers["x-request-id"] == "abc-1"
    for bad in ("a b", "x" * 200, "a\tb"):
        assert (await served.get("/health", headers={"x-request-id": bad})).headers["x-request-id"] != bad


async def test_malformed_json_is_400(served: httpx.AsyncClient, writer: dict[str, str]) -> None:
    for body in (b"{", b"{'text': 'a'}", b'{"text": "a"} x', b"nul", b'"'):
        answer = await served.post("/notes", content=body, headers={**writer, "content-type": "application/json"})
        assert "not valid JSON" in problem(answer, 400, "malformed-json")["detail"]


async def test_json_that_no_parser_should_take_is_400(served: httpx.AsyncClient, writer: dict[str, str]) -> None:
    for body in (b"\xff\xfe\x00", b"[" * 9000, b'{"amount": ' + b"9" * 9000 + b"}"):
        answer = await served.post("/notes", content=body, headers={**writer, "content-type": "application/json"})
        assert answer.status_code == 400
        assert answer.json()["type"].startswith("urn:annals:problem:")


async def test_a_body_of_another_type_is_415(served: httpx.AsyncClient, writer: dict[str, str]) -> None:
    for kind in (None, "text/plain", "application/xml", "multipart/form-data", "x" * 300):
        headers = writer | ({"content-type": kind} if kind else {})
        problem(await served.post("/notes", content=b'{"text": "a"}', headers=headers), 415, "unsupported-media-type")


async def test_an_invalid_body_names_the_field_and_never_the_value(
    served: httpx.AsyncClient, writer: dict[str, str]
) -> None:
    bodies: list[tuple[dict[str, Any], str]] = [
        ({"text": 3}, "text"),
        ({"text": "a", "amount": 1.5}, "amount"),
        ({"text": "a", "amount": 1.0}, "amount"),
        ({"text": "a", "amount": True}, "amount"),
        ({"text": "a", "amount": "1"}, "amount"),
        ({"text": "a", "amount": -1}, "amount"),
        ({"text": "a" * 1001}, "text"),
        ({}, "text"),
        ({"text": "\ud800"}, "text"),
    ]
    for body, field in bodies:
        content = json.dumps(body).encode()
        answer = await served.post("/notes", content=content, headers={**writer, "content-type": "application/json"})
        [error] = problem(answer, 422, "invalid-request")["errors"]
        assert (error["in"], error["field"], error["pointer"]) == ("body", field, f"#/{field}")
        assert "input" not in error


async def test_a_body_that_is_no_object_or_missing_is_422(served: httpx.AsyncClient, writer: dict[str, str]) -> None:
    json_type = {**writer, "content-type": "application/json"}
    for content in (b"[]", b"1", b"null", b"NaN", b""):
        problem(await served.post("/notes", content=content, headers=json_type), 422, "invalid-request")


async def test_an_invalid_argument_names_the_parameter(served: httpx.AsyncClient) -> None:
    for query in ("limit=0", "limit=501", "limit=x", "limit=1e3"):
        [error] = problem(await served.get(f"/notes?{query}"), 422, "invalid-request")["errors"]
        assert (error["in"], error["field"]) == ("query", "limit")


async def test_a_text_that_postgresql_cannot_store_is_422(served: httpx.AsyncClient, writer: dict[str, str]) -> None:
    problem(await served.post("/notes", json={"text": "a\0b"}, headers=writer), 422, "unstorable-text")


async def test_a_body_that_says_it_is_too_large_is_413_before_it_is_sent(
    served: httpx.AsyncClient, writer: dict[str, str]
) -> None:
    answer = await served.post("/notes", json={"text": "a" * 10_001}, headers=writer)
    assert "10000 bytes" in problem(answer, 413, "body-too-large")["detail"]
    assert answer.headers["connection"] == "close"


async def test_a_body_of_unsaid_length_is_413_as_soon_as_it_has_become_too_large(
    served: httpx.AsyncClient, writer: dict[str, str]
) -> None:
    reader, out = await asyncio.open_connection(served.base_url.host, served.base_url.port)
    headers = writer | {"host": "x", "content-type": "application/json", "transfer-encoding": "chunked"}
    out.write(b"POST /notes HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in headers.items()).encode() + b"\r\n")
    for _ in range(11):  # and no end: the answer comes in the middle of the body
        out.write(b"3e8\r\n" + b"a" * 1000 + b"\r\n")
        await out.drain()
    async with asyncio.timeout(240):
        answer = await reader.read()
    out.close()
    await out.wait_closed()
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"urn:annals:problem:body-too-large" in answer


async def test_a_client_that_sends_far_too_much_reads_the_413_and_not_a_reset(
    served: httpx.AsyncClient, writer: dict[str, str]
) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(4):
            yield b"a" * 10_000

    json_body = writer | {"content-type": "application/json"}
    for _ in range(20):  # it was a race
        problem(await served.post("/notes", content=b"a" * 40_000, headers=json_body), 413, "body-too-large")
        problem(await served.post("/notes", content=endless(), headers=json_body), 413, "body-too-large")


async def test_a_command_needs_an_idempotency_key(served: httpx.AsyncClient, bearer: Bearer) -> None:
    answer = await served.post("/notes", json={"text": "a"}, headers=bearer("writer"))
    problem(answer, 400, "idempotency-key-missing")
    for key in ("", "a b", "x" * 129, '"unfinished', "a/b"):
        headers = {**bearer("writer"), "idempotency-key": key}
        problem(await served.post("/notes", json={"text": "a"}, headers=headers), 400, "idempotency-key-invalid")


async def test_a_repeated_command_does_nothing_twice_and_callers_do_not_share_keys(
    served: httpx.AsyncClient, bearer: Bearer
) -> None:
    async def write(subject: str, key: str) -> str:
        headers = {**bearer("writer", subject=subject), "idempotency-key": key}
        answer = await served.post("/notes", json={"text": "a"}, headers=headers)
        assert answer.status_code == 201
        number: str = answer.json()["id"]
        return number

    first = await write("alice", "k1")
    assert await write("alice", "k1") == first
    assert await write("alice", '"k1"') == first  # as the draft standard writes it
    assert await write("bob", "k1") != first


async def test_too_many_requests_at_once_are_503_but_health_still_answers(
    served: httpx.AsyncClient, database: str
) -> None:
    limits = httpx.Limits(max_connections=60)
    connection = await asyncpg.connect(database)
    async with httpx.AsyncClient(base_url=served.base_url, limits=limits, timeout=120) as crowd:
        async with connection.transaction(), asyncio.timeout(240):
            await connection.execute("LOCK TABLE notes IN SHARE MODE")  # nobody gets through
            many = [asyncio.create_task(crowd.post("/slow?seconds=0")) for _ in range(40)]
            while sum(task.done() for task in many) < 20:  # noqa: ASYNC110 - there is no event for so many
                await asyncio.sleep(0.01)
            assert (await served.get("/health")).status_code == 200
        answers = [await task for task in many]
    await connection.close()
    refused = [answer for answer in answers if answer.status_code == 503]
    assert len(refused) == 20
    problem(refused[0], 503, "overloaded")
    assert refused[0].headers["retry-after"] == "1"


async def test_a_query_cannot_write(served: httpx.AsyncClient, database: str) -> None:
    connection = await asyncpg.connect(database)
    await connection.execute("INSERT INTO notes (key, author, text) VALUES ('k', 'a', 't')")
    problem(await served.get("/write-by-query"), 500, "internal")
    assert await connection.fetchval("SELECT count(*) FROM notes") == 1
    await connection.close()


async def test_a_read_model_that_is_not_made_yet_is_asked_again(served: httpx.AsyncClient) -> None:
    answer = await served.get("/read-model")
    problem(answer, 503, "not-made-yet")
    assert answer.headers["retry-after"] == "1"


async def test_the_openapi_document_shows_problems_security_and_operations(served: httpx.AsyncClient) -> None:
    document = (await served.get("/openapi.json")).json()
    write = document["paths"]["/notes"]["post"]
    assert write["security"] == [{"HTTPBearer": []}]
    assert list(write["responses"]["4XX"]["content"]) == ["application/problem+json"]
    referred = set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(document)))
    assert referred <= document["components"]["schemas"].keys()
    assert "Problem" in referred
    assert "HTTPValidationError" not in document["components"]["schemas"]
    assert "text/event-stream" in document["paths"]["/notes/events"]["get"]["responses"]["200"]["content"]
    assert {"/health", "/ready"} <= set(document["paths"])


async def test_metrics_measure_requests_by_route_and_bound_their_labels(served: httpx.AsyncClient) -> None:
    async with asyncio.timeout(240):
        while (await served.get("/ready")).status_code != 200:  # noqa: ASYNC110 - its worker starts after the server
            await asyncio.sleep(0.05)
    await served.get("/teapot")
    await served.get("/a/path/that/is/not/there")
    await served.request("INVENTED", "/teapot")
    text = (await served.get("/metrics")).text
    assert 'annals_http_request_seconds_count{method="GET",route="/teapot",status="409"}' in text
    assert 'route="unmatched",status="404"' in text
    assert "/a/path" not in text
    assert "INVENTED" not in text
    assert 'annals_worker_up{worker="counter"} 1.0' in text
    assert 'annals_pool_connections{pool="commands",state="idle"}' in text
