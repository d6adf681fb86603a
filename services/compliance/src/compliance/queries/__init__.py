"""The queries on the read models, one statement each. What depends on the clock is computed here, from `now`."""

from compliance.queries.acceptances import acceptances, discrepancies, has_accepted, have_accepted, outstanding
from compliance.queries.common import Query
from compliance.queries.contacts import contact
from compliance.queries.deletions import RequestFilter, deletion_request, deletion_requests, overdue, unanswered
from compliance.queries.documents import current_documents, versions
from compliance.queries.kyc import kyc_in, kyc_of, screenings_due
from compliance.queries.legal_holds import holds
from compliance.queries.trail import TrailFilter, administration, audit_trail, retention
from compliance.queries.wallets import wallets_of

__all__ = [
    "Query",
    "RequestFilter",
    "TrailFilter",
    "acceptances",
    "administration",
    "audit_trail",
    "contact",
    "current_documents",
    "deletion_request",
    "deletion_requests",
    "discrepancies",
    "has_accepted",
    "have_accepted",
    "holds",
    "kyc_in",
    "kyc_of",
    "outstanding",
    "overdue",
    "retention",
    "screenings_due",
    "unanswered",
    "versions",
    "wallets_of",
]
