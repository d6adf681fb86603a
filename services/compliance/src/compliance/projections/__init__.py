"""The read models of compliance. Every table can be dropped and rebuilt from the log; the queries read them."""

from compliance.projections.acceptances import AcceptanceRecords, ComplianceIndex
from compliance.projections.accesses import AccessRequests
from compliance.projections.contacts import Contacts
from compliance.projections.deletions import DeletionRequests
from compliance.projections.documents import Documents
from compliance.projections.kyc import KycCases
from compliance.projections.legal_holds import LegalHolds
from compliance.projections.rectifications import RectificationRequests
from compliance.projections.retention import RetentionPolicies
from compliance.projections.trail import AdminActions, AuditTrail
from compliance.projections.wallets import Wallets

ALL = (
    Documents(),
    AcceptanceRecords(),
    ComplianceIndex(),
    Contacts(),
    Wallets(),
    KycCases(),
    DeletionRequests(),
    AccessRequests(),
    RectificationRequests(),
    LegalHolds(),
    RetentionPolicies(),
    AuditTrail(),
    AdminActions(),
)

__all__ = [
    "ALL",
    "AcceptanceRecords",
    "AccessRequests",
    "AdminActions",
    "AuditTrail",
    "ComplianceIndex",
    "Contacts",
    "DeletionRequests",
    "Documents",
    "KycCases",
    "LegalHolds",
    "RectificationRequests",
    "RetentionPolicies",
    "Wallets",
]
