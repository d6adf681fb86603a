"""What is held against what at the end: the log, the read models, the provisional topic, the audit's certificate."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import asyncpg
from aiokafka.admin import AIOKafkaAdminClient

from annals.demo.facts import canonical
from annals.demo.truth import Truth
from annals.directory import Directory
from contracts import message_class
from messaging.testing import eventually, read_all
from tron.client import NodeClient

HEAD = "chain.head"


async def everything_recorded(truth: Truth, node: NodeClient, chain: asyncpg.Pool, within: float) -> list[str]:
    """How the read models differ from the node's blocks; empty once they agree, which may take as long as `within`."""
    await truth.read(node)
    differences: list[str] = []

    async def none() -> bool:
        differences[:] = await truth.differences({"chain": chain})
        return not differences

    try:
        await eventually(none, within)
    except TimeoutError:
        return differences
    return []


async def log_differs(truth: Truth, chain: asyncpg.Pool) -> list[str]:
    """The first place in which the log, in its order, is not the chain's events in theirs; empty if there is none."""
    expected = [
        (number, index, block_hash, tx_id, contract, name, args)
        for (number, index), (block_hash, _, tx_id, contract, _, name, args) in sorted(
            truth.facts.rows["blockchain_events"].items()
        )
    ]
    sql = """SELECT data->'source' AS source, data->>'contract' AS contract, data->>'name' AS name, data->'args' AS args
             FROM events WHERE type = 'ContractEvent' ORDER BY position"""
    found = []
    async with chain.acquire() as connection, connection.transaction():
        async for row in connection.cursor(sql, prefetch=5_000):
            source = json.loads(row["source"])
            place = (source["block_number"], source["log_index"], source["block_hash"], source["tx_id"])
            found.append((*place, row["contract"], row["name"], canonical(json.loads(row["args"]))))
    if found == expected:
        return []
    pairs = enumerate(zip(found, expected, strict=False))
    at = next((number for number, (ours, theirs) in pairs if ours != theirs), min(len(found), len(expected)))
    return [
        f"the log has {len(found)} events, the chain {len(expected)}; the first that differs is number {at}: "
        f"expected {expected[at : at + 1]}, found {found[at : at + 1]}"
    ]


async def head_differs(bootstrap: str, truth: Truth) -> list[str] | None:
    """How `chain.head`, replayed with its retractions, is not the chain; None where there is no such topic."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        if HEAD not in await admin.list_topics():
            return None
    finally:
        await admin.close()
    blocks, problems = _replayed([_told(record) for record in await read_all(bootstrap, HEAD)])
    told = {number: (block_hash, logs) for number, block_hash, logs in blocks if number <= truth.upto}
    logs: dict[int, set[int]] = {number: set() for number in told}
    for (number, index), (_, _, _, contract, _, name, _) in truth.facts.rows["blockchain_events"].items():
        if number in logs and message_class(f"chain.{contract}.{name}.v1") is not None:
            logs[number].add(index)
    for number, (block_hash, provisional) in told.items():
        if block_hash != truth.heights[number][0]:
            problems.append(f"{HEAD}: block {number} is {block_hash}, expected {truth.heights[number][0]}")
        elif provisional != logs[number]:
            problems.append(f"{HEAD}: block {number} has the logs {provisional}, expected {logs[number]}")
    if not told or max(told) < truth.upto:
        problems.append(f"{HEAD}: ends at block {max(told, default=None)}, expected {truth.upto}")
    return problems


def _told(record: Any) -> tuple[str, dict[str, Any]]:
    return dict(record.headers)["ce_type"].decode(), json.loads(record.value)


def _replayed(messages: list[tuple[str, dict[str, Any]]]) -> tuple[list[tuple[int, str, set[int]]], list[str]]:
    """The blocks that stay, each with the indices of its events, and what does not link."""
    blocks: list[tuple[int, str, set[int]]] = []
    problems = []
    for kind, body in messages:
        number, block_hash = body["number"], body["hash"]
        if kind.startswith(f"{HEAD}.BlockRetracted"):
            if not blocks or blocks.pop()[:2] != (number, block_hash):
                problems.append(f"{HEAD}: block {number} {block_hash} was retracted and is not the newest")
            continue
        if not blocks or blocks[-1][1] != block_hash:  # else another part of the same block
            if blocks and blocks[-1][1] != body["parent"]:
                problems.append(f"{HEAD}: block {number} follows {body['parent']}, the newest is {blocks[-1][1]}")
            blocks.append((number, block_hash, set()))
        blocks[-1][2].update(event["data"]["source"]["log_index"] for event in body["events"])
    return blocks, problems


async def audited(directory: Directory, folder: Path) -> tuple[dict[str, Any] | None, list[str]]:
    """The certificate of an audit against the second provider, once `annals verify` has accepted it; what was wrong."""
    certificate = folder / "certificate.json"
    for command in (
        ("chain", "audit", "--against", "b", "--output", str(certificate)),
        ("verify", "--certificate", str(certificate)),
    ):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "annals", *command, "--stack", directory.name,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        said, _ = await process.communicate()
        if process.returncode:
            return None, [f"annals {' '.join(command[:2])}: {said.decode(errors='replace').strip()[-500:]}"]
    found: Mapping[str, Any] = json.loads(certificate.read_text())
    return {name: found[name] for name in ("first", "last", "logs", "root", "second_source")}, []
