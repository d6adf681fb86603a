"""Who is let in, what they may do, and what a form must bring."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import httpx
import pytest
from door import Door

from service.tokens import generate_keys, mint

ACT = "/projections/shop.counters/pause"


async def test_whoever_is_not_logged_in_is_asked_to_and_comes_back_to_where_they_were(door: Door) -> None:
    async with door.visitor() as visitor:
        sent = await visitor.get("/queues")
        assert (sent.status_code, sent.headers["location"]) == (303, "/login?next=%2Fqueues")
        asked = await visitor.get(sent.headers["location"])
        assert 'action="/login?next=%2Fqueues"' in asked.text


async def test_the_cookie_is_read_by_no_script_sent_by_no_other_site_and_ends_with_the_token(door: Door) -> None:
    async with door.visitor() as visitor:
        answer = await door.let_in(visitor, "support")
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    token, purpose = answer.headers.get_list("set-cookie")
    for cookie in (token, purpose):
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie
        assert 3_500 < int(re.findall(r"Max-Age=(\d+)", cookie)[0]) <= 3_600


async def test_on_a_connection_with_tls_the_cookie_is_sent_on_no_other(door: Door) -> None:
    async with httpx.AsyncClient(base_url="https://console", transport=door.transport) as visitor:
        answer = await door.let_in(visitor, "support")
    assert all("Secure" in cookie for cookie in answer.headers.get_list("set-cookie"))


@pytest.mark.parametrize(
    ("token", "status"),
    [("user", 403), ("artist", 403), ("service", 403), ("forged", 401), ("ended", 401), ("nonsense", 401)],
)
async def test_only_the_staff_is_let_in_with_a_token_that_holds(door: Door, token: str, status: int) -> None:
    tokens = {
        "forged": mint(generate_keys()[0], "eve", ["admin"]),
        "ended": mint(door.private_key, "ada", ["admin"], now=datetime(2026, 1, 1, tzinfo=UTC)),
        "nonsense": "nonsense",
    }
    async with door.visitor() as visitor:
        fields = {"token": tokens.get(token) or door.token(token), "purpose": "review"}
        answer = await visitor.post("/login", data=fields)
        assert answer.status_code == status
        assert "set-cookie" not in answer.headers
        assert "text/html" in answer.headers["content-type"]


async def test_nobody_is_let_in_who_does_not_say_why(door: Door) -> None:
    async with door.visitor() as visitor:
        answer = await visitor.post("/login", data={"token": door.token("admin"), "purpose": "curiosity"})
    assert answer.status_code == 403


@pytest.mark.parametrize("next", ["//evil.example", "https://evil.example", "/\\evil.example"])
async def test_a_login_never_leads_to_another_site(door: Door, next: str) -> None:
    async with door.visitor() as visitor:
        fields = {"token": door.token("admin"), "purpose": "review"}
        answer = await visitor.post("/login", params={"next": next}, data=fields)
    assert answer.headers["location"] == "/"


@pytest.mark.parametrize("role", ["support", "officer", "auditor"])
async def test_those_who_look_may_not_act(door: Door, role: str) -> None:
    async with door.visitor() as visitor:
        await door.let_in(visitor, role)
        answer = await visitor.post(ACT, data={"csrf": await csrf(visitor)})
        assert answer.status_code == 403
        assert "Only an administrator acts." in answer.text


async def test_support_does_not_see_what_events_say(door: Door) -> None:
    async with door.visitor() as visitor:
        await door.let_in(visitor, "support")
        answer = await visitor.get("/events/shop/01a2024d-1c96-73da-846f-35f2bcb14f52")
        assert answer.status_code == 403


@pytest.mark.parametrize("csrf", ["", "0" * 64])
async def test_a_form_that_is_not_of_the_session_does_nothing(door: Door, csrf: str) -> None:
    async with door.visitor() as visitor:
        await door.let_in(visitor, "admin")
        answer = await visitor.post(ACT, data={"csrf": csrf})
        assert answer.status_code == 403
        assert "The form is not of this session." in answer.text


async def test_an_act_that_can_not_be_put_on_record_is_not_done(door: Door) -> None:
    async with door.visitor() as visitor:
        await door.let_in(visitor, "admin")
        answer = await visitor.post(ACT, data={"csrf": await csrf(visitor)})
        assert answer.status_code == 303
        shown = await visitor.get("/chain")
        assert "nothing was done, for it could not be put on record" in shown.text
        assert "nothing was done" not in (await visitor.get("/chain")).text, "it is said once"


async def test_logging_out_forgets_the_token(door: Door) -> None:
    async with door.visitor() as visitor:
        await door.let_in(visitor, "auditor")
        await visitor.post("/logout", data={"csrf": await csrf(visitor)})
        assert (await visitor.get("/chain")).status_code == 303


async def test_a_stream_without_a_session_tells_its_client_to_stay_away(door: Door) -> None:
    async with door.visitor(accept="text/event-stream") as visitor:
        assert (await visitor.get("/live/topology")).status_code == 204


async def test_pages_run_no_scripts_but_ours_and_stand_in_no_frame(door: Door) -> None:
    async with door.visitor() as visitor:
        headers = (await visitor.get("/login")).headers
    assert "script-src 'self';" in headers["content-security-policy"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["cache-control"] == "no-store"


async def test_a_problem_is_a_page(door: Door) -> None:
    async with door.visitor() as visitor:
        await door.let_in(visitor, "admin")
        answer = await visitor.get("/nowhere")
        assert answer.status_code == 404
        assert "<h1>" in answer.text


async def csrf(visitor: httpx.AsyncClient) -> str:
    page = await visitor.get("/chain")
    return re.findall(r'name="csrf" value="(\w+)"', page.text)[0]
