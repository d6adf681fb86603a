"""The archive that a subject gets: what each service holds of it, as JSON and as a page to read."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from hashlib import sha256
from html import escape
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

from privacy import Copy, open_with

HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Your data</title>
<style>body{font-family:sans-serif;max-width:70em;margin:2em auto}td,th{text-align:left;vertical-align:top;padding:.3em}
pre{margin:0;white-space:pre-wrap}tr{border-top:1px solid #ccc}</style></head><body>
<h1>What is held of you</h1>
<p>Every line is a fact that a service has recorded of you: when, what kind, and its contents. Stream and position say
where it stands in the service's log, so that you can ask about it. The same is beside this page as JSON.</p>
"""


def archive(request_id: str, copies: Sequence[Copy], private_key: str) -> bytes:
    """A ZIP of `index.html`, one JSON file a service and subject, and `index.json` with their hashes.

    Raises BrokenBox if the copies are not sealed to this key.
    """
    files = {f"{copy.service}/{copy.subject}.json": open_with(private_key, copy) for copy in copies}
    page = HEAD + "".join(_section(json.loads(text)) for text in files.values()) + "</body></html>\n"
    files["index.html"] = page.encode()
    index = {"request_id": request_id, "files": {name: sha256(text).hexdigest() for name, text in files.items()}}
    packed = io.BytesIO()
    with ZipFile(packed, "w", ZIP_DEFLATED) as file:
        for name, text in {"index.json": json.dumps(index, indent=2).encode(), **files}.items():
            file.writestr(name, text)
    return packed.getvalue()


def _section(document: dict[str, Any]) -> str:
    title = f"<h2>{escape(document['service'])}: {escape(document['subject'])}</h2>\n"
    if not document["events"]:
        return title + "<p>Nothing.</p>\n"
    rows = "".join(_row(told) for told in document["events"])
    return f"{title}<table><tr><th>When<th>What<th>Contents<th>Where</tr>\n{rows}</table>\n"


def _row(told: dict[str, Any]) -> str:
    contents = json.dumps(told["data"], indent=1, ensure_ascii=False)
    where = f"{told['stream']} at {told['position']}"
    return (
        f"<tr><td>{escape(told['at'])}<td>{escape(told['type'])}<td><pre>{escape(contents)}</pre>"
        f"<td>{escape(where)}</tr>\n"
    )
