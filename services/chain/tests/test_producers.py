"""With producers named, no node can make up a block: what anybody else signed is refused, and said to be."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from chain import fetch
from chain.confirm import fetcher
from chain.ingest import Ingester
from chain.producers import producers
from chain.settings import ChainSettings
from contracts.testing import address
from eventlog import EventLog
from messaging.testing import eventually, running
from tron.client import NodeClient
from tron.providers import Nodes
from tron.retry import Retry


def settings_of(town: Any, *named: str) -> ChainSettings:
    return ChainSettings(node_url=town.url, contracts=json.dumps(town.contracts), producers=",".join(named))


async def test_who_signs_is_told_with_how_many_blocks(town: Any, node: NodeClient) -> None:
    last = (await node.solid_head()).number
    seen: list[tuple[int, int]] = []
    signed = await producers(settings_of(town), last + 100, lambda done, total: seen.append((done, total)))
    assert sum(signed.values()) == last  # all but the genesis block, which nobody signed
    assert seen[-1] == (last, last)
    assert set(signed) == set(await node.producers(1, min(100, last))) | set(
        await node.producers(max(1, last - 99), last)
    )
    assert await producers(settings_of(town, address(1)), last) == signed  # whoever the settings name


async def test_a_block_that_another_signed_is_not_recorded_until_its_producer_is_named(
    town: Any, log: EventLog, node: NodeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "RETRY", Retry(attempts=2, first=0.01, longest=0.01, on=fetch.RETRY.on))
    last = (await node.solid_head()).number
    signers = await node.producers(1, min(100, last))
    first_of_last = signers.index(stranger := signers[-1]) + 1
    problem = f"is signed by {stranger}, which is no known producer"

    named = settings_of(town, address(1), *(one for one in signers if one != stranger))
    async with Nodes(named.providers) as nodes:
        subject = Ingester(log, fetcher(named, nodes, log), town.contracts, poll_seconds=0.05)

        async def is_said() -> bool:
            return problem in (nodes.states()[0].why or "")

        async with running(subject):
            await eventually(is_said)
        assert (await subject.cursor()).next <= first_of_last

    named = settings_of(town, *set(signers), *set(await node.producers(max(1, last - 99), last)))
    async with Nodes(named.providers) as nodes:
        subject = Ingester(log, fetcher(named, nodes, log), town.contracts, poll_seconds=0.05)

        async def is_read() -> bool:
            return (await subject.cursor()).next > last

        async with running(subject):
            await eventually(is_read)


def test_producers_are_addresses_of_blocks_that_are_proven() -> None:
    one, other = address(1), address(2)
    assert ChainSettings(producers=f" {one} ,{other},").providers[0].producers == {one, other}
    with pytest.raises(ValidationError, match="producers: "):
        ChainSettings(producers=f"{one},nobody")
    with pytest.raises(ValidationError, match="expected prove_blocks"):
        ChainSettings(producers=one, prove_blocks=False)
