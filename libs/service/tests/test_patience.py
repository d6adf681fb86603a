"""A request waits for what is away for a moment, and is then served as if it had just come."""

from __future__ import annotations

from itertools import count

import pytest
from starlette.datastructures import Headers
from starlette.types import Message, Receive, Send

from service.patience import may_be_repeated, patiently

BODY: list[Message] = [
    {"type": "http.request", "body": b"ab", "more_body": True},
    {"type": "http.request", "body": b"c", "more_body": False},
]
START: Message = {"type": "http.response.start", "status": 200}


class Exchange:
    """A request with a body in two parts, and a service that fails of `error`, before or after it begins to answer."""

    def __init__(self, error: Exception, failures: int = 2, after_start: bool = False) -> None:
        self.error, self.failures, self.after_start = error, failures, after_start
        self.coming = iter(BODY)
        self.bodies: list[bytes] = []
        self.sent: list[Message] = []

    async def receive(self) -> Message:
        return next(self.coming)

    async def send(self, message: Message) -> None:
        self.sent.append(message)

    async def serve(self, receive: Receive, send: Send) -> None:
        self.bodies.append(b"".join([(await receive())["body"] for _ in BODY]))
        if self.after_start:
            await send(START)
        if len(self.bodies) <= self.failures:
            raise self.error
        await send(START)


async def test_it_is_served_again_from_the_beginning_until_it_works() -> None:
    exchange = Exchange(ConnectionRefusedError())
    await patiently(exchange.serve, exchange.receive, exchange.send, seconds=60)
    assert exchange.bodies == [b"abc"] * 3
    assert exchange.sent == [START]


@pytest.mark.parametrize(
    ("error", "after_start", "seconds"),
    [
        (KeyError("an error of the program"), False, 60),
        (ConnectionResetError("too late"), True, 60),
        (ConnectionRefusedError("and no patience"), False, 0),
    ],
)
async def test_it_fails_at_once_if_waiting_would_not_help_or_do_harm(
    error: Exception, after_start: bool, seconds: float
) -> None:
    exchange = Exchange(error, after_start=after_start)
    with pytest.raises(type(error)):
        await patiently(exchange.serve, exchange.receive, exchange.send, seconds)
    assert len(exchange.bodies) == 1


async def test_patience_ends() -> None:
    attempts = count(1)

    async def away(receive: Receive, send: Send) -> None:
        next(attempts)
        raise ConnectionRefusedError

    exchange = Exchange(KeyError())
    with pytest.raises(ConnectionRefusedError):
        await patiently(away, exchange.receive, exchange.send, seconds=0.5)
    assert next(attempts) > 2  # one more than there were


def test_what_could_take_effect_twice_does_not_wait() -> None:
    keyed, plain = Headers({"idempotency-key": "k"}), Headers({})
    assert may_be_repeated({"type": "http", "method": "GET"}, plain)
    assert may_be_repeated({"type": "http", "method": "POST"}, keyed)
    assert not may_be_repeated({"type": "http", "method": "POST"}, plain)
