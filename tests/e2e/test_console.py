"""The console in a real Chromium, over a whole town. What it looked like is left in `.local/screenshots`."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaProducer
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, BrowserContext, Page, async_playwright, expect

from annals.demo import acts
from annals.demo.theatre import Theatre
from annals.testing import scratch_theatre
from local_stack.chromium import find_chromium
from local_stack.paths import local
from service.tokens import mint

pytestmark = pytest.mark.asyncio(loop_scope="module")

WIDE, PHONE = {"width": 1280, "height": 860}, {"width": 390, "height": 844}
PATIENCE_MS = 90_000
expect.set_options(timeout=PATIENCE_MS)
QUIET = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
)  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def theatre() -> AsyncIterator[Theatre]:
    """A town with the console, in which tracks were sold and rewards claimed."""
    async with scratch_theatre(programs=["console"], settings={"CONSOLE_LOOK_SECONDS": "2"}) as opened:
        await acts.prologue(opened.stage, opened.scale)
        await acts.main_act(opened.stage, opened.scale)
        await opened.settled()
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def chromium() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=await find_chromium(), args=QUIET)
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="module")
async def page(chromium: Browser, theatre: Theatre) -> AsyncIterator[Page]:
    """A wide page of an administrator's."""
    context = await entered(chromium, theatre, "admin")
    failures: list[str] = []
    context.pages[0].on("pageerror", lambda error: failures.append(str(error)))
    yield context.pages[0]
    await context.close()
    assert failures == []


async def entered(chromium: Browser, theatre: Theatre, role: str, **options: Any) -> BrowserContext:
    """A browser in which somebody with a role has logged in."""
    context = await chromium.new_context(base_url=theatre.directory.urls["console"], **{"viewport": WIDE, **options})
    context.set_default_timeout(PATIENCE_MS)
    page = await context.new_page()
    await page.goto("/login")
    await page.get_by_label("Token").fill(mint(theatre.directory.private_key, "ada", [role]))
    await page.get_by_label("Why you look").select_option("review")
    await page.get_by_role("button", name="Log in").click()
    await expect(page.get_by_role("heading", name="Topology")).to_be_visible()
    return context


async def shot(page: Page, name: str) -> None:
    folder = local() / "screenshots"
    folder.mkdir(exist_ok=True)
    await page.screenshot(path=folder / f"{name}.png", full_page=True)


async def shows(page: Page, text: str | re.Pattern[str]) -> None:
    await expect(page.get_by_text(text).first).to_be_visible()


@pytest.mark.parametrize(
    ("look", "options"),
    [("light", {}), ("dark", {"color_scheme": "dark"}), ("phone", {"viewport": PHONE, "is_mobile": True})],
)
async def test_every_page_can_be_read_by_everybody_and_on_a_phone(
    chromium: Browser, theatre: Theatre, look: str, options: dict[str, Any]
) -> None:
    artist = theatre.stage.cast.artists[1].address
    context = await entered(chromium, theatre, "admin", **options)
    page = context.pages[0]
    paths = ("/", "/events?service=royalties", "/projections", "/projections/rewards.pool_status", "/letters", "/chain",
             "/queues", f"/statements?party={artist}")  # fmt: skip
    for path in paths:
        await page.goto(path)
        name = path.partition("?")[0].strip("/").replace("/", "-") or "topology"
        await shot(page, f"{name}-{look}")
        found = await Axe().run(page)
        serious = [one for one in found.response["violations"] if one["impact"] in ("serious", "critical")]
        assert serious == [], path
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{path} is wider than {look}"
    await context.close()


async def test_the_picture_follows_what_happens(page: Page, theatre: Theatre) -> None:
    """Blocks come by themselves, so the chain's log grows."""
    before = await page.locator(".topology.wide").text_content()
    await expect(page.locator(".topology.wide")).not_to_have_text(str(before))
    await expect(page.locator(".topology.wide .edge.moves").first).to_be_attached()


async def test_keys_are_enough(page: Page) -> None:
    for key, title in (("e", "Events"), ("p", "Projections"), ("d", "Dead letters"), ("c", "Chain"), ("q", "Queues"),
                       ("s", "Statements"), ("t", "Topology"), ("e", "Events")):  # fmt: skip
        await page.keyboard.press("g")
        await page.keyboard.press(key)
        await expect(page.get_by_role("heading", name=title, exact=False).first).to_be_visible()
        await expect(page.locator(f"nav [data-key={key}]")).to_have_attribute("aria-current", "page")
    await page.keyboard.press("/")
    await expect(page.get_by_label("Stream")).to_be_focused()
    await page.keyboard.type("g?")
    await expect(page.get_by_label("Stream")).to_have_value("g?")
    await page.keyboard.press("Escape")
    await page.get_by_role("heading", name="Events").click()
    await page.keyboard.press("?")
    await expect(page.get_by_role("dialog")).to_be_visible()
    await shot(page, "keys")
    await page.keyboard.press("Escape")
    await page.keyboard.press("\\")
    await expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    await page.keyboard.press("j")
    await page.keyboard.press("j")
    await page.keyboard.press("Enter")
    await shows(page, "What it says")


async def test_a_royalty_is_followed_to_the_transaction_that_paid_it(page: Page) -> None:
    await page.goto("/events")
    await page.get_by_label("Service").select_option("royalties")
    await page.get_by_label("Type").fill("RoyaltyPosted")
    await page.get_by_role("button", name="Search").click()
    await expect(page.locator(".rows strong").first).to_have_text("RoyaltyPosted")
    await page.get_by_role("link", name="Follow event").first.click()
    await expect(page.get_by_role("heading", name="Causes and effects")).to_be_visible()
    await expect(page.locator(".tree > li > .origin")).to_have_text(re.compile("transaction [0-9a-f]{64}"))
    await expect(page.locator(".leaf.asked")).to_contain_text("RoyaltyPosted")
    await expect(page.locator(".leaf.asked")).to_contain_text(re.compile(r"block [\d,]+, log \d+"))
    await expect(page.locator("li:has(> ul .leaf.asked) > .leaf:not(.origin)")).to_contain_text("ContractEvent")
    await shot(page, "tree")


async def test_a_read_model_is_paused_and_goes_on_and_both_are_on_record(page: Page, theatre: Theatre) -> None:
    await page.goto("/projections/rewards.pool_status")
    await page.get_by_label("Why").fill("the disk is moved")
    await page.get_by_role("button", name="Pause").click()
    await shows(page, "rewards.pool_status is paused.")
    await shows(page, re.compile("is paused since .* by ada.*the disk is moved"))
    await shot(page, "paused")
    await page.goto("/projections/rewards.pool_status")
    await page.get_by_role("button", name="Resume", exact=True).click()
    await shows(page, "rewards.pool_status goes on.")
    kinds = await theatre.databases["compliance"].fetch(
        "SELECT data->>'kind' AS kind FROM events WHERE type = 'AuditEventLogged' AND metadata->>'actor' = 'ada' "
        "AND data->'detail'->>'name' = 'rewards.pool_status' ORDER BY position"
    )
    assert [row["kind"] for row in kinds] == ["admin.console.projection-pause", "admin.console.projection-resume"]


async def test_a_read_model_is_rebuilt_to_the_same_rows_and_rolled_back(page: Page) -> None:
    await page.goto("/projections/royalties.ledger")
    await page.get_by_role("button", name="Rebuild", exact=True).click()
    await shows(page, "royalties.ledger is being rebuilt")
    await shows(page, re.compile("royalties.ledger: .* swapped, every row the same as before"))
    await shot(page, "rebuilt")
    await page.goto("/projections/royalties.ledger")
    await page.get_by_role("button", name="Roll back").click()
    await shows(page, "the former rows serve again")


async def test_a_dead_letter_is_tried_again_and_given_up(page: Page, theatre: Theatre) -> None:
    async with AIOKafkaProducer(bootstrap_servers=theatre.directory.environment["ANNALS_KAFKA_BOOTSTRAP"]) as producer:
        await producer.send_and_wait("rewards.commands", b"no JSON", b"somebody")
    while not await page.get_by_role("link", name="rewards/").count():
        await page.goto("/letters?service=rewards")
    await shot(page, "letters")
    await page.get_by_role("link", name="rewards/").click()
    await page.get_by_role("button", name="Retry").click()
    await shows(page, "its consumer tries it again")
    await page.get_by_role("link", name="rewards/").click()
    await shot(page, "letter")
    await page.get_by_label("Why it may be given up").fill("a test sent it")
    await page.get_by_role("button", name="Discard").click()
    await shows(page, "discarded; those behind it go on")


async def test_support_looks_and_is_offered_no_act(chromium: Browser, theatre: Theatre) -> None:
    context = await entered(chromium, theatre, "support")
    page = context.pages[0]
    await page.goto("/projections")
    await shows(page, "pool_status")
    assert await page.locator("main a[href^='/projections/']").count() == 0
    answer = await page.goto("/projections/rewards.pool_status")
    assert answer is not None
    assert answer.status == 403
    await context.close()
