"""The circuit breaker, by a clock of its own."""

from __future__ import annotations

from tron.breaker import CircuitBreaker


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def opened(clock: Clock) -> CircuitBreaker:
    breaker = CircuitBreaker(failures=3, first=2.0, longest=5.0, clock=clock)
    for _ in range(3):
        assert breaker.enter() == 0
        breaker.failed()
    return breaker


def test_it_opens_after_failures_in_a_row_and_not_before() -> None:
    breaker = CircuitBreaker(failures=3, clock=Clock())
    for _ in range(10):
        breaker.failed()
        breaker.failed()
        breaker.succeeded()
    assert breaker.state == "closed"
    assert opened(Clock()).state == "open"


def test_half_open_it_lets_one_request_through_whose_success_closes_it() -> None:
    breaker = opened(clock := Clock())
    assert breaker.enter() == 2.0
    clock.now += 2.5
    assert breaker.state == "half-open"
    assert breaker.enter() == 0
    assert breaker.enter() > 0, "only one is the probe"
    breaker.succeeded()
    assert breaker.state == "closed"
    assert breaker.enter() == breaker.enter() == 0


def test_a_probe_that_fails_opens_it_for_twice_as_long_up_to_a_bound() -> None:
    breaker = opened(clock := Clock())
    for pause in (4.0, 5.0, 5.0):
        clock.now += 10
        assert breaker.enter() == 0
        breaker.failed()
        assert breaker.enter() == pause


def test_a_probe_that_was_given_up_leaves_its_place_to_another() -> None:
    breaker = opened(clock := Clock())
    clock.now += 3
    assert breaker.enter() == 0
    breaker.abandoned()
    assert breaker.enter() == 0


def test_failures_that_come_late_do_not_prolong_the_pause() -> None:
    breaker = opened(clock := Clock())
    clock.now += 1
    breaker.failed()  # a request that was under way when it opened
    assert breaker.enter() == 1.0
