"""What of a log is anchored on the chain: the registry's topic tells which seals, the contract with what hashes."""

from __future__ import annotations

from typing import Any

from annals.errors import UnknownName
from annals.services import find
from contracts import chain
from contracts.audit import log_id
from messaging import cloudevents
from messaging.reading import reading
from tron.client import NodeClient
from tron.contracts import ComplianceRegistry
from tron.sender import Sender

CONTRACT = "compliance-registry"
_TYPE = ("ce_type", chain.RootAnchored.type.encode())


async def anchored(name: str) -> dict[int, bytes]:
    """The hashes that ComplianceRegistry holds of the seals of a service's log, by number, as of the last solid block.

    A seal that the topic tells of and the contract does not know has a hash of zeros. Raises UnknownName where the
    settings of the chain service name no registry.
    """
    settings: Any = find("chain").settings()
    if CONTRACT not in settings.watched:
        raise UnknownName(f"CHAIN_CONTRACTS: expected the address of {CONTRACT}, found none")
    log, registry = log_id(name), ComplianceRegistry(settings.watched[CONTRACT])
    told = await _told(settings.kafka_options(), log)
    async with NodeClient(settings.node_url, api_key=_secret(settings.api_key)) as node:
        sender = Sender(node)
        roots = {number: await sender.read(registry.roots(log, number), solid=True) for number in told}
    return {number: bytes.fromhex(root.removeprefix("0x")) for number, root in roots.items()}


def _secret(key: Any) -> str | None:
    return key.get_secret_value() if key else None


async def _told(kafka: Any, log: str) -> list[int]:
    """The numbers of the seals that were anchored, in order."""
    numbers = set()
    async with reading(kafka, [chain.RootAnchored.topic]) as reader:
        for partition in reader.extents:
            async for records in reader.records(partition):
                for message in (cloudevents.decode(record).message for record in records if _TYPE in record.headers):
                    if isinstance(message, chain.RootAnchored) and message.log_id == log:
                        numbers.add(message.segment)
    return sorted(numbers)
