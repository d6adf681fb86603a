"""The AsyncAPI document of a service: its topics, who sends and receives what, the schema of every message."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from contracts import Message
from contracts.audit import Acted
from eventlog import Seal
from messaging.seals import seal_type
from messaging.topics import seals_topic

_HEADERS: dict[str, Any] = {
    "type": "object",
    "description": "CloudEvents 1.0, binary mode of the Kafka protocol binding; the key is the stream.",
    "required": ["ce_specversion", "ce_id", "ce_source", "ce_type"],
    "properties": {
        "ce_specversion": {"const": "1.0"},
        "ce_id": {"type": "string", "description": "unique together with ce_source: drop repeats by it"},
        "ce_source": {"type": "string", "description": "the service: /rewards"},
        "ce_type": {"type": "string"},
        "ce_subject": {"type": "string", "description": "the stream"},
        "ce_time": {"type": "string", "format": "date-time", "description": "when the fact happened"},
        "content-type": {"const": "application/json"},
        "traceparent": {"type": "string", "description": "W3C Trace Context"},
        "annalslog": {"type": "string", "format": "uuid", "description": "the log it comes from"},
        "annalsposition": {"type": "string", "description": "position in that log; has holes"},
        "annalsversion": {"type": "string", "description": "version of the stream"},
    },
}


def asyncapi(
    service: str,
    publications: Iterable[type[Message]],
    subscriptions: Iterable[type[Message]],
    *,
    version: str = "1.0.0",
) -> dict[str, Any]:
    """Returns the AsyncAPI 3.0 document of a service, the same for the same classes whatever their order.

    The acts of its callers, unless it is the one that gathers those of all services, and the seals of its log are part
    of it.

    FastStream writes the schemas and operations; it knows one message per endpoint and nothing of CloudEvents, so
    each type is an endpoint here and those of a topic are put together afterwards.

    Raises ValueError when two classes have one name: their schemas would overwrite each other.
    """
    publications = set(publications)
    received = sorted(set(subscriptions) - publications, key=_type)  # what it tells itself, too, is told once
    own_acts: list[type[Message]] = [] if Acted in received else [Acted]
    sent = sorted({*publications, *own_acts}, key=_type)
    names = Counter(cls.__name__ for cls in {*sent, *received})
    if twice := [name for name, number in names.items() if number > 1]:
        raise ValueError(f"AsyncAPI of {service}: expected one message class of each name, found two: {twice}")
    # Imported here: it takes a fifth of a second, which no running service should wait for.
    from faststream.kafka import KafkaBroker
    from faststream.specification import AsyncAPI

    broker = KafkaBroker("kafka:9092")
    for cls in sent:
        broker.publisher(cls.topic, schema=cls, title=cls.type, description=cls.__doc__)
    broker.publisher(seals_topic(service).name, schema=Seal, title=seal_type(service), description=Seal.__doc__)
    for cls in received:
        broker.subscriber(cls.topic, title=cls.type, description=cls.__doc__)(_receiver(cls))
    document: dict[str, Any] = AsyncAPI(broker, title=service, version=version).to_specification().to_jsonable()
    return _by_topic(document)


def _type(cls: type[Message]) -> str:
    return cls.type


def _receiver(cls: type[Message]) -> Any:
    async def receive(message: Message) -> None: ...

    receive.__annotations__["message"] = cls
    return receive


def _by_topic(document: dict[str, Any]) -> dict[str, Any]:
    channels: dict[str, Any] = {}
    operations: dict[str, Any] = {}
    messages: dict[str, Any] = {}
    for ce_type, operation in sorted(document["operations"].items()):
        endpoint = document["channels"][ce_type]
        topic = endpoint["address"]
        [reference] = endpoint["messages"].values()
        payload = document["components"]["messages"][reference["$ref"].rpartition("/")[2]]["payload"]
        messages[ce_type] = {
            "name": ce_type,
            "title": ce_type,
            "summary": endpoint.get("description") or "",
            "contentType": "application/json",
            "headers": {"$ref": "#/components/schemas/CloudEventHeaders"},
            "payload": payload,
        }
        channel = channels.setdefault(topic, {key: endpoint[key] for key in ("address", "servers", "bindings")})
        channel.setdefault("messages", {})[ce_type] = {"$ref": f"#/components/messages/{ce_type}"}
        action = operation["action"]
        listed = operations.setdefault(
            f"{action}:{topic}",
            {"action": action, "channel": {"$ref": f"#/channels/{topic}"}, "messages": []},
        )
        listed["messages"].append({"$ref": f"#/channels/{topic}/messages/{ce_type}"})
    schemas = {"CloudEventHeaders": _HEADERS} | document["components"]["schemas"]
    return document | {
        "channels": channels,
        "operations": operations,
        "components": {"messages": messages, "schemas": dict(sorted(schemas.items()))},
    }
