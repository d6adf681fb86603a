"""From what is known to HTML: templates, how figures are written, and the headers that keep a page to itself."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, unquote

from fastapi import Request
from fastapi.responses import HTMLResponse, RedirectResponse
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from annals.amounts import dcmx, decimal
from console.sessions import Operator

SAID = "annals-console-said"
"""The cookie that carries one sentence over a redirect."""
HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "cache-control": "no-store",
}
PAGES = (
    ("topology", "/", "Topology", "t"),
    ("events", "/events", "Events", "e"),
    ("projections", "/projections", "Projections", "p"),
    ("letters", "/letters", "Dead letters", "d"),
    ("chain", "/chain", "Chain", "c"),
    ("queues", "/queues", "Queues", "q"),
    ("statements", "/statements", "Statements", "s"),
)
"""Name, path, title, and the key that follows `g`."""


def count(value: float | None) -> str:
    """`12,345`; a dash for what is not known."""
    return "–" if value is None else f"{value:,.0f}"


def seconds(value: float | None) -> str:
    """`0.3 s`, `4 min`, `2 h`, `3 d`."""
    if value is None:
        return "–"
    for limit, size, unit in ((10, 1, "s"), (120, 1, "s"), (7_200, 60, "min"), (172_800, 3_600, "h")):
        if value < limit:
            return f"{value / size:.1f} {unit}" if limit == 10 else f"{value / size:.0f} {unit}"
    return f"{value / 86_400:.0f} d"


def rate(value: float | None) -> str:
    """`12/s`."""
    if value is None:
        return "–"
    return f"{value:.1f}/s" if 0.05 <= value < 10 else f"{value:,.0f}/s"


def size(value: int) -> str:
    """`1.5 MiB`."""
    return f"{value / 2**30:,.1f} GiB" if value >= 2**30 else f"{value / 2**20:,.1f} MiB"


def time(value: datetime | str | None) -> Markup | str:
    """A `<time>` in UTC."""
    if value is None:
        return "–"
    moment = (datetime.fromisoformat(value) if isinstance(value, str) else value).astimezone(UTC)
    return Markup('<time datetime="{}">{}</time>').format(moment.isoformat(), f"{moment:%Y-%m-%d %H:%M:%S}")


def short(text: str | None, length: int = 18) -> Markup | str:
    """A long id by its ends, whole in the tooltip."""
    if text is None:
        return "–"
    if len(text) <= length:
        return text
    half = (length - 1) // 2
    return Markup('<span title="{}">{}…{}</span>').format(text, text[:half], text[-half:])


def pretty(document: str) -> str:
    """JSON to read: indented; a value that is sealed under somebody's key stays so."""
    return json.dumps(_sealed(json.loads(document)), indent=2, ensure_ascii=False)


def _sealed(value: Any) -> Any:
    match value:
        case {"subject": _, "field": field, "box": _}:
            return f"⟨sealed: {field}⟩"
        case dict():
            return {name: _sealed(each) for name, each in value.items()}
        case list():
            return [_sealed(each) for each in value]
        case _:
            return value


def amount(text: str, scale: int) -> str:
    """An amount in an asset itself, of which services tell in its smallest unit, as text."""
    return decimal(int(text), scale)


def quoted(text: str) -> str:
    """A name as one part of a path."""
    return quote(text, safe="")


def environment() -> Environment:
    """The templates, with their filters."""
    made = Environment(
        loader=PackageLoader("console"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"count": count, "seconds": seconds, "rate": rate, "size": size, "time": time}
    made.filters |= {"short": short, "pretty": pretty, "amount": amount, "dcmx": dcmx, "quoted": quoted}
    made.globals["pages"] = PAGES
    return made


_templates = environment()


def fragment(template: str, /, **known: Any) -> str:
    """A part of a page."""
    return _templates.get_template(template).render(known)


def page(request: Request, operator: Operator | None, name: str, /, status: int = 200, **known: Any) -> HTMLResponse:
    """The page of a name, for somebody, or for nobody yet; with the sentence that the last act left."""
    said = _said(request)
    text = fragment(f"{name}.html", here=name, operator=operator, said=said, query=request.query_params, **known)
    response = HTMLResponse(text, status, HEADERS)
    if said is not None:
        response.delete_cookie(SAID)
    return response


def back(path: str, sentence: str, *, good: bool = True) -> RedirectResponse:
    """To a page, which will show what was done."""
    response = RedirectResponse(path, 303, HEADERS)
    said = json.dumps({"text": sentence[:1_000], "good": good})
    response.set_cookie(SAID, quote(said), max_age=60, httponly=True, samesite="strict")
    return response


def _said(request: Request) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] | None = json.loads(unquote(request.cookies.get(SAID, "null")))
    except ValueError:  # not one of ours
        return None
    return found
