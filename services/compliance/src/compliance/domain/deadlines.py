"""When the law wants a deletion request answered. Counted in UTC, to the same time of day, which is never too late."""

from __future__ import annotations

from calendar import monthrange
from datetime import UTC, datetime, timedelta

from contracts.chain import Law


def add_months(start: datetime, months: int) -> datetime:
    """The same day and time `months` calendar months later; the last day of that month if it has no such day.

    31 January + 1 month = 28 or 29 February (Regulation (EEC, Euratom) No 1182/71, Art. 3(2)(c)).
    """
    year, month = divmod(start.year * 12 + start.month - 1 + months, 12)
    return start.replace(year=year, month=month + 1, day=min(start.day, monthrange(year, month + 1)[1]))


def due_at(law: Law, received_at: datetime, extended: bool = False) -> datetime:
    """Until when a request must be answered, in UTC.

    GDPR Art. 12(3): one calendar month, with an extension two more, i.e. three from the receipt. CCPA, 11 CCR
    § 7021(b): 45 calendar days, with an extension 90 from the receipt.
    """
    received = received_at.astimezone(UTC)
    match law:
        case Law.GDPR:
            return add_months(received, 3 if extended else 1)
        case Law.CCPA:
            return received + timedelta(days=90 if extended else 45)
