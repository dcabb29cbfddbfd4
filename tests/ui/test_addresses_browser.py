"""Addresses in a real browser: Back and Forward, reloads in every state, and links to what is gone or not one's own."""

import re
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Page, expect

from tests.apps import PATIENCE, serve_documents
from tests.documents import write_pdf
from tests.ui.browser_page import Visit

pytestmark = pytest.mark.browser
ADDRESS = ""
QUERIES = ("tide tables of the harbour", "torque of the flange bolts", "who signed the calibration record")
NO_DOCUMENT = "That document is not in this library. It may have been deleted."
NO_PAGE = "That page is not among these results. It may have been deleted."
LIST = "flange bolts\ncalibration record"


def open_app(folder):
    documents = {
        "tides.pdf": ("tide tables of the harbour", "neap and spring tides of May"),
        "bolts.pdf": ("torque of the flange bolts", "the calibration record, signed by the master", "spare parts"),
        "menu.pdf": ("soup, bread and fish on Friday",),
    }
    return serve_documents(folder, documents, SMART_PUBLIC="on", SMART_LASTING="off")


def parts(page: Page) -> dict[str, str]:
    """Return the parts of the address that name what is on the screen."""
    found = {name: values[0] for name, values in parse_qs(urlsplit(page.url).query).items()}
    return {name: found[name] for name in ("q", "tab", "panel", "page", "why", "doc", "query", "list") if name in found}


def expect_parts(visited: Page, /, **wanted: str) -> None:
    """Wait until the address names exactly this."""
    visited.wait_for_function(
        """(wanted) => {
            const names = ["q", "tab", "panel", "page", "why", "doc", "query", "list"];
            const now = new URLSearchParams(location.search);
            return names.every((name) => (now.get(name) ?? "") === (wanted[name] ?? ""));
        }""",
        arg=wanted,
    )
    assert parts(visited) == wanted


def expect_answer(page: Page, query: str, scope: str = "Samples") -> None:
    """Wait until the answer and the box show this query."""
    page.wait_for_function(
        """([query, scope]) => {
            const asked = document.querySelector("#results [data-asked]")?.dataset.asked;
            const { text, scope: shown } = JSON.parse(asked || "{}");
            return text === query && shown === scope;
        }""",
        arg=[query, scope],
        timeout=PATIENCE,
    )
    expect(page.locator("#query textarea")).to_have_value(query)


def expect_tab(page: Page, name: str) -> None:
    expect(page.get_by_role("tab", name=name, exact=True)).to_have_attribute("aria-selected", "true")


def viewer(page: Page):
    return page.get_by_role("dialog", name="Page")


@pytest.mark.long
def test_back_and_forward_walk_searches_pages_and_tabs_and_stay_in_the_demo(app, visit):
    page = visit.open()
    example = page.locator("#query textarea").input_value()
    assert page.url == f"{app.url}/"
    first = page.evaluate("history.length")
    for query in QUERIES:
        visit.search(query)
        expect_parts(page, q=query)
    page.get_by_role("button", name="Tune").click()
    page.get_by_role("button", name="Late only").click()
    expect(page).to_have_url(re.compile("lp=0&ll=1"))
    page.get_by_role("button", name="SMART 1/1").click()
    expect(page).to_have_url(re.compile("lp=1&ll=1"))
    assert page.evaluate("history.length") == first + 3, "other weights are no entries"

    visit.cards("SMART").first.click()
    expect(viewer(page)).to_be_visible()
    opened = parts(page)["page"]
    page.keyboard.press("ArrowRight")
    expect(viewer(page)).to_contain_text("2 of 5")
    second = parts(page)["page"]
    assert second != opened
    viewer(page).get_by_role("button", name="Compare with another page").click()
    expect(page.locator("dialog.pair")).to_be_visible()
    expect_parts(page, q=QUERIES[2], page=second, why=second)
    page.go_back()
    expect(page.locator("dialog.pair")).to_be_hidden()
    expect(viewer(page)).to_be_visible()
    viewer(page).get_by_role("button", name="Close", exact=True).click()
    expect_parts(page, q=QUERIES[2])
    page.go_forward()
    expect(viewer(page)).to_be_visible()
    page.keyboard.press("Escape")
    expect_parts(page, q=QUERIES[2])
    expect(viewer(page)).to_be_hidden()

    page.get_by_role("tab", name="Library").click()
    expect_parts(page, q=QUERIES[2], tab="library")
    document = page.get_by_role("link", name="menu.pdf")
    document.click()
    expect(page.locator('.document[aria-current="true"]')).to_contain_text("menu.pdf")
    doc = parts(page)["doc"]
    page.get_by_role("link", name="bolts.pdf").click()
    expect(page.locator('.document[aria-current="true"]')).to_contain_text("bolts.pdf")
    page.go_back()
    expect(page.locator('.document[aria-current="true"]')).to_contain_text("menu.pdf")
    page.get_by_role("tab", name="Judge").click()
    expect_parts(page, q=QUERIES[2], tab="judge")
    page.get_by_role("tab", name="Queries").click()
    expect_parts(page, q=QUERIES[2], tab="judge", panel="queries")
    for tab, wanted in [
        ("Judge", {"tab": "judge"}),
        ("Library", {"tab": "library", "doc": doc}),
        ("Library", {"tab": "library"}),
        ("Compare", {}),
    ]:
        page.go_back()
        expect_tab(page, tab)
        expect_parts(page, q=QUERIES[2], **wanted)
    expect(page.locator('.document[aria-current="true"]')).to_have_count(0)

    for query in (QUERIES[1], QUERIES[0], example):
        page.go_back()
        expect_answer(page, query)
    assert page.url == f"{app.url}/"
    page.evaluate("history.forward(); setTimeout(() => history.forward(), 30)")
    expect_answer(page, QUERIES[1])
    page.evaluate("history.back(); setTimeout(() => history.forward(), 20); setTimeout(() => history.forward(), 40)")
    expect_answer(page, QUERIES[2])
    expect_parts(page, q=QUERIES[2])
    page.get_by_role("link", name="start again").click()
    expect_answer(page, example)
    assert page.url == f"{app.url}/"


@pytest.mark.long
def test_a_reload_stays_on_a_phone_and_a_judged_list_and_query_have_addresses(app, browser):
    visitor = Visit(browser, app, width=390, height=844, dark=True)
    page = visitor.page
    page.goto(f"{app.url}/?q={QUERIES[0].replace(' ', '+')}&in=Samples&tab=hood")
    expect(page.locator(".hood")).to_be_visible(timeout=PATIENCE)
    expect_tab(page, "Under the hood")

    page.goto(f"{app.url}/?tab=judge&panel=queries")
    page.get_by_role("textbox", name="Queries").fill(LIST)
    page.get_by_role("button", name="Run the list").click()
    rows = page.locator(".list-table tbody tr")
    expect(rows).to_have_count(2, timeout=PATIENCE)
    ran = parts(page)
    assert re.fullmatch("[0-9a-f]{32}", ran["list"])
    page.reload()
    expect(rows).to_have_count(2, timeout=PATIENCE)
    assert parts(page) == ran
    page.get_by_role("link", name="Open in Compare: flange bolts").last.click()
    expect_answer(page, "flange bolts")
    expect_tab(page, "Compare")
    expect_parts(page, q="flange bolts")
    page.go_back()
    expect_tab(page, "Judge")
    expect(rows).to_have_count(2)
    rows.first.get_by_role("button", name="Vote").click()
    expect(page.locator(".sheet-of-votes")).to_be_visible(timeout=PATIENCE)
    asked, judged = page.locator(".judge-query").inner_text(), parts(page)
    page.locator(".judge-step:not([disabled])").first.click()
    expect(page.locator(".judge-query")).not_to_have_text(asked)
    page.go_back()
    expect(page.locator(".judge-query")).to_have_text(asked)
    page.reload()
    expect(page.locator(".judge-query")).to_have_text(asked, timeout=PATIENCE)
    assert parts(page) == judged

    other = Visit(browser, app, width=390, height=844)
    for name in (ran["list"], "0" * 32):
        other.page.goto(f"{app.url}/?tab=judge&panel=queries&list={name}")
        expect(other.page.locator("#judge-list")).to_contain_text("That list is not stored here.", timeout=PATIENCE)
    for key in (judged["query"], "0" * 16):
        other.page.goto(f"{app.url}/?tab=judge&query={key}")
        expect(other.page.locator("#judge-vote")).to_contain_text("That query is not in this list.", timeout=PATIENCE)
    for visit in (other, visitor):
        visit.left_early = True
        visit.close()


@pytest.mark.long
def test_a_document_that_is_not_one_s_own_and_a_deleted_one_are_one_sentence(app, browser, tmp_path):
    alice = Visit(browser, app)
    page = alice.open()
    asked = page.locator("#query textarea").input_value()
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    alice.upload(write_pdf(tmp_path / "alice.pdf", "zanzibar cloves", "nutmeg"))
    page.get_by_role("link", name="alice.pdf").click()
    page.locator("#documents").get_by_role("button", name="Copy link").click()
    expect(page.locator("#documents")).to_contain_text("It shows your documents in this browser only.")
    link = page.evaluate("navigator.clipboard.readText()")
    assert set(parse_qs(urlsplit(link).query)) == {"tab", "doc"}
    page.locator("#documents [data-search-in]").click()
    expect(alice.cards("SMART")).to_have_count(2, timeout=PATIENCE)
    page.go_back()
    expect_tab(page, "Library")
    expect_answer(page, asked, "Samples")
    page.go_forward()
    expect_answer(page, asked, "My documents")
    alice.cards("SMART").first.click()
    shown = page.url
    assert parts(page)["page"].startswith("local/")
    page.reload()
    expect(viewer(page)).to_be_visible(timeout=PATIENCE)
    page.goto(link)
    expect(page.locator('.document[aria-current="true"]')).to_contain_text("alice.pdf", timeout=PATIENCE)
    page.keyboard.press("Escape")

    def told(visitor: Visit) -> tuple[str, str]:
        """Return what is shown for the links to the document and to its page."""
        visitor.page.goto(link)
        expect(visitor.page.locator(".address-note")).to_have_text(NO_DOCUMENT, timeout=PATIENCE)
        document = visitor.page.locator("#documents-panel").inner_text()
        visitor.page.goto(shown)
        expect(visitor.page.locator(".address-note")).to_have_text(NO_PAGE, timeout=PATIENCE)
        expect(viewer(visitor.page)).to_have_count(0)
        return document, visitor.page.locator("#results .empty").evaluate("(node) => node.outerHTML")

    bob = Visit(browser, app)
    foreign = told(bob)
    bob.left_early = alice.left_early = True
    bob.close()
    page.get_by_role("button", name="Delete alice.pdf").click()
    page.get_by_role("button", name="Delete", exact=True).last.click()
    expect(page.locator("#documents")).to_contain_text("Nothing here yet", timeout=PATIENCE)
    deleted = told(alice)
    assert deleted == foreign
    assert "alice" not in "".join(deleted)
    alice.close()
