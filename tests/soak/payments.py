"""Payments sent through the service all the while, each of another amount, so that the chain tells them apart."""

from __future__ import annotations

import asyncio
import json
from collections import Counter

import asyncpg
import httpx
from trouble import FACES

import devnet
from annals.directory import Directory
from messaging.testing import eventually
from service.tokens import mint
from tron.keys import Key

PAUSE_SECONDS = 1.0
SETTLED = ("solidified", "failed", "expired")


class Payments:
    """Asks for one payment after the other; each request is repeated, under its own key, until it is taken."""

    def __init__(self, directory: Directory, payer: Key, payee: str) -> None:
        self._directory = directory
        self._payer = payer
        self._payee = payee
        self.asked: dict[str, int] = {}
        """Operations and their amounts in sun."""

    async def run(self) -> None:
        """Until cancelled."""
        token = mint(self._directory.private_key, "soak", ("service",))
        headers = {"authorization": f"Bearer {token}"}
        async with httpx.AsyncClient(base_url=self._directory.urls["chain"], headers=headers, timeout=5) as client:
            number = 0
            while True:
                number += 1
                await self._ask(client, number)
                await asyncio.sleep(PAUSE_SECONDS)

    async def _ask(self, client: httpx.AsyncClient, number: int) -> None:
        amount_sun = 1_000_000 + number
        payload = {"kind": "trx", "to": self._payee, "amount_sun": str(amount_sun)}
        while True:
            try:
                answer = await client.post(
                    "/transactions",
                    json={"sender": "soak", "payload": payload},
                    headers={"idempotency-key": f"soak-{number}"},
                )
            except httpx.TransportError:  # the service was killed
                await asyncio.sleep(0.2)
                continue
            if answer.status_code == 202:
                self.asked[answer.json()["operation_id"]] = amount_sun
                return
            if answer.status_code != 503:
                raise RuntimeError(f"payment {number}: expected 202, got {answer.status_code} {answer.text}")
            await asyncio.sleep(0.2)

    async def settled(self, chain: asyncpg.Pool, within: float) -> dict[str, str]:
        """What has become of each, once all have come to their end. Raises TimeoutError."""
        found: dict[str, str] = {}

        async def all_settled() -> bool:
            rows = await chain.fetch("SELECT operation_id, status FROM operations_v1.operations")
            found.update({row["operation_id"]: row["status"] for row in rows})
            return all(found.get(operation) in SETTLED for operation in self.asked)

        await eventually(all_settled, within)
        return {operation: found[operation] for operation in self.asked}

    async def problems(self, chain: asyncpg.Pool, settled: dict[str, str]) -> list[str]:
        """Payments that the chain holds twice, or not although they are solidified, or although they failed."""
        sql = 'SELECT amount_sun::bigint FROM transaction_index_v1.transaction_index WHERE "to" = $1 AND success'
        held = Counter(row[0] for row in await chain.fetch(sql, self._payee))
        return [
            f"payment {operation} is {status}, the chain holds it {held[self.asked[operation]]} times"
            for operation, status in settled.items()
            if held[self.asked[operation]] != (status == "solidified")
        ]


def key_of(number: int) -> Key:
    """The key of one of the development accounts."""
    return Key.from_hex(devnet.accounts(number + 1)[number].private_key)


def environment(url: str, payer: Key) -> dict[str, str]:
    """Two providers, the same node with faults of their own, of which one confirms the other; and a key to pay with."""
    nodes = [{"name": face, "url": f"{url}/face/{face}"} for face in FACES]
    return {
        "CHAIN_NODES": json.dumps(nodes),
        "CHAIN_CONFIRM": "second",
        "CHAIN_SENDING_KEYS": json.dumps({"soak": payer.secret.hex()}),
        "CHAIN_EXPIRY_SECONDS": "30",
    }
