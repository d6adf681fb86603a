"""`ETag`: whoever has the answer already is told so, in a few bytes."""

from __future__ import annotations

from fastapi import Request, Response


def unchanged(request: Request, response: Response, version: object) -> Response | None:
    """A 304 if the caller has this version of what is asked for; else None, and `response` names the version.

    A weak tag: the same version may be written in other bytes by another release.
    """
    tag = f'W/"{version}"'
    if tag in (known.strip() for known in request.headers.get("if-none-match", "").split(",")):
        return Response(status_code=304, headers={"etag": tag})
    response.headers["etag"] = tag
    return None
