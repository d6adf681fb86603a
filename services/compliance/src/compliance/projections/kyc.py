"""Who is known, until when, and who has to be screened again."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from compliance.domain import KycApproved, KycRejected, KycScreened, KycStarted, KycState
from compliance.projections.common import Time, metadata
from eventlog import RecordedEvent
from projections import Projection, Rows, on

kyc_cases = sa.Table(
    "kyc_cases",
    metadata,
    sa.Column("subject", sa.Text, primary_key=True),
    sa.Column("state", sa.Text, nullable=False),  # expired follows from the clock: see queries
    sa.Column("level", sa.Integer, nullable=False),
    sa.Column("changed_at", Time, nullable=False),
    sa.Column("expires_at", Time),
    sa.Column("rejection", sa.Text),
    sa.Column("provider", sa.Text),
    sa.Column("evidence", sa.Text),
    sa.Column("evidence_hash", sa.Text),
    sa.Column("risk_score", sa.Integer),
    sa.Column("risk_reasons", JSONB),
    sa.Column("risk_rule", sa.Integer),
    sa.Column("screen_again_at", Time),
    sa.Index("kyc_cases_due", "screen_again_at", "subject"),
)


class KycCases(Projection):
    """Each subject's state, its latest screening and its latest decision."""

    name = "kyc_cases"
    tables = (kyc_cases,)
    about = {kyc_cases: "subject"}  # noqa: RUF012 - a ClassVar of the base

    @on(KycStarted)
    def started(self, event: KycStarted, recorded: RecordedEvent, rows: Rows) -> None:
        now = {"state": KycState.PENDING.value, "level": event.level, "changed_at": recorded.occurred_at}
        rows.upsert(kyc_cases, {"subject": event.subject}, **now)

    @on(KycScreened)
    def screened(self, event: KycScreened, recorded: RecordedEvent, rows: Rows) -> None:
        now = {"state": KycState.IN_REVIEW.value, "changed_at": recorded.occurred_at} if event.review else {}
        rows.update(
            kyc_cases,
            {"subject": event.subject},
            provider=event.provider,
            evidence=event.evidence,
            evidence_hash=event.evidence_hash,
            risk_score=event.risk.score,
            risk_reasons=[reason.value for reason in event.risk.reasons],
            risk_rule=event.risk.rule_version,
            screen_again_at=event.screen_again_at,
            **now,
        )

    @on(KycApproved)
    def approved(self, event: KycApproved, recorded: RecordedEvent, rows: Rows) -> None:
        rows.update(
            kyc_cases,
            {"subject": event.subject},
            state=KycState.APPROVED.value,
            changed_at=recorded.occurred_at,
            expires_at=event.expires_at,
            rejection=None,
        )

    @on(KycRejected)
    def rejected(self, event: KycRejected, recorded: RecordedEvent, rows: Rows) -> None:
        rows.update(
            kyc_cases,
            {"subject": event.subject},
            state=KycState.REJECTED.value,
            changed_at=recorded.occurred_at,
            rejection=event.reason.value,
        )
