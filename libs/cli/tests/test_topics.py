"""`annals topics` and `annals tail` against a real Kafka."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaConnectionError
from click.testing import Result
from typer.testing import CliRunner

from annals import tail
from annals.cli import app
from local_stack.kafka import create_topic
from messaging.testing import CountedMessage, delete_topics, headers, send_raw

TYPE = CountedMessage.type


@pytest.fixture
def topic(kafka: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The only topic, of two partitions, in an environment that points to its Kafka and nowhere else."""
    monkeypatch.setenv("ANNALS_HOME", str(tmp_path))
    monkeypatch.setenv("ANNALS_KAFKA_BOOTSTRAP", kafka)
    name = f"t{uuid4().hex[:12]}.events"
    asyncio.run(delete_topics(kafka))
    asyncio.run(create_topic(kafka, name, partitions=2))
    return name


def annals(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def tell(kafka: str, topic: str, key: str, bodies: Sequence[str], after: int = 0, **changed: bytes | None) -> None:
    async def work() -> None:
        for index, body in enumerate(bodies, 1):
            named = headers(annalsposition=str(after + index * 10).encode(), **changed)
            await send_raw(kafka, topic, key.encode(), body.encode(), named)

    asyncio.run(work())


def told(shown: Result) -> list[int]:
    return [json.loads(line)["value"]["number"] for line in shown.stdout.splitlines()]


def test_each_message_is_a_line_with_its_key_its_type_and_its_body(kafka: str, topic: str) -> None:
    tell(kafka, topic, "counter/1", ['{"number": 1}', "no JSON"])
    shown = annals("tail", topic, "--from", "beginning", "--count", "2")
    assert shown.exit_code == 0
    first, second = shown.stdout.splitlines()
    assert first.endswith(f'counter/1  {TYPE}  {{"number": 1}}')
    assert second.endswith(f"counter/1  {TYPE}  no JSON")


def test_as_json_a_value_is_what_was_written_to_the_byte(kafka: str, topic: str) -> None:
    tell(kafka, topic, "counter/1", ['{"b":1.00,"a":"é"}', '{"number":\n1}', "no JSON"])
    lines = annals("tail", topic, "--from", "beginning", "--no-follow", "--json").stdout.splitlines()
    assert '"value": {"b":1.00,"a":"é"}}' in lines[0]
    assert [json.loads(line)["value"] for line in lines[1:]] == [{"number": 1}, "no JSON"]
    shown = json.loads(lines[0])
    assert (shown["topic"], shown["offset"], shown["key"]) == (topic, 0, "counter/1")
    assert shown["headers"]["ce_type"] == TYPE


def test_messages_are_chosen_by_type_and_key(kafka: str, topic: str) -> None:
    tell(kafka, topic, "counter/1", ['{"number": 1}'])
    tell(kafka, topic, "counter/2", ['{"number": 2}'])
    tell(kafka, topic, "counter/2", ['{"number": 3}'], ce_type=b"other.events.Counted.v2")
    tell(kafka, topic, "counter/2", ['{"number": 4}'])
    options = ("--from", "beginning", "--no-follow", "--json")
    assert told(annals("tail", topic, "--key", "counter/2", "--type", TYPE, *options)) == [2, 4]
    assert told(annals("tail", topic, "--key", "counter/2", "--type", TYPE, *options, "--count", "1")) == [2]


def test_it_begins_at_a_position_of_the_log_in_every_partition(kafka: str, topic: str) -> None:
    for hundred, key in enumerate(("a", "b", "c"), 1):
        numbers = range(hundred * 100 + 10, hundred * 100 + 60, 10)
        tell(kafka, topic, key, [f'{{"number": {number}}}' for number in numbers], after=hundred * 100)
    options = ("--no-follow", "--json")
    assert sorted(told(annals("tail", topic, "--from", "340", *options))) == [340, 350]
    assert sorted(told(annals("tail", topic, "--from", "150", *options)))[:3] == [150, 210, 220]
    assert len(told(annals("tail", topic, "--from", "0", *options))) == 15
    assert told(annals("tail", topic, "--from", "351", *options)) == []


def test_it_begins_at_a_time(kafka: str, topic: str) -> None:
    tell(kafka, topic, "counter/1", ['{"number": 1}'])
    options = ("--no-follow", "--json")
    assert told(annals("tail", topic, "--from", "2020-01-01", *options)) == [1]
    assert told(annals("tail", topic, "--from", "2120-01-01T00:00:00Z", *options)) == []
    assert told(annals("tail", topic, "--from", "latest", *options)) == []


def test_a_topic_that_is_not_there_is_wrong_usage_and_near_ones_are_named(topic: str) -> None:
    shown = annals("tail", topic[:-1], "--from", "beginning")
    assert shown.exit_code == 2
    assert f"no topic '{topic[:-1]}' (did you mean {topic}" in shown.stderr
    assert annals("topics", "show", topic[:-1]).exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--from", "yesterday"], "--from 'yesterday': expected beginning, latest, a time such as"),
        (["--type", "RewardPad"], "topic rewards.events has no message 'RewardPad' (did you mean RewardPaid.v1"),
    ],
)
def test_what_cannot_be_meant_is_wrong_usage(arguments: list[str], said: str, topic: str) -> None:
    shown = annals("tail", "rewards.events", *arguments)
    assert shown.exit_code == 2
    assert said in shown.stderr


@pytest.mark.endurance
def test_the_list_shows_every_topic_with_its_size(kafka: str, topic: str) -> None:
    tell(kafka, topic, "counter/1", ['{"number": 1}', '{"number": 2}'])
    listed = {one["name"]: one for one in json.loads(annals("topics", "--json").stdout)}
    assert (listed[topic]["partitions"], listed[topic]["records"], listed[topic]["groups"]) == (2, 2, {})
    assert listed[topic]["bytes"] > 0
    assert topic in annals("topics").stdout


@pytest.mark.endurance
def test_one_topic_is_shown_with_the_types_of_its_messages(kafka: str, topic: str) -> None:
    shown = json.loads(annals("topics", "show", topic, "--json").stdout)
    assert (shown["name"], shown["types"]) == (topic, {})
    asyncio.run(create_topic(kafka, "rewards.events"))
    text = annals("topics", "show", "rewards.events").stdout
    assert "RewardPaid.v1" in text
    assert "claimant" in text


def test_following_ends_when_kafka_is_away_instead_of_keeping_silent(
    topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = 0
    end_offsets = AIOKafkaConsumer.end_offsets

    async def never_again(consumer: AIOKafkaConsumer, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        nonlocal asked
        asked += 1
        if asked > 2:
            raise KafkaConnectionError("away")
        found: dict[TopicPartition, int] = await end_offsets(consumer, partitions)
        return found

    monkeypatch.setattr(tail, "QUIET_SECONDS", 0.1)
    monkeypatch.setattr(AIOKafkaConsumer, "end_offsets", never_again)
    shown = annals("tail", topic)
    assert (shown.exit_code, asked) == (3, 3)
    assert "a server does not answer: KafkaConnectionError: away" in shown.stderr


def test_it_begins_with_the_oldest_where_a_time_is_before_all_times(kafka: str, topic: str) -> None:
    tell(kafka, topic, "counter/1", ['{"number": 1}'])
    assert told(annals("tail", topic, "--from", "0001-01-01", "--no-follow", "--json")) == [1]


def test_what_strangers_wrote_does_not_steer_the_terminal(kafka: str, topic: str) -> None:
    tell(kafka, topic, "a\x1b[31m\nb", ["\x1b]0;owned\x07 [/red]"])
    shown = annals("tail", topic, "--from", "beginning", "--no-follow").stdout
    assert shown.endswith(f"a\\u001b[31m\\nb  {TYPE}  \\u001b]0;owned\\u0007 [/red]\n")


def test_without_kafka_it_says_so_in_one_line(topic: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANNALS_KAFKA_BOOTSTRAP", "127.0.0.1:1")
    for arguments in (["topics"], ["tail", topic]):
        shown = annals(*arguments)
        assert shown.exit_code == 3
        assert shown.stderr.startswith("error: a server does not answer: KafkaConnectionError")
        assert len(shown.stderr.splitlines()) == 1
