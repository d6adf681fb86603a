"""Another service, of which a copy is ordered, and the key pair of whoever asked for it."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

KEY, ANOTHER = X25519PrivateKey.generate(), X25519PrivateKey.generate()


def text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def public(key: X25519PrivateKey = KEY) -> str:
    return text(key.public_key().public_bytes_raw())


def private(key: X25519PrivateKey = KEY) -> str:
    return text(key.private_bytes_raw())


class Peer:
    """Stands for another service: an HTTP server that hands out what it has."""

    box = b"not ready"
    url = ""

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 200 OK\r\ncontent-length: {len(self.box)}\r\nconnection: close\r\n\r\n"
        writer.write(head.encode() + self.box)
        await writer.drain()
        writer.close()
        await writer.wait_closed()


@asynccontextmanager
async def listening() -> AsyncIterator[Peer]:
    """One that listens inside the block."""
    found = Peer()
    server = await asyncio.start_server(found.answer, "127.0.0.1", 0)
    found.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield found
    server.close()
    await server.wait_closed()
