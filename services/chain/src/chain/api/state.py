"""The contracts' state, and how far the chain was read."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from chain import queries
from chain.api import answers
from chain.api.parameters import User
from chain.fetch import Heights
from chain.projections import ContractState, TokenBalances
from service import Queries, Router, Tagged
from service.queries import Row
from tron.address import keccak256
from tron.errors import NodeError

ROLES = {"0" * 64: "DEFAULT_ADMIN_ROLE"} | {
    keccak256(name.encode()).hex(): name
    for name in (
        "MINTER_ROLE",
        "PAUSER_ROLE",
        "ARTIST_ROLE",
        "OFFICER_ROLE",
        "ANCHOR_ROLE",
        "REGISTRAR_ROLE",
        "PUBLISHER_ROLE",
    )
}


def routes(reads: Queries, heights: Heights) -> Router:
    """What is watched, and what is known of it."""
    router = Router(route_class=Tagged)

    @router.get("/status", summary="How far the chain was read")
    async def status(caller: User) -> answers.Status:
        done = await reads.first(queries.ingestion())
        node, head, solid = "ok", None, None
        try:
            head, solid = await heights.now()
        except NodeError as error:
            node = f"{type(error).__name__}: {error.problem}"[:300]
        last, time = done.get("last_block"), done.get("last_time")
        return answers.Status(
            node=node,
            head=head,
            solid=solid,
            ingested=last,
            lag_blocks=None if head is None or last is None else max(0, head - last),
            behind_solid_blocks=None if solid is None or last is None else max(0, solid - last),
            lag_seconds=None if time is None else max(0.0, (datetime.now(UTC) - time).total_seconds()),
            first_block=done.get("first_block"),
            transactions_recorded=done.get("scope"),
            **{name: done.get(name, 0) for name in ("blocks", "transactions", "events")},
        )

    @router.get("/contracts", summary="The watched contracts and their state")
    async def list_contracts(caller: User) -> answers.Contracts:
        parts = {
            "contracts": queries.contracts(),
            "roles": queries.roles(),
            "settings": queries.settings(),
            "supplies": queries.token_supply(),
            "minters": queries.minters(),
            "pools": queries.pools(),
        }
        found = await reads.first(queries.answer(ContractState, TokenBalances, **parts))
        contracts = [_contract(row, found) for row in found["contracts"]]
        return answers.Contracts(contracts=contracts, as_of=found["as_of"])

    return router


def _contract(row: Row, found: Row) -> answers.Contract:
    name = row["contract"]
    roles: dict[str, list[str]] = {}
    for held in found["roles"]:
        if held["contract"] == name:
            roles.setdefault(ROLES.get(held["role"]) or held["role"], []).append(held["account"])
    supplies = {supply["contract"]: supply["supply"] for supply in found["supplies"]}
    more: dict[str, Any] = {"supply": supplies.get(name)}
    if name == "dcmx-token":
        allowances = {minter["minter"]: minter["allowance"] for minter in found["minters"]}
        more["minters"] = {account: allowances.get(account, 0) for account in roles.get("MINTER_ROLE", [])}
    if name == "reward-vault":
        more["pools"] = found["pools"]
    settings = {setting["name"]: setting["value"] for setting in found["settings"] if setting["contract"] == name}
    return answers.Contract(**row, roles=roles, settings=settings, **more)
