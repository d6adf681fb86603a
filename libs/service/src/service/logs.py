"""Structured logs: structlog in front of the standard library, so that uvicorn's and aiokafka's lines look the same."""

from __future__ import annotations

import logging
import re
import sys
from time import monotonic
from typing import Any

import structlog
from opentelemetry import trace
from structlog.typing import EventDict, Processor

from eventlog import tracing
from service.settings import ServiceSettings

_SELDOM_SECONDS = 10.0
_SECRET_NAMES = frozenset({"authorization", "cookie", "dsn", "jwt", "passwd", "token", "access_token", "refresh_token"})
# Not `_token`: token ids of NFTs and token balances are no secrets.
_SECRET_ENDINGS = ("password", "secret", "private_key", "api_key", "_dsn", "database_url")
_SECRET_TEXTS: tuple[tuple[re.Pattern[str], str], ...] = (
    # the password in postgresql://user:password@host; greedy, for a password may itself contain an @
    (re.compile(r"(\b[a-z][a-z0-9+.-]*://[^\s:/@]*):\S+@"), r"\1:***@"),
    (re.compile(r"(?i)\b(password|passwd|secret|api_key)=[^\s&]+"), r"\1=***"),
    (re.compile(r"(?i)\b(bearer|basic) +[\w~+/.=-]{8,}"), r"\1 ***"),
    (re.compile(r"\beyJ[\w-]+\.[\w-]+\.[\w-]*"), "***"),  # a JSON Web Token
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|$)", re.DOTALL), "***"),
)


def redact_text(text: str) -> str:
    """`text` without passwords in URLs, bearer tokens, JSON Web Tokens and private keys."""
    for pattern, replacement in _SECRET_TEXTS:
        text = pattern.sub(replacement, text)
    return text


def redact(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """A structlog processor that removes secrets, by the name of the key and by the look of the text, at any depth."""
    return {key: _redacted(key, value) for key, value in event.items()}


def _redacted(key: object, value: Any) -> Any:
    if isinstance(key, str) and (key.lower() in _SECRET_NAMES or key.lower().endswith(_SECRET_ENDINGS)):
        return "***"
    if isinstance(value, str):
        return redact_text(value)
    if isinstance(value, dict):
        return {inner: _redacted(inner, item) for inner, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_redacted(None, item) for item in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return redact_text(str(value))  # what the renderer would make of it, e.g. an exception with a DSN in its message


class _SaidSeldom(logging.Filter):
    """Of what a library says again and again, one line in ten seconds, and how many were left out since.

    While Kafka is away, aiokafka says the same twenty times a second.
    """

    def __init__(self, library: str) -> None:
        super().__init__(library)
        self._said: dict[tuple[str, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if not super().filter(record):
            return True  # another's
        line, now = (record.name, str(record.msg)), monotonic()
        again_at, left_out = self._said.get(line, (now, 0))
        if now < again_at:
            self._said[line] = again_at, left_out + 1
            return False
        self._said[line] = now + _SELDOM_SECONDS, 0
        if left_out:
            record.msg, record.args = f"{record.getMessage()} (and {left_out} times more)", ()
        return True


def configure_logs(settings: ServiceSettings) -> None:
    """Sends every log line of the process, ours and the libraries', to stderr as JSON or for reading on a console."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        _with_span,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    renderer: Processor = structlog.processors.JSONRenderer()
    if settings.log_format == "console":
        # plain: the pretty tracebacks show local variables, which `redact` would not have seen
        renderer = structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            _service_name(settings.name),
            redact,
            renderer,
        ],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    handler.addFilter(_SaidSeldom("aiokafka"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level.upper())
    for noisy in ("aiokafka", "alembic", "httpx", "uvicorn"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, root.level))
    logging.captureWarnings(True)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def _service_name(name: str) -> Processor:
    def add(_logger: Any, _method: str, event: EventDict) -> EventDict:
        return {"service": name, **event}

    return add


def _with_span(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """Adds the span in which a line is written and the ids of the events that it is about, as far as it names them."""
    span = trace.get_current_span()
    context = span.get_span_context()
    if context.is_valid:
        event["trace_id"], event["span_id"] = f"{context.trace_id:032x}", f"{context.span_id:016x}"
        if event_ids := (getattr(span, "attributes", None) or {}).get(tracing.EVENT_IDS):
            event["event_ids"] = list(event_ids)
    return event


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """A logger: `log.info("pool funded", pool="listening")`; constant text first, values as keys."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger
