"""Routes of an API, each built once.

FastAPI builds a route when it is declared and again in every router that includes its router, and a request is matched
on each level; for a service of sixty routes that took most of its start. A `Router` only remembers what is declared.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, FastAPI


class Router(APIRouter):
    """FastAPI's router without prefix and dependencies of its own; what is declared on it waits for `serve_by`."""

    def __init__(self, **options: Any) -> None:
        """`options`: tags, route_class, include_in_schema."""
        super().__init__(**options)
        self._declared: list[tuple[str, Callable[..., Any], dict[str, Any]]] = []

    def add_api_route(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        """What `get`, `post` and so on come to."""
        options["route_class_override"] = options.get("route_class_override") or self.route_class
        options["include_in_schema"] = self.include_in_schema and options.get("include_in_schema", True)
        self._declare(path, endpoint, options)

    def include_router(self, router: APIRouter, **options: Any) -> None:
        """Add all that is declared on another `Router`; no later ones. TypeError for any other."""
        if not isinstance(router, Router) or options:
            raise TypeError("a service.Router includes only other service.Routers, and without options")
        for path, endpoint, options in router._declared:
            self._declare(path, endpoint, options)

    def serve_by(self, api: FastAPI) -> None:
        """Build the routes, in their order, as the application's own."""
        for path, endpoint, options in self._declared:
            api.router.add_api_route(path, endpoint, **options)

    def _declare(self, path: str, endpoint: Callable[..., Any], options: dict[str, Any]) -> None:
        self._declared.append((path, endpoint, {**options, "tags": [*self.tags, *(options.get("tags") or [])]}))
