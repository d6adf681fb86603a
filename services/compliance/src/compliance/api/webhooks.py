"""What a provider of screenings reports: signed, recent, each report once.

The header `Annals-Signature: t=<seconds since 1970>,v1=<hex>` has HMAC-SHA256 over `<t>.<body>`, the body as it came.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Annotated

from fastapi import Header, Request
from pydantic import SecretStr

from compliance.api.common import Provider
from service import Problem

TOLERANCE_SECONDS = 300
_SIGNATURE = re.compile(r"t=(\d{1,12}),v1=([0-9a-f]{64})")


def sign(secret: bytes, seconds: int, body: bytes) -> str:
    """The header for a body sent at a time, in seconds since 1970."""
    digest = hmac.new(secret, b"%d." % seconds + body, hashlib.sha256).hexdigest()
    return f"t={seconds},v1={digest}"


def signed_by(*secrets: SecretStr | None) -> Callable[..., Awaitable[None]]:
    """Dependency: goes on if the request is signed with one of the secrets; else 400, and always without any."""
    keys = [secret.get_secret_value().encode() for secret in secrets if secret is not None]

    async def signed(
        request: Request, caller: Provider, annals_signature: Annotated[str, Header(description="t=…,v1=…")] = ""
    ) -> None:
        body, now = await request.body(), datetime.now(UTC)
        found = _SIGNATURE.fullmatch(annals_signature)
        if found is None or not keys:
            raise _refused("Expected the header Annals-Signature: t=<seconds>,v1=<HMAC-SHA256 in hex>.")
        seconds = int(found[1])
        if not any([hmac.compare_digest(sign(key, seconds, body), annals_signature) for key in keys]):
            raise _refused("The signature is not that of this body and time.")
        if abs(now.timestamp() - seconds) > TOLERANCE_SECONDS:
            raise _refused(f"Expected a time at most {TOLERANCE_SECONDS} s from now.")

    return signed


def _refused(detail: str) -> Problem:
    return Problem(400, "signature-invalid", "A valid signature is needed.", detail)
