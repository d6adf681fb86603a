"""The read models, held against the chain itself or against lists of everything that are filtered here."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from chain_shown import everything_shown, pages

from chain.domain import ZERO
from service.testing import Running
from tron.client import NodeClient
from tron.contract import Contract
from tron.contracts import DCMXToken, MusicNFT, RewardVault, RoyaltyDistributor
from tron.deploy import role
from tron.sender import Sender

Item = dict[str, Any]


async def test_contracts_tokens_and_tracks_are_the_nodes_own(chain: Running, town: Any, node: NodeClient) -> None:
    sender = Sender(node)
    async with chain.client("ada", "user") as client:
        status = await everything_shown(client, chain)
        answer = (await client.get("/contracts")).json()
        await it_is_of_the_block(answer, node, status["ingested"])
        shown = {item["contract"]: item for item in answer["contracts"]}
        assert {name: item["address"] for name, item in shown.items()} == town.contracts
        for contract in town.at.contracts():
            state = next(item for item in shown.values() if item["address"] == contract.address)
            await the_state_is(state, contract, [key.address for key in town.keys[:13]], sender)
        await the_settings_are(shown, town, sender)
        await the_holders_are(client, town, sender)
        await the_tracks_are(client, town, sender)


async def it_is_of_the_block(answer: Item, node: NodeClient, number: int) -> None:
    (block,) = await node.blocks(number, number)
    as_of = answer["as_of"]
    assert (as_of["block_number"], as_of["block_hash"], as_of["exact"]) == (number, block.hash, True)
    assert at(as_of["block_time"]).timestamp() * 1000 == block.time_ms


async def the_state_is(state: Item, contract: Contract, accounts: list[str], sender: Sender) -> None:
    typed: Any = contract
    assert state["paused"] == await sender.read(typed.paused())
    assert "DEFAULT_ADMIN_ROLE" in state["roles"]
    for name, holders in state["roles"].items():
        has = [account for account in accounts if await sender.read(typed.has_role(role(name).hex(), account))]
        assert set(holders) & set(accounts) == set(has), (state["contract"], name)
        for holder in set(holders) - set(accounts):  # another of the contracts
            assert await sender.read(typed.has_role(role(name).hex(), holder))


async def the_settings_are(shown: dict[str, Item], town: Any, sender: Sender) -> None:
    distributor, vault, token = (
        RoyaltyDistributor(town.at.distributor), RewardVault(town.at.vault), DCMXToken(town.at.token),
    )  # fmt: skip
    assert shown["royalty-distributor"]["settings"] == {
        "platform_fee_bps": str(await sender.read(distributor.platform_fee_bps())),
        "fee_recipient": await sender.read(distributor.fee_recipient()),
    }
    assert shown["reward-vault"]["settings"] == {
        "verifier": await sender.read(vault.verifier()),
        "listening_verifier": await sender.read(vault.listening_verifier()),
    }
    assert [pool["pool"] for pool in shown["reward-vault"]["pools"]] == list(range(5))
    for pool in shown["reward-vault"]["pools"]:
        told = await sender.read(vault.pools(pool["pool"]))
        assert (int(pool["budget"]), int(pool["daily_limit"]), pool["active"]) == tuple(told.values())
    assert shown["dcmx-token"]["supply"] == str(await sender.read(token.total_supply()))
    minters = shown["dcmx-token"]["minters"]
    assert [int(allowance) for allowance in minters.values()].count(0) == 1
    assert {"700", str(2**256 - 1)} < set(minters.values())
    for minter, allowance in minters.items():
        assert int(allowance) == await sender.read(token.minter_allowance(minter))


async def the_holders_are(client: httpx.AsyncClient, town: Any, sender: Sender) -> None:
    token = DCMXToken(town.at.token)
    owned = {address: await sender.read(token.balance_of(address)) for address in town.addresses}
    ranked = sorted(((amount, address) for address, amount in owned.items() if amount), reverse=True)
    holders = await pages(client, "/token-holders", limit=7)
    assert [(int(holder["balance"]), holder["address"]) for holder in holders] == ranked
    first = (await client.get("/token-holders", params={"limit": 1})).json()
    assert (first["holders"], int(first["supply"])) == (len(ranked), sum(owned.values()))


async def the_tracks_are(client: httpx.AsyncClient, town: Any, sender: Sender) -> None:
    nft = MusicNFT(town.at.nft)
    tracks = await pages(client, "/tracks", limit=2)
    assert [int(track["track_id"]) for track in tracks] == list(range(await sender.read(nft.track_count()), 0, -1))
    for track in tracks:
        told = await sender.read(nft.track_of(int(track["track_id"])))
        assert track["artist"] == told["artist"]
        assert (track["max_editions"], track["minted"]) == (told["maxEditions"], told["minted"])
        assert (track["price_sun"], track["royalty_bps"]) == (str(told["priceSun"]), told["royaltyBps"])
        assert (track["title"], track["artist_name"]) == (told["title"], told["artistName"])
        assert track["content_hash"] == told["contentHash"]
        released = (await client.get(f"/transactions/{track['released_tx_id']}")).json()
        assert (released["method"], released["block_time"]) == ("releaseTrack", track["released_at"])
        editions = await pages(client, f"/tracks/{track['track_id']}/editions", limit=10)
        assert [edition["edition"] for edition in editions] == list(range(1, track["minted"] + 1))
        for edition in editions:
            assert edition["owner"] == await sender.read(nft.owner_of(int(edition["token_id"])))
    one = (await client.get("/tracks/1")).json()
    assert one.pop("as_of")["exact"]
    assert one == tracks[-1]
    (second,) = await pages(client, "/tracks/1/editions", edition=2)
    nft_itself = (await client.get(f"/nfts/{second['token_id']}")).json()
    assert nft_itself.pop("as_of")["exact"]
    assert second == nft_itself

    async def found(**asked: Any) -> list[int]:
        return [int(track["track_id"]) for track in await pages(client, "/tracks", limit=1, **asked)]

    assert await found(q="nachtlied") == await found(q="ANA") == await found(artist=town.keys[1].address) == [2, 1]
    assert await found(q="nachtlied 2 ana") == [2]
    assert await found(q="ana -2") == [1]
    assert await found(q='"drop table"') == [3]
    assert await found(q="drop", artist=town.keys[1].address) == await found(q="nacht") == []


def at(time: str) -> datetime:
    return datetime.fromisoformat(time)


async def test_lists_are_filtered_by_everything_they_can_be_asked_for(chain: Running, town: Any) -> None:
    async with chain.client("ada", "user") as client:
        status = await everything_shown(client, chain)
        events = await pages(client, "/events", limit=400)
        transactions = await pages(client, "/transactions", limit=300)
        assert (len(events), len(transactions)) == (status["events"], status["transactions"])
        places = [(one["block_number"], one["index_in_block"]) for one in transactions]
        assert places == sorted(set(places), reverse=True)

        async def only(path: str, everything: list[Item], fits: Callable[[Item], bool], **asked: Any) -> None:
            expected = [item for item in everything if fits(item)]
            assert 0 < len(expected) < len(everything), asked
            assert await pages(client, path, limit=len(expected) // 2 + 1, **asked) == expected, asked

        user, artist, contract = town.keys[4].address, town.keys[1].address, "reward-vault"
        middle = events[len(events) // 2]
        since, until = middle["block_time"], events[0]["block_time"]
        await only("/events", events, lambda e: user in json.dumps(e["args"]), address=user)
        await only(
            "/events",
            events,
            lambda e: artist in json.dumps(e["args"]) and e["name"] == "SplitConfigured",  # named in a list
            address=artist,
            name="SplitConfigured",
        )
        await only("/events", events, lambda e: e["tx_id"] == middle["tx_id"], tx_id=middle["tx_id"])
        await only("/events", events, lambda e: at(since) <= at(e["block_time"]) < at(until), since=since, until=until)
        await only(
            "/events",
            events,
            lambda e: (
                user in json.dumps(e["args"]) and at(e["block_time"]) >= at(since) and e["contract"] == "dcmx-token"
            ),
            address=user,
            contract="dcmx-token",
            since=since,
        )
        await only("/transactions", transactions, lambda t: t["contract"] == contract, contract=contract)
        await only("/transactions", transactions, lambda t: t["method"] == "buyEdition", method="buyEdition")
        await only("/transactions", transactions, lambda t: not t["success"], success=False)
        await only("/transactions", transactions, lambda t: t["success"], success=True)
        await only("/transactions", transactions, lambda t: t["kind"] == "TransferContract", kind="TransferContract")
        await only(
            "/transactions",
            transactions,
            lambda t: at(since) <= at(t["block_time"]) < at(until),
            since=since,
            until=until,
        )
        await only(
            "/transactions",
            transactions,
            lambda t: user in (t["owner"], t["to"]) and t["contract"] == contract and not t["success"],
            address=user,
            contract=contract,
            success=False,
        )
        last = max(at(everything[0]["block_time"]) for everything in (events, transactions))
        late = (last + timedelta(seconds=1)).isoformat()
        assert await pages(client, "/events", since=late) == await pages(client, "/transactions", since=late) == []
        assert await pages(client, "/events", until="1970-01-01") == []
        await the_counts_are(client, events, transactions)


async def the_counts_are(client: httpx.AsyncClient, events: list[Item], transactions: list[Item]) -> None:
    """Of the hours and days in which the town's history was made: the genesis block is of another time."""
    begin, end = events[-1]["block_time"], transactions[0]["block_time"]
    late = (at(end) + timedelta(milliseconds=1)).isoformat()
    recent = [one for one in transactions if one["owner"] != ZERO]
    for by, digits in (("hour", 13), ("day", 10)):

        def start(item: Item, digits: int = digits) -> str:
            return f"{item['block_time'][:digits]:0<10}{'T00' if digits == 10 else ''}:00:00Z"

        asked = {"by": by, "since": begin, "until": late}
        answer = (await client.get("/analytics/transactions", params=asked)).json()
        signed = {(start(one), one["owner"]) for one in recent}
        assert [period["start"] for period in answer["periods"]] == sorted({start(one) for one in recent})
        for period in answer["periods"]:
            of = [one for one in recent if start(one) == period["start"]]
            assert (period["transactions"], period["failed"]) == (len(of), sum(not one["success"] for one in of))
            assert int(period["fee_sun"]) == sum(int(one["fee_sun"]) for one in of)
            assert period["energy_used"] == sum(one["energy_used"] for one in of)
            assert period["bandwidth_used"] == sum(one["bandwidth_used"] for one in of)
            active = sum(when == period["start"] for when, _ in signed)
            assert period["active_accounts"] == (active if by == "day" else None)
        expected = Counter((start(event), event["contract"], event["name"]) for event in events)
        counted = (await client.get("/analytics/events", params=asked)).json()
        found = {(one["start"], one["contract"], one["name"]): one["events"] for one in counted["periods"]}
        assert found == expected
        asked |= {"contract": "music-nft", "name": "Transfer"}
        only = (await client.get("/analytics/events", params=asked)).json()["periods"]
        assert {one["start"]: one["events"] for one in only} == {
            when: number for (when, *of), number in expected.items() if of == ["music-nft", "Transfer"]
        }
        assert answer["as_of"] == counted["as_of"]
    assert (await client.get("/analytics/transactions")).json()["by"] == "day"  # the last 30


async def test_questions_that_make_no_sense_are_problems(chain: Running, town: Any) -> None:
    bad_cursor = "WyJ4IiwieCJd"  # ["x","x"]
    async with chain.client("ada", "user") as client:
        await everything_shown(client, chain)
        for path, status in [
            ("/events?since=yesterday", 422),
            ("/events?since=1700000000", 422),
            ("/events?until=2026-01-01T00:00:00", 422),  # of which time zone?
            ("/events?address=T123", 422),
            ("/events?tx_id=12", 422),
            (f"/events?cursor={bad_cursor}", 400),
            ("/transactions?success=perhaps", 422),
            ("/transactions?method=%00", 422),
            (f"/token-holders?cursor={bad_cursor}", 400),
            ("/tracks?q=", 422),
            ("/tracks?q=%00", 422),
            ("/tracks?q=" + "a" * 201, 422),
            ("/tracks/999", 404),
            ("/tracks/x", 422),
            (f"/tracks/1/editions?cursor={bad_cursor}", 400),
            ("/tracks/1/editions?edition=-1", 422),
            ("/analytics/events?by=week", 422),
            ("/analytics/events?since=2026-01-02&until=2026-01-02", 422),
            ("/analytics/transactions?by=hour&since=2026-01-01&until=2026-02-01", 422),
        ]:
            answer = await client.get(path)
            assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), path
        assert (await client.get("/tracks", params={"q": '"unclosed OR -'})).status_code == 200
        until = datetime.now(UTC).isoformat()
        assert (await client.get("/analytics/events", params={"until": until})).status_code == 200
    async with chain.nobody() as nobody, chain.client("x", "stranger") as stranger:
        for path in ("/token-holders", "/tracks", "/tracks/1", "/tracks/1/editions", "/analytics/events"):
            assert (await nobody.get(path)).status_code == 401
            assert (await stranger.get(path)).status_code == 403
