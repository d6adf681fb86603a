from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest
import structlog
from opentelemetry.trace import SpanKind

from eventlog import tracing
from eventlog.testing import tracing_on
from service import ServiceSettings, configure_logs, get_logger
from service.logs import redact_text

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
JWT = "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl"


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:], root.level = handlers, level
    logging.captureWarnings(False)
    structlog.reset_defaults()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "open postgresql://rewards:p@ss:w0rd@db:5432/rewards now",
            "open postgresql://rewards:***@db:5432/rewards now",
        ),
        ("no password in postgresql://rewards@db/rewards", "no password in postgresql://rewards@db/rewards"),
        ("Authorization: Bearer abcdefghij.klm", "Authorization: Bearer ***"),
        (f"token {JWT} refused", "token *** refused"),
        ("dsn has password=hunter2 and port=5432", "dsn has password=*** and port=5432"),
        ("-----BEGIN PRIVATE KEY-----\nMC4CAQ\n-----END PRIVATE KEY-----", "***"),
        ("three bearer tokens were minted", "three bearer tokens were minted"),
        ("https://example.org/a:b@c", "https://example.org/a:b@c"),
    ],
)
def test_secrets_are_recognised_in_text(text: str, expected: str) -> None:
    assert redact_text(text) == expected


def test_a_line_is_json_with_service_time_level_and_context_and_without_secrets(
    capfd: pytest.CaptureFixture[str],
) -> None:
    configure_logs(ServiceSettings())
    with structlog.contextvars.bound_contextvars(trace_id="t1"):
        get_logger("shop").info(
            "pool funded",
            pool="listening",
            token_id=7,
            password="hunter2",
            nested={"api_key": "hunter2", "urls": ["postgresql://a:hunter2@b/c"]},
            error=ConnectionError("postgresql://a:hunter2@b/c"),
        )
    text = capfd.readouterr().err
    line = json.loads(text)
    assert "hunter2" not in text
    assert (line["event"], line["service"], line["level"], line["trace_id"]) == ("pool funded", "service", "info", "t1")
    assert line["token_id"] == 7
    assert line["timestamp"].endswith("Z")


def test_the_libraries_lines_and_tracebacks_look_the_same_and_are_redacted(capfd: pytest.CaptureFixture[str]) -> None:
    configure_logs(ServiceSettings())
    try:
        raise RuntimeError("postgresql://a:hunter2@b/c")
    except RuntimeError:
        logging.getLogger("asyncpg").exception("lost %s", "a connection")
    line = json.loads(capfd.readouterr().err)
    assert line["event"] == "lost a connection"
    assert "RuntimeError" in line["exception"]
    assert "hunter2" not in line["exception"]


def test_levels_below_the_setting_are_dropped(capfd: pytest.CaptureFixture[str]) -> None:
    configure_logs(ServiceSettings(log_level="warning"))
    get_logger("shop").info("quiet")
    logging.getLogger("any").info("quiet")
    assert capfd.readouterr().err == ""


def test_the_console_format_is_for_people(capfd: pytest.CaptureFixture[str]) -> None:
    configure_logs(ServiceSettings(log_format="console"))
    get_logger("shop").info("pool funded", pool="listening")
    try:
        raise RuntimeError("postgresql://a:hunter2@b/c")
    except RuntimeError:
        get_logger("shop").exception("pool lost")
    text = capfd.readouterr().err
    assert "pool=listening" in text
    assert "RuntimeError: postgresql://a:***@b/c" in text


def test_a_line_names_the_span_it_is_written_in_and_the_events_it_is_about(capfd: pytest.CaptureFixture[str]) -> None:
    configure_logs(ServiceSettings())
    with tracing_on(), tracing.continued("process", SpanKind.CONSUMER, [(PARENT, "event-1"), (PARENT, "event-2")]):
        logging.getLogger("messaging.handling").info("parked")
    get_logger("shop").info("outside")
    inside, outside = (json.loads(line) for line in capfd.readouterr().err.splitlines())
    assert (inside["trace_id"], inside["event_ids"]) == (PARENT[3:35], ["event-1", "event-2"])
    assert len(inside["span_id"]) == 16
    assert inside["span_id"] != PARENT[36:52]
    assert not {"trace_id", "span_id", "event_ids"} & outside.keys()


def test_what_a_library_says_again_and_again_is_told_seldom_with_the_number_left_out(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr("service.logs.monotonic", lambda: now)
    configure_logs(ServiceSettings())
    for _ in range(5):
        logging.getLogger("aiokafka.client").error("Unable connect to node with id %s: %s", 1, "refused")
        get_logger("shop").info("pool funded")  # ours is always told
    logging.getLogger("aiokafka.client").error("Unable to update metadata from %s", [1])
    now += 10
    logging.getLogger("aiokafka.client").error("Unable connect to node with id %s: %s", 2, "refused")
    lines = [json.loads(line)["event"] for line in capfd.readouterr().err.splitlines()]
    assert lines == [
        "Unable connect to node with id 1: refused",
        *["pool funded"] * 5,
        "Unable to update metadata from [1]",
        "Unable connect to node with id 2: refused (and 4 times more)",
    ]
