"""Statements as they were known at a time, and in the form that is hashed."""

from __future__ import annotations

from typing import Any

import pytest
from royalties_chain import PEOPLE, busy_chain

from contracts import canonical
from royalties.statements import lines


async def test_a_statement_shows_what_was_known_at_a_time_even_after_late_facts(ledger: Any) -> None:
    messages = busy_chain().messages
    by_key = sorted(messages, key=lambda keyed: keyed[0])  # a withdrawal comes before what it is taken from
    await ledger.receive(by_key[:150])
    await ledger.shown()
    then, path = await ledger.pool.fetchval("SELECT clock_timestamp()"), f"/parties/{PEOPLE[0]}/statement"
    before = await ledger.get(path, to="2026-02-10", limit=500)
    await ledger.receive(by_key[150:])
    await ledger.shown()
    now = await ledger.get(path, to="2026-02-10", limit=500)
    assert now["count"] > before["count"] > 0
    assert await ledger.get(path, to="2026-02-10", limit=500, known_at=then.isoformat()) == before


async def test_a_whole_statement_has_the_lines_of_its_pages_in_the_canonical_form(
    ledger: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ledger.receive(busy_chain().messages)
    await ledger.shown()
    monkeypatch.setattr(lines, "BATCH", 4)
    path, period = f"/parties/{PEOPLE[1]}/statement", {"from": "2026-01-15", "to": "2026-03-01"}
    page = await ledger.get(path, **period, limit=500)
    whole = await ledger.client.get(path, params={**period, "whole": True})
    document = canonical.read(whole.content)
    assert whole.content == canonical.canonical(document)
    assert [{**dict.fromkeys(page["lines"][0]), **line} for line in document["lines"]] == page["lines"]
    assert {name: page[name] for name in document} == {**document, "lines": page["lines"]}
    assert len(document["lines"]) == document["count"] > 4
