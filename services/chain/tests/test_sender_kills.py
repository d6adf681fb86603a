"""500 payments over a network that fails, by processes killed at every step: each is paid once, or not at all."""

from __future__ import annotations

import random
from pathlib import Path

import httpx
import pytest
from chain_bank import BadNetwork, Bank, all_final, call, intend, listening, payments, states, trx

from chain.domain import operation as op
from eventlog import EventLog
from eventlog.testing import nursery
from messaging.testing import eventually
from tron.client import NodeClient
from tron.contracts import DCMXToken
from tron.keys import Key
from tron.sender import Sender

pytestmark = pytest.mark.endurance

WORKER = Path(__file__).with_name("sender_worker.py")
STEPS = [
    f"{moment} {step}"
    for step in ("TransactionSigned", "broadcast", "TransactionBroadcast", "TransactionIncluded", "OperationSolidified")
    for moment in ("before", "after")
]
LAPSES = ["before TransactionLapsed", "after TransactionLapsed"]
LIMITS = {"expiry_seconds": 4.0, "attempts": 6, "pauses": [0.2, 0.4, 0.8, 1.6]}
TRX, TOKENS, REVERTS = 400, 80, 20


async def test_of_500_payments_each_is_on_the_chain_exactly_once_or_reported_as_not_done(
    bank: Bank, log: EventLog, database: str
) -> None:
    chance = random.Random(5)
    wishes = _wishes(bank)
    chance.shuffle(wishes)
    steps = STEPS + LAPSES
    portions = [wishes[n :: len(steps)] for n in range(len(steps))]
    keys = {name: key.secret.hex() for name, key in bank.keys.items()}
    plan = {"dsn": database, "keys": keys, "contracts": bank.contracts, "limits": LIMITS, "timeout": 0.5}
    async with (
        httpx.AsyncClient(timeout=120) as client,
        listening(network := BadNetwork(bank.url, client)) as url,
        nursery(WORKER, plan | {"node": url}) as workers,
    ):
        for step, portion in zip(steps, portions, strict=True):
            await intend(log, portion)
            if step in LAPSES:
                network.doom = 3
            await workers.killed(step, 1 if step in LAPSES else chance.randint(1, 12))
        await intend(log, wishes)  # asked for again: nothing more is paid
        last = await workers.start()
        await eventually(lambda: all_final(log))
        await workers.stop(last)

    found = await states(log)
    assert len(found) == TRX + TOKENS + REVERTS
    paid = await payments(bank.url, [key.address for key in bank.keys.values()])
    held = await _tokens(bank, wishes)
    for wish in wishes:
        done = found[wish.operation_id].status == "solidified"
        match wish.payload:
            case op.TrxPayment(to, amount_sun):
                assert paid[to, amount_sun] == (1 if done else 0), found[wish.operation_id]
            case op.ContractCall(args=args):
                assert held[args["to"]] == (int(args["value"]) if done else 0), found[wish.operation_id]
    outcomes = [state.status for state in found.values()]
    assert outcomes.count("failed") == REVERTS
    assert outcomes.count("solidified") == TRX + TOKENS
    assert max(state.attempts for state in found.values()) > 1, "some transactions had to be signed anew"
    assert sum(network.faults.values()) - network.faults["read"] > 0.25 * network.broadcasts
    assert len(network.faults) == 12, "every kind of fault came up"


def _wishes(bank: Bank) -> list[op.OperationIntended]:
    """Payments of TRX and of tokens, each to a receiver of its own; the last are more than anybody has."""
    payers, receivers = list(bank.keys), [Key.random().address for _ in range(TRX + TOKENS + REVERTS)]
    wishes = [trx(n, payers[n % 5], to, 1_000_000 + n) for n, to in enumerate(receivers[:TRX])]
    for number, to in enumerate(receivers[TRX:], TRX):
        value = 10**18 + number if number < TRX + TOKENS else 10**30
        wishes.append(call(number, payers[number % 5], "dcmx-token", "transfer", to=to, value=str(value)))
    return wishes


async def _tokens(bank: Bank, wishes: list[op.OperationIntended]) -> dict[str, int]:
    """The tokens of those who were to get some."""
    holders = [wish.payload.args["to"] for wish in wishes if isinstance(wish.payload, op.ContractCall)]
    token = DCMXToken(bank.contracts["dcmx-token"])
    async with NodeClient(bank.url) as node:
        sender = Sender(node)
        return {holder: await sender.read(token.balance_of(holder)) for holder in holders}
