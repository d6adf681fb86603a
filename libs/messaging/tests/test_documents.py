"""The AsyncAPI document."""

from __future__ import annotations

import json

from contracts import chain, rewards
from messaging import asyncapi


def test_the_document_names_every_message_of_a_topic_with_its_schema() -> None:
    document = asyncapi(
        "rewards",
        publications=[rewards.RewardEarned, rewards.RewardPaid],
        subscriptions=[chain.RewardClaimed, chain.PoolFunded],
    )
    assert document["asyncapi"] == "3.0.0"
    assert document["info"]["title"] == "rewards"
    assert set(document["channels"]) == {"rewards.events", "rewards.seals", "chain.reward-vault", "audit.events"}
    assert document["channels"]["rewards.events"]["messages"] == {
        "rewards.events.RewardEarned.v1": {"$ref": "#/components/messages/rewards.events.RewardEarned.v1"},
        "rewards.events.RewardPaid.v1": {"$ref": "#/components/messages/rewards.events.RewardPaid.v1"},
    }
    assert document["operations"]["receive:chain.reward-vault"]["action"] == "receive"
    assert document["operations"]["send:rewards.events"]["action"] == "send"
    earned = document["components"]["messages"]["rewards.events.RewardEarned.v1"]
    assert earned["payload"] == {"$ref": "#/components/schemas/RewardEarned"}
    assert "amount" in document["components"]["schemas"]["RewardEarned"]["properties"]
    sealed = document["components"]["messages"]["rewards.seals.LogSealed.v1"]
    assert sealed["payload"] == {"$ref": "#/components/schemas/Seal"}
    assert document["components"]["schemas"]["Seal"]["properties"]["root"]["pattern"] == "^[0-9a-f]{64}$"
    assert all(target in _names(document) for target in _references(document))


def test_the_order_of_the_classes_does_not_change_the_document() -> None:
    one = asyncapi("rewards", [rewards.RewardEarned, rewards.RewardPaid], [chain.PoolFunded])
    two = asyncapi("rewards", [rewards.RewardPaid, rewards.RewardEarned], [chain.PoolFunded])
    assert json.dumps(one) == json.dumps(two)


def _references(value: object) -> set[str]:
    if isinstance(value, dict):
        found = {value["$ref"]} if "$ref" in value else set()
        return found.union(*(_references(inner) for inner in value.values()))
    if isinstance(value, list):
        return set[str]().union(*(_references(inner) for inner in value))
    return set()


def _names(value: object, path: str = "#") -> set[str]:
    if not isinstance(value, dict):
        return {path}
    return {path}.union(*(_names(inner, f"{path}/{key}") for key, inner in value.items()))
