"""The certificate of an erasure: what each service has answered, in one document whose hash is on record."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

from compliance.domain.deletion_events import ErasureAnswered
from contracts.values import Hash

KEY_BACKUPS = timedelta(days=30)
"""How long backups of key stores are kept at most: an erasure has reached the last of them by then."""


def certificate(request_id: str, subject: str, answers: Iterable[ErasureAnswered]) -> dict[str, Any]:
    """The document. Each answer names the position in the service's own log, so that the log can be asked for proof,

    and the last seal of that log by then: while `annals verify` finds that the log holds against it, nothing before the
    erasure was changed by it.
    """
    given = sorted(answers, key=lambda answer: (answer.service, answer.erased))
    last = max(answer.carried_out_at for answer in given)
    return {
        "request_id": request_id,
        "subject": subject,
        "completed_at": _text(last),
        "gone_from_key_backups_at": _text(last + KEY_BACKUPS),
        "erased": [
            {
                "subject": answer.erased,
                "service": answer.service,
                "rows": dict(answer.rows),
                "kept": dict(answer.kept),
                "carried_out_at": _text(answer.carried_out_at),
                "log": answer.log,
                "position": answer.position,
                "seal": answer.seal,
                "seal_hash": answer.seal_hash,
                "verify": f"annals verify {answer.service}",
            }
            for answer in given
        ],
    }


def certificate_text(document: dict[str, Any]) -> str:
    """The one text of a certificate, of which the hash is taken: JSON with sorted keys and no spaces."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def certificate_hash(document: dict[str, Any]) -> Hash:
    """SHA-256 of the certificate's text."""
    return sha256(certificate_text(document).encode()).hexdigest()


def _text(at: datetime) -> str:
    return at.astimezone(UTC).isoformat()
