"""What a visitor sees of the page's bounds: a sentence, and a page that goes on."""

import re

import pytest
from playwright.sync_api import expect

from smart_demo.server.request_limits import BUSY
from tests.apps import PATIENCE, serve_documents
from tests.ui.browser_page import Visit

pytestmark = pytest.mark.browser
REFUSED = {
    "queue/join": {"status": 429, "json": {"detail": BUSY, "error": BUSY}},
    "component_server": {"status": 200, "json": {"sentence": BUSY}},
}
"""As `server/test_fairness` has them from the server."""


def refuse(route):
    """Answer as the gate does."""
    route.fulfill(**next(answer for path, answer in REFUSED.items() if path in route.request.url))


def open_app(folder):
    return serve_documents(folder, {"tides.pdf": ["tide tables of the harbour"]}, SMART_PUBLIC="on")


def test_a_busy_page_says_so_and_goes_on(app, browser):
    visit = Visit(browser, app)
    page = visit.open()
    for path in REFUSED:
        page.route(re.compile(f"/gradio_api/{path}"), refuse)
    page.locator("#results .card").first.click()
    expect(page.locator("dialog.viewer .viewer-note")).to_have_text(BUSY, timeout=PATIENCE)
    page.keyboard.press("Escape")
    page.locator("#query textarea").fill("harbour")
    page.locator("#query textarea").press("Enter")
    expect(page.locator(".toast-body")).to_contain_text(BUSY, timeout=PATIENCE)
    answer = page.locator("#results .answer")
    before = answer.get_attribute("data-query")
    page.unroute_all()
    page.locator("#query textarea").press("Enter")
    expect(answer).not_to_have_attribute("data-query", before, timeout=PATIENCE)
    page.locator("#results .card").first.click()
    expect(page.locator("dialog.viewer .viewer-image:not(.is-coarse)")).to_be_visible(timeout=PATIENCE)
    assert all("429" in fault for fault in visit.faults)  # Chromium's own line in the console
    visit.faults.clear()
    visit.close()
