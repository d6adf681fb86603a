"""HTTP clients. Each would read the certificates it trusts anew, for some 30 ms: here a process reads them once."""

from __future__ import annotations

import ssl
from functools import cache
from typing import Any

import httpx


def client(**options: Any) -> httpx.AsyncClient:
    """One with these options of httpx's."""
    return httpx.AsyncClient(verify=_trusted(), **options)


@cache
def _trusted() -> ssl.SSLContext:
    return httpx.create_ssl_context()
