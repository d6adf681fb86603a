from __future__ import annotations

from typing import Any

from chain_shown import everything_shown, pages

from chain import projections
from chain.app import create
from chain.domain import CURSOR, EVENTS, ZERO
from chain.publish import TOPICS
from eventlog import EventLog, EventTypes
from messaging.testing import delete_topics, eventually, read_all
from projections.testing import rebuilt_alike
from service.testing import Running, serving
from tron.address import hex41
from tron.client import NodeClient
from tron.contracts import DCMXToken, MusicNFT
from tron.sender import Sender


async def test_balances_and_owners_are_the_nodes_own(chain: Running, town: Any, node: NodeClient) -> None:
    token, nft, sender = DCMXToken(town.at.token), MusicNFT(town.at.nft), Sender(node)
    owned: dict[str, list[int]] = {}
    async with chain.client("ada", "user") as client:
        status = await everything_shown(client, chain)
        for address in town.addresses:
            account = await node.request("walletsolidity/getaccount", {"address": hex41(address)})
            found = (await client.get(f"/balances/{address}")).json()
            assert found["trx_sun"] == str(account.get("balance", 0)), address
            assert found["dcmx"] == str(await sender.read(token.balance_of(address)))
            assert found["nfts"] == await sender.read(nft.balance_of(address))
            nfts = await pages(client, "/nfts", owner=address, limit=3)
            owned[address] = [int(item["token_id"]) for item in nfts]
            assert len(nfts) == found["nfts"]
            assert owned[address] == sorted(owned[address])
        for owner, token_ids in owned.items():
            for token_id in token_ids:
                assert await sender.read(nft.owner_of(token_id)) == owner
        assert sum(len(token_ids) for token_ids in owned.values()) == 36
        one = (await client.get("/nfts/1000002")).json()
        assert (one["track_id"], one["edition"], one["owner"]) == ("1", 2, town.keys[13].address)
        assert (await client.get(f"/transactions/{one['last_tx_id']}")).json()["method"] == "buy"
        contracts = {item["contract"]: item for item in (await client.get("/contracts")).json()["contracts"]}
        assert contracts["dcmx-token"]["supply"] == str(await sender.read(token.total_supply()))
        assert contracts["reward-vault"]["paused"]
        assert not contracts["dcmx-token"]["paused"]
        assert contracts["music-nft"]["roles"]["ARTIST_ROLE"] == sorted(
            key.address for key in (town.keys[1], town.keys[3])
        )
    assert status["node"] == "ok"
    assert status["lag_blocks"] == status["head"] - status["ingested"] == 3
    assert (status["first_block"], status["transactions_recorded"]) == (0, "all")
    assert status["blocks"] == status["ingested"] + 1
    assert status["lag_seconds"] >= 0


async def test_events_are_filtered_and_paged_and_lead_to_their_transaction(chain: Running, town: Any) -> None:
    async with chain.client("ada", "user") as client:
        await everything_shown(client, chain)
        everything = await pages(client, "/events", limit=100)
        places = [(event["block_number"], event["log_index"]) for event in everything]
        assert places == sorted(set(places), reverse=True)
        sales = await pages(client, "/events", contract="music-nft", name="PrimarySale", limit=7)
        assert sales == [e for e in everything if (e["contract"], e["name"]) == ("music-nft", "PrimarySale")]
        assert len(sales) == 32
        low, high = places[len(places) // 2][0], places[len(places) // 3][0]
        some = await pages(client, "/events", first_block=low, last_block=high, limit=50)
        assert some == [e for e in everything if low <= e["block_number"] <= high]

        sale = next(e for e in everything if e["name"] == "SecondarySale")
        detail = (await client.get(f"/transactions/{sale['tx_id']}")).json()
        assert (detail["contract"], detail["method"], detail["success"]) == ("music-nft", "buy", True)
        assert sale in detail["events"]
        assert detail["call_value_sun"] == sale["args"]["price_sun"] == "5000003"
        assert (detail["block_number"], detail["block_hash"]) == (sale["block_number"], sale["block_hash"])

        own = await pages(client, "/transactions", address=town.keys[4].address, limit=5)
        order = [(found["block_number"], found["index_in_block"]) for found in own]
        assert order == sorted(set(order), reverse=True)
        assert all(town.keys[4].address in (found["owner"], found["to"]) for found in own)
        failed = [found for found in own if not found["success"]]
        assert failed
        assert all(found["result"] == "REVERT" and int(found["fee_sun"]) > 0 for found in failed)
        assert await pages(client, "/undecoded-logs") == []
        assert await pages(client, "/transactions", address=ZERO) == []


async def test_each_topic_holds_every_public_event_once_and_in_order(chain: Running, kafka: str) -> None:
    async with chain.client("ada", "user") as client:
        await everything_shown(client, chain)
    pool = chain.pool
    log = EventLog(pool, EventTypes(EVENTS))
    expected: dict[str, list[str]] = {}
    for recorded in await log.read(0, 10**9, limit=100_000, types=["ContractEvent", "BlocksIngested"]):
        event = recorded.event
        if recorded.stream == CURSOR:
            expected.setdefault(CURSOR, []).append(str(recorded.event_id))
            continue
        private = event.name == "ApprovalForAll" or recorded.stream.endswith("/admin")
        if not private and (event.contract, event.name) != ("music-nft", "Approval"):
            expected.setdefault(recorded.stream, []).append(str(recorded.event_id))

    async def told() -> bool:
        found: dict[str, list[str]] = {}
        for topic in TOPICS:
            for record in await read_all(kafka, topic.name):
                assert record.key is not None
                key = record.key.decode()
                assert topic.name == ("chain.blocks" if key == CURSOR else f"chain.{key.split('/')[0]}")
                found.setdefault(key, []).append(dict(record.headers)["ce_id"].decode())
        assert all(expected[key][: len(ids)] == ids for key, ids in found.items())
        return found == expected

    await eventually(told)


async def test_live_rows_equal_rebuilt_rows(chain: Running) -> None:
    async with chain.client("ada", "user") as client:
        await everything_shown(client, chain)
    pool = chain.pool
    await rebuilt_alike(EventLog(pool, EventTypes(EVENTS)), projections.ALL, ("undecoded_logs", "operations"))


async def test_nobody_reads_without_a_token_and_bad_questions_are_problems(chain: Running, town: Any) -> None:
    paths = ["/status", "/events", "/contracts", f"/balances/{ZERO}", "/nfts/1", f"/transactions/{'0' * 64}"]
    async with chain.nobody() as nobody, chain.client("x", "stranger") as stranger:
        for path in [*paths, f"/transactions?address={ZERO}", f"/nfts?owner={ZERO}", "/undecoded-logs"]:
            assert (await nobody.get(path)).status_code == 401
            assert (await nobody.get(path, headers={"authorization": "Bearer for.ge.d"})).status_code == 401
            assert (await stranger.get(path)).status_code == 403
    async with chain.client("ada", "user") as client:
        await everything_shown(client, chain)
        for path, status in [
            ("/balances/T123", 422),
            (f"/balances/{ZERO[:-1]}x", 422),
            ("/transactions/xyz", 422),
            (f"/transactions/{'0' * 64}", 404),
            ("/nfts/999", 404),
            ("/nfts/-1", 422),
            ("/nfts/" + "9" * 78, 404),
            ("/events?cursor=zzz", 400),
            ("/events?limit=0", 422),
            ("/events?first_block=-1", 422),
            ("/events?contract=%00", 422),
            (f"/nfts?owner={ZERO}&cursor=WyJ4Il0=", 400),
        ]:
            answer = await client.get(path)
            assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), path


async def test_the_service_says_that_it_is_ready_and_how_it_is_doing(chain: Running) -> None:
    async with chain.nobody() as client:

        async def ready() -> bool:
            return (await client.get("/ready")).status_code == 200

        await eventually(ready)
        workers = (await client.get("/health")).json()["workers"]
        assert workers["ingester"] == "running"
        text = (await client.get("/metrics")).text
        for name in ("head_block", "solid_block", "ingested_block", "lag_blocks", "lag_seconds", "node_requests"):
            assert f"annals_chain_{name} " in text


async def test_logs_that_mean_nothing_to_the_abi_are_shown_raw(town: Any, database: str, kafka: str) -> None:
    await delete_topics(kafka)
    mixed_up = f'{{"reward-vault": "{town.contracts["dcmx-token"]}"}}'  # the token's logs, read with another ABI
    async with (
        serving(create, database, kafka, node_url=town.url, contracts=mixed_up) as running,
        running.client("ada", "user") as client,
    ):
        await everything_shown(client, running)
        raw = await pages(client, "/undecoded-logs", limit=100)
        known = {event["name"] for event in await pages(client, "/events", limit=100)}
        assert known == {"RoleGranted", "RoleRevoked", "Paused", "Unpaused"}
        assert len(raw) > 150
        assert all("unknown event" in log["reason"] and log["topics"] for log in raw)
        (contract,) = (await client.get("/contracts")).json()["contracts"]
        assert contract["undecoded"] == len(raw)
