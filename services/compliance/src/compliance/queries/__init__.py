"""The queries on the read models, one statement each. What depends on the clock is computed here, from `now`."""

from compliance.queries.acceptances import acceptances, discrepancies, has_accepted, have_accepted, outstanding
from compliance.queries.common import Query
from compliance.queries.contacts import contact
from compliance.queries.documents import current_documents, versions
from compliance.queries.kyc import count_due, kyc_in, kyc_of, screenings_due
from compliance.queries.legal_holds import holds
from compliance.queries.requests import (
    ACCESS,
    DELETION,
    KINDS,
    RECTIFICATION,
    Kind,
    RequestFilter,
    overdue,
    queue,
    request,
    requests,
    unanswered,
)
from compliance.queries.trail import TrailFilter, administration, audit_trail, retention
from compliance.queries.wallets import wallets_of

__all__ = [
    "ACCESS",
    "DELETION",
    "KINDS",
    "RECTIFICATION",
    "Kind",
    "Query",
    "RequestFilter",
    "TrailFilter",
    "acceptances",
    "administration",
    "audit_trail",
    "contact",
    "count_due",
    "current_documents",
    "discrepancies",
    "has_accepted",
    "have_accepted",
    "holds",
    "kyc_in",
    "kyc_of",
    "outstanding",
    "overdue",
    "queue",
    "request",
    "requests",
    "retention",
    "screenings_due",
    "unanswered",
    "versions",
    "wallets_of",
]
