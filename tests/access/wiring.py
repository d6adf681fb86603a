"""The services as they run, but within the test's process and without workers; and the key that signs its tokens."""

from __future__ import annotations

import importlib
from typing import Any

from service import Service, configure_logs
from service.main import settings_class
from service.tokens import generate_keys

SERVICES = ["chain", "compliance", "rewards", "royalties"]
PRIVATE, PUBLIC = generate_keys()


def wired(name: str, **settings: Any) -> Service:
    """All that the service's `app.py` wires; nothing is connected yet."""
    create = importlib.import_module(f"{name}.app").create
    made = settings_class(create)(jwt_public_key=PUBLIC, log_level="error", **settings)
    configure_logs(made)
    service: Service = create(made)
    return service
