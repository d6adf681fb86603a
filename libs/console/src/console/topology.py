"""The picture of what runs: the chain's node, each service with its log and read models, and Kafka between them.

Kafka is the spine on the left, a row hangs on it for each service. Narrow, read models stand below their service.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from annals.status import ServiceStatus
from console.observer import CHAIN, Look
from console.rendering import count, rate, seconds
from projections import Status

State = Literal["good", "late", "bad"]
LATE_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Cell:
    """A read model, as a small square."""

    x: float
    y: float
    name: str
    state: State
    says: str


@dataclass(frozen=True, slots=True)
class Card:
    """A box with a title and lines below it."""

    x: float
    y: float
    width: float
    height: float
    title: str
    lines: tuple[str, ...]
    state: State
    link: str
    cells: tuple[Cell, ...] = ()


@dataclass(frozen=True, slots=True)
class Edge:
    """An arrow, how fast things move along it (above), and how far it is behind (below)."""

    x1: float
    y1: float
    x2: float
    y2: float
    says: str
    rate: str
    lag: str
    state: State
    moves: bool

    @property
    def middle(self) -> tuple[float, float]:
        return (self.x1 + self.x2) / 2, (self.y1 + self.y2) / 2

    @property
    def upright(self) -> bool:
        return self.x1 == self.x2


@dataclass(frozen=True, slots=True)
class Picture:
    """All of it, in user units of an SVG."""

    name: str
    width: float
    height: float
    spine: Card
    cards: tuple[Card, ...]
    edges: tuple[Edge, ...]


@dataclass(frozen=True, slots=True)
class Layout:
    """Where things stand; `beside` says whether read models are beside their service, else below it."""

    name: str
    width: float
    spine: float
    card: tuple[float, float]
    """x and width of a service."""
    models: tuple[float, float]
    beside: bool
    pitch: float

    @property
    def spine_end(self) -> float:
        return 8 + self.spine


CARD, NODE, GAP = 92.0, 58.0, 40.0
"""Heights: of a service or its read models, of the chain's node, of an upright arrow."""
WIDE = Layout("wide", 1080, 64, (300, 320), (820, 252), True, CARD + 34)
NARROW = Layout("narrow", 358, 30, (134, 216), (134, 216), False, 2 * CARD + GAP + 34)


def pictures(look: Look) -> tuple[Picture, Picture]:
    """For a wide screen, and for a phone."""
    return drawn(look, WIDE), drawn(look, NARROW)


def drawn(look: Look, layout: Layout) -> Picture:
    """The picture of a look: the service at the root first, under the node that it reads."""
    services = sorted(look.services, key=lambda service: (service.name != CHAIN, service.name))
    top = 8 + NODE + GAP if look.chain is not None else 8
    cards, edges = list[Card](), list[Edge]()
    if look.chain is not None:
        cards.append(_node(look, layout))
        edges.append(_from_node(look, layout))
    for row, service in enumerate(services):
        y = top + row * layout.pitch
        cards += [_service(service, layout, y, look), _models(service, layout, y)]
        edges += [*_kafka_edges(service, layout, y, look), _models_edge(service, layout, y, look)]
    height = top + len(services) * layout.pitch - 34 + 8
    spine = Card(8, top, layout.spine, height - top - 8, "Kafka", (), "good", "/letters")
    return Picture(layout.name, layout.width, height, spine, tuple(cards), tuple(edges))


def _node(look: Look, layout: Layout) -> Card:
    x, width = layout.card
    assert look.chain is not None
    lines = (f"block {count(look.chain.head)}, solid {count(look.chain.solid)}",)
    return Card(x, 8, width, NODE, "TRON node", lines, "good", "/chain")


def _from_node(look: Look, layout: Layout) -> Edge:
    assert look.chain is not None
    x, lag, moved = layout.card[0] + 40, look.chain.lag_seconds, look.rates.get("chain")
    behind = max(0.0, look.chain.solid - look.chain.ingested)
    says = f"node to {CHAIN}: {rate(moved)} blocks, {count(behind)} behind, the last one {seconds(lag)} old"
    return Edge(
        x,
        8 + NODE,
        x,
        8 + NODE + GAP,
        says,
        f"{rate(moved)} blocks",
        _lag(behind, lag, layout),
        _state(lag, 60),
        _moves(moved),
    )


def _service(service: ServiceStatus, layout: Layout, y: float, look: Look) -> Card:
    x, width = layout.card
    log, growth = service.log, look.rates.get(f"log {service.name}")
    lines: tuple[str, ...] = ("no log to be seen",)
    if log is not None:
        beside = "".join(f" · {r.name} at {count(r.position)}" for r in service.relays if r.name != service.name)
        lines = (f"log at {count(log.position)}, {rate(growth)}", f"sealed to {count(log.sealed_position)}{beside}")
    problems = len(service.problems)
    title = service.name if service.ready else f"{service.name}: not ready"
    state: State = "bad" if not service.ready else "late" if problems else "good"
    return Card(x, y, width, CARD, title, lines, state, f"/events?service={service.name}")


def _models(service: ServiceStatus, layout: Layout, y: float) -> Card:
    x, width = layout.models
    y = y if layout.beside else y + CARD + GAP
    models = service.projections
    across = int((width - 24) // 18)
    cells = tuple(
        Cell(x + 14 + 18 * (n % across), y + 52 + 18 * (n // across), model.name, model_state(model), _says(model))
        for n, model in enumerate(models)
    )
    state = _worst(cell.state for cell in cells)
    return Card(x, y, width, CARD, f"{len(models)} read models", (), state, f"/projections#{service.name}", cells)


def model_state(model: Status) -> State:
    """How a read model is."""
    if model.parked_events or model.paused:
        return "bad"
    return _state(model.lag_seconds, LATE_SECONDS)


def _says(model: Status) -> str:
    if model.paused:
        return f"{model.name}: {model.paused}"
    parked = f", {model.parked_events} put aside" if model.parked_events else ""
    return f"{model.name}: {count(model.lag_events)} behind, {seconds(model.lag_seconds)}{parked}"


def _kafka_edges(service: ServiceStatus, layout: Layout, y: float, look: Look) -> Iterable[Edge]:
    """What it publishes, and what it consumes."""
    left, right = layout.spine_end, layout.card[0]
    if service.relays:
        moves = {relay.name: look.rates.get(f"relay {relay.name}") for relay in service.relays}
        moved = _sum(moves.values())
        behind = _sum(relay.lag_events for relay in service.relays)
        oldest = max((r.lag_seconds for r in service.relays if r.lag_seconds is not None), default=None)
        led = all(relay.leader is not None for relay in service.relays)
        state = "bad" if not led else "late" if behind is None else _state(oldest, LATE_SECONDS)
        says = "; ".join(
            f"{r.name} publishes {rate(moves[r.name])}, at {count(r.position)}, {count(r.lag_events)} behind, "
            f"led by {r.leader}"
            for r in service.relays
        )
        lag = _lag(behind, oldest, layout)
        yield Edge(right, y + 24, left, y + 24, says, rate(moved), lag, state, _moves(moved))
    if service.consumers:
        moved = sum(look.rates.get(f"consumer {service.name} {c.topic}", 0.0) for c in service.consumers)
        behind = sum(c.lag_messages for c in service.consumers)
        oldest = max(c.lag_seconds for c in service.consumers)
        topics = ", ".join(c.topic for c in service.consumers)
        says = f"{service.name} consumes {rate(moved)} of {topics}, {count(behind)} behind"
        aside = any(c.put_aside for c in service.consumers)
        state = "bad" if aside else _state(oldest, LATE_SECONDS)
        yield Edge(left, y + 68, right, y + 68, says, rate(moved), _lag(behind, oldest, layout), state, _moves(moved))


def _models_edge(service: ServiceStatus, layout: Layout, y: float, look: Look) -> Edge:
    models: Sequence[Status] = service.projections
    moved = max((look.rates.get(f"projection {service.name}.{m.name}", 0.0) for m in models), default=0.0)
    behind = max((m.lag_events for m in models), default=0)
    oldest = max((m.lag_seconds for m in models), default=0.0)
    says = f"read models of {service.name}: {rate(moved)}, the slowest {count(behind)} behind"
    state, lag = _state(oldest, LATE_SECONDS), _lag(behind, oldest, layout)
    x, width = layout.card
    if layout.beside:
        return Edge(x + width, y + 46, layout.models[0], y + 46, says, rate(moved), lag, state, _moves(moved))
    return Edge(x + 40, y + CARD, x + 40, y + CARD + GAP, says, rate(moved), lag, state, _moves(moved))


def _sum(values: Iterable[float | None]) -> float | None:
    """None as soon as one is not known."""
    found = list(values)
    return None if None in found else sum(value for value in found if value is not None)


def _moves(per_second: float | None) -> bool:
    return per_second is not None and per_second >= 0.05


def _lag(behind: float | None, age: float | None, layout: Layout) -> str:
    """Narrow, the age has to do."""
    if not behind:
        return "caught up"
    return f"{count(behind)} behind, {seconds(age)}" if layout.beside else f"{seconds(age)} behind"


def _state(age: float | None, limit: float) -> State:
    return "late" if age is None or age > limit else "good"


def _worst(states: Iterable[State]) -> State:
    return max(states, key=("good", "late", "bad").index, default="good")
