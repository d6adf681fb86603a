"""A circuit breaker: a node that keeps failing is left alone for a while, then tried by one request."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Literal

State = Literal["closed", "half-open", "open"]


class CircuitBreaker:
    """Opens after `failures` in a row, for `first` seconds; then half-open: one request goes through as a probe.

    The probe's success closes it; its failure opens it again for twice as long, up to `longest` seconds.
    """

    def __init__(
        self,
        failures: int = 5,
        first: float = 2.0,
        longest: float = 30.0,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._allowed = failures
        self._first, self._longest, self._clock = first, longest, clock
        self._failures = 0
        self._pause = first
        self._open_until = 0.0
        self._probing = False

    @property
    def state(self) -> State:
        """How it stands now."""
        if self._failures < self._allowed:
            return "closed"
        return "open" if self._clock() < self._open_until else "half-open"

    def enter(self) -> float:
        """Return 0 if a request may be made now, else the seconds after which to ask again.

        Whoever was let through says `succeeded` or `failed` afterwards.
        """
        if self.state == "closed":
            return 0.0
        if self.state == "open":
            return self._open_until - self._clock()
        if self._probing:
            return self._first / 4
        self._probing = True
        return 0.0

    def succeeded(self) -> None:
        """A request was answered, whatever the answer."""
        self._failures, self._pause, self._probing = 0, self._first, False

    def failed(self) -> None:
        """A request got no answer."""
        if self._probing:
            self._pause = min(self._pause * 2, self._longest)
        self._probing = False
        self._failures += 1
        if self._failures >= self._allowed and self._clock() >= self._open_until:
            self._open_until = self._clock() + self._pause

    def abandoned(self) -> None:
        """A request was given up without having learned anything: another may be the probe."""
        self._probing = False
