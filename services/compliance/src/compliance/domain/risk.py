"""How risky a subject is, by rules that have versions: a score of the past is computed again under its own."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from types import MappingProxyType


class Finding(StrEnum):
    """What a screening can find, as codes."""

    SANCTIONS = "sanctions"
    POLITICALLY_EXPOSED = "politically-exposed"
    ADVERSE_MEDIA = "adverse-media"
    DOCUMENT_MISMATCH = "document-mismatch"
    ADDRESS_UNVERIFIED = "address-unverified"


HIGHEST = 100
REVIEWED_FROM = 60
"""From this score on an approval does not stand by itself: an officer looks again."""

RULES: Mapping[int, Mapping[Finding, int]] = MappingProxyType(
    {
        1: {
            Finding.SANCTIONS: 100,
            Finding.DOCUMENT_MISMATCH: 60,
            Finding.POLITICALLY_EXPOSED: 40,
            Finding.ADVERSE_MEDIA: 30,
            Finding.ADDRESS_UNVERIFIED: 15,
        },
    }
)
"""Points of each finding, by version of the rule. Add a version, never change one."""

CURRENT = max(RULES)


@dataclass(frozen=True, slots=True)
class Risk:
    """A score of 0 to 100 with its reasons, heaviest first, by a version of the rule."""

    score: int
    reasons: tuple[Finding, ...]
    rule_version: int

    @property
    def screened_every(self) -> timedelta:
        return timedelta(days=365 if self.score < 30 else 180 if self.score < REVIEWED_FROM else 90)


def assess(findings: Collection[Finding], rule_version: int = CURRENT) -> Risk:
    points = RULES[rule_version]
    reasons = sorted(set(findings), key=lambda finding: (-points[finding], finding))
    return Risk(min(HIGHEST, sum(points[reason] for reason in reasons)), tuple(reasons), rule_version)
