"""Rules as people write them: a few parameters, changed in the rule that holds so far."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from pydantic import TypeAdapter, ValidationError

from contracts.chain import Pool
from rewards.domain.pools import POOLS
from rewards.domain.rules import Rule, flaw

_RULE: TypeAdapter[Rule] = TypeAdapter(Rule)


class InvalidRules(ValueError):
    """Parameters that are none, or can't be; the message names them."""


def changed(kind: Pool, rule: Rule, parameters: Mapping[str, Any]) -> Rule:
    """The rule with some of its parameters replaced. Raises InvalidRules."""
    if unknown := parameters.keys() - Rule.__dataclass_fields__.keys():
        raise InvalidRules(f"{', '.join(sorted(unknown))}: no parameter of a rule")
    try:
        made = _RULE.validate_python(asdict(rule) | dict(parameters), strict=False)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        raise InvalidRules(f"{first['loc'][0]}: {first['msg']}") from None
    if (problem := flaw(made, kind)) is not None:
        raise InvalidRules(problem)
    return made


def parameters(rule: Rule) -> dict[str, Any]:
    """All parameters; amounts as strings."""
    shown: dict[str, Any] = _RULE.dump_python(rule, mode="json")
    return shown


def read_rules(text: str) -> dict[Pool, dict[str, Any]]:
    """`{"listening": {"amount": "5000000000000000"}, …}`: what to change, by kind. Raises InvalidRules."""
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        raise InvalidRules(f"no JSON: {error}") from None
    if not isinstance(found, dict) or not all(isinstance(value, dict) for value in found.values()):
        raise InvalidRules('expected an object of objects, such as {"listening": {"per_track_and_hour": 2}}')
    if unknown := found.keys() - POOLS.keys():
        raise InvalidRules(f"{', '.join(sorted(unknown))}: no kind of reward; there are {', '.join(sorted(POOLS))}")
    return {POOLS[name]: value for name, value in found.items()}
