"""HTTP clients."""

from __future__ import annotations

from typing import Any

import httpx

from tron.wire import trusted


def client(**options: Any) -> httpx.AsyncClient:
    """One with these options of httpx's, which shares whom it trusts with all others of the process."""
    return httpx.AsyncClient(verify=trusted(), **options)
