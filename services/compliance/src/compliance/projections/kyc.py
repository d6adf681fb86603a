"""Who is known, until when, and who has to be screened again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import sqlalchemy as sa

from compliance.domain import KycApproved, KycRejected, KycScreened, KycStarted, KycState
from compliance.projections.common import Time, metadata
from eventlog import RecordedEvent
from privacy import SubjectErased
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
    sa.Column("box", sa.Text),  # what was found, and the evidence; empty once the subject is erased
    sa.Column("risk_score", sa.Integer),
    sa.Column("risk_rule", sa.Integer),
    sa.Column("screen_again_at", Time),
    sa.Index("kyc_cases_due", "screen_again_at", "subject"),
)


class KycCases(Projection):
    """Each subject's state, its latest screening and its latest decision."""

    name = "kyc_cases"
    tables = (kyc_cases,)
    personal = {kyc_cases: "subject"}  # noqa: RUF012 - a ClassVar of the base

    def key(self, recorded: RecordedEvent) -> str:
        return str(recorded.event.subject)

    def prefetch(self, recorded: RecordedEvent) -> Iterable[tuple[sa.Table, Mapping[str, Any]]]:
        return [(kyc_cases, {"subject": recorded.event.subject})] if isinstance(recorded.event, SubjectErased) else []

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
            box=event.details.box,
            risk_score=event.risk_score,
            risk_rule=event.risk_rule,
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

    @on(SubjectErased)
    def erased(self, event: SubjectErased, recorded: RecordedEvent, rows: Rows) -> None:
        if rows.get(kyc_cases, {"subject": event.subject}) is not None:
            rows.update(kyc_cases, {"subject": event.subject}, box=None)
