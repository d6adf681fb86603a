"""The web server: one origin for `/wallet`, `/walletsolidity`, `/jsonrpc` and `/devnet`."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import Route

from devnet.chain import Chain
from devnet.control import Control
from devnet.executor import Refused
from devnet.jsonrpc import JsonRpc
from devnet.proto import DecodeError, Dict
from devnet.settings import Settings
from devnet.transactions import BadRequest
from devnet.wallet import Request, Wallet

_MAX_BODY_BYTES = 4 * 1024 * 1024
_JETTY = """<html>
<head>
<meta http-equiv="Content-Type" content="text/html;charset=ISO-8859-1"/>
<title>Error {status} {message}</title>
</head>
<body><h2>HTTP ERROR {status} {message}</h2>
<table>
<tr><th>URI:</th><td>{path}</td></tr>
<tr><th>STATUS:</th><td>{status}</td></tr>
<tr><th>MESSAGE:</th><td>{message}</td></tr>
<tr><th>SERVLET:</th><td>org.eclipse.jetty.servlet.ServletHandler$Default404Servlet-5b1ebbe</td></tr>
</table>
<hr/><a href="https://eclipse.org/jetty">Powered by Jetty:// 9.4.53.v20231009</a><hr/>

</body>
</html>
"""


def _json(value: Any, status: int = 200, media_type: str = "application/json") -> Response:
    content = value if isinstance(value, bytes) else orjson.dumps(value)
    return Response(content, status, media_type=media_type)


def _unknown(request: HttpRequest) -> Response:
    """The answer to a path that java-tron does not know: HTML, and 405 for a POST."""
    post = request.method == "POST"
    message = "HTTP method POST is not supported by this URL" if post else "Not Found"
    status = 405 if post else 404
    path = request.url.path.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return Response(_JETTY.format(status=status, message=message, path=path), status, media_type="text/html")


def _problem(detail: str) -> Response:
    body = {"type": "about:blank", "title": "Bad Request", "status": 400, "detail": detail}
    return _json(body, 400, "application/problem+json")


async def _body(request: HttpRequest) -> bytes:
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > _MAX_BODY_BYTES:
            raise BadRequest(f"class java.lang.Exception : body size is too big, the limit is {_MAX_BODY_BYTES}")
        chunks.append(chunk)
    return b"".join(chunks)


class Server:
    """The three APIs over one chain."""

    def __init__(self, settings: Settings) -> None:
        self.chain = Chain(settings)
        self.wallet = Wallet(self.chain)
        self.rpc = JsonRpc(self.chain)
        self.control = Control(self.chain)
        self.chain.mine()  # a real node has a head with a time; the genesis block has none

    def app(self) -> Starlette:
        """Returns the application; blocks are made while it runs."""
        routes = [
            Route("/jsonrpc", self._rpc, methods=["POST"]),
            Route("/wallet/{name}", self._wallet, methods=["GET", "POST"]),
            Route("/walletsolidity/{name}", self._solidity, methods=["GET", "POST"]),
            Route("/devnet/{name}", self._control, methods=["GET", "POST"]),
            Route("/{path:path}", self._nothing, methods=["GET", "POST"]),
        ]
        return Starlette(routes=routes, lifespan=self._lifespan)

    @contextlib.asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        producing = asyncio.create_task(self.control.produce())
        try:
            yield
        finally:
            producing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await producing

    async def _nothing(self, request: HttpRequest) -> Response:
        return _unknown(request)

    async def _wallet(self, request: HttpRequest) -> Response:
        return await self._answer(request, solid=False)

    async def _solidity(self, request: HttpRequest) -> Response:
        return await self._answer(request, solid=True)

    async def _answer(self, request: HttpRequest, solid: bool) -> Response:
        handler = self.wallet.handler(request.path_params["name"], solid)
        if handler is None:
            return _unknown(request)
        try:
            params = await _params(request)
            return _json(handler(Request(params, solid)))
        except (BadRequest, DecodeError) as error:
            return _json({"Error": str(error)})

    async def _rpc(self, request: HttpRequest) -> Response:
        try:
            body = orjson.loads(await _body(request))
        except (orjson.JSONDecodeError, BadRequest):
            return _json({"jsonrpc": "2.0", "id": None, "error": {"code": -32700, "message": "JSON parse error"}})
        return _json(self.rpc.handle(body))

    async def _control(self, request: HttpRequest) -> Response:
        call = self.control.calls.get((request.method, request.path_params["name"]))
        if call is None:
            return _unknown(request)
        try:
            return _json(call(await _params(request)))
        except (ValueError, Refused) as error:
            return _problem(str(error))


async def _params(request: HttpRequest) -> Dict:
    if request.method == "GET":
        return dict(request.query_params)
    text = await _body(request)
    if not text:
        return {}
    try:
        params = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise BadRequest(f"class com.alibaba.fastjson.JSONException : {error}") from error
    if not isinstance(params, dict):
        raise BadRequest("class com.alibaba.fastjson.JSONException : expected an object")
    return params
