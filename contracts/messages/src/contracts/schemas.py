"""`python -m contracts.schemas`: writes a JSON Schema for every public message, and refuses changes that break readers.

Topics keep every record for ever and services are released one by one. So a message of a type must be readable by
every release that knows the type, older or newer: it may gain optional fields, and nothing else. Any other change is
a new type version beside the old one.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import contracts

Schema = Mapping[str, Any]

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_EDITORIAL = {"$schema", "$id", "$defs", "title", "description", "examples"}
_LOWER_BOUNDS = ("minimum", "exclusiveMinimum", "minLength", "minItems")
_UPPER_BOUNDS = ("maximum", "exclusiveMaximum", "maxLength", "maxItems")
_COMPARED_APART = {"properties", "required", "type", "items", "anyOf", "enum", "const", *_LOWER_BOUNDS, *_UPPER_BOUNDS}


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
            changes = list(_compare(_resolved(old[name], old[name]), _resolved(new[name], new[name]), ""))
            found += [Difference(name, sentence, breaking) for sentence, breaking in changes]
            if not changes:
                found.append(Difference(name, "only titles or descriptions changed", False))
    return found


def text(schema: Schema) -> str:
    """The one form in which a schema is written: fields in their declared order, a newline at the end."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def main(argv: Sequence[str]) -> int:
    """Writes or checks the files. Returns 0 if they are (now) right, 1 if not, 2 if there is no place for them."""
    parser = argparse.ArgumentParser(prog="python -m contracts.schemas", description="JSON Schemas of the messages.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if the files differ")
    parser.add_argument(
        "--directory", type=Path, default=Path("contracts/schemas"), help="where (default: %(default)s)"
    )
    arguments = parser.parse_args(argv)
    directory: Path = arguments.directory
    if not directory.parent.is_dir():
        print(f"{directory.parent}: no such directory; run this where the repository is, or say --directory")
        return 2

    wanted = {name: text(schema) for name, schema in schemas().items()}
    found = {path.name.removesuffix(".json"): path.read_text() for path in sorted(directory.glob("*.json"))}
    differences = compare(
        {name: json.loads(content) for name, content in found.items()},
        {name: json.loads(content) for name, content in wanted.items()},
    )
    for difference in differences:
        print(difference)
    if any(difference.breaking for difference in differences):
        print(f"Nothing was written: give the changed message a new type version beside the old one ({_HOW}).")
        return 1
    stale = [name for name in wanted if found.get(name) != wanted[name]]
    if arguments.check:
        print(f"{len(stale)} of {len(wanted)} schemas differ; `make schemas` writes them" if stale else _count(wanted))
        return 1 if stale else 0
    directory.mkdir(exist_ok=True)
    for name in stale:
        (directory / f"{name}.json").write_text(wanted[name])
    print(f"{_count(wanted)}, {len(stale)} written")
    return 0


_HOW = "README.md of contracts/messages"


def _count(wanted: Mapping[str, str]) -> str:
    return f"{len(wanted)} schemas of public messages"


def _resolved(node: Any, root: Schema) -> Any:
    """The schema without references, titles and descriptions: what decides whether a record is accepted."""
    if isinstance(node, list):
        return [_resolved(item, root) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        target = root["$defs"][node["$ref"].removeprefix("#/$defs/")]
        node = target | {key: value for key, value in node.items() if key != "$ref"}
    return {
        key: {name: _resolved(field, root) for name, field in value.items()}
        if key == "properties"  # whose keys are names of fields, also fields named `title`
        else _resolved(value, root)
        for key, value in node.items()
        if key not in _EDITORIAL
    }


Change = tuple[str, bool]
"""A sentence, and whether it is breaking."""


def _compare(old: Schema, new: Schema, path: str) -> Iterator[Change]:
    if old == new:
        return
    name = f"field {path}" if path else "the message"
    if old.get("type") != new.get("type") or len(old.get("anyOf", ())) != len(new.get("anyOf", ())):
        yield f"{name} was retyped from {_kind(old)} to {_kind(new)}", True
        return
    yield from _fields(old, new, path)
    yield from _values(old, new, name)
    if "items" in old and "items" in new:
        yield from _compare(old["items"], new["items"], f"{path}[]")
    for one, other in zip(old.get("anyOf", ()), new.get("anyOf", ()), strict=True):
        yield from _compare(one, other, path)
    for keyword in sorted((old.keys() | new.keys()) - _COMPARED_APART):
        if old.get(keyword) != new.get(keyword):
            yield f"{name} changed its {keyword} from {_shown(old, keyword)} to {_shown(new, keyword)}", True


def _fields(old: Schema, new: Schema, path: str) -> Iterator[Change]:
    before, after = old.get("properties", {}), new.get("properties", {})
    was_required, is_required = set(old.get("required", ())), set(new.get("required", ()))
    for field in [*before, *(field for field in after if field not in before)]:
        where = f"{path}.{field}" if path else field
        if field not in after:
            yield f"field {where} was removed", True
        elif field not in before:
            if field in is_required:
                yield f"field {where} is new and required, but records without it exist", True
            else:
                yield f"field {where} is new and optional", False
        else:
            if field in is_required - was_required:
                yield f"field {where} is newly required, but records without it exist", True
            if field in was_required - is_required:
                yield f"field {where} became optional, but readers of today require it", True
            yield from _compare(before[field], after[field], where)


def _values(old: Schema, new: Schema, name: str) -> Iterator[Change]:
    before, after = _allowed(old), _allowed(new)
    if before != after:
        if before is None or (after is not None and before - after):
            lost = "values outside its new list" if before is None else _listed(before - (after or set()))
            yield f"{name} was narrowed: {lost} no longer allowed", True
        if after is None or (before is not None and after - before):
            gained = "any value" if after is None else _listed(after - (before or set()))
            yield f"{name} was widened: {gained} now allowed, which readers of today refuse", True
    for bounds, narrower_when_greater in ((_LOWER_BOUNDS, True), (_UPPER_BOUNDS, False)):
        for bound in bounds:
            if old.get(bound) == new.get(bound):
                continue
            if bound not in old or bound not in new:
                narrowed = bound in new
            else:
                narrowed = (new[bound] > old[bound]) is narrower_when_greater
            change = "narrowed" if narrowed else "widened"
            yield f"{name} was {change}: {bound} from {_shown(old, bound)} to {_shown(new, bound)}", True


def _allowed(schema: Schema) -> set[str] | None:
    if "const" in schema:
        return {json.dumps(schema["const"])}
    return {json.dumps(value) for value in schema["enum"]} if "enum" in schema else None


def _listed(values: set[str]) -> str:
    return f"{', '.join(sorted(values))} {'is' if len(values) == 1 else 'are'}"


def _kind(schema: Schema) -> str:
    if "anyOf" in schema:
        return " or ".join(_kind(option) for option in schema["anyOf"])
    return str(schema.get("type", "anything"))


def _shown(schema: Schema, keyword: str) -> str:
    return json.dumps(schema[keyword], ensure_ascii=False) if keyword in schema else "none"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
