from __future__ import annotations

from calendar import monthrange
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compliance.domain.deadlines import add_months, due_at
from contracts.chain import Law

times = st.datetimes(datetime(1990, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - bounds are naive


@pytest.mark.parametrize(
    ("start", "months", "end"),
    [
        ("2026-01-31", 1, "2026-02-28"),
        ("2028-01-31", 1, "2028-02-29"),
        ("2026-01-31", 3, "2026-04-30"),
        ("2026-11-30", 3, "2027-02-28"),
        ("2026-12-15", 1, "2027-01-15"),
        ("2026-08-31", 1, "2026-09-30"),
        ("2026-02-28", 1, "2026-03-28"),
    ],
)
def test_a_month_is_a_calendar_month(start: str, months: int, end: str) -> None:
    at = datetime.fromisoformat(f"{start}T13:14:15+00:00")
    assert add_months(at, months) == datetime.fromisoformat(f"{end}T13:14:15+00:00")


@given(times, st.integers(0, 36))
def test_the_day_and_time_stay_unless_the_month_has_no_such_day(start: datetime, months: int) -> None:
    end = add_months(start, months)
    assert end.year * 12 + end.month == start.year * 12 + start.month + months
    assert end.timetz() == start.timetz()
    last = monthrange(end.year, end.month)[1]
    assert end.day == start.day if start.day <= last else end.day == last


@given(times, times, st.integers(0, 36))
def test_who_asks_earlier_is_never_due_later(one: datetime, other: datetime, months: int) -> None:
    first, second = sorted([one, other])
    assert add_months(first, months) <= add_months(second, months)


@given(times)
def test_gdpr_gives_28_to_31_days_and_with_an_extension_89_to_92(received: datetime) -> None:
    assert timedelta(days=28) <= due_at(Law.GDPR, received) - received <= timedelta(days=31)
    assert timedelta(days=89) <= due_at(Law.GDPR, received, extended=True) - received <= timedelta(days=92)


@given(times)
def test_ccpa_gives_45_days_and_with_an_extension_90(received: datetime) -> None:
    assert due_at(Law.CCPA, received) - received == timedelta(days=45)
    assert due_at(Law.CCPA, received, extended=True) - received == timedelta(days=90)


def test_days_are_counted_in_utc() -> None:
    evening_in_new_york = datetime(2026, 1, 30, 22, tzinfo=timezone(timedelta(hours=-5)))  # 31 January, 03:00 UTC
    assert due_at(Law.GDPR, evening_in_new_york) == datetime(2026, 2, 28, 3, tzinfo=UTC)
