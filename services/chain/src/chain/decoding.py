"""What the logs of one contract say: an event of ours by the ABI of its block, or the raw log with the reason."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, NamedTuple

import orjson
from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from chain.domain import (
    CONTRACTS,
    Args,
    ContractEvent,
    LogDecoded,
    UndecodedLog,
    event_stream,
    past_stream,
    undecoded_stream,
)
from chain.domain.watch import KnownAbi
from contracts import Message, message_class
from contracts.chain import ChainMessage, EventLogged, Source
from contracts.values import Address, Hash, Uint256
from messaging.cloudevents import Encoded
from tron.abi import Abi, Decoded, Raw, decode_event
from tron.codec import names_of
from tron.contract import artifact
from tron.model import Log

ARTIFACTS = {
    "dcmx-token": "DCMXToken",
    "music-nft": "MusicNFT",
    "royalty-distributor": "RoyaltyDistributor",
    "reward-vault": "RewardVault",
    "compliance-registry": "ComplianceRegistry",
}
"""Our names of the contracts and the compiler's."""

MAX_DECODED_BYTES = 100_000
"""Longer log data is kept raw: JSON can be six times as long, and an event must fit into a Kafka record."""
MAX_RAW_DIGITS = 400_000

RENAMED = {"from": "from_address"}
"""Argument names that the messages spell differently, because Python reserves them."""

TRANSFER = "Transfer(address,address,uint256)"
TRC20, TRC721 = ("from", "to", "value"), ("from", "to", "token_id")
STANDARD: Mapping[tuple[bool, ...], Sequence[str]] = {(True, True, False): TRC20, (True, True, True): TRC721}
"""Which parameters of a `Transfer` are indexed tells the two standards' apart. Their arguments have the names of the
standard, whatever an ABI calls them: balances are told by them."""

_CAPITAL = re.compile(r"(?<!^)(?=[A-Z])")
_UINT = re.compile(r"uint\d*")
_WIDE = re.compile(r"u?int(72|8[08]|96|1\d\d|2\d\d)?|u?fixed.*|trcToken")  # more than 64 bits; `uint` alone is 256
_ALL_OF = {"address": Address, "bool": bool, "bytes32": Hash, "string": str}

Recorded = tuple[str, ContractEvent | UndecodedLog]
"""A stream and an event of it."""
Plain = Callable[[Any], Any] | None
"""Makes JSON of a value that is not JSON already, or could be read as something else by others."""


@dataclass(frozen=True, slots=True)
class _Known:
    """An ABI, compiled, with the blocks that it is for."""

    abi: Abi
    known: KnownAbi


class _Reading(NamedTuple):
    """How one event of one ABI becomes ours: the names of its arguments, and which values have to be rewritten.

    `doubtful` are the arguments that its message may refuse, each with what tells whether it does; None where the
    message has to be tried.
    """

    names: Sequence[str]
    plain: Sequence[tuple[str, Callable[[Any], Any]]]
    doubtful: Sequence[tuple[str, Callable[[Any], bool]]] | None

    def surely_fits(self, args: Args) -> bool:
        """Whether the message takes these, without making it: to make one takes longer than all else here."""
        return self.doubtful is not None and all(takes(args[name]) for name, takes in self.doubtful)


class LogReader:
    """Reads the logs of a contract that is watched from block `since` on.

    `registered` are the ABIs that it was given, oldest first; of those for a block, the one that begins last is
    tried first. Before all of them goes the one of the build, which the five contracts have: what they mean is fixed.
    """

    def __init__(self, name: str, registered: Sequence[KnownAbi] = (), since: int = 0) -> None:
        self.name = name
        self._since = since
        built_in = [_Known(artifact(ARTIFACTS[name]).abi, KnownAbi([], 0, None, 0))] if name in ARTIFACTS else []
        newest = sorted(reversed(registered), key=lambda known: -known.first_block)
        self._known = built_in + [_Known(Abi(known.entries), known) for known in newest]
        self._always = tuple(one.abi for one in built_in) if not registered else None
        self._readings: dict[int, _Reading] = {}

    def read(self, log: Log, source: Source) -> Recorded:
        """The event of a log and its stream, by the ABIs that are in force for its block."""
        result = self._decode(log.topics, log.data, source, self._in_force(source.block_number))
        if isinstance(result, Raw):
            data = log.data[:MAX_RAW_DIGITS]
            raw = UndecodedLog(self.name, log.topics, data, len(log.data) // 2, result.reason[:500], source)
            return undecoded_stream(self.name), raw
        stream, event = result
        return past_stream(self.name) if source.block_number < self._since else stream, event

    def review(self, raw: UndecodedLog, event_id: str) -> LogDecoded | None:
        """What a raw log says by the ABIs that are known now; None if nothing."""
        if len(raw.data) != 2 * raw.data_bytes:
            return None  # it was cut
        abis = tuple(one.abi for one in self._known if one.known.covers(raw.source.block_number))
        result = self._decode(raw.topics, raw.data, raw.source, abis)
        if isinstance(result, Raw):
            return None
        _, event = result
        return LogDecoded(self.name, event.name, event.args, raw.source, event_id)

    def method(self, data: str, block: int) -> str | None:
        """The name of the function that a transaction's data call, when an ABI has it."""
        for abi in self._in_force(block):
            if (name := abi.method(data[:8])) is not None:
                return name
        return None

    def _in_force(self, block: int) -> tuple[Abi, ...]:
        if self._always is not None:
            return self._always
        return tuple(one.abi for one in self._known if one.known.covers(block) and (one.known.since or 0) <= block)

    def _decode(
        self, topics: Sequence[str], data: str, source: Source, abis: Sequence[Abi]
    ) -> tuple[str, ContractEvent] | Raw:
        if len(data) > 2 * MAX_DECODED_BYTES:
            return Raw(f"{len(data) // 2} bytes of data, more than {MAX_DECODED_BYTES}")
        decoded = decode_event(abis, topics, data)
        if isinstance(decoded, Raw):
            return decoded
        reading = self._reading(decoded)
        args = dict(zip(reading.names, decoded.args.values(), strict=True))
        for name, plain in reading.plain:
            args[name] = plain(args[name])
        event = ContractEvent(self.name, decoded.name, args, source)
        try:
            if not reading.surely_fits(args):
                typed_message(event)  # what the others can't take must not stop the relay later
            return event_stream(self.name, event.name, args), event
        except KeyError as error:
            return Raw(f"{decoded.signature} has no argument {error}, which names its stream")
        except ValidationError as error:
            problem = error.errors(include_input=False)[0]
            where = ".".join(str(part) for part in problem["loc"])
            return Raw(f"{decoded.signature} does not fit its message: {where}: {problem['msg']}")

    def _reading(self, decoded: Decoded) -> _Reading:
        """Events of one signature may differ in names."""
        key = id(decoded.inputs)  # those of one event of one ABI, which is kept in `_known`
        if key not in self._readings:
            names = _standard(decoded) or _snake(decoded.args)
            kinds = [None if _is_hash(parameter) else _plain(parameter) for parameter in decoded.inputs]
            plain = [(name, kind) for name, kind in zip(names, kinds, strict=True) if kind is not None]
            doubtful = _doubtful(_message_class(self.name, decoded.name), names, decoded.inputs)
            self._readings[key] = _Reading(names, plain, doubtful)
        return self._readings[key]


def _doubtful(
    cls: type[Message] | None, names: Sequence[str], inputs: Sequence[Mapping[str, Any]]
) -> list[tuple[str, Callable[[Any], bool]]] | None:
    """See `_Reading`; `inputs` are the parameters of these names."""
    if cls is None:
        return []
    renamed = [RENAMED.get(name, name) for name in names]
    decorators = cls.__pydantic_decorators__
    checks_more = decorators.model_validators or decorators.field_validators
    if cls.model_fields.keys() != {*renamed, *ChainMessage.model_fields} or checks_more:
        return None
    types = [_type_of(cls.model_fields[field]) for field in renamed]
    return [
        (name, TypeAdapter(of_message).validator.isinstance_python)
        for name, of_message, parameter in zip(names, types, inputs, strict=True)
        if of_message != _all_of("bytes32" if _is_hash(parameter) else parameter["type"])
    ]


def _type_of(field: FieldInfo) -> Any:
    """With the limits that stand beside it."""
    return Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation


def _all_of(kind: str) -> Any:
    """The type of messages that takes all values of an ABI type; None where there is none."""
    return Uint256 if _UINT.fullmatch(kind) else _ALL_OF.get(kind)


def typed_message(event: ContractEvent) -> Message | None:
    """The message of an event of the five contracts; None for those that have none. Raises ValidationError."""
    cls = _message_class(event.contract, event.name)
    if cls is None:
        return None
    fields = {RENAMED.get(name, name): value for name, value in event.args.items()}
    return cls.model_validate({**fields, "source": event.source})


def encoded_message(contract: str, name: str, args: Args, source: Source | Mapping[str, Any]) -> Encoded | None:
    """As `typed_message`, of an event that this has checked: its own values as JSON, under the names of the message.

    None also where they are not all of the message, or more.
    """
    form = _form(contract, name)
    if form is None:
        return None
    fields = {RENAMED.get(name, name): value for name, value in args.items()}
    fields["source"] = source
    if fields.keys() != form.fields:
        return None
    for number in form.numbers:
        fields[number] = int(fields[number])
    return Encoded(form.type, orjson.dumps(fields, option=orjson.OPT_UTC_Z).decode())


class _Form(NamedTuple):
    """What a message consists of. `numbers` are its JSON numbers; where the contract has them in more bits than they
    need, the log has digits."""

    type: str
    fields: frozenset[str]
    numbers: Sequence[str]


@cache
def _form(contract: str, name: str) -> _Form | None:
    cls = _message_class(contract, name)
    if cls is None:
        return None
    fields = cls.model_json_schema(mode="serialization")["properties"]
    return _Form(cls.type, frozenset(fields), [name for name, of in fields.items() if of.get("type") == "integer"])


def _message_class(contract: str, name: str) -> type[Message] | None:
    return message_class(f"chain.{contract}.{name}.v1") if contract in ARTIFACTS else None


def public_message(event: ContractEvent | LogDecoded) -> Message | None:
    """The public message of a contract's event; None for those that have none. Raises ValidationError if it misfits."""
    if isinstance(event, ContractEvent) and event.contract in CONTRACTS:
        return typed_message(event)
    return EventLogged(
        contract=event.contract,
        name=event.name,
        args=event.args,
        late=isinstance(event, LogDecoded),
        source=event.source,
    )


# ---- values as JSON ---------------------------------------------------------------------------------------------


def _standard(decoded: Decoded) -> Sequence[str] | None:
    if decoded.signature != TRANSFER:
        return None
    return STANDARD.get(tuple(bool(parameter.get("indexed")) for parameter in decoded.inputs))


def _snake(names: Iterable[str]) -> list[str]:
    """The names of the ABI in snake case; those that become alike are told apart by their place."""
    return names_of([{"name": _CAPITAL.sub("_", name).lower()} for name in names])


def _is_hash(parameter: Mapping[str, Any]) -> bool:
    """Whether the chain keeps only the hash of the argument."""
    kind: str = parameter["type"]
    return bool(parameter.get("indexed")) and (kind in ("string", "bytes", "tuple") or kind.endswith("]"))


def _plain(parameter: Mapping[str, Any]) -> Plain:
    """How values of a parameter become JSON: integers of more than 64 bits are decimal digits, whatever their size."""
    kind: str = parameter["type"]
    if kind.endswith("]"):
        element = _plain({**parameter, "type": kind[: kind.rindex("[")]})
        return None if element is None else lambda values: [element(value) for value in values]
    if kind == "tuple":
        parts = [_plain(component) for component in parameter["components"]]
        return lambda value: {
            name: item if part is None else part(item)
            for name, part, item in zip(_snake(value), parts, value.values(), strict=True)
        }
    return str if _WIDE.fullmatch(kind) else None
