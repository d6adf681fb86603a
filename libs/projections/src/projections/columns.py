"""One column of a read table: which values it takes, and how they travel to PostgreSQL and back without loss.

Values are checked when a handler describes them, not when the batch is written: a bad value is then the fault of
exactly one event, however the events are cut into batches.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Context, Decimal, Inexact
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from eventlog import has_nul
from projections.errors import InvalidChange, InvalidProjection
from projections.texts import array_text, hex_text, json_text

_DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy's dialects are untyped
EXACT = Context(prec=2000, traps=[Inexact])
"""Arithmetic on amounts: `decimal`'s default context rounds silently at 28 digits."""

Value = Any


class Amount(sa.types.TypeDecorator[int]):
    """An integer amount of up to 78 digits (uint256): NUMERIC(78,0) in the database, `int` in Python, both ways."""

    impl = sa.Numeric(78, 0)
    cache_ok = True

    def process_result_value(self, value: Decimal | None, dialect: sa.Dialect) -> int | None:
        return None if value is None else int(value)


class Json(str):
    """JSON as it is kept; a value that is admitted again is not encoded again."""

    __slots__ = ()


def _same(value: Value) -> Value:
    return value


@dataclass(frozen=True, slots=True)
class Column:
    """How one column takes values in and gives them back. A stored value is None or what `admit` returned."""

    name: str
    wire_type: str  # element type of the array parameter: text where a type's own could lose something
    cast: str  # what turns the parameter into the column's type: "::NUMERIC(78, 0)", or nothing
    admit: Callable[[Value], Value]  # checks a handler's value and returns it as it is kept; raises InvalidChange
    are_plain: Callable[[Sequence[Value]], bool]  # these may be kept as they are; else each is admitted
    at_once: bool  # admitted when described, never later: the value may be another then, or is changed by it
    text: Callable[[Value], str]  # kept value -> the text that PostgreSQL reads for the type
    decode: Callable[[Value], Value]  # what PostgreSQL returns -> kept value
    reveal: Callable[[Value], Value]  # kept value -> what `Rows.get` hands out
    nullable: bool
    required: bool  # an insert must name it: not null and without default
    default: Value
    zero: int | None  # what an increment starts from; None where increments are refused

    @property
    def has_specials(self) -> bool:
        """Whether a text may have characters that mean something to COPY."""
        return self.text is not str

    def texts(self, values: Sequence[Value]) -> Sequence[str | None]:
        """The text of each kept value, None for NULL."""
        text = self.text
        if text is _same:
            return values
        if self.wire_type == "timestamptz":  # many rows of one event have the same, which is slow to write
            known = {value: None if value is None else str(value) for value in {*values}}
            return [known[value] for value in values]
        return [None if value is None else text(value) for value in values] if None in values else [*map(text, values)]

    @property
    def selected(self) -> str:
        """The expression that reads this column."""
        return f"t.{quote(self.name)}{'::text' if self.cast and not self.cast.endswith('[]') else ''}"


def quote(name: str) -> str:
    return str(_DIALECT.identifier_preparer.quote(name))


def describe(column: sa.Column[Any], shared: bool) -> Column:
    """The `Column` of a SQLAlchemy column; `shared` says that it belongs to a table of totals.

    Raises InvalidProjection for a type or a default that would not replay to the same value.
    """
    kind = column.type.impl_instance if isinstance(column.type, sa.types.TypeDecorator) else column.type
    where = f"{column.table.name}.{column.name}"
    wire_type, admit, encode, decode, reveal = _codec(kind, where)
    if column.server_default is not None or column.identity is not None or column.computed is not None:
        raise InvalidProjection(f"{where}: the server would choose its value; use a scalar default= or the event")
    default = None
    if column.default is not None:
        if not column.default.is_scalar:
            raise InvalidProjection(f"{where}: its default must be a constant, so that a replay gives the same rows")
        default = admit(column.default.arg)  # type: ignore[attr-defined]  # scalar defaults have `arg`
    addable = isinstance(kind, sa.Integer | sa.Numeric) and not isinstance(kind, sa.Float) and not column.primary_key
    if shared and not column.primary_key:
        if not addable or default not in (None, 0):
            raise InvalidProjection(f"{where}: a table of totals has keys and exact numbers starting at 0 only")
        default = 0
    return Column(
        name=column.name,
        wire_type=wire_type,
        cast="" if wire_type != "text" or isinstance(kind, sa.String) else f"::{kind.compile(_DIALECT)}",
        admit=_fast(kind, _nullable(admit, where, bool(column.nullable) and not shared)),
        are_plain=_are_plain(kind, bool(column.nullable) and not shared),
        at_once=_plain_class(kind) is None,
        text={"text": encode, "bytea": hex_text}.get(wire_type, str),
        decode=decode,
        reveal=reveal,
        nullable=bool(column.nullable) and not shared,
        required=not column.nullable and default is None and not column.primary_key,
        default=default,
        zero=0 if addable and default in (None, 0) else None,
    )


def _nullable(admit: Callable[[Value], Value], where: str, nullable: bool) -> Callable[[Value], Value]:
    def checked(value: Value) -> Value:
        if value is not None:
            return admit(value)
        if nullable:
            return None
        raise InvalidChange(f"{where}: expected a value, got None")

    return checked


def _fast(kind: sa.types.TypeEngine[Any], admit: Callable[[Value], Value]) -> Callable[[Value], Value]:
    """`admit` with a short cut for plain values of common types: it runs for every value of every event."""
    if isinstance(kind, sa.String) and kind.length is None:
        return lambda value: value if type(value) is str and value.isascii() and "\x00" not in value else admit(value)
    if isinstance(kind, sa.Integer | sa.Numeric) and not _has_decimals(kind):
        bound = _bound(kind)
        return lambda value: value if type(value) is int and -bound < value < bound else admit(value)
    plain = next((cls for of, cls in _PLAIN.items() if isinstance(kind, of)), None)
    checked = plain in (None, str, datetime)  # not every value of these fits
    return admit if checked else lambda value: value if type(value) is plain else admit(value)


def _are_plain(kind: sa.types.TypeEngine[Any], nullable: bool) -> Callable[[Sequence[Value]], bool]:
    """The same short cut for many values at once."""
    cls = _plain_class(kind)
    fits: Callable[[Sequence[Value]], bool] = bool
    if cls is None:
        return lambda values: True  # admitted before
    if isinstance(kind, sa.String):
        fits = _plain_texts(kind.length)
    elif isinstance(kind, sa.Integer | sa.Numeric):
        fits = _plain_integers(_bound(kind))
    elif isinstance(kind, sa.DateTime):
        fits = _all_zoned

    def are_plain(values: Sequence[Value]) -> bool:
        if nullable:
            values = [value for value in values if value is not None]
        return not values or (set(map(type, values)) == {cls} and fits(values))

    return are_plain


def _plain_class(kind: sa.types.TypeEngine[Any]) -> type | None:
    """The class of values that are kept as they are; None if they are changed, or the handler could change them."""
    if isinstance(kind, sa.Integer | sa.Numeric):
        return None if _has_decimals(kind) else int
    return next((cls for of, cls in _PLAIN.items() if isinstance(kind, of)), None)


def _plain_texts(longest: int | None) -> Callable[[Sequence[Value]], bool]:
    def fits(values: Sequence[Value]) -> bool:
        text = "".join(values)
        return text.isascii() and "\x00" not in text and (longest is None or max(map(len, values)) <= longest)

    return fits


def _all_zoned(values: Sequence[Value]) -> bool:
    return None not in {value.tzinfo for value in values}


def _plain_integers(bound: int) -> Callable[[Sequence[Value]], bool]:
    return lambda values: -bound < min(values) and max(values) < bound


def _bound(kind: sa.Integer | sa.Numeric[Any]) -> int:
    """The power that the absolute value of an integer stays below."""
    match kind:
        case sa.SmallInteger():
            return 2**15
        case sa.BigInteger():
            return 2**63
        case sa.Integer():
            return 2**31
        case _:
            return int(10 ** (kind.precision or 0))


_PLAIN: dict[type[sa.types.TypeEngine[Any]], type] = {
    sa.Boolean: bool,
    sa.Date: date,
    sa.LargeBinary: bytes,
    sa.Uuid: UUID,
    sa.String: str,
    sa.DateTime: datetime,
}


def _has_decimals(kind: sa.types.TypeEngine[Any]) -> bool:
    """Whether values are not kept as `int`."""
    return isinstance(kind, sa.Float) or (isinstance(kind, sa.Numeric) and bool(kind.scale))


_Codec = tuple[
    str,
    Callable[[Value], Value],
    Callable[[Value], Value],
    Callable[[Value], Value],
    Callable[[Value], Value],
]


def _codec(kind: sa.types.TypeEngine[Any], where: str) -> _Codec:
    """Wire type, admit, encode, decode, reveal of a type."""
    match kind:
        case sa.Boolean():
            return "boolean", _instance(bool, where), _same, _same, _same
        case sa.SmallInteger():
            return "smallint", _integer(_bound(kind), where), _same, _same, _same
        case sa.BigInteger():
            return "bigint", _integer(_bound(kind), where), _same, _same, _same
        case sa.Integer():
            return "integer", _integer(_bound(kind), where), _same, _same, _same
        case sa.Float():
            return "double precision", _float(where), _same, _same, _same
        case sa.Numeric() if kind.precision is not None and not kind.scale:
            return "text", _integer(_bound(kind), where), str, int, _same
        case sa.Numeric() if kind.precision is not None and kind.scale is not None:
            return "text", _decimal(kind.precision, kind.scale, where), str, Decimal, _same
        case sa.String():
            return "text", _text(kind.length, where), _same, _same, _same
        case sa.DateTime() if kind.timezone:
            return "timestamptz", _instant(where), _same, _same, _same
        case sa.Date():
            return "date", _date(where), _same, _same, _same
        case sa.Uuid():
            return "uuid", _instance(UUID, where), _same, _uuid, _same
        case sa.LargeBinary():
            return "bytea", _instance(bytes, where), _same, _same, _same
        case postgresql.JSONB():
            return "text", _json(where), _same, _same, json.loads
        case sa.ARRAY() if kind.dimensions in (None, 1):
            return _array_codec(kind, where)
        case _:
            raise InvalidProjection(f"{where}: type {kind!r} is not one this library writes without loss")


def _array_codec(kind: sa.ARRAY[Any], where: str) -> _Codec:
    item = kind.item_type
    item = item.impl_instance if isinstance(item, sa.types.TypeDecorator) else item
    if not isinstance(item, sa.Integer | sa.Numeric | sa.String | sa.Uuid):
        raise InvalidProjection(f"{where}: arrays of {item!r} are not supported")
    _, admit, _, decode, _ = _codec(item, where)

    def admit_all(values: Value) -> tuple[Value, ...]:
        if not isinstance(values, list | tuple):
            raise InvalidChange(f"{where}: expected a list, got {type(values).__name__}")
        return tuple(None if value is None else admit(value) for value in values)

    def decode_all(values: Value) -> tuple[Value, ...]:
        return tuple(None if value is None else decode(value) for value in values)

    return "text", admit_all, array_text, decode_all, list


def _instance(cls: type, where: str) -> Callable[[Value], Value]:
    def admit(value: Value) -> Value:
        if isinstance(value, cls):
            return value
        raise InvalidChange(f"{where}: expected {cls.__name__}, got {type(value).__name__}")

    return admit


def _integer(bound: int, where: str) -> Callable[[Value], Value]:
    low = -bound if bound & (bound - 1) == 0 else 1 - bound  # two's complement or decimal digits

    def admit(value: Value) -> Value:
        if type(value) is not int:
            if isinstance(value, bool) or not isinstance(value, int):
                raise InvalidChange(f"{where}: expected int, got {type(value).__name__}")
            value = int(value)
        if low <= value < bound:
            return value
        raise InvalidChange(f"{where}: {value} is out of range")

    return admit


def _decimal(precision: int, scale: int, where: str) -> Callable[[Value], Value]:
    unit, bound = Decimal(1).scaleb(-scale), Decimal(10) ** (precision - scale)

    def admit(value: Value) -> Decimal:
        if isinstance(value, bool) or not isinstance(value, int | Decimal):
            raise InvalidChange(f"{where}: expected Decimal or int, got {type(value).__name__}")
        value = Decimal(value)
        if not value.is_finite() or abs(value) >= bound:
            raise InvalidChange(f"{where}: {value} is out of range")
        try:
            return EXACT.quantize(value, unit)  # zeros are added, digits are never dropped
        except Inexact:
            raise InvalidChange(f"{where}: {value} has more than {scale} decimals") from None

    return admit


def _float(where: str) -> Callable[[Value], Value]:
    def admit(value: Value) -> float:
        if isinstance(value, float | int) and not isinstance(value, bool):
            return float(value)
        raise InvalidChange(f"{where}: expected float, got {type(value).__name__}")

    return admit


def _storable(text: str, where: str) -> str:
    if "\x00" in text:
        raise InvalidChange(f"{where}: PostgreSQL cannot store the character U+0000")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise InvalidChange(f"{where}: {error}") from error
    return text


def _text(length: int | None, where: str) -> Callable[[Value], Value]:
    def admit(value: Value) -> str:
        if not isinstance(value, str):
            raise InvalidChange(f"{where}: expected str, got {type(value).__name__}")
        if length is not None and len(value) > length:
            raise InvalidChange(f"{where}: expected at most {length} characters, got {len(value)}")
        return _storable(value, where)

    return admit


def _instant(where: str) -> Callable[[Value], Value]:
    def admit(value: Value) -> datetime:
        if isinstance(value, datetime) and value.tzinfo is not None:
            return value
        raise InvalidChange(f"{where}: expected a datetime with its time zone, got {value!r}")

    return admit


def _date(where: str) -> Callable[[Value], Value]:
    def admit(value: Value) -> date:
        if isinstance(value, date) and not isinstance(value, datetime):
            return value
        raise InvalidChange(f"{where}: expected date, got {type(value).__name__}")

    return admit


def _uuid(value: Value) -> UUID:
    return UUID(int=value.int)  # asyncpg returns a subclass


def _json(where: str) -> Callable[[Value], Value]:
    def admit(value: Value) -> str:
        if type(value) is Json:
            return value
        try:
            text = json_text(value)
        except (TypeError, ValueError) as error:
            raise InvalidChange(f"{where}: not JSON: {error}") from error
        if has_nul(text):
            raise InvalidChange(f"{where}: PostgreSQL cannot store the character U+0000")
        return Json(_storable(text, where))

    return admit
