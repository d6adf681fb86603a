"""The trace a request belongs to (W3C Trace Context), in a context variable so that logs and events share it."""

from __future__ import annotations

import re
import secrets
from contextvars import ContextVar
from dataclasses import dataclass

# https://www.w3.org/TR/trace-context/#traceparent-header: version 00, ids of only zeros are invalid.
_TRACEPARENT = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})")


@dataclass(frozen=True, slots=True)
class Trace:
    """A trace id, the id of our own span in it, and its flags (`01`: sampled)."""

    trace_id: str
    span_id: str
    flags: str = "01"

    @property
    def traceparent(self) -> str:
        """The header value that hands the trace on."""
        return f"00-{self.trace_id}-{self.span_id}-{self.flags}"


_current: ContextVar[Trace | None] = ContextVar("annals_trace", default=None)


def start_trace(traceparent: str | None = None) -> Trace:
    """Continues the trace of a `traceparent` header with a new span, or starts one when it is absent or malformed."""
    match = _TRACEPARENT.fullmatch(traceparent or "")
    # `secrets` never yields the invalid all-zero ids in practice (2^-64).
    trace_id, flags = (match[1], match[3]) if match else (secrets.token_hex(16), "01")
    trace = Trace(trace_id, secrets.token_hex(8), flags)
    _current.set(trace)
    return trace


def current_traceparent() -> str | None:
    """`traceparent` of the request being served, for an event's metadata; None outside a request."""
    trace = _current.get()
    return trace.traceparent if trace else None
