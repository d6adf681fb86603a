"""What compliance measures of the dates that the law sets, in the process's default Prometheus registry."""

from __future__ import annotations

from prometheus_client import Gauge

OVERDUE = Gauge("annals_deletion_requests_overdue", "Requests of people that are open beyond their deadline")
OVERDUE_SECONDS = Gauge(
    "annals_deletion_request_overdue_seconds", "By how much the first of them is beyond its deadline; 0 without any"
)
UNANSWERED_SECONDS = Gauge(
    "annals_erasure_unanswered_seconds",
    "Age of the oldest order to erase that a service has not answered; 0 without any",
    ["service"],
)
SCREENINGS_DUE = Gauge("annals_kyc_screenings_due", "Approved subjects whose time has come to be screened again")
