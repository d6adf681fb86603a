"""Writes what follows from the code: AsyncAPI, .env.example, metrics, dashboards, who may call what. `[--check]`.

It is no part of a package, because it is the only place that may look into all services at once. The JSON Schemas of
the messages need no service: `python -m contracts.schemas`.
"""

import argparse
import asyncio
import importlib
import json
import sys
from collections.abc import Sequence
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path

from prometheus_client import Counter, Gauge, Histogram
from pydantic_settings import BaseSettings

from annals.backup import BackupSettings
from annals.services import programs
from contracts import Message, message_types
from dashboards import dashboards
from messaging import TopicSpec, asyncapi
from service.access import ROLES, Access, declared
from service.main import settings_class
from service.settings import ServiceSettings, env_example

ROOT = Path(__file__).resolve().parents[2]
ASYNCAPI = Path("contracts", "asyncapi")
METRICS = Path("docs", "metrics.md")
LIBRARIES = ("eventlog", "privacy", "projections", "messaging", "service", "annals.backup")
GROUP = "annals.services"
ACCESS = Path("docs", "access.md")
METRIC = Counter | Gauge | Histogram
METRICS_HEAD = """# Metrics

What `/metrics` of a service says, in Prometheus' format, beside what the Python client says of the process itself.
Generated from the code (`make schemas`). Counters and histograms begin at 0 with each process. Labels take only values
that the operator chose, so the number of series is bounded.

What somebody has to look at is in [alerts.yml](../infra/prometheus/alerts.yml), what to do then in
[runbooks.md](runbooks.md).
"""
ACCESS_HEAD = """# Who may call what

Every route of every service with the roles that it admits. Generated from what stands beside the routes
(`make schemas`; `annals auth routes` prints the same), so that a change of access shows in review. That exactly this
holds, and that forged, expired and foreign tokens are refused everywhere, is tested on every route.

- `yes`: whoever has the role.
- `own`: the caller's own records only; acting for oneself only.
- `purpose`: somebody's records, for a purpose that the header `Annals-Purpose` names. The read is put on record
  (`PersonalDataRead`, in the log of the service) before anything is shown.
- empty: 403.

A caller with several roles has in each route those that the route admits.

What the chain shows is everybody's: balances, sales, splits and payments of a track, claims in which we name nobody;
so are rankings, which name opaque ids. What we know beyond it is its person's: claims, totals, statements, earnings,
accounts and moves, also those under an address. Who has proven an address to compliance sees them as its own, as soon
as the service has heard of it.

The database holds to it, too: queries run as a role of their own, to which PostgreSQL shows, of the rows that are about
somebody, those that the request may show, whatever the query asks for. A user's are its own; the staff's are those of
whom the route has named, and so put on record; a route that is about nobody has none (`libs/service`, and
`tests/access/test_rows.py`, which tries it on every table).
"""


def services() -> list[str]:
    """Returns the installed services, in the order of the documents."""
    return sorted(entry.name for entry in entry_points(group=GROUP))


def on_topics(topics: set[str]) -> list[type[Message]]:
    """Returns the messages of some topics."""
    return [cls for cls in message_types().values() if cls.topic in topics]


def asyncapi_text(service: str) -> str:
    """Returns the AsyncAPI document of what a service sends and receives."""
    publish = importlib.import_module(f"{service}.publish")
    topics: Sequence[TopicSpec] = (*publish.TOPICS, *getattr(publish, "BESIDE_THE_LOG", ()))
    heard: Sequence[str] = getattr(importlib.import_module(f"{service}.handlers"), "TOPICS", ())
    document = asyncapi(service, on_topics({topic.name for topic in topics}), on_topics(set(heard)))
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def settings_of(service: str) -> type[ServiceSettings]:
    """Returns the settings that a service's `create` takes."""
    found: type[ServiceSettings] = settings_class(importlib.import_module(f"{service}.app").create)
    return found


def all_settings() -> list[type[BaseSettings]]:
    """Returns the settings of the services, of the programs beside them, and of backups."""
    return [*map(settings_of, services()), *(settings_class(create) for create in programs().values()), BackupSettings]


def metrics_text() -> str:
    """Returns the table of all metrics, by the package that defines them."""
    text = METRICS_HEAD
    for package in (*LIBRARIES, *services()):
        if find_spec(f"{package}.metrics") is None:
            continue
        found = [m for m in vars(importlib.import_module(f"{package}.metrics")).values() if isinstance(m, METRIC)]
        text += f"\n## {package}\n\n| metric | kind | labels | what it says |\n| --- | --- | --- | --- |\n"
        text += "".join(sorted(metric_row(metric) for metric in found))
    return text


def metric_row(metric: Counter | Gauge | Histogram) -> str:
    """Returns a metric's line of the table."""
    [family] = metric.describe()
    name = family.name + ("_total" if family.type == "counter" else "")
    labels = ", ".join(f"`{label}`" for label in metric._labelnames)  # the client shows them nowhere else
    return f"| `{name}` | {family.type} | {labels} | {family.documentation.rstrip('.')} |\n"


def access_text() -> str:
    """Returns the table of all routes and roles."""
    text = ACCESS_HEAD
    for service in services():
        found = asyncio.run(access_of(service))
        text += f"\n## {service}\n\n| route | {' | '.join(ROLES)} | what |\n| --- |{' --- |' * len(ROLES)} --- |\n"
        text += "".join(access_row(access) for access in found)
    return text


async def access_of(service: str) -> list[Access]:
    """Returns the access to each route of a service; wiring it needs an event loop and no server."""
    return declared(importlib.import_module(f"{service}.app").create(settings_of(service)()).api)


def access_row(access: Access) -> str:
    """Returns a route's line of the table."""
    cells = " | ".join(access.of(role) for role in ROLES)
    return f"| `{access.method} {access.path}` | {cells} | {access.summary} |\n"


def files() -> dict[Path, str]:
    """Returns what the generated files must contain, by their place in the repository."""
    documents = {ASYNCAPI / f"{service}.json": asyncapi_text(service) for service in services()}
    texts = {Path(".env.example"): env_example(all_settings()), METRICS: metrics_text()}
    return documents | texts | {ACCESS: access_text()} | dashboards(ROOT)


def main(argv: Sequence[str]) -> int:
    """Returns 0 if the files are right, now or already."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if the files differ")
    check: bool = parser.parse_args(argv).check
    wanted = files()
    orphans = {path.relative_to(ROOT) for path in (ROOT / ASYNCAPI).glob("*.json")} - wanted.keys()
    differing = [
        path for path, text in wanted.items() if not (ROOT / path).is_file() or (ROOT / path).read_text() != text
    ]
    for path in differing:
        print(f"{path}: {'differs from the code' if check else 'written'}")
        if not check:
            (ROOT / path).parent.mkdir(exist_ok=True)
            (ROOT / path).write_text(wanted[path])
    for path in sorted(orphans):
        print(f"{path}: belongs to no installed service; delete it, or install the service")
    if check and differing:
        print("`make schemas` writes them")
    return 1 if orphans or (check and differing) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
