"""A public page in real browsers: a visitor's documents are there after a reload, in their browser alone."""

import json

import pytest
from playwright.sync_api import expect

from tests.browser_page import PATIENCE, Visit, running_app
from tests.documents import write_pdf

pytestmark = pytest.mark.browser
NAME = "ledger-of-alice.pdf"


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    samples = tmp_path_factory.mktemp("samples")
    write_pdf(samples / "tides.pdf", "tide tables of the harbour")
    with running_app(samples, SMART_PUBLIC="on", SMART_LASTING="off", SMART_LIBRARY_PAGES="3") as running:
        yield running


def shelf(visit):
    visit.page.get_by_role("tab", name="Library").click()
    return visit.page.locator("#holdings")


def test_a_visitor_s_library_from_the_first_upload_to_delete_everything(app, browser, tmp_path):
    mine = Visit(browser, app)
    page = mine.open()
    mine.upload(write_pdf(tmp_path / NAME, "zanzibar cloves", "nutmeg"), write_pdf(tmp_path / "thick.pdf", *"abcd"))
    expect(page.get_by_role("list", name="Uploads")).to_contain_text("your library has room for 1 more of 3")
    holdings = shelf(mine)
    expect(holdings).to_contain_text("2 of 3 pages")
    expect(holdings).to_contain_text("deleted 24 hours after you last changed them")
    expect(holdings).to_contain_text("This library is temporary")
    expect(page.locator(".forgetful")).to_be_hidden()

    page.reload()
    expect(shelf(mine)).to_contain_text(NAME, timeout=PATIENCE)
    page.get_by_role("button", name="Search them").click()
    expect(page.get_by_role("region", name="Results")).to_contain_text(NAME, timeout=PATIENCE)

    other = Visit(browser, app)
    other.page.goto(f"{app.url}/?q=zanzibar&in=My+documents")
    expect(other.page.locator("#results")).to_contain_text("No pages here yet", timeout=PATIENCE)
    expect(shelf(other)).to_contain_text("Nothing here yet")
    other.close()

    shelf(mine).get_by_role("button", name="Delete everything of mine").click()
    page.get_by_role("button", name="Keep it").click()
    expect(shelf(mine)).to_contain_text(NAME)
    before = page.evaluate("localStorage.getItem('smart-demo-visitor')")
    shelf(mine).get_by_role("button", name="Delete everything of mine").click()
    page.get_by_role("button", name="Delete everything", exact=True).click()
    expect(page.get_by_role("dialog")).to_contain_text("Everything of yours is deleted", timeout=PATIENCE)
    page.get_by_role("button", name="Close").click()
    expect(shelf(mine)).to_contain_text("Nothing here yet", timeout=PATIENCE)
    assert page.evaluate("localStorage.getItem('smart-demo-visitor')") != before
    assert NAME not in json.dumps(page.evaluate("Object.entries(localStorage)"))
    mine.close()
    assert [path for path in app.folder.rglob("*") if "visitor-" in str(path)] == []


def test_where_the_browser_keeps_nothing_the_page_says_so(app, browser):
    visit = Visit(browser, app)
    visit.page.add_init_script(
        "Object.defineProperty(window, 'localStorage', { get() { throw new DOMException('no', 'SecurityError'); } });"
    )
    visit.open()
    expect(shelf(visit)).to_contain_text("This browser keeps nothing for this page", timeout=PATIENCE)
    expect(visit.page.locator(".forgetful")).to_be_visible()
    visit.close()
