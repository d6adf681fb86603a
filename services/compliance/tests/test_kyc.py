"""Who is known: from the first wish to the decision, by screenings that a provider has signed."""

from __future__ import annotations

import json
import sys
from datetime import timedelta
from pathlib import Path

from hypothesis import given as for_all
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from compliance import projections, queries
from compliance.api.webhooks import TOLERANCE_SECONDS
from compliance.domain import (
    ApproveKyc,
    Finding,
    KycApproved,
    KycRejected,
    KycScreened,
    KycStarted,
    KycState,
    RejectionReason,
    RejectKyc,
    ReportScreening,
    Risk,
    StartKyc,
    WrongState,
    kyc,
)
from compliance.domain.kyc import VALID
from compliance.domain.risk import HIGHEST, RULES, assess
from compliance.overdue import Overdue
from compliance.settings import ComplianceSettings
from contracts.testing import EPOCH, hash_of
from eventlog.testing import given
from messaging.testing import eventually, read_all
from privacy import Sealed
from projections.testing import rebuilt_alike
from service import Queries, seeing_all
from service.testing import Running

sys.path.append(str(Path(__file__).parent))

from said import erase, get, log_of, post, report, screening

DAY = timedelta(days=1)
BOX = Sealed("ada", "screening", "a box")
STARTED = KycStarted("ada", 2)
APPROVED = KycApproved("ada", 2, EPOCH + VALID)


def screen(number: int = 1, *findings: Finding) -> ReportScreening:
    return ReportScreening("ada", "provider", f"s-{number}", BOX, findings, EPOCH)


def screened(number: int = 1, *findings: Finding, review: bool = True, days: int = 365) -> KycScreened:
    risk = assess(findings)
    found = ("provider", f"s-{number}", BOX, risk.score, risk.rule_version)
    return KycScreened("ada", *found, EPOCH + days * DAY, review)


# ---- the rules ---------------------------------------------------------------------------------------------------


def test_a_case_goes_from_the_wish_over_a_screening_to_a_decision() -> None:
    given(kyc).when(StartKyc("ada", 2, EPOCH)).then(STARTED)
    given(kyc, STARTED).when(screen()).then(screened())
    given(kyc, STARTED, screened()).when(ApproveKyc("ada", EPOCH)).then(APPROVED)
    reject = RejectKyc("ada", RejectionReason.NO_ANSWER, EPOCH)
    given(kyc, STARTED).when(reject).then(KycRejected("ada", 2, RejectionReason.NO_ANSWER))


def test_nobody_is_approved_without_a_screening() -> None:
    given(kyc).when(ApproveKyc("ada", EPOCH)).then_refused(WrongState, "not-started")
    given(kyc, STARTED).when(ApproveKyc("ada", EPOCH)).then_refused(WrongState, "pending")
    given(kyc).when(screen()).then_refused(WrongState, "not-started")


def test_what_is_said_again_changes_nothing() -> None:
    given(kyc, STARTED).when(StartKyc("ada", 2, EPOCH)).then_nothing()
    given(kyc, STARTED, screened()).when(screen()).then_nothing()
    given(kyc, STARTED, screened(), APPROVED).when(ApproveKyc("ada", EPOCH)).then_nothing()
    given(kyc, STARTED, screened(), APPROVED).when(StartKyc("ada", 1, EPOCH)).then_nothing()
    given(kyc, STARTED, screened(), APPROVED).when(StartKyc("ada", 3, EPOCH)).then(KycStarted("ada", 3))


def test_an_approval_ends_by_itself_and_a_new_case_begins() -> None:
    over = kyc.fold([STARTED, screened(), APPROVED])
    assert over.state_at(EPOCH + VALID - DAY) is KycState.APPROVED
    assert over.state_at(EPOCH + VALID) is KycState.EXPIRED
    given(kyc, STARTED, screened(), APPROVED).when(StartKyc("ada", 2, EPOCH + VALID)).then(STARTED)


def test_a_repeated_screening_is_reviewed_if_the_risk_is_high() -> None:
    history = (STARTED, screened(), APPROVED)
    harmless = screened(2, Finding.ADVERSE_MEDIA, review=False, days=180)
    given(kyc, *history).when(screen(2, Finding.ADVERSE_MEDIA)).then(harmless)
    given(kyc, *history).when(screen(2, Finding.SANCTIONS)).then(screened(2, Finding.SANCTIONS, days=90))
    assert kyc.fold([*history, harmless]).state is KycState.APPROVED
    assert kyc.fold([*history, screened(2, Finding.SANCTIONS)]).state is KycState.IN_REVIEW


@for_all(st.sets(st.sampled_from(Finding)), st.sampled_from(Finding), st.sampled_from(sorted(RULES)))
def test_a_score_has_bounds_and_reasons_and_no_finding_lowers_it(
    findings: set[Finding], one: Finding, version: int
) -> None:
    risk = assess(findings, version)
    assert 0 <= risk.score <= HIGHEST
    assert set(risk.reasons) == findings
    assert risk.rule_version == version
    assert assess({*findings, one}, version).score >= risk.score


def test_the_score_of_the_first_version_never_changes() -> None:
    reasons = (Finding.POLITICALLY_EXPOSED, Finding.ADVERSE_MEDIA, Finding.ADDRESS_UNVERIFIED)
    assert assess(reasons, 1) == Risk(85, reasons, 1)
    assert assess([Finding.SANCTIONS, Finding.DOCUMENT_MISMATCH], 1).score == HIGHEST


# ---- over HTTP ---------------------------------------------------------------------------------------------------


async def test_a_subject_is_screened_reviewed_and_approved(compliance: Running, kafka: str) -> None:
    async with compliance.client("ada", "user") as ada, compliance.client("olga", "officer") as officer:
        assert (await ada.get("/kyc/ada")).status_code == 404
        done = await post(ada, "/kyc", {"subject": "ada", "level": 2})
        assert (await get(ada, "/kyc/ada", done))["state"] == "pending"
        assert (await post(officer, "/kyc/ada/approve")).status_code == 409
        done = await report(compliance, screening("ada", 1, "adverse-media"))
        (case,) = (await get(officer, "/kyc", done))["items"]
        assert (case["state"], case["risk_score"], case["risk_rule"]) == ("in-review", 30, 1)
        evidence = {"evidence": "case/1", "evidence_hash": hash_of("evidence", 1)}
        assert case["details"] == {**evidence, "findings": ["adverse-media"]}
        stored = (
            "SELECT (SELECT string_agg(e::text, '') FROM events e) || (SELECT k::text FROM kyc_cases_v1.kyc_cases k)"
        )
        told = await compliance.pool.fetchval(stored)
        assert not any(value in told for value in (*evidence.values(), "adverse-media"))
        done = await post(officer, "/kyc/ada/approve")
        status = await get(ada, "/kyc/ada", done)
        assert (status["state"], status["level"]) == ("approved", 2)
        assert "risk_score" not in status

        assert compliance.service.queries is not None
        reads = Queries("compliance", compliance.service.queries, compliance.pool)
        later = EPOCH + 365 * 100 * DAY
        with seeing_all():
            expired = await reads.one(queries.kyc_of("ada", later), "case", "ada")
        assert expired["state"] == "expired"
        assert (await get(officer, "/kyc-screenings", done))["items"] == []
        pool = compliance.pool
        due = await pool.fetchval("SELECT screen_again_at FROM kyc_cases_v1.kyc_cases")
        with seeing_all():
            assert [row["subject"] for row in await reads.all(queries.screenings_due(due, None, 9))] == ["ada"]
            assert await reads.all(queries.screenings_due(due, (due, "ada"), 9)) == []
        watch = Overdue(reads, [], silent_seconds=60)
        for now, count in ((due - timedelta(seconds=1), 0), (due, 1)):
            await watch.look(now)
            assert REGISTRY.get_sample_value("annals_kyc_screenings_due") == count

    async def told() -> bool:
        records = await read_all(kafka, "compliance.events")
        return [json.loads(record.value or b"")["status"] for record in records] == ["approved"]

    await eventually(told)


async def test_only_a_recent_report_signed_by_the_provider_is_taken_and_once(compliance: Running) -> None:
    async with compliance.client("ada", "user") as ada:
        await post(ada, "/kyc", {"subject": "ada", "level": 1})
        body, other = screening("ada"), json.dumps(screening("ada", 2)).encode()
        assert (await report(compliance, body, secret="somebody else's")).status_code == 400
        assert (await report(compliance, body, age=TOLERANCE_SECONDS + 60)).status_code == 400
        assert (await report(compliance, body, age=-TOLERANCE_SECONDS - 60)).status_code == 400
        assert (await report(compliance, body, sent=other)).status_code == 400
        assert (await ada.post("/kyc-screenings", json=body)).status_code == 403
        assert (await report(compliance, body)).json()["events"] == 1
        assert (await report(compliance, body, age=10)).json() == {"events": 0, "token": None}
        settings = compliance.service.settings
        assert isinstance(settings, ComplianceSettings)
        assert settings.kyc_secret_before is not None
        before = settings.kyc_secret_before.get_secret_value()
        assert (await report(compliance, screening("ada", 4), secret=before)).json()["events"] == 1
        assert (await report(compliance, screening("bob", 3))).status_code == 409
        assert (await report(compliance, {**screening("ada"), "findings": ["spam"]})).status_code == 422


async def test_a_case_is_nobodys_business_but_its_subjects_and_the_officers(compliance: Running) -> None:
    async with compliance.client("bob", "user") as bob, compliance.client("shop", "service") as shop:
        assert (await bob.get("/kyc/ada")).status_code == 403
        assert (await post(bob, "/kyc", {"subject": "ada", "level": 1})).status_code == 403
        assert (await post(bob, "/kyc/bob/approve")).status_code == 403
        for path in ("/kyc/ada", "/kyc", "/kyc-screenings"):
            assert (await shop.get(path)).status_code == 403
    async with compliance.client("aud", "auditor") as auditor:
        assert (await auditor.get("/kyc/ada")).status_code == 403
        assert (await auditor.get("/kyc")).status_code == 403


async def test_what_was_found_is_gone_with_its_subject_and_the_decision_is_kept(compliance: Running) -> None:
    async with compliance.client("ada", "user") as ada, compliance.client("olga", "officer") as officer:
        await post(ada, "/kyc", {"subject": "ada", "level": 1})
        done = await report(compliance, screening("ada", 1, "politically-exposed"))
        (case,) = (await get(officer, "/kyc", done))["items"]
        assert case["details"]["findings"] == ["politically-exposed"]
        await erase(compliance, "ada")
        (case,) = (await officer.get("/kyc")).json()["items"]
        assert (case["details"], case["risk_score"], case["state"]) == (None, 40, "in-review")
        assert await compliance.pool.fetchval("SELECT box IS NULL FROM kyc_cases_v1.kyc_cases")
        refused = await report(compliance, screening("ada", 2))
        assert (refused.status_code, refused.json()["type"]) == (409, "urn:annals:problem:subject-erased")
    await rebuilt_alike(log_of(compliance), [projections.KycCases()])
