"""Tells a compatible change of a message's JSON Schema from a breaking one, in a sentence that names the field.

Topics keep every record for ever and services are released one by one: every release that knows a type reads records
of every other. So a change is compatible only if both hold, and both readers see the same in the fields they share:

- what was written under the old schema is valid under the new one (a new release reads the past), and
- what is written under the new schema is valid under the old one (a release of today reads the future).

What is left is a new optional field, and words. Whatever this module doesn't understand, it calls breaking.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

Schema = Mapping[str, Any]

_WORDS = {"$schema", "$id", "$defs", "title", "description", "examples", "deprecated"}
_LOWER_BOUNDS = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_UPPER_BOUNDS = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
_UNIONS = ("anyOf", "oneOf")
_COMPARED_APART = {
    *_WORDS, *_LOWER_BOUNDS, *_UPPER_BOUNDS, *_UNIONS,
    "$ref", "properties", "required", "type", "prefixItems", "enum", "const", "discriminator",
}  # fmt: skip
_DEEPER = {"items": "[]", "additionalProperties": "{}"}
_JSON_TYPES = frozenset({"null", "boolean", "integer", "number", "string", "array", "object"})


@dataclass(frozen=True, slots=True)
class Change:
    """One change in a sentence such as "field amount was removed"; `breaking` when some reader would be wronged."""

    sentence: str
    breaking: bool


def changes(old: Schema, new: Schema) -> list[Change]:
    """Every change from one schema of a message to another, in the order of its fields; [] when only words changed."""
    return list(_Comparison(old, new).of(old, new, ""))


@dataclass(frozen=True, slots=True)
class _Comparison:
    """Of two schemas, each with definitions of its own."""

    old_root: Schema
    new_root: Schema
    open: set[tuple[str, str]] = field(default_factory=set)
    """Pairs of definitions being compared: met again below themselves, they have nothing to add."""

    def of(self, old: Schema, new: Schema, path: str) -> Iterator[Change]:
        pair = (old.get("$ref", ""), new.get("$ref", ""))
        if all(pair) and pair in self.open:
            return
        with self._opened(pair):
            old, new = _resolved(old, self.old_root), _resolved(new, self.new_root)
            options = _options(old), _options(new)
            name = f"field {path}" if path else "the message"
            if options == (None, None):
                yield from self._node(old, new, path, name)
            else:
                yield from self._union(old, new, path, name)
            yield from self._keywords(old, new, name)

    @contextmanager
    def _opened(self, pair: tuple[str, str]) -> Iterator[None]:
        self.open.add(pair)
        try:
            yield
        finally:
            self.open.discard(pair)

    def _node(self, old: Schema, new: Schema, path: str, name: str) -> Iterator[Change]:
        if old.get("type") != new.get("type"):
            yield _retyped(name, old, new)
            return
        yield from self._fields(old, new, path)
        yield from _values(old, new, name)
        yield from _bounds(old, new, name)
        for keyword, step in _DEEPER.items():
            one, other = old.get(keyword), new.get(keyword)
            if isinstance(one, dict) and isinstance(other, dict):
                yield from self.of(one, other, path + step)
        before, after = old.get("prefixItems", ()), new.get("prefixItems", ())
        if len(before) != len(after):
            yield Change(f"{name} changed its length from {len(before)} to {len(after)} items", True)
            return
        for index, (one, other) in enumerate(zip(before, after, strict=True)):
            yield from self.of(one, other, f"{path}[{index}]")

    def _fields(self, old: Schema, new: Schema, path: str) -> Iterator[Change]:
        before, after = old.get("properties", {}), new.get("properties", {})
        was_required, is_required = set(old.get("required", ())), set(new.get("required", ()))
        for name in [*before, *(name for name in after if name not in before)]:
            where = f"{path}.{name}" if path else name
            if name not in after:
                yield Change(f"field {where} was removed", True)
            elif name not in before:
                yield _new_field(where, required=name in is_required, refused=old.get("additionalProperties") is False)
            else:
                if name in is_required - was_required:
                    yield Change(f"field {where} is newly required, but records without it exist", True)
                if name in was_required - is_required:
                    yield Change(f"field {where} became optional, but readers of today require it", True)
                yield from self.of(before[name], after[name], where)

    def _union(self, old: Schema, new: Schema, path: str, name: str) -> Iterator[Change]:
        """Options are told apart by their tag or JSON type; where neither does, nothing may change at all."""
        before, after = self._told_apart(old, self.old_root), self._told_apart(new, self.new_root)
        if before is None or after is None:
            if _expanded(old, self.old_root) != _expanded(new, self.new_root):
                yield Change(f"{name} changed a union whose options overlap: readers may take one for another", True)
        elif before.keys() != after.keys():
            yield _retyped(name, old, new)
        else:
            for option in before:
                yield from self.of(before[option], after[option], path)

    def _keywords(self, old: Schema, new: Schema, name: str) -> Iterator[Change]:
        """All else, such as pattern, format and default: a change of it breaks, whatever it may be."""
        for keyword in sorted((old.keys() | new.keys()) - _COMPARED_APART):
            one, other = old.get(keyword), new.get(keyword)
            if keyword in _DEEPER and isinstance(one, dict) and isinstance(other, dict):
                continue
            before, after = _shown(old, keyword, self.old_root), _shown(new, keyword, self.new_root)
            if before != after:
                yield Change(f"{name} changed its {keyword} from {before} to {after}", True)

    def _told_apart(self, schema: Schema, root: Schema) -> dict[str, Schema] | None:
        """The options by what tells a reader which one it has: the tag or else the JSON type."""
        tags = schema.get("discriminator", {}).get("mapping")
        if tags is not None:
            return {tag: {"$ref": ref} for tag, ref in tags.items()}
        options = [(_types(_resolved(option, root)), option) for option in _options(schema) or [schema]]
        if any(one & other for (one, _), (other, _) in combinations(options, 2)):
            return None
        return {" or ".join(sorted(types)): option for types, option in options}


def _resolved(schema: Schema, root: Schema) -> Schema:
    """The schema with the definition that it refers to; what stands beside the reference is added."""
    while "$ref" in schema:
        beside = {key: value for key, value in schema.items() if key != "$ref"}
        schema = root["$defs"][schema["$ref"].removeprefix("#/$defs/")] | beside
    return schema


def _expanded(node: Any, root: Schema, inside: frozenset[str] = frozenset()) -> Any:
    """Without references and words; a definition inside itself stays a reference."""
    if isinstance(node, list):
        return [_expanded(item, root, inside) for item in node]
    if not isinstance(node, dict):
        return node
    if (ref := node.get("$ref")) is not None:
        if ref in inside:
            return {"$ref": ref}
        node, inside = _resolved(node, root), inside | {ref}
    return {
        key: {name: _expanded(schema, root, inside) for name, schema in value.items()}
        if key == "properties"  # whose keys are names of fields, also fields named `title`
        else _expanded(value, root, inside)
        for key, value in node.items()
        if key not in _WORDS
    }


def _options(schema: Schema) -> list[Schema] | None:
    return next((schema[union] for union in _UNIONS if union in schema), None)


def _types(schema: Schema) -> frozenset[str]:
    """The JSON types of the values that a schema may allow."""
    if (options := _options(schema)) is not None:
        return frozenset().union(*(_types(option) for option in options))
    match schema.get("type"):
        case "number":
            return frozenset({"number", "integer"})
        case str(kind):
            return frozenset({kind})
        case _:
            return _JSON_TYPES


def _retyped(name: str, old: Schema, new: Schema) -> Change:
    return Change(f"{name} was retyped from {_kind(old)} to {_kind(new)}", True)


def _kind(schema: Schema) -> str:
    if (options := _options(schema)) is not None:
        return " or ".join(_kind(option) for option in options)
    return str(schema.get("type") or schema.get("$ref", "anything").removeprefix("#/$defs/"))


def _new_field(where: str, *, required: bool, refused: bool) -> Change:
    if required:
        return Change(f"field {where} is new and required, but records without it exist", True)
    if refused:
        return Change(f"field {where} is new, but readers of today refuse fields they don't know", True)
    return Change(f"field {where} is new and optional", False)


def _values(old: Schema, new: Schema, name: str) -> Iterator[Change]:
    before, after = _allowed(old), _allowed(new)
    if before == after:
        return
    if before is None or (after is not None and before - after):
        lost = "values outside its new list" if before is None else _listed(before - (after or set()))
        yield Change(f"{name} was narrowed: {lost} no longer allowed", True)
    if after is None or (before is not None and after - before):
        gained = "any value is" if after is None else _listed(after - (before or set()))
        yield Change(f"{name} was widened: {gained} now allowed, which readers of today refuse", True)


def _allowed(schema: Schema) -> set[str] | None:
    if "const" in schema:
        return {json.dumps(schema["const"])}
    return {json.dumps(value) for value in schema["enum"]} if "enum" in schema else None


def _listed(values: set[str]) -> str:
    return f"{', '.join(sorted(values))} {'is' if len(values) == 1 else 'are'}"


def _bounds(old: Schema, new: Schema, name: str) -> Iterator[Change]:
    for bounds, narrower_when_greater in ((_LOWER_BOUNDS, True), (_UPPER_BOUNDS, False)):
        for bound in bounds:
            if old.get(bound) == new.get(bound):
                continue
            if bound not in old or bound not in new:
                narrowed = bound in new
            else:
                narrowed = (new[bound] > old[bound]) is narrower_when_greater
            change = "narrowed" if narrowed else "widened"
            yield Change(f"{name} was {change}: {bound} from {_shown(old, bound)} to {_shown(new, bound)}", True)


def _shown(schema: Schema, keyword: str, root: Schema | None = None) -> str:
    if keyword not in schema:
        return "none"
    value = schema[keyword]
    if root is not None and keyword != "default":  # a default is a value, whatever its keys are called
        value = _expanded(value, root)
    return json.dumps(value, ensure_ascii=False, sort_keys=True)
