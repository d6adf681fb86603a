"""What a node says instead of the truth: each lie bends path, question and answer; none may end in the log."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

BLOCKS = "walletsolidity/getblockbylimitnext"
INFOS = "walletsolidity/gettransactioninfobyblocknum"


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
