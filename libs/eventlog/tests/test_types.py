from __future__ import annotations

import pickle
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from pydantic import BaseModel

from eventlog import EventLog, EventTypes, InvalidEvent, MessageDiscarded, UnknownEventType, derived_id, uuid7
from eventlog.testing import EXAMPLE_TYPES, NOW, Credited


@dataclass(frozen=True, slots=True)
class Moved:
    distance: int


@dataclass(frozen=True, slots=True)
class Went:
    distance: float


@dataclass(frozen=True, slots=True)
class Measured:
    degrees: float | None
    rate: Decimal


class Rate(BaseModel):
    share: Decimal


@dataclass(frozen=True, slots=True)
class Typed:
    type: float  # a name that pydantic's schemas use for something else


@dataclass(frozen=True, slots=True)
class Journey:
    legs: tuple[Went, ...] = ()
    rates: dict[str, Rate] = field(default_factory=dict)


@pytest.mark.parametrize("never", [Measured(1.5, Decimal("NaN")), Measured(1.5, Decimal("-Infinity"))])
def test_an_event_that_nobody_could_read_is_not_written(never: Measured) -> None:
    types = EventTypes({"Measured.v1": Measured})
    assert types.decode(*types.encode(Measured(None, Decimal("1E+9")))) == Measured(None, Decimal("1E+9"))
    with pytest.raises(InvalidEvent, match="rate"):
        types.encode(never)


def test_a_number_that_is_none_is_not_written() -> None:
    types = EventTypes({"Moved.v1": Went, "Typed.v1": Typed})
    for distance in (float("nan"), float("inf"), 10**5000):
        for event in (Went(distance), Typed(distance)):
            with pytest.raises(InvalidEvent):
                types.encode(event)


@pytest.mark.parametrize(
    "never",
    [
        Journey(legs=(Went(1.5), Went(float("nan")))),
        Journey(rates={"a": Rate.model_construct(share=Decimal("NaN"))}),
    ],
)
def test_a_number_that_is_none_is_found_however_deep_it_is(never: Journey) -> None:
    types = EventTypes({"Journey.v1": Journey})
    whole = Journey((Went(1.5),), {"NaN": Rate(share=Decimal(1))})
    assert types.decode(*types.encode(whole)) == whole
    with pytest.raises(InvalidEvent):
        types.encode_all([whole, never])


def test_an_old_version_is_lifted_to_the_current_class() -> None:
    assert EXAMPLE_TYPES.decode("Credited", 1, '{"amount": 7}') == Credited(7, "old")
    assert EXAMPLE_TYPES.decode("Credited", 2, '{"amount": 7, "note": "new"}') == Credited(7, "new")


def test_upcasters_form_a_chain() -> None:
    types = EventTypes(
        {"Moved.v3": Moved},
        {"Moved.v1": lambda old: {"d": old["x"]}, "Moved.v2": lambda old: {"distance": old["d"] * 10}},
    )
    assert types.decode("Moved", 1, '{"x": 4}') == Moved(40)


def test_a_chain_that_leads_nowhere_and_a_class_named_twice_are_refused_at_start() -> None:
    with pytest.raises(ValueError, match=r"Moved\.v1 leads nowhere"):
        EventTypes({"Moved.v3": Moved}, {"Moved.v1": dict})
    with pytest.raises(ValueError, match=r"Moved\.v1 would never be called: Moved\.v1 has a class"):
        EventTypes({"Moved.v1": Moved}, {"Moved.v1": dict})
    with pytest.raises(ValueError, match="named twice"):
        EventTypes({"Moved.v1": Moved, "Went.v1": Moved})
    with pytest.raises(ValueError, match=r"expected Name\.v<number>"):
        EventTypes({"Moved": Moved})


def test_every_log_knows_the_decisions_of_its_operators() -> None:
    event = MessageDiscarded("shop", "orders.events", 2, 17, "order/1", "id", "Ordered.v1", "boom", "a prank", "ann")
    name, version, data = EventTypes({}).encode(event)
    assert (name, version, EXAMPLE_TYPES.decode(name, version, data)) == ("MessageDiscarded", 1, event)
    with pytest.raises(ValueError, match=r"MessageDiscarded\.v1: every log has these events already"):
        EventTypes({"MessageDiscarded.v1": Moved})


def _longer(old: dict[str, Any]) -> dict[str, Any]:
    return {"distance": old["x"] * 10}


def test_types_travel_to_another_process() -> None:
    types = pickle.loads(pickle.dumps(EventTypes({"Moved.v2": Moved}, {"Moved.v1": _longer})))  # noqa: S301 - our own bytes
    assert types.decode("Moved", 1, '{"x": 4}') == Moved(40)


def test_stored_data_that_no_class_fits_are_an_error_with_the_name() -> None:
    with pytest.raises(UnknownEventType, match=r"Vanished\.v1"):
        EXAMPLE_TYPES.decode("Vanished", 1, "{}")
    with pytest.raises(InvalidEvent, match=r"Debited\.v1 does not fit"):
        EXAMPLE_TYPES.decode("Debited", 1, '{"amount": "many"}')


def test_a_version_of_a_later_release_is_an_error_that_names_those_known_here() -> None:
    with pytest.raises(UnknownEventType, match=r"no class for stored event Credited\.v3: this release knows v1, v2"):
        EXAMPLE_TYPES.decode("Credited", 3, '{"amount": 7}')
    with pytest.raises(UnknownEventType, match=r"Vanished\.v1: this release knows no event of this name"):
        EXAMPLE_TYPES.decode("Vanished", 1, "{}")


@pytest.mark.parametrize(
    ("stored", "saying"),
    [
        ('{"y": 4}', r"Moved\.v1: no upcast from v1: KeyError\('x'\)"),
        ('{"x": "far"}', r"Moved\.v1: no upcast from v2: TypeError"),
        ('{"x": null}', r"Moved\.v1: no upcast from v2: TypeError"),
        ('{"x": 0.5}', r"Moved\.v1 does not fit its class: .*\n.*distance"),
    ],
)
def test_an_upcaster_that_fails_is_the_event_s_fault_and_the_error_names_the_step(stored: str, saying: str) -> None:
    types = EventTypes(
        {"Moved.v3": Moved}, {"Moved.v1": lambda o: {"d": o["x"]}, "Moved.v2": lambda o: {"distance": o["d"] - 1}}
    )
    with pytest.raises(InvalidEvent, match=saying):
        types.decode("Moved", 1, stored)


def test_what_upcasters_return_is_read_as_json_whatever_python_would_make_of_it() -> None:
    types = EventTypes({"Moved.v2": Moved}, {"Moved.v1": lambda old: {"distance": NOW}})
    with pytest.raises(InvalidEvent, match=r"Moved\.v1: no upcast from v2: TypeError"):
        types.decode("Moved", 1, "{}")


def test_ids_are_version_7_and_derived_ones_repeat() -> None:
    assert uuid7() != uuid7()
    assert derived_id("a", NOW) == derived_id("a", NOW) != derived_id("b", NOW)
    for made in (uuid7(), derived_id("a", NOW)):
        assert (made.version, made.variant) == (7, "specified in RFC 4122")
    later = datetime(2027, 1, 1, tzinfo=UTC)
    assert derived_id("z", NOW) < derived_id("a", later)


def test_a_text_with_the_character_that_postgresql_cannot_read_is_refused() -> None:
    with pytest.raises(InvalidEvent, match=r"Credited\.v\d: PostgreSQL cannot read the character U\+0000"):
        EXAMPLE_TYPES.encode(Credited(1, "a\0b"))
    harmless = Credited(1, "\\u0000")  # a backslash, and what stands behind it
    assert EXAMPLE_TYPES.decode(*EXAMPLE_TYPES.encode(harmless)) == harmless


async def test_stored_numbers_keep_all_their_digits(log: EventLog) -> None:
    huge = 2**256 - 1
    stored = EXAMPLE_TYPES.encode(Credited(huge))[2]
    assert await log.pool.fetchval("SELECT ($1::json ->> 'amount')::numeric::text", stored) == str(huge)
