"""The chain: how far it was read, its nodes, what is sent, the contracts."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping

from fastapi import Request
from fastapi.responses import Response

from console.observer import CHAIN, measures
from console.rendering import page
from console.services_api import ServicesApi
from console.sessions import Looking
from service import Router

BREAKER = {0: "closed", 1: "half-open", 2: "open"}


def routes(services: ServicesApi) -> Router:
    router = Router(include_in_schema=False)

    @router.get("/chain")
    async def chain(request: Request, operator: Looking) -> Response:
        measured, status, contracts = await asyncio.gather(
            measures(CHAIN), services.get(operator, CHAIN, "/status"), services.get(operator, CHAIN, "/contracts")
        )
        return page(
            request, operator, "chain", progress=status, contracts=contracts,
            providers=labelled(measured, "annals_chain_node_", "provider"),
            senders=labelled(measured, "annals_chain_sender_", "sender"),
            breaker=breaker(measured),
        )  # fmt: skip

    return router


def breaker(measured: Iterable[tuple[str, Mapping[str, str], float]]) -> str:
    """How the circuit breaker of the senders is."""
    values = (int(value) for name, _, value in measured if name == "annals_chain_sender_breaker")
    return BREAKER.get(next(values, -1), "not told of")


def labelled(
    measured: Iterable[tuple[str, Mapping[str, str], float]], prefix: str, label: str
) -> dict[str, dict[str, float]]:
    """Measures by the value of a label, named without their prefix; those of several kinds are added up."""
    found: dict[str, dict[str, float]] = {}
    for name, labels, value in measured:
        if name.startswith(prefix) and label in labels and not name.endswith("_created"):
            figures = found.setdefault(labels[label], {})
            figures[name.removeprefix(prefix)] = figures.get(name.removeprefix(prefix), 0.0) + value
    return found
