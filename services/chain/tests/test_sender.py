"""The sender on a real chain: reorganisations, refusals, want of energy, rivals, restarts."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import httpx
import pytest
from chain_bank import Bank, all_final, call, intend, listening, operation_id, payments, states, trx

from chain.domain import WATCH, Scope, TransactionSolidified
from chain.domain import operation as op
from chain.fetch import Fetcher
from chain.funds import Funds
from chain.ingest import Ingester
from chain.payloads import Payloads
from chain.sender import OperationSender
from chain.signing import Limits
from eventlog import EventLog, Executor, Watermark
from messaging.testing import eventually, running
from service.testing import fails
from tron import providers
from tron.address import hex41
from tron.client import NodeClient
from tron.errors import NodeError
from tron.keys import Key
from tron.providers import AnyNode, Nodes, Provider
from tron.sender import Sender
from tron.signers import LocalSigner

pytestmark = pytest.mark.endurance

QUICK = Limits(expiry_seconds=5.0, attempts=2, pauses=(0.1, 0.2, 0.4))
SLOW = Limits(expiry_seconds=60.0, pauses=(0.1, 0.2, 0.4))


@dataclass
class Node:
    """A node whose answers a test changes: `bend` gets path, question and true answer. Keeps what was handed in."""

    upstream: str
    client: httpx.AsyncClient
    bend: Callable[[str, Any, Any], Any] = lambda path, question, answer: answer
    handed_in: list[str] = field(default_factory=list)
    pause: float = 0.0  # seconds before it answers what is handed in

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        question = (await receive())["body"]
        path, asked = scope["path"].lstrip("/"), json.loads(question)
        if path == "wallet/broadcasthex":
            self.handed_in.append(asked["transaction"])
            await asyncio.sleep(self.pause)
        answer = self.bend(path, asked, None)
        if answer is None:
            answer = (await self.client.post(f"{self.upstream}/{path}", content=question)).json()
            answer = self.bend(path, asked, answer)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": json.dumps(answer).encode()})


@asynccontextmanager
async def bent(bank: Bank, bend: Callable[[str, Any, Any], Any]) -> AsyncIterator[tuple[Nodes, Node]]:
    async with httpx.AsyncClient(timeout=120) as client:
        node = Node(bank.url, client, bend)
        async with listening(node) as url, Nodes([Provider("bent", url)]) as nodes:
            yield nodes, node


@pytest.fixture
async def at_bank(bank: Bank) -> AsyncIterator[Nodes]:
    async with Nodes([Provider("bank", bank.url)]) as nodes:
        yield nodes


def sender_on(
    log: EventLog,
    watermark: Watermark,
    nodes: Nodes,
    bank: Bank,
    limits: Limits,
    signers: Mapping[str, LocalSigner] | None = None,
) -> OperationSender:
    keys = signers or {name: LocalSigner(key) for name, key in bank.keys.items()}
    return OperationSender(log, Executor(log), watermark, AnyNode(nodes), Payloads(bank.contracts), keys, limits, 0.05)


def ingester_on(log: EventLog, nodes: Nodes, bank: Bank, **options: Any) -> Ingester:
    accounts = [key.address for key in bank.keys.values()]
    return Ingester(log, Fetcher(nodes), bank.contracts, accounts=accounts, poll_seconds=0.05, **options)


async def journal(log: EventLog, number: int) -> list[Any]:
    return [recorded.event for recorded in await log.read_stream(op.operation_stream(operation_id(number)))]


async def done(log: EventLog) -> None:
    await eventually(lambda: all_final(log))


async def test_a_payment_whose_block_is_reorganised_away_is_handed_in_again_and_made_once(
    log: EventLog, watermark: Watermark, bank: Bank, at_bank: Nodes
) -> None:
    to = Key.random().address
    bank.control("block-time", seconds=None)
    try:
        sender = sender_on(log, watermark, at_bank, bank, SLOW)
        async with running(watermark, ingester_on(log, at_bank, bank), sender):
            await intend(log, [trx(1, "payer-1", to, 5_000_000)])
            await eventually(lambda: _reached(log, 1, op.TransactionBroadcast))
            bank.control("mine", blocks=2)
            await eventually(lambda: _reached(log, 1, op.TransactionIncluded))
            bank.control("reorg", depth=3, transactions="drop")
            await eventually(lambda: _reached(log, 1, op.TransactionRetracted))
            await eventually(lambda: _handed_in_again(bank))
            bank.control("mine", blocks=20)
            await done(log)
    finally:
        bank.control("block-time", seconds=0.1)
    events = await journal(log, 1)
    assert [type(event) for event in events if isinstance(event, op.TransactionSigned)] == [op.TransactionSigned]
    assert isinstance(events[-1], op.OperationSolidified)
    assert (await payments(bank.url, [bank.keys["payer-1"].address]))[to, 5_000_000] == 1


async def _handed_in_again(bank: Bank) -> bool:
    async with httpx.AsyncClient(timeout=120) as client:
        return bool((await client.get(f"{bank.url}/devnet/status")).json()["pending"])


async def _reached(log: EventLog, number: int, event: type) -> bool:
    return any(isinstance(found, event) for found in await journal(log, number))


async def test_what_is_taken_but_never_put_into_a_block_is_signed_anew_only_after_the_proof(
    log: EventLog, watermark: Watermark, bank: Bank
) -> None:
    dropped: set[str] = set()

    def drop_the_first(path: str, question: Any, answer: Any) -> Any:
        if path == "wallet/broadcasthex" and (not dropped or question["transaction"] in dropped):
            dropped.add(question["transaction"])
            return {"result": True}
        return answer

    to = Key.random().address
    async with bent(bank, drop_the_first) as (nodes, seen):
        sender = sender_on(log, watermark, nodes, bank, QUICK)
        async with running(watermark, ingester_on(log, nodes, bank), sender):
            await intend(log, [trx(1, "payer-1", to, 5_000_000)])
            await done(log)
    events = await journal(log, 1)
    kinds = [type(event) for event in events]
    first = [op.OperationIntended, op.TransactionSigned, op.TransactionBroadcast, op.TransactionLapsed]
    assert kinds[:5] == [*first, op.TransactionSigned]
    told = {op.TransactionBroadcast, op.TransactionIncluded}  # the block may be seen before the node's answer is
    assert set(kinds[5:-1]) <= told
    assert kinds[-1] is op.OperationSolidified
    lapsed = next(event for event in events if isinstance(event, op.TransactionLapsed))
    assert (lapsed.kind, lapsed.attempt) in {("expired", 1), ("duplicate", 1)}
    assert seen.handed_in.count(next(iter(dropped))) > 1, "the same bytes, until they had expired"
    assert len(set(seen.handed_in)) == 2
    assert (await payments(bank.url, [bank.keys["payer-1"].address]))[to, 5_000_000] == 1


async def test_a_node_that_refuses_what_it_has_put_into_a_block_does_not_make_us_pay_twice(
    log: EventLog, watermark: Watermark, bank: Bank
) -> None:
    def deny(path: str, question: Any, answer: Any) -> Any:
        if path == "wallet/broadcasthex" and answer is not None:
            return {"code": "TRANSACTION_EXPIRATION_ERROR", "message": ""}
        return {} if path.endswith("gettransactioninfobyid") else answer

    to = Key.random().address
    async with bent(bank, deny) as (nodes, seen):
        sender = sender_on(log, watermark, nodes, bank, QUICK)
        async with running(watermark, ingester_on(log, nodes, bank), sender):
            await intend(log, [trx(1, "payer-1", to, 5_000_000)])
            await done(log)
    assert (await states(log))[operation_id(1)].status == "solidified"
    assert len(set(seen.handed_in)) == 1
    assert (await payments(bank.url, [bank.keys["payer-1"].address]))[to, 5_000_000] == 1


async def test_while_a_node_does_not_take_transactions_another_does(
    log: EventLog, watermark: Watermark, bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(providers, "FIRST_REST_SECONDS", ((NodeError, 60.0),))  # it is not asked a second time

    def deaf(path: str, question: Any, answer: Any) -> Any:
        return {"Error": "this exceed the user rate limit"} if path == "wallet/broadcasthex" else answer

    to = Key.random().address
    async with bent(bank, deaf) as (first, seen):
        seen.pause = 0.5  # longer than the sender waits before it hands in again
        both = [first.all[0].provider, Provider("bank", bank.url, priority=2)]
        async with Nodes(both) as nodes:
            sender = sender_on(log, watermark, nodes, bank, SLOW)
            async with running(watermark, ingester_on(log, nodes, bank), sender):
                await intend(log, [trx(1, "payer-1", to, 5_000_000)])
                await done(log)
    assert len(seen.handed_in) == 1, "then the other one took it"
    assert [event.attempt for event in await journal(log, 1) if isinstance(event, op.TransactionSigned)] == [1]
    assert (await payments(bank.url, [bank.keys["payer-1"].address]))[to, 5_000_000] == 1


async def test_what_cannot_be_paid_is_reported_with_its_kind_and_reason(
    log: EventLog, watermark: Watermark, bank: Bank, at_bank: Nodes
) -> None:
    stranger = Key.random().address
    wishes = [
        trx(1, "payer-1", stranger, 10**17),
        call(2, "payer-1", "dcmx-token", "mint", to=stranger, amount="1"),
        call(3, "payer-1", "dcmx-token", "no_such", to=stranger),
        call(4, "payer-1", "dcmx-token", "transfer", to=stranger, value=str(10**30)),
    ]
    sender = sender_on(log, watermark, at_bank, bank, QUICK)
    async with running(watermark, ingester_on(log, at_bank, bank), sender):
        await intend(log, wishes)
        await done(log)
    ends = [(await journal(log, number))[-1] for number in (1, 2, 3, 4)]
    assert [(type(end), end.kind) for end in ends] == [
        (op.OperationFailed, "resources"),
        (op.OperationFailed, "execution"),
        (op.OperationFailed, "invalid"),
        (op.OperationFailed, "execution"),
    ]
    assert "balance is not sufficient" in ends[0].reason
    assert "mint" in ends[1].reason
    assert "method: expected one of" in ends[2].reason
    assert "ERC20InsufficientBalance" in ends[3].reason
    assert ends[0].tx_id is not None, "signed, so reported only after the proof"
    assert ends[1].tx_id is None


async def test_while_a_key_service_fails_its_payments_wait_and_the_service_says_why(
    log: EventLog, watermark: Watermark, bank: Bank, at_bank: Nodes
) -> None:
    class KeyService(LocalSigner):
        away = True

        async def sign(self, digest: bytes) -> bytes:
            if self.away:
                raise KeyError("throttled")  # whatever a vendor's library raises
            return await super().sign(digest)

    to, signer = Key.random().address, KeyService(bank.keys["payer-1"])
    sender = sender_on(log, watermark, at_bank, bank, SLOW, signers={"payer-1": signer})

    async with running(watermark, ingester_on(log, at_bank, bank), sender):
        await intend(log, [trx(1, "payer-1", to, 5_000_000)])
        await eventually(partial(fails, sender.check(), "^payer-1 does not sign: KeyError: 'throttled'$"))
        signer.away = False
        await done(log)
        await sender.check().probe()
    assert (await payments(bank.url, [signer.address]))[to, 5_000_000] == 1


async def test_want_of_energy_is_tried_again_with_a_higher_fee_limit(
    log: EventLog, watermark: Watermark, bank: Bank
) -> None:
    estimates: list[int] = []

    def too_low_at_first(path: str, question: Any, answer: Any) -> Any:
        if path == "wallet/triggerconstantcontract" and answer is not None:
            estimates.append(answer["energy_used"])
            answer["energy_used"] = estimates[0] // (2 if len(estimates) == 1 else 1)
        return answer

    to = Key.random().address
    async with bent(bank, too_low_at_first) as (nodes, _):
        sender = sender_on(log, watermark, nodes, bank, SLOW)
        async with running(watermark, ingester_on(log, nodes, bank), sender):
            await intend(log, [call(1, "payer-1", "dcmx-token", "transfer", to=to, value="7")])
            await done(log)
    events = await journal(log, 1)
    failed = next(event for event in events if isinstance(event, op.TransactionFailed))
    assert (failed.kind, failed.attempt) == ("energy", 1)
    assert failed.fee_sun > 0
    first, second = (event for event in events if isinstance(event, op.TransactionSigned))
    async with NodeClient(bank.url) as plain:
        price = await Sender(plain).energy_price()
    assert first.fee_limit_sun == estimates[0] // 2 * 125 // 100 * price
    assert second.fee_limit_sun == estimates[0] * 125 // 100 * price * 120 // 100
    assert isinstance(events[-1], op.OperationSolidified)


async def test_rivals_at_one_log_make_each_payment_once(
    log: EventLog, watermark: Watermark, bank: Bank, at_bank: Nodes
) -> None:
    @dataclass
    class Rival:
        """A sender that doesn't ask whether another one leads."""

        sender: OperationSender

        async def run(self) -> None:
            await self.sender.send()

    payers, receivers = list(bank.keys), [Key.random().address for _ in range(40)]
    await intend(log, [trx(n, payers[n % 5], to, 1_000_000 + n) for n, to in enumerate(receivers)])
    rivals = [Rival(sender_on(log, watermark, at_bank, bank, SLOW)) for _ in range(3)]
    async with running(watermark, ingester_on(log, at_bank, bank), *rivals):
        await done(log)
    paid = await payments(bank.url, [key.address for key in bank.keys.values()])
    assert [paid[to, 1_000_000 + n] for n, to in enumerate(receivers)] == [1] * 40
    assert {state.attempts for state in (await states(log)).values()} == {1}


async def test_equal_payments_are_as_many_transactions(
    log: EventLog, watermark: Watermark, bank: Bank, at_bank: Nodes
) -> None:
    to = Key.random().address
    await intend(log, [trx(n, "payer-1", to, 1_000_000) for n in range(20)])
    sender = sender_on(log, watermark, at_bank, bank, SLOW)
    async with running(watermark, ingester_on(log, at_bank, bank), sender):
        await done(log)
    assert (await payments(bank.url, [bank.keys["payer-1"].address]))[to, 1_000_000] == 20


@pytest.mark.parametrize("transactions", ["watched", "logged"])
async def test_a_log_of_some_transactions_holds_those_of_the_sending_keys(
    log: EventLog, watermark: Watermark, bank: Bank, at_bank: Nodes, transactions: Scope
) -> None:
    to, start = Key.random().address, (await AnyNode(at_bank).solid_head()).number
    sender = sender_on(log, watermark, at_bank, bank, SLOW)
    ingester = ingester_on(log, at_bank, bank, transactions=transactions, start_block=start)
    async with running(watermark, ingester, sender):
        await intend(log, [trx(1, "payer-1", to, 5_000_000)])
        await done(log)
    assert isinstance((await journal(log, 1))[-1], op.OperationSolidified)
    recorded = [event.event for event in await log.read_stream(f"account/{bank.keys['payer-1'].address}")]
    assert [event.to for event in recorded if isinstance(event, TransactionSolidified)].count(to) == 1
    (watch,) = await log.read_stream(WATCH)
    assert set(watch.event.accounts) == {key.address for key in bank.keys.values()}


async def test_nothing_is_signed_that_the_log_could_not_prove(
    log: EventLog, watermark: Watermark, bank: Bank, at_bank: Nodes
) -> None:
    sender = sender_on(log, watermark, at_bank, bank, QUICK)
    ingester = ingester_on(log, at_bank, bank, start_block=10**9)  # the log will begin after what is sent now
    async with running(watermark, ingester, sender):
        await intend(log, [trx(1, "payer-1", Key.random().address, 5_000_000)])
        await asyncio.sleep(1.0)
    assert [type(event) for event in await journal(log, 1)] == [op.OperationIntended]


async def test_a_start_looks_only_at_what_may_not_be_settled(
    log: EventLog, watermark: Watermark, bank: Bank, at_bank: Nodes
) -> None:
    await intend(log, [trx(n, "payer-1", Key.random().address, 1_000_000) for n in range(5)])
    async with running(watermark, ingester_on(log, at_bank, bank), sender_on(log, watermark, at_bank, bank, SLOW)):
        await done(log)
    await intend(log, [trx(7, "nobody", Key.random().address, 1_000_000)])
    for _ in range(2):
        noted = len(await log.read_stream(op.SETTLED))
        async with running(watermark, sender := sender_on(log, watermark, at_bank, bank, SLOW)):
            await eventually(partial(log.read_stream, op.SETTLED, noted))
            await eventually(partial(fails, sender.check(), "nobody does not sign: no such key is configured"))
    notes = [recorded.event.upto for recorded in await log.read_stream(op.SETTLED)]
    last = (await log.read_stream(op.operation_stream(operation_id(7))))[0].position
    assert notes[-1] == last - 1, "what waits for its key is looked at, nothing before"


async def test_a_key_that_runs_low_is_named_by_the_health_check(bank: Bank, at_bank: Nodes) -> None:
    address = bank.keys["payer-1"].address
    account = await AnyNode(at_bank).request("wallet/getaccount", {"address": hex41(address)})
    funds = Funds(AnyNode(at_bank), {"payer-1": address}, low_sun=account["balance"] * 2)
    async with running(funds):
        await eventually(partial(fails, funds.check(), rf"payer-1 \({address}\) has \d+ sun; expected at least"))
    assert await Funds(AnyNode(at_bank), {"payer-1": address}, low_sun=0).check().probe() == (
        "0 of 1 sending keys have at least 0 sun"
    )


async def test_no_key_is_in_the_database(log: EventLog, watermark: Watermark, bank: Bank, at_bank: Nodes) -> None:
    await intend(log, [trx(1, "payer-1", Key.random().address, 1_000_000)])
    async with running(watermark, ingester_on(log, at_bank, bank), sender_on(log, watermark, at_bank, bank, SLOW)):
        await done(log)
    secrets = [key.secret.hex() for key in bank.keys.values()]
    rows = await log.pool.fetch("SELECT data::text || metadata::text AS text FROM events")
    assert not [secret for secret in secrets if any(secret in row["text"].lower() for row in rows)]
