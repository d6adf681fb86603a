"""The typed contracts without asyncio, on a devnet."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from local_stack.testing import running_devnet
from tron.blocking import BlockingSender
from tron.contracts import DCMXToken
from tron.errors import CallReverted, NodeUnavailable, TransactionFailed
from tron.keys import Key
from tron.sender import Sender

FEE_LIMIT = 100_000_000


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, list[Key]]]:
    """A devnet with a block every 0.1 s, and its rich keys."""
    with running_devnet(tmp_path_factory.mktemp("devnet"), "--block-time", "0.1") as devnet:
        yield devnet.url, [Key.from_hex(one) for one in devnet.private_keys()]


def test_a_contract_is_created_read_run_dry_and_called_without_asyncio(chain: tuple[str, list[Key]]) -> None:
    url, (admin, friend, *_) = chain
    with BlockingSender(url) as sender:
        creation = DCMXToken.creation(admin.address, 1_000, 100)
        assert sender.estimate(creation, admin.address).energy > 1_000_000
        created = sender.execute(creation, admin)
        assert created.contract_address
        token = DCMXToken(created.contract_address)
        transfer = token.transfer(friend.address, 7)
        ran = sender.dry_run(transfer, admin.address)
        assert ran.result is True
        (event,) = ran.events
        assert event.args == {"from": admin.address, "to": friend.address, "value": 7}  # type: ignore[union-attr]  # decoded
        assert sender.read(token.balance_of(friend.address)) == 0
        info = sender.execute(transfer, admin, ran.estimate.fee_limit_sun, solid=True)
        assert info.energy_used == ran.estimate.energy
        assert token.events(info) == [event]
        assert sender.read(token.balance_of(friend.address)) == 7

        with pytest.raises(CallReverted, match=r"ERC20InsufficientBalance\(sender=.*, balance=7, needed=8\)"):
            sender.dry_run(token.transfer(admin.address, 8), friend.address)
        with pytest.raises(TransactionFailed, match="REVERT: ERC20InsufficientBalance"):
            sender.execute(token.transfer(admin.address, 8), friend, FEE_LIMIT)

        signed = sender.sign(token.transfer(friend.address, 1), admin)
        sender.broadcast(signed)
        sender.broadcast(signed)
        assert sender.result(signed.tx_id).success

        with ThreadPoolExecutor(4) as threads:
            one = token.transfer(friend.address, 1)
            sent = list(threads.map(lambda _: sender.send(one, admin, FEE_LIMIT), range(8)))
        assert all(info.success for info in sender.results(sent).values())
        assert sender.read(token.balance_of(friend.address)) == 16


def test_it_offers_what_the_asynchronous_one_does() -> None:
    only_asynchronous = {"is_dead", "reference", "energy_price", "bandwidth_price"}
    offered = {name for name, _ in inspect.getmembers(Sender, inspect.iscoroutinefunction) if not name.startswith("_")}
    assert offered - only_asynchronous <= set(dir(BlockingSender))


def test_errors_come_through_and_closing_ends_the_thread() -> None:
    sender = BlockingSender("http://127.0.0.1:1", timeout=1.0)
    with pytest.raises(NodeUnavailable):
        sender.result("ab" * 32, within=0.1)
    sender.close()
    assert not sender._thread.is_alive()
