"""The services as they run, but within the test's process and without workers; and the key that signs its tokens."""

from __future__ import annotations

import importlib
from importlib.metadata import entry_points
from typing import Any

from eventlog import EventLog, EventTypes, Watermark
from projections import Projection, Runner
from service import Service, configure_logs
from service.main import settings_class
from service.tokens import generate_keys

SERVICES = sorted(entry.name for entry in entry_points(group="annals.services"))
PRIVATE, PUBLIC = generate_keys()


def wired(name: str, **settings: Any) -> Service:
    """All that the service's `app.py` wires; nothing is connected yet."""
    create = importlib.import_module(f"{name}.app").create
    made = settings_class(create)(jwt_public_key=PUBLIC, log_level="error", **settings)
    configure_logs(made)
    service: Service = create(made)
    return service


def models(service: str) -> list[Projection]:
    """The read models of a service."""
    return list(importlib.import_module(f"{service}.projections").ALL)


async def make_read_models(service: Service) -> None:
    """Makes the tables, which a worker would."""
    assert service.pool is not None
    log = EventLog(service.pool, EventTypes(importlib.import_module(f"{service.name}.domain").EVENTS))
    await Runner(service.pool, log, Watermark(service.pool), models(service.name)).create_missing()
