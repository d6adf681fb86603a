"""`Idempotency-Key`: the caller names each command, so that repeating it after a lost answer does nothing twice."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import Depends, Header

from service.auth import CurrentCaller
from service.problems import Problem

# The draft standard (draft-ietf-httpapi-idempotency-key-header) writes the key as a quoted string; bare is common.
_KEY = re.compile(r'"([A-Za-z0-9._:~-]{1,128})"|([A-Za-z0-9._:~-]{1,128})')


async def _idempotency_key(
    caller: CurrentCaller,
    idempotency_key: Annotated[str | None, Header(description="A name for this command, chosen by the caller.")] = None,
) -> str:
    if idempotency_key is None:
        raise Problem(
            400,
            "idempotency-key-missing",
            "A command needs a key.",
            "Expected the header Idempotency-Key, e.g. a UUID.",
        )
    match = _KEY.fullmatch(idempotency_key)
    if match is None:
        detail = "Expected 1 to 128 of the characters A-Z a-z 0-9 . _ : ~ -"
        raise Problem(400, "idempotency-key-invalid", "The Idempotency-Key is not valid.", detail)
    return f"{caller.subject}/{match[1] or match[2]}"


# `<subject>/<key>`: one caller's keys never meet another's. Derive event ids from it together with the command's name.
IdempotencyKey = Annotated[str, Depends(_idempotency_key)]
