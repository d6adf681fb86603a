"""`python -m contracts.schemas`: writes a JSON Schema for every public message, and refuses changes that break readers.

The classes are compared with the committed files and with every version of these that was ever published
(`contracts.history`): what breaks is a new type version beside the old one. `contracts.compatibility` has the rules.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import contracts
from contracts.compatibility import Schema, changes
from contracts.history import published

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_AS = ", as published"


@dataclass(frozen=True, slots=True)
class Difference:
    """What changed in one message, in a sentence that names it; `breaking` when some reader would refuse a record."""

    message: str
    sentence: str
    breaking: bool

    def __str__(self) -> str:
        return f"{'breaking' if self.breaking else 'compatible'}: {self.message}: {self.sentence}"


def schemas() -> dict[str, Schema]:
    """The JSON Schema of what is on the wire, for every public message, by its type."""
    return {
        name: {"$schema": _DIALECT, "$id": f"urn:annals:{name}"} | cls.model_json_schema(mode="validation")
        for name, cls in contracts.message_types().items()
    }


def compare(old: Mapping[str, Schema], new: Mapping[str, Schema]) -> list[Difference]:
    """Every difference between two sets of schemas by type, in the order of the types; [] when they are equal."""
    found = []
    for name in sorted(old.keys() | new.keys()):
        if name not in new:
            found.append(Difference(name, "the message was removed, but its records stay in the topic", True))
        elif name not in old:
            found.append(Difference(name, "the message is new", False))
        elif old[name] != new[name]:
            said = changes(old[name], new[name])
            found += [Difference(name, change.sentence, change.breaking) for change in said]
            if not said:
                found.append(Difference(name, "only titles or descriptions changed", False))
    return found


def text(schema: Schema) -> str:
    """The one form in which a schema is written: fields in their declared order, a newline at the end."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def main(argv: Sequence[str]) -> int:
    """Writes or checks the files. Returns 0 if they are (now) right, 1 if not, 2 if there is no place for them."""
    arguments = _arguments(argv)
    directory: Path = arguments.directory
    if not directory.parent.is_dir():
        print(f"{directory.parent}: no such directory; run this where the repository is, or say --directory")
        return 2

    gate = Gate(directory)
    for difference in gate.differences:
        print(gate.told(difference))
    if gate.breaks and arguments.accept_breaking:
        gate.accept(arguments.accept_breaking)
    elif gate.breaks:
        print("Nothing was written. README.md of contracts/messages says what may change, and how.")
        return 1
    return gate.check() if arguments.check else gate.write()


class Gate:
    """The classes of this release held against the files in `directory`, and against all versions published."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._wanted = schemas()
        self._found = {path.name.removesuffix(".json"): path.read_text() for path in sorted(directory.glob("*.json"))}
        self._accepted_file = directory.parent / "accepted-breaks.json"
        self._accepted = json.loads(self._accepted_file.read_text()) if self._accepted_file.is_file() else []
        self._history = published(directory if directory.is_dir() else directory.parent)

        given_up = {(item["message"], item["schema"]) for item in self._accepted}
        self.breaks: list[tuple[str, str]] = []
        """Messages and the digests of those of their earlier schemas that the classes break; accepted ones are not."""
        self.differences: list[Difference] = []
        for name, schema, since in self._earlier():
            new = {name: self._wanted[name]} if name in self._wanted else {}
            differences = compare({name: schema}, new)
            if not any(difference.breaking for difference in differences):
                self.differences += differences if since is None else []
            elif (key := (name, _digest(schema))) not in given_up:
                self.breaks.append(key)
                self._tell(differences, since)
        self.differences += compare({}, {name: new for name, new in self._wanted.items() if name not in self._found})

    def told(self, difference: Difference) -> str:
        """The difference in a sentence; if it breaks something, with who is hurt and what to do instead."""
        if not difference.breaking:
            return str(difference)
        consumers = ", ".join(self._consumers(difference.message)) or "no service here, others may"
        gone = difference.message not in self._wanted
        advice = "Keep its class" if gone else f"Publish {self._next(difference.message)} beside it instead"
        return f"{difference}; consumed by {consumers}. {advice}."

    def check(self) -> int:
        """Says which files are not those of the classes. Returns 1 if there are any."""
        if stale := self._stale():
            print(f"{len(stale)} of {len(self._wanted)} schemas differ: commit what `make schemas` writes")
            return 1
        print(self._compared())
        return 0

    def write(self) -> int:
        """Writes the files that differ from the classes, and deletes those of no class. Returns 0."""
        self._directory.mkdir(exist_ok=True)
        stale = self._stale()
        for name in stale:
            (self._directory / f"{name}.json").write_text(text(self._wanted[name]))
        for name in self._found.keys() - self._wanted.keys():
            (self._directory / f"{name}.json").unlink()
        print(f"{self._compared()}; {len(stale)} written")
        return 0

    def accept(self, why: str) -> None:
        """Records, for the review to see, that nobody needs to read these schemas any more."""
        self._accepted += [{"message": name, "schema": digest, "why": why} for name, digest in self.breaks]
        self._accepted_file.write_text(json.dumps(self._accepted, indent=2, ensure_ascii=False) + "\n")
        print(f"{self._accepted_file}: {len(self.breaks)} accepted: {why}")

    def _earlier(self) -> Iterator[tuple[str, Schema, str | None]]:
        """Message, schema and commit of all there was, each schema once; the files first, without a commit."""
        seen = set()
        files = [(name, json.loads(content), None) for name, content in self._found.items()]
        versions = [(version.message, version.schema, version.commit) for version in self._history.versions]
        for name, schema, since in [*files, *versions]:
            if (key := (name, _digest(schema))) not in seen:
                seen.add(key)
                yield name, schema, since

    def _tell(self, differences: Iterable[Difference], since: str | None) -> None:
        """Adds what has not been said yet: the same change breaks many versions."""
        said = {(known.message, known.sentence.partition(_AS)[0]) for known in self.differences}
        for difference in differences:
            if since is None:
                self.differences.append(difference)
            elif difference.breaking and (difference.message, difference.sentence) not in said:
                sentence = f"{difference.sentence}{_AS} in {since}"
                self.differences.append(Difference(difference.message, sentence, True))

    def _stale(self) -> list[str]:
        return [name for name, schema in self._wanted.items() if self._found.get(name) != text(schema)] + [
            name for name in self._found if name not in self._wanted
        ]

    def _compared(self) -> str:
        published = f"{len(self._history.versions)} published versions"
        gap = f" (not all there may be: {self._history.gap})" if self._history.gap else ""
        return f"{len(self._wanted)} schemas of public messages, compared with their files and {published}{gap}"

    def _consumers(self, message: str) -> list[str]:
        """The services that subscribe to the topic of a message, by their AsyncAPI documents."""
        topic = message.rsplit(".", 2)[0]
        documents = sorted((self._directory.parent / "asyncapi").glob("*.json"))
        return [path.stem for path in documents if f"receive:{topic}" in json.loads(path.read_text())["operations"]]

    def _next(self, message: str) -> str:
        name = message.rpartition(".v")[0]
        known = {*self._wanted, *(earlier for earlier, _, _ in self._earlier())}
        versions = [int(other.rpartition(".v")[2]) for other in known if other.rpartition(".v")[0] == name]
        return f"{name}.v{max(versions) + 1}"


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m contracts.schemas", description="JSON Schemas of the messages.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if the files differ")
    parser.add_argument(
        "--directory", type=Path, default=Path("contracts/schemas"), help="where (default: %(default)s)"
    )
    parser.add_argument(
        "--accept-breaking",
        metavar="WHY",
        help="write breaking changes, too, and record why that hurts nobody, such as 'v1 was never deployed'",
    )
    arguments = parser.parse_args(argv)
    if arguments.check and arguments.accept_breaking:
        parser.error("--check writes nothing, so it cannot accept anything")
    return arguments


def _digest(schema: Schema) -> str:
    return hashlib.sha256(text(schema).encode()).hexdigest()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
