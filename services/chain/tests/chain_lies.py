"""What a node says instead of the truth: each lie bends path, question and answer; none may end in the log."""

from __future__ import annotations

import asyncio
import copy
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
from chain_bank import listening

from tron.proof import header_id

BLOCKS = "walletsolidity/getblockbylimitnext"
INFOS = "walletsolidity/gettransactioninfobyblocknum"


@dataclass
class Proxy:
    """A node in front of another, as slow and as truthful as a test wants it.

    `bend` gets path, question and true answer; it returns what is answered instead: JSON, or (status, text).
    """

    upstream: str
    client: httpx.AsyncClient
    url: str = ""
    delay: float = 0.0
    asked: list[str] = field(default_factory=list)
    bend: Callable[[str, Any, Any], Any] = lambda path, body, answer: answer

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        question = b""
        while (part := await receive()).get("more_body") or part.get("body"):
            question += part.get("body", b"")
            if not part.get("more_body"):
                break
        self.asked.append(scope["path"].lstrip("/"))
        await asyncio.sleep(self.delay)
        true = await self.client.post(self.upstream + scope["path"], content=question)
        answer = self.bend(scope["path"].lstrip("/"), json.loads(question or b"{}"), true.json())
        status, text = answer if isinstance(answer, tuple) else (200, json.dumps(answer))
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": text.encode()})


@asynccontextmanager
async def proxied(upstream: str) -> AsyncIterator[Proxy]:
    """Serves one inside the block."""
    async with httpx.AsyncClient(timeout=120) as client:
        proxy = Proxy(upstream, client)
        async with listening(proxy) as proxy.url:
            yield proxy


def on(path: str, change: Callable[[Any, Any], Any]) -> Callable[[str, Any, Any], Any]:
    """Bends the answers of one path."""
    return lambda asked, body, answer: change(body, copy.deepcopy(answer)) if asked == path else answer


def each_block(change: Callable[[Any], None]) -> Callable[[str, Any, Any], Any]:
    def bend(body: Any, answer: Any) -> Any:
        for block in answer["block"]:
            if block.get("transactions"):
                change(block)
        return answer

    return on(BLOCKS, bend)


def made_up(block: Any) -> bool:
    """Whether a block could be made one of the node's own: empty, a moment later, under the id that it then has."""
    header = block["block_header"]["raw_data"]
    if not header.get("number"):
        return False
    block.pop("transactions", None)
    header.update(txTrieRoot="0" * 64, timestamp=header["timestamp"] + 1)
    block["blockID"] = header_id(header)
    return True


def left_out(path: str, body: Any, answer: Any) -> Any:
    """The last transaction of each block is left out everywhere, so that block and receipts agree."""
    if path == BLOCKS:
        return each_block(lambda block: block["transactions"].pop())(path, body, answer)
    return answer[:-1] if path == INFOS else answer


def each_call(**shown: Any) -> Callable[[str, Any, Any], Any]:
    """Contract calls with other fields than their raw bytes say, which hash to the id."""

    def change(block: Any) -> None:
        for transaction in block["transactions"]:
            contract = transaction["raw_data"]["contract"][0]
            if contract["type"] == "TriggerSmartContract":
                contract["parameter"]["value"].update(shown)

    return each_block(change)


def with_topics(info: Any, count: int) -> Any:
    return {**info, "log": [{**log, "topics": ["ab" * 32] * count} for log in info.get("log", [])]}


LIES = {
    "no receipts": on(INFOS, lambda body, answer: []),
    "a receipt too few": on(INFOS, lambda body, answer: answer[:-1]),
    "a receipt twice": on(INFOS, lambda body, answer: answer + answer[:1]),
    "receipts of another block": on(INFOS, lambda body, answer: [{**info, "blockNumber": 7} for info in answer]),
    "blocks without transactions": each_block(lambda block: block.pop("transactions")),
    "a transaction left out everywhere": left_out,
    "a block with another parent": each_block(
        lambda block: block["block_header"]["raw_data"].update(parentHash="ab" * 32)
    ),
    "blocks of another height": on(BLOCKS, lambda body, answer: {"block": answer["block"][1:]}),
    "no blocks": on(BLOCKS, lambda body, answer: {}),
    "a server error": on(INFOS, lambda body, answer: (500, "<html>")),
    "a rate limit as success": on(INFOS, lambda body, answer: {"Error": "exceed the user frequency limit"}),
    "half an answer": on(BLOCKS, lambda body, answer: (200, '{"block": [{"blockID"')),
    "transactions shown as another's": each_call(owner_address="41" + "11" * 20),
    "transactions shown as nobody's": each_call(owner_address=None),
    "calls shown as calls of another contract": each_call(contract_address="41" + "11" * 20),
    "a block's number as a text": each_block(
        lambda block: block["block_header"]["raw_data"].update(number=str(block["block_header"]["raw_data"]["number"]))
    ),
    "a time beyond all calendars": each_block(lambda block: block["block_header"]["raw_data"].update(timestamp=2**62)),
    "a receipt with an id that is a list": on(INFOS, lambda body, answer: [{**info, "id": []} for info in answer]),
    "a fee of more than 64 bits": on(INFOS, lambda body, answer: [{**info, "fee": 2**64 - 1} for info in answer]),
    "a result that no database stores": on(
        INFOS, lambda body, answer: [{**info, "receipt": {"result": "SUCCESS\0"}} for info in answer]
    ),
    "five topics": on(INFOS, lambda body, answer: [with_topics(info, 5) for info in answer]),
    "a redirect": on(BLOCKS, lambda body, answer: (302, "")),
    "a complaint of megabytes": on(BLOCKS, lambda body, answer: {"Error": "x" * 200_000}),
}
