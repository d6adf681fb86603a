"""Writes what follows from the services' code: AsyncAPI documents and .env.example. `generated.py [--check]`.

It is no part of a package, because it is the only place that may look into all services at once. The JSON Schemas of
the messages need no service: `python -m contracts.schemas`.
"""

import argparse
import importlib
import json
import sys
from collections.abc import Sequence
from importlib.metadata import entry_points
from pathlib import Path

from contracts import Message, message_types
from messaging import TopicSpec, asyncapi
from service.main import settings_class
from service.settings import ServiceSettings, env_example

ROOT = Path(__file__).resolve().parents[2]
ASYNCAPI = Path("contracts", "asyncapi")
GROUP = "annals.services"


def services() -> list[str]:
    """Returns the installed services, in the order of the documents."""
    return sorted(entry.name for entry in entry_points(group=GROUP))


def on_topics(topics: set[str]) -> list[type[Message]]:
    """Returns the messages of some topics."""
    return [cls for cls in message_types().values() if cls.topic in topics]


def asyncapi_text(service: str) -> str:
    """Returns the AsyncAPI document of what a service sends and receives; `chain` receives nothing from Kafka."""
    topics: Sequence[TopicSpec] = importlib.import_module(f"{service}.publish").TOPICS
    heard: Sequence[str] = getattr(importlib.import_module(f"{service}.handlers"), "TOPICS", ())
    document = asyncapi(service, on_topics({topic.name for topic in topics}), on_topics(set(heard)))
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def settings_of(service: str) -> type[ServiceSettings]:
    """Returns the settings that a service's `create` takes."""
    found: type[ServiceSettings] = settings_class(importlib.import_module(f"{service}.app").create)
    return found


def files() -> dict[Path, str]:
    """Returns what the generated files must contain, by their place in the repository."""
    documents = {ASYNCAPI / f"{service}.json": asyncapi_text(service) for service in services()}
    return documents | {Path(".env.example"): env_example(map(settings_of, services()))}


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
