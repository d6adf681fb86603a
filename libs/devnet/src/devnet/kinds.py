"""What a fault does to an exchange: a kind is a function that stands between question and answer.

It may change the question, ask or not, twice or late, and change the answer. The docstrings are what the API and the
command show.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import orjson

from devnet.checks import Check, flag, number, one_of
from devnet.exchange import SILENCE, Answer, Ask, Question, name_of
from devnet.lies import LIES
from devnet.proto import DecodeError
from devnet.scope import EVERYTHING, Fault
from devnet.transactions import BadRequest, Transaction, from_bytes, from_json

BROADCASTS = ("wallet/broadcasttransaction", "wallet/broadcasthex")
_HTML = b"<html><head><title>%d</title></head><body><center><h1>%d</h1></center></body></html>"


# ── how the node sees the chain ───────────────────────────────────────────────


async def lag(fault: Fault, ask: Ask, question: Question) -> Answer:
    """An older head: so many `blocks` behind, or stuck `at` a height (default: the head when it was added)."""
    view = replace(question.view, behind=fault.options.get("blocks", 0), at=fault.options.get("at"))
    return await ask(replace(question, view=view))


async def fork(fault: Fault, ask: Ask, question: Question) -> Answer:
    """The newest `blocks` (3) are those of another branch: other ids, each true to its header."""
    return await ask(replace(question, view=replace(question.view, forked=fault.options.get("blocks", 3))))


async def clock(fault: Fault, ask: Ask, question: Question) -> Answer:
    """The node's clock is `skew` seconds fast (or slow): it judges and proposes expiries by that.

    What has expired by the true clock is taken by a slow one, but enters no block.
    """
    view = replace(question.view, skew_ms=int(fault.options["skew"] * 1000))
    return await ask(replace(question, view=view))


# ── no answer, or late ────────────────────────────────────────────────────────


async def hang(fault: Fault, ask: Ask, question: Question) -> Answer:
    """No answer: the connection is held for `hold` (30) seconds, then closed. `after`: the request was done."""
    if fault.options.get("after"):
        await ask(question)
    await fault.hold(fault.options.get("hold", 30))
    return SILENCE


async def delay(fault: Fault, ask: Ask, question: Question) -> Answer:
    """The answer comes `hold` (1) seconds late."""
    answer = await ask(question)
    await fault.hold(fault.options.get("hold", 1))
    return answer


async def reset(fault: Fault, ask: Ask, question: Question) -> Answer:
    """The connection is closed without an answer. `after`: the request was done."""
    if fault.options.get("after"):
        await ask(question)
    return SILENCE


async def half(fault: Fault, ask: Ask, question: Question) -> Answer:
    """Half an answer, then the connection is closed; with `whole` the length agrees and the JSON does not."""
    answer = await ask(question)
    size = len(answer.body) // 2
    return replace(answer, body=answer.body[:size]) if fault.options.get("whole") else replace(answer, cut=size)


# ── refusals ──────────────────────────────────────────────────────────────────


async def status(fault: Fault, ask: Ask, question: Question) -> Answer:
    """An HTTP error: `status` (500), HTML. `after`: the request was done."""
    if fault.options.get("after"):
        await ask(question)
    status = fault.options.get("status", 500)
    return Answer(_HTML % (status, status), status, "text/html")


async def rate_limit(fault: Fault, ask: Ask, question: Question) -> Answer:
    """Too many requests, in a `form`: 429, 403, 503, 200 (an `Error`) or -32005 (JSON-RPC).

    With `per_second` only those beyond so many in a second; `retry_after` is sent as that header.
    """
    options = fault.options
    if "per_second" in options:
        now = time.monotonic()
        while fault.passed and fault.passed[0] <= now - 1:
            fault.passed.popleft()
        if len(fault.passed) < options["per_second"]:
            fault.passed.append(now)
            return await ask(question)
    headers = {"Retry-After": str(options["retry_after"])} if "retry_after" in options else {}
    match str(options.get("form", 429)):
        case "429":
            answer = Answer.of({"Error": "request rate exceeded the allowed_rps, please slow down"}, 429)
        case "403":
            text = "The key exceeds the frequency limit(15), and the query server is suspended for 5 s"
            answer = Answer.of({"Success": False, "Error": text}, 403)
        case "503":
            answer = Answer(_HTML % (503, 503), 503, "text/html")
        case "-32005" if question.calls:
            answer = _rpc_error(question, -32005, "lack of computing resources")
        case _:
            answer = Answer.of({"Error": "class java.lang.IllegalAccessException : lack of computing resources"})
    return replace(answer, headers=headers)


async def log_limit(fault: Fault, ask: Ask, question: Question) -> Answer:
    """`eth_getLogs` refuses with `code` (-32005) what has more than `results` (100) logs."""
    answer = await ask(question)
    most, code = fault.options.get("results", 100), fault.options.get("code", -32005)
    error = {"code": code, "message": f"query returned more than {most} results", "data": "{}"}

    def refuse(one: Any) -> Any:
        if isinstance(one.get("result"), list) and len(one["result"]) > most:
            return {"jsonrpc": "2.0", "id": one["id"], "error": error}
        return one

    return _bent(fault, question, answer, refuse)


# ── lies ──────────────────────────────────────────────────────────────────────


async def lie(fault: Fault, ask: Ask, question: Question) -> Answer:
    """An answer that is not true, in a `form`: empty, short, no-logs, a-log-less, other-hash or garbage."""
    answer = await ask(question)
    form = fault.options.get("form", "empty")
    if form == "garbage":
        return replace(answer, body=_HTML % (200, 200), media_type="text/html")
    bend = LIES[form]
    if question.calls:
        bend = partial(_in_result, bend)
    return _bent(fault, question, answer, bend)


async def broadcast(fault: Fault, ask: Ask, question: Question) -> Answer:
    """A broadcast that answers SUCCESS, in a `form`: lost (never mined), held (done `hold` (3) seconds later), or
    twice (done, and done again: the second answer, DUP_TRANSACTION_ERROR, is the one that arrives)."""
    form = fault.options.get("form", "lost")
    if form == "twice":
        await ask(question)
        return await ask(question)
    transaction = _broadcast(question)
    if transaction is None:
        return await ask(question)
    if form == "held":
        task = asyncio.create_task(_later(fault, ask, question))
        fault.late.add(task)
        task.add_done_callback(fault.late.discard)
    return Answer.of({"result": True, "txid": transaction.id.hex()})


async def _later(fault: Fault, ask: Ask, question: Question) -> Answer:
    await fault.hold(fault.options.get("hold", 3))
    return await ask(question)


def _in_result(bend: Callable[[Any], Any], response: Any) -> Any:
    if not response.get("result"):
        return response
    result = bend(response["result"])
    return {**response, "result": None if result == {} else result}  # nothing is null in JSON-RPC


def _bent(fault: Fault, question: Question, answer: Answer, bend: Callable[[Any], Any]) -> Answer:
    """The answer with its JSON changed, for JSON-RPC the response to each call that the fault is about.

    What another fault broke stays as it is.
    """
    try:
        value = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        return answer
    if not question.calls:
        return replace(answer, body=orjson.dumps(bend(value)))
    batch = isinstance(question.body, list)
    if isinstance(value, list) is not batch:
        return answer
    bent = [
        bend(one) if fault.covers("jsonrpc", name_of(call)) else one
        for call, one in zip(question.calls, value if batch else [value], strict=True)
    ]
    return replace(answer, body=orjson.dumps(bent if batch else bent[0]))


def _rpc_error(question: Question, code: int, message: str) -> Answer:
    error = {"code": code, "message": message, "data": "{}"}
    answers = [
        {"jsonrpc": "2.0", "id": call.get("id") if isinstance(call, dict) else None, "error": error}
        for call in question.calls
    ]
    return Answer.of(answers if isinstance(question.body, list) else answers[0])


def _broadcast(question: Question) -> Transaction | None:
    """The transaction that a request broadcasts; None when it cannot be read."""
    try:
        if question.path.endswith("broadcasthex"):
            return from_bytes(bytes.fromhex(str(question.body.get("transaction", "")).removeprefix("0x")))
        return from_json(question.body)
    except (BadRequest, DecodeError, ValueError):
        return None


@dataclass(frozen=True, slots=True)
class Kind:
    """What a fault can be: its function, the check of each option, and the paths it strikes if none are named."""

    apply: Callable[[Fault, Ask, Question], Awaitable[Answer]]
    options: dict[str, Check]
    paths: tuple[str, ...] = EVERYTHING
    needs: tuple[str, ...] = ()


_BLOCKS = number(1, 1_000_000, whole=True)
_HOLD = number(0, 86_400)
KINDS: dict[str, Kind] = {
    "lag": Kind(lag, {"blocks": _BLOCKS, "at": number(0, 10**9, whole=True)}),
    "fork": Kind(fork, {"blocks": number(1, 100, whole=True)}),
    "clock": Kind(clock, {"skew": number(-(10**9), 10**9)}, needs=("skew",)),
    "hang": Kind(hang, {"hold": _HOLD, "after": flag}),
    "delay": Kind(delay, {"hold": _HOLD}),
    "reset": Kind(reset, {"after": flag}),
    "half": Kind(half, {"whole": flag}),
    "status": Kind(status, {"status": number(400, 599, whole=True), "after": flag}),
    "rate-limit": Kind(
        rate_limit,
        {
            "form": one_of("429", "403", "503", "200", "-32005"),
            "per_second": number(0, 10**6),
            "retry_after": number(0, 86_400, whole=True),
        },
    ),
    "log-limit": Kind(
        log_limit,
        {"results": number(0, 10**6, whole=True), "code": number(-40_000, -30_000, whole=True)},
        paths=("jsonrpc/eth_getLogs",),
    ),
    "lie": Kind(lie, {"form": one_of(*LIES, "garbage")}),
    "broadcast": Kind(broadcast, {"form": one_of("lost", "held", "twice"), "hold": _HOLD}, paths=BROADCASTS),
}
