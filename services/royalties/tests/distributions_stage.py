"""What tests of distributions need: holders on an imagined chain, its time, its answers to payments, and officers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import httpx

from contracts import Message, operations
from contracts.chain import BlocksSolidified, EditionMinted, NftTransfer
from contracts.testing import EPOCH, address, hash_of, source
from messaging.testing import headers, read_all, send, send_raw

NOBODY = "T9yD14Nj9j7xAB4dbGeiX9h8unkKHxuWwb"
Payment = operations.PayTrx | operations.PayToken


def minted(token: int, to: str, block: int, track: int = 1) -> list[tuple[str, Message]]:
    """What the chain service publishes of a new edition."""
    key, edition = f"music-nft/token/{token}", EditionMinted(
        token_id=token, track_id=track, to=to, edition=token, source=source(block, 2 * token)
    )  # fmt: skip
    transfer = NftTransfer(from_address=NOBODY, to=to, token_id=token, source=source(block, 2 * token + 1))
    return [(key, transfer), (key, edition)]


def given(token: int, giver: str, to: str, block: int) -> tuple[str, Message]:
    transfer = NftTransfer(from_address=giver, to=to, token_id=token, source=source(block, token))
    return f"music-nft/token/{token}", transfer


async def solidified(kafka: str, block: int) -> None:
    """What the chain service publishes once it has told everything of the blocks until this one."""
    message = BlocksSolidified(first=block, last=block, last_hash=hash_of(block), last_time=EPOCH)
    body = message.model_dump_json().encode()
    await send_raw(kafka, message.topic, b"cursor", body, headers(ce_type=message.type.encode()))


async def asked(kafka: str) -> list[Payment]:
    """The payments that the chain service was asked for, in the order of their ids."""
    classes: Sequence[type[Payment]] = (operations.PayTrx, operations.PayToken)
    by_type = {cls.type.encode(): cls for cls in classes}
    records = await read_all(kafka, "chain.commands")
    payments = [by_type[dict(record.headers)["ce_type"]].model_validate_json(record.value) for record in records]
    return sorted(payments, key=lambda payment: payment.operation_id)


def done(payment: Payment) -> tuple[str, Message]:
    message = operations.OperationSolidified(
        operation_id=payment.operation_id,
        tx_id=hash_of(payment.operation_id),
        block_number=70,
        block_hash=hash_of("block"),
        fee_sun=1,
        energy_used=0,
    )
    return f"operation/{payment.operation_id}", message


def failed(payment: Payment) -> tuple[str, Message]:
    reason = {"kind": "execution", "reason": "it reverts", "tx_id": hash_of(payment.operation_id)}
    message = operations.OperationFailed(operation_id=payment.operation_id, **reason)  # type: ignore[arg-type]  # literals
    return f"operation/{payment.operation_id}", message


async def tell(kafka: str, *messages: tuple[str, Message]) -> None:
    await send(kafka, *messages)


def wish(amount: int, **changed: Any) -> dict[str, Any]:
    """A distribution of TRX among the holders of editions."""
    body = {
        "pool": "platform",
        "asset": "TRX",
        "amount": str(amount),
        "period": "2026-Q3",
        "holding": {"kind": "music-nft"},
        "block": 10,
        "minimum": "0",
        "tax_form_needed": False,
    }
    return body | changed


async def post(client: httpx.AsyncClient, path: str, key: str = "k", **body: Any) -> dict[str, Any]:
    """What a command that is accepted answers."""
    answer = await client.post(path, json=body, headers={"idempotency-key": key})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def refused(client: httpx.AsyncClient, path: str, key: str = "k", **body: Any) -> tuple[int, str]:
    """Status and reason of a command that is refused."""
    answer = await client.post(path, json=body, headers={"idempotency-key": key})
    return answer.status_code, str(answer.json()["type"]).removeprefix("urn:annals:problem:")


async def funded(client: httpx.AsyncClient, amount: int, key: str = "fund", pool: str = "platform") -> None:
    allocation = {"asset": "TRX", "amount": str(amount), "origin": "treasury", "reason": "third quarter"}
    await post(client, f"/pools/{pool}/revenue", key, **allocation)


PEOPLE = [address(n) for n in range(200)]
