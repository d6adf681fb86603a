"""The picture, and how fast things move."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from annals.status import ConsumerStatus, LogStatus, RelayStatus, ServiceStatus
from console.observer import Chain, Look, rates
from console.rendering import count, fragment, rate, seconds, short
from console.topology import NARROW, WIDE, Layout, drawn, pictures
from projections import Status


@pytest.mark.parametrize("layout", [WIDE, NARROW], ids=lambda layout: layout.name)
def test_everything_is_inside_the_picture_and_nothing_covers_another(layout: Layout) -> None:
    picture = drawn(look(service("chain", models=16), service("rewards", models=30)), layout)
    for card in (*picture.cards, picture.spine):
        assert card.x >= 0
        assert card.x + card.width <= picture.width
        assert card.y + card.height <= picture.height
        assert all(cell.x + 13 <= card.x + card.width and cell.y <= card.y + card.height for cell in card.cells)
    boxes = sorted((card.y, card.y + card.height) for card in picture.cards if card.x == layout.card[0])
    assert all(above[1] <= below[0] for above, below in pairwise(boxes))


def test_the_service_at_the_root_stands_under_its_node() -> None:
    titles = [card.title for card in drawn(look(service("audit"), service("chain")), WIDE).cards]
    assert titles == ["TRON node", "chain", "0 read models", "audit", "0 read models"]


def test_what_is_wrong_shows() -> None:
    broken = service("rewards", ready=False, leader=None, put_aside=2)
    picture = drawn(look(broken), WIDE)
    [card] = [card for card in picture.cards if card.title == "rewards: not ready"]
    assert card.state == "bad"
    assert [edge.state for edge in picture.edges] == ["good", "bad", "bad", "good"]


def test_a_read_model_that_stands_still_is_seen_among_its_like() -> None:
    one = service("rewards", models=3)
    paused = Status(**{**fields(one.projections[1]), "paused": "paused by ada"})
    one.projections = (one.projections[0], paused, one.projections[2])
    cells = next(card for card in drawn(look(one), WIDE).cards if card.cells).cells
    assert [cell.state for cell in cells] == ["good", "bad", "good"]
    assert "paused by ada" in cells[1].says


def test_what_is_published_beside_the_log_shows_with_it() -> None:
    root = service("chain")
    root.relays += (RelayStatus("chain.head", "host:2", (), 7, 3, 12.0),)
    picture = drawn(look(root), WIDE)
    [card] = [card for card in picture.cards if card.title == "chain"]
    assert card.lines[1] == "sealed to 0 · chain.head at 7"
    edge = picture.edges[1]
    assert (edge.state, edge.lag) == ("late", "3 behind, 12 s")
    assert "; chain.head publishes –, at 7, 3 behind, led by host:2" in edge.says
    root.relays = (root.relays[0], RelayStatus("chain.head", None, (), None, None, None))
    assert drawn(look(root), NARROW).edges[1].state == "bad"
    later = service("chain")
    later.relays += (RelayStatus("chain.head", "host:2", (), 27, 0, 0.0),)
    root.relays = (root.relays[0], RelayStatus("chain.head", "host:2", (), 7, 3, 12.0))
    assert rates(look(root), look(later, at=10.0))["relay chain.head"] == 2.0


def test_rates_are_what_was_added_between_two_looks() -> None:
    before, now = look(service("rewards", position=100), at=10.0), look(service("rewards", position=150), at=20.0)
    found = rates(before, now)
    assert found["log rewards"] == 5.0
    assert found["consumer rewards chain.blocks"] == 5.0
    assert rates(now, before) == {}, "a log that was restored has no rate until the next look"


def test_the_picture_names_what_it_shows_for_those_who_do_not_see_it() -> None:
    known = look(service("chain"), service("rewards"))
    text = fragment("live/topology.html", pictures=pictures(known), look=known)
    assert "<title>rewards consumes 0/s of chain.blocks, 0 behind</title>" in text
    assert "Nothing is wrong" in text


def test_figures_are_written_for_people() -> None:
    assert [count(None), count(1234567)] == ["–", "1,234,567"]
    assert [rate(None), rate(0), rate(0.25), rate(1234)] == ["–", "0/s", "0.2/s", "1,234/s"]
    assert [seconds(value) for value in (None, 0.31, 42, 600, 7_200, 259_200)] == [
        "–", "0.3 s", "42 s", "10 min", "2 h", "3 d",
    ]  # fmt: skip
    assert short("<script>" * 5) == '<span title="' + "&lt;script&gt;" * 5 + '">&lt;script&gt;…&lt;script&gt;</span>'


def look(*services: ServiceStatus, at: float = 0.0) -> Look:
    return Look(at, services, Chain(100, 98, 98, 0.5), {})


def service(
    name: str,
    *,
    models: int = 0,
    ready: bool = True,
    leader: str | None = "host:1",
    put_aside: int = 0,
    position: int = 100,
) -> ServiceStatus:
    return ServiceStatus(
        name,
        ready=ready,
        log=LogStatus(position, 1, None, 0),
        projections=tuple(
            Status(f"model_{n}", 1, f"model_{n}_v1", position, 0, 0.0, 0, 0, {}, 1, position) for n in range(models)
        ),
        consumers=(ConsumerStatus(name, "chain.blocks", 1, (), position, 0, 0.0, None, put_aside),),
        relays=(RelayStatus(name, leader, (), position, 0, 0.0),),
    )


def fields(status: Status) -> dict[str, Any]:
    return {name: getattr(status, name) for name in Status.__slots__}
