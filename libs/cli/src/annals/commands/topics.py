"""`annals topics` and `annals tail`: what is on Kafka."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import asdict
from typing import Annotated, Any

import typer
from pydantic import BaseModel
from rich.table import Table
from rich.text import Text

from annals import shell
from annals.errors import UnknownName
from annals.services import installed
from annals.shell import Commands, Json, StackName, console
from annals.tail import Line, Start, follow, full_types, parse_start
from annals.terminal import in_a_line, plain_table, shortened, visible
from contracts import Message, message_types
from messaging.connection import Kafka
from messaging.survey import TopicState, survey
from service import ServiceSettings

app = typer.Typer(cls=Commands, invoke_without_command=True)

Topic = Annotated[str, typer.Argument(help="Name of a topic, such as rewards.events.")]


@app.callback()
def list_topics(context: typer.Context, as_json: Json = False, stack: StackName = None) -> None:
    """List the topics: partitions, retention, messages, bytes, and how far groups are behind.

    Counts of messages are at most: offsets have holes. Bytes are those on the disks of all replicas.

    $ annals topics
    $ annals topics --json | jq '.[] | {name, bytes}'
    $ annals topics show rewards.events
    """
    if context.invoked_subcommand is not None:
        return
    shell.use(stack, needs="KAFKA_BOOTSTRAP")
    found = shell.run(survey(_kafka()))
    if as_json:
        shell.print_json([asdict(topic) for topic in found])
    else:
        console.print(_table(found) if found else "There are no topics.")


@app.command()
def show(topic: Topic, as_json: Json = False, stack: StackName = None) -> None:
    """Show one topic with the types of its messages and their fields.

    $ annals topics show rewards.events
    """
    shell.use(stack, needs="KAFKA_BOOTSTRAP")
    found = {state.name: state for state in shell.run(survey(_kafka(topic)))}
    if topic not in found:
        raise UnknownName.among("no topic", topic, found)
    types = [cls for cls in message_types().values() if cls.topic == topic]
    if as_json:
        shell.print_json({**asdict(found[topic]), "types": {cls.type: cls.model_json_schema() for cls in types}})
        return
    console.print(_table([found[topic]]))
    for cls in types:
        name = cls.type.removeprefix(f"{topic}.")
        console.print(Text.assemble("\n", (name, "bold"), "  ", (_first_line(cls), "dim")))
        console.print(_fields(cls))
    if not types:
        console.print("\nIts records are of no public type.")


def tail(
    topic: Topic,
    types: Annotated[list[str] | None, typer.Option("--type", metavar="TYPE", help="Only these: RewardPaid.")] = None,
    key: Annotated[str | None, typer.Option(metavar="KEY", help="Only this key (the stream).")] = None,
    start: Annotated[
        str, typer.Option("--from", metavar="WHERE", help="beginning, latest, a time, or a position in the log.")
    ] = "latest",
    count: Annotated[int | None, typer.Option(min=1, help="End after so many.")] = None,
    endless: Annotated[bool, typer.Option("--follow/--no-follow", help="Wait for more at the end.")] = True,
    as_json: Json = False,
    stack: StackName = None,
) -> None:
    """Follow a topic: time, key, type and body of each message, until Ctrl-C.

    Only committed messages. With --json each is a line, with all headers, its value as it is. The private topics
    of a service can be followed as well: rewards.log has its events.

    $ annals tail rewards.events
    $ annals tail chain.reward-vault --type PoolFunded --from beginning
    $ annals tail rewards.log --from 1200 --count 3 --json | jq .value
    $ annals tail rewards.events --from 2026-01-31T12:00:00Z --no-follow
    """
    begin = parse_start(start)
    wanted = full_types(topic, types or [])
    shell.use(stack, needs="KAFKA_BOOTSTRAP")
    with shell.until_interrupted():
        shell.run(_follow(_kafka(topic), topic, begin, wanted, key, count, endless, as_json))


async def _follow(
    kafka: Kafka, topic: str, start: Start, types: set[str], key: str | None, count: int | None, endless: bool,
    as_json: bool,
) -> None:  # fmt: skip
    left = count
    async with aclosing(follow(kafka, topic, start, endless=endless)) as lines:
        async for line in lines:
            if (key is not None and line.key != key) or (types and not _is_one(line.type, topic, types)):
                continue
            if as_json:
                print(visible(line.to_json()) if console.is_terminal else line.to_json(), flush=True)
            else:
                console.print(_shown(line), soft_wrap=True)
            if left is not None and (left := left - 1) == 0:
                return


def _is_one(name: str, topic: str, types: set[str]) -> bool:
    return name in types or f"{topic}.{name}" in types or name.rpartition(".")[0] in types


def _kafka(topic: str | None = None) -> dict[str, Any]:
    """How to reach Kafka: as the service that owns the topic does, else as all services do."""
    owner = installed().get(topic.partition(".")[0]) if topic else None
    return (owner.settings() if owner else ServiceSettings()).kafka_options()


def _shown(line: Line) -> Text:
    return Text.assemble(
        (f"{line.time:%Y-%m-%d %H:%M:%S}.{line.time.microsecond // 1000:03d}  ", "dim"),
        (f"{in_a_line(line.key)}  ", "cyan"),
        (f"{in_a_line(line.type)}  " if line.type else "", "green"),
        in_a_line(shortened(line.body) if console.is_terminal else line.body),
    )


def _table(found: Sequence[TopicState]) -> Table:
    table = plain_table(padding=(0, 1))
    table.add_column("topic", no_wrap=True)
    table.add_column("parts", justify="right", no_wrap=True)
    table.add_column("kept", no_wrap=True)
    for name in ("messages", "bytes"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("groups, replicas", overflow="fold")
    for topic in found:
        remarks = [f"{group} {waits.records:,} behind" for group, waits in topic.groups.items()]
        remarks += [f"{topic.in_sync} of {topic.replication} in sync"] if topic.replication > 1 else []
        style = "red" if topic.in_sync < topic.replication else None
        size = "not told" if topic.bytes is None else f"{topic.bytes:,}"
        numbers = (str(topic.partitions), _kept(topic), f"{topic.records:,}", size)
        table.add_row(topic.name, *numbers, "\n".join(remarks), style=style)
    return table


def _kept(topic: TopicState) -> str:
    if "compact" in topic.cleanup:
        return "compact"
    if topic.retention_ms is None:
        return "ever"
    return f"{topic.retention_ms / 86_400_000:g} days"


def _first_line(cls: type[Message]) -> str:
    return (inspect.getdoc(cls) or "").partition("\n")[0]


def _fields(cls: type[BaseModel]) -> Table:
    table = plain_table(show_header=False, padding=(0, 1))
    for name, info in cls.model_fields.items():
        schema = cls.model_json_schema()["properties"][name]
        table.add_row(f"  {name}", Text(_kind(schema), style="cyan"), Text(info.description or "", style="dim"))
    return table


def _kind(schema: dict[str, Any]) -> str:
    """A JSON Schema in a word or two."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        return " or ".join(_kind(one) for one in schema["anyOf"])
    return str(schema.get("format") or schema.get("type", "any"))
