"""The web server: one origin for `/wallet`, `/walletsolidity`, `/jsonrpc`, `/v1/…/events` and `/devnet`.

Below `/face/<any name>` the same node is served again, with faults of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from devnet.chain import Chain
from devnet.control import Control
from devnet.events import Events
from devnet.exchange import Answer, Question
from devnet.executor import Refused
from devnet.jsonrpc import JsonRpc
from devnet.proto import DecodeError, Dict
from devnet.settings import Settings
from devnet.transactions import BadRequest
from devnet.wallet import Request, Wallet

_MAX_BODY_BYTES = 4 * 1024 * 1024
_MAX_CONTROL_BYTES = 64 * 1024 * 1024
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


def _unknown(method: str, path: str) -> Answer:
    """The answer to a path that java-tron does not know: HTML, and 405 for a POST."""
    message, status = ("HTTP method POST is not supported by this URL", 405) if method == "POST" else ("Not Found", 404)
    path = path.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return Answer(_JETTY.format(status=status, message=message, path=path).encode(), status, "text/html")


def _problem(detail: str) -> Answer:
    body = {"type": "about:blank", "title": "Bad Request", "status": 400, "detail": detail}
    return Answer.of(body, 400, "application/problem+json")


class Protocol(HttpToolsProtocol):
    """HTTP that lets the application close a connection: what half an answer needs."""

    def on_message_begin(self) -> None:
        """Puts the connection within reach."""
        super().on_message_begin()
        self.scope["state"]["transport"] = self.transport


class _Reply(Response):
    """Sends an answer, or as much of it as is wanted."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.body, answer.status, answer.headers, answer.media_type)
        self._cut = answer.cut

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._cut is None:
            await super().__call__(scope, receive, send)
            return
        if self._cut:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            await send({"type": "http.response.body", "body": self.body[: self._cut], "more_body": True})
        scope["state"]["transport"].close()
        while (await receive())["type"] != "http.disconnect":
            continue


class Server:
    """The APIs over one chain, which `restore` may replace by another."""

    def __init__(self, settings: Settings, data: Path) -> None:
        """Chains are saved in the folder `data`."""
        self.chain: Chain
        self.use(Chain(settings))
        self.control = Control(self.chain, data, self.use)
        self.chain.mine()  # a real node has a head with a time; the genesis block has none

    def use(self, chain: Chain) -> None:
        """Serves another chain from now on."""
        self.chain = chain
        self.wallet = Wallet(chain)
        self.rpc = JsonRpc(chain)
        self.events = Events(chain)

    def app(self) -> Starlette:
        """Returns the application; blocks are made while it runs."""
        everything = Route("/{path:path}", self._serve, methods=["GET", "POST", "DELETE"])
        return Starlette(routes=[everything], lifespan=self._lifespan)

    @contextlib.asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        producing = asyncio.create_task(self.control.produce())
        try:
            yield
        finally:
            self.control.load.stop()
            producing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await producing

    async def _serve(self, request: HttpRequest) -> Response:
        face, path = _face(request.path_params["path"])
        if path.startswith("devnet/"):
            return _Reply(await self._control(request, path.removeprefix("devnet/")))
        if request.method == "DELETE" or self._handler(request.method, path) is None:
            return _Reply(_unknown(request.method, request.url.path))
        try:
            body = await _read(request, path)
        except BadRequest as error:
            return _Reply(_misread(path, error))
        question = Question(face, request.method, path, body)
        return _Reply(await self.control.faults.exchange(question, self._ask))

    async def _ask(self, question: Question) -> Answer:
        """Returns the node's own answer, of the chain as the question's view shows it."""
        handler = self._handler(question.method, question.path)
        assert handler is not None
        with self.chain.seen(question.view):
            try:
                return Answer.of(handler(question.body))
            except (BadRequest, DecodeError) as error:
                return Answer.of({"Error": str(error)})

    def _handler(self, method: str, path: str) -> Callable[[Any], Any] | None:
        if path == "jsonrpc":
            return self.rpc.handle if method == "POST" else None
        area, _, name = path.partition("/")
        if area == "v1" and method == "GET":
            return lambda params: self.events.answer(name, params)
        solid = area == "walletsolidity"
        handler = self.wallet.handler(name, solid) if solid or area == "wallet" else None
        return None if handler is None else lambda params: handler(Request(params, solid))

    async def _control(self, request: HttpRequest, name: str) -> Answer:
        call = self.control.calls.get((request.method, name))
        if call is None:
            return _unknown(request.method, request.url.path)
        try:
            return Answer.of(call(await _params(request, _MAX_CONTROL_BYTES)))
        except (ValueError, Refused) as error:
            return _problem(str(error))


def _face(path: str) -> tuple[str, str]:
    """Splits `face/<name>/<path>`; other paths are those of the face without a name."""
    first, _, rest = path.partition("/")
    name, _, inner = rest.partition("/")
    return (name, inner) if first == "face" else ("", path)


async def _body(request: HttpRequest, most: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > most:
            raise BadRequest(f"class java.lang.Exception : body size is too big, the limit is {most}")
        chunks.append(chunk)
    return b"".join(chunks)


async def _read(request: HttpRequest, path: str) -> Any:
    if path != "jsonrpc":
        return await _params(request, _MAX_BODY_BYTES)
    try:
        return orjson.loads(await _body(request, _MAX_BODY_BYTES))
    except orjson.JSONDecodeError as error:
        raise BadRequest(str(error)) from error


def _misread(path: str, error: BadRequest) -> Answer:
    """The answer to a body that cannot be read."""
    if path != "jsonrpc":
        return Answer.of({"Error": str(error)})
    return Answer.of({"jsonrpc": "2.0", "id": None, "error": {"code": -32700, "message": "JSON parse error"}})


async def _params(request: HttpRequest, most: int) -> Dict:
    if request.method != "POST":
        return dict(request.query_params)
    text = await _body(request, most)
    if not text:
        return {}
    try:
        params = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise BadRequest(f"class com.alibaba.fastjson.JSONException : {error}") from error
    if not isinstance(params, dict):
        raise BadRequest("class com.alibaba.fastjson.JSONException : expected an object")
    return params
