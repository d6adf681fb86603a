"""`ETag`: whoever has the answer already is told so, in a few bytes."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from hashlib import sha256
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute


class Tagged(APIRoute):
    """A route whose answers to GET carry an ETag, and are 304 to a client that has them already (RFC 9110).

    The tag is a hash of the answer: nothing has to be counted, and a list of anything can have one. It saves the way,
    not the query.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()

        async def tagged(request: Request) -> Response:
            response = await handler(request)
            if request.method != "GET" or response.status_code != 200 or not hasattr(response, "body"):
                return response
            tag = f'"{sha256(response.body).hexdigest()[:32]}"'
            given = [one.strip().removeprefix("W/") for one in request.headers.get("if-none-match", "").split(",")]
            headers = {"etag": tag, "cache-control": "private, no-cache"}
            if tag in given or "*" in given:
                return Response(status_code=304, headers=headers)
            response.headers.update(headers)
            return response

        return tagged
