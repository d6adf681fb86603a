"""The typed contracts for programs without asyncio: a `Sender` whose methods return when they are done.

```python
with BlockingSender("http://127.0.0.1:9090") as sender:
    price = sender.read(nft.track_of(7))["priceSun"]
    info = sender.execute(nft.buy_edition(7, value_sun=price), key)
```
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Collection, Coroutine
from types import TracebackType
from typing import Any, Self, TypeVar

from tron.client import NodeClient
from tron.contract import Call, View
from tron.creation import Creation
from tron.keys import Key
from tron.model import TransactionInfo
from tron.sender import DryRun, Estimate, Sender
from tron.transaction import Payload, Signed

T = TypeVar("T")


class BlockingSender:
    """A `Sender` and its client of one node, run by an event loop in a thread of their own.

    Any thread may call it, several at once; a thread with a running event loop may too, but waits. Arguments, results
    and errors are those of `tron.sender.Sender`; `options` are `NodeClient`'s (`api_key`, `timeout`, `prove`, …).
    """

    def __init__(self, url: str, solid_url: str | None = None, **options: Any) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="tron", daemon=True)
        self._thread.start()
        self._sender = self._wait(self._connect(url, solid_url, options))

    async def _connect(self, url: str, solid_url: str | None, options: dict[str, Any]) -> Sender:
        self._client = NodeClient(url, solid_url, **options)
        return Sender(self._client)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections and end the thread."""
        self._wait(self._client.aclose())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        waiting = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return waiting.result()
        except KeyboardInterrupt:
            waiting.cancel()
            raise

    def read(self, view: View[T], caller: str | None = None) -> T:
        """See `Sender.read`."""
        return self._wait(self._sender.read(view, caller))

    def estimate(self, payload: Call | Creation, caller: str) -> Estimate:
        """See `Sender.estimate`."""
        return self._wait(self._sender.estimate(payload, caller))

    def dry_run(self, call: Call, caller: str) -> DryRun:
        """See `Sender.dry_run`."""
        return self._wait(self._sender.dry_run(call, caller))

    def sign(self, payload: Payload, key: Key, fee_limit_sun: int | None = None) -> Signed:
        """See `Sender.sign`."""
        return self._wait(self._sender.sign(payload, key, fee_limit_sun))

    def broadcast(self, signed: Signed) -> None:
        """See `Sender.broadcast`."""
        self._wait(self._sender.broadcast(signed))

    def send(self, payload: Payload, key: Key, fee_limit_sun: int | None = None) -> Signed:
        """See `Sender.send`."""
        return self._wait(self._sender.send(payload, key, fee_limit_sun))

    def execute(
        self,
        payload: Payload,
        key: Key,
        fee_limit_sun: int | None = None,
        *,
        within: float = 60.0,
        solid: bool = False,
    ) -> TransactionInfo:
        """See `Sender.execute`."""
        return self._wait(self._sender.execute(payload, key, fee_limit_sun, within=within, solid=solid))

    def result(self, tx_id: str, *, within: float = 60.0, solid: bool = False) -> TransactionInfo:
        """See `Sender.result`."""
        return self._wait(self._sender.result(tx_id, within=within, solid=solid))

    def results(
        self, sent: Collection[Signed], *, within: float = 120.0, solid: bool = False
    ) -> dict[str, TransactionInfo]:
        """See `Sender.results`."""
        return self._wait(self._sender.results(sent, within=within, solid=solid))
