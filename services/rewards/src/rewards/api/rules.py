"""The rules, with all their versions; a change takes effect at its time, never in the past."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, Field

from eventlog import Executor
from rewards import domain, handlers
from rewards.api.common import Anybody, Moment, Officer, kind_named
from rewards.changes import InvalidRules, changed, parameters
from rewards.domain.rules import NOTICE
from rewards.rulebook import Rules
from service import IdempotencyKey, Problem, Recorded, Router, Strict, Tagged, metadata_of


class RuleChange(Strict):
    """What is different from the newest version."""

    effective_from: Moment = Field(description=f"at least {NOTICE.seconds // 60} minutes ahead")
    parameters: dict[str, Any] = Field(min_length=1, description="by name, as GET /rules shows them")


class RuleVersion(BaseModel):
    kind: str
    version: int
    effective_from: datetime
    author: str
    published_at: datetime
    parameters: dict[str, Any]


def routes(executor: Executor, rules: Rules) -> Router:
    router = Router(route_class=Tagged)

    @router.get("/rules", summary="The rules that are in force now")
    async def in_force(caller: Anybody) -> list[RuleVersion]:
        now = datetime.now(UTC)
        return [_shown(editions.at(now)) for editions in (await rules.now()).values()]

    @router.get("/rules/{kind}", summary="All versions of a rule, in the order of their time")
    async def versions(kind: str, caller: Anybody) -> list[RuleVersion]:
        found = (await rules.now())[kind_named(kind)]
        return [_shown(published) for published in found.published]

    @router.post("/rules/{kind}", summary="Change a rule from a time on")
    async def publish(kind: str, body: RuleChange, caller: Officer, key: IdempotencyKey) -> Recorded:
        pool = kind_named(kind)
        last = (await rules.now())[pool].last
        try:
            rule = changed(pool, last.rule, body.parameters)
            command = domain.PublishRules(pool, rule, body.effective_from, caller.subject, datetime.now(UTC))
            execution = await rules.publish(executor, handlers.publish_rules(command, metadata_of(caller, key)))
        except InvalidRules as error:
            raise Problem(422, "invalid-rule", "The rule is not valid.", str(error)) from None
        except domain.RefusedRule as refused:
            raise Problem(422, refused.code, "The rule can't be published.", str(refused)) from None
        return Recorded(events=len(execution.events[0]))

    return router


def _shown(published: domain.RulesPublished) -> RuleVersion:
    return RuleVersion(
        kind=published.kind.label,
        version=published.version,
        effective_from=published.effective_from,
        author=published.author,
        published_at=published.published_at,
        parameters=parameters(published.rule),
    )
