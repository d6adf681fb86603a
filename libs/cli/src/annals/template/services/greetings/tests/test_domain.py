"""The rules alone: given what happened, when somebody asks, then this happens."""

from __future__ import annotations

from eventlog.testing import given
from greetings.domain import Welcome, Welcomed, welcome


def test_a_subject_is_welcomed_once() -> None:
    given(welcome).when(Welcome("ada")).then(Welcomed("ada"))
    given(welcome, Welcomed("ada")).when(Welcome("ada")).then_nothing()
