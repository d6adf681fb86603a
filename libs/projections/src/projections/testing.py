"""For tests of services: read models are disposable."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from eventlog import EventLog, Watermark
from projections.compare import Comparison
from projections.projection import Projection
from projections.rebuild import rebuild


async def rebuilt_alike(
    log: EventLog, models: Iterable[Projection], may_be_empty: Collection[str] = ()
) -> list[Comparison]:
    """Rebuilds read models and checks that all their rows are those that were there; returns how each compares.

    A table without rows would prove nothing: none may be empty, except those of the models named in `may_be_empty`.
    """
    compared = []
    for model in models:
        comparison = (await rebuild(log.pool, log, Watermark(log.pool), model, compare=True)).comparison
        assert comparison is not None
        assert comparison.equal, f"{model.name}: {comparison}"
        assert model.name in may_be_empty or all(table.first_rows > 0 for table in comparison.tables), str(comparison)
        compared.append(comparison)
    return compared
