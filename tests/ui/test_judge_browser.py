"""Judging as a person does it: the real app, a real browser, hands on the keyboard."""

import json
import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.apps import PATIENCE, running_app, served_app
from tests.documents import write_pdf
from tests.ui.browser_page import Visit
from tests.ui.test_results_browser import boards_text, download

pytestmark = pytest.mark.browser
GONE = re.compile("/component_server")
OWN = '"><img src=x onerror=alert(1)> ${alert(2)} `harbour`'


def open_app(folder):
    samples = folder / "samples"
    samples.mkdir()
    write_pdf(
        samples / "harbour.pdf", "Ships anchor outside\nthe harbour master decides", "tide tables for the harbour"
    )
    write_pdf(
        samples / "img src=x onerror=alert(3).pdf", "<img src=x onerror=alert(4)> ${alert(5)} harbour `x`", "lamp"
    )
    queries = ["harbour master", "tide tables", "lamp", "where do ships anchor", "who decides"]
    lines = [json.dumps({"query": query, "relevant": []}) for query in queries]
    (samples / "queries.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return running_app(samples)


def open_panel(page: Page, name: str = "Vote") -> None:
    page.get_by_role("tab", name="Judge").click()
    page.get_by_role("tab", name=name, exact=True).click()


def shown(page: Page, selector: str) -> Locator:
    """Of the panel that is open: the other one stays behind it once it was looked at."""
    return page.locator(selector).filter(visible=True)


def query(page: Page) -> str:
    return shown(page, ".judge-query").inner_text()


def arrived(page: Page, number: int) -> None:
    """The sheet of a query is on the screen."""
    expect(shown(page, ".judge-at")).to_have_text(re.compile(f"^Query {number} of "), timeout=PATIENCE)
    expect(page.locator("[data-leaving], [data-saying]")).to_have_count(0)


def fates(page: Page) -> list[str]:
    dots = page.get_by_role("group", name="Queries").get_by_role("button").all()
    return [dot.get_attribute("aria-label").partition(": ")[2] for dot in dots]


def test_ten_queries_by_keyboard_one_undone_survive_a_reload_a_restart_and_the_way_to_a_fresh_library(
    app, browser, tmp_path
):
    visit = Visit(browser, app)
    page = visit.open()
    open_panel(page)
    page.get_by_role("button", name="Start judging").click()
    arrived(page, 1)
    expect(page.get_by_text("0 of 12 judged")).to_be_visible()
    assert page.locator("#judge-vote .is-blind").count() == 1
    for number in range(1, 11):
        arrived(page, number)
        page.keyboard.press(str(1 + number % 4))
        expect(page.get_by_text(re.compile("^You (preferred|said)"))).to_be_visible()
        expect(page.locator(".judge-said")).to_contain_text("Saved. You")
        page.keyboard.press("Enter" if number % 2 else "n")
    arrived(page, 11)
    page.keyboard.press("n")
    arrived(page, 12)
    expect(page.get_by_text("10 of 12 judged, 1 skipped")).to_be_visible()
    page.keyboard.press("u")
    arrived(page, 11)
    expect(page.locator(".judge-printed")).to_have_text("Undone: the skip of “where do ships anchor”.")
    expect(page.locator(".judge-printed")).to_be_in_viewport()
    page.keyboard.press("u")
    arrived(page, 10)
    expect(page.get_by_text("9 of 12 judged")).to_be_visible()
    expect(page.get_by_text("marked as not blind")).to_be_visible()
    left = query(page), fates(page)
    assert left[1] == ["judged"] * 9 + ["not seen yet"] * 3

    page.reload()  # it stays on this tab
    arrived(page, 10)
    assert (query(page), fates(page)) == left
    visit.close()

    app.stop()
    app.start()
    visit = Visit(browser, app)
    page = visit.open()
    open_panel(page)
    arrived(page, 10)
    assert (query(page), fates(page)) == left
    page.get_by_role("button", name="Query 1: judged").click()
    arrived(page, 1)
    expect(page.get_by_text(re.compile("^A was (SMART|Pooled only), B was"))).to_be_visible()
    open_panel(page, "Results")
    told, kept = boards_text(page), download(page, "Only the journal", tmp_path)
    assert "both bad" in told
    visit.close()

    with served_app("minilm", app.samples, tmp_path / "fresh") as fresh:
        visit = Visit(browser, fresh)
        page = visit.open()
        open_panel(page, "Results")
        expect(page.locator(".board-none")).to_be_visible()
        page.locator("#board-take input[type=file]").set_input_files(str(kept))
        expect(page.locator(".taken")).to_contain_text("entries imported", timeout=PATIENCE)
        assert boards_text(page) == told
        visit.close()


def test_keys_are_text_where_text_is_typed_and_a_large_page_takes_them_all(app, browser):
    visit = Visit(browser, app)
    page = visit.open()
    open_panel(page)
    page.get_by_role("textbox", name="A query of your own").fill(OWN)
    page.keyboard.press("Enter")
    expect(shown(page, ".judge-query")).to_have_text(OWN, timeout=PATIENCE)
    judged = shown(page, ".judge-progress").inner_text()
    page.get_by_role("button", name="table", exact=True).click()
    page.get_by_role("textbox", name="Note").press_sequentially("1 nu 23v")
    page.get_by_role("button", name="small text").focus()

    page.keyboard.press("v")
    large = page.get_by_role("dialog", name="Page")
    expect(large).to_contain_text("Column A · 1 of ")
    for key in ("1", "n", "u"):
        page.keyboard.press(key)
    page.keyboard.press("ArrowRight")
    expect(large).to_contain_text("Column A · 2 of ")
    for told in ("Where it matched", "SMART", "Copy link", "Find more like this"):
        expect(large.get_by_text(told)).to_have_count(0)
    assert "page=" not in page.url
    page.keyboard.press("Escape")
    expect(large).to_be_hidden()

    page.get_by_role("tab", name="Compare").click()
    page.keyboard.press("1")
    open_panel(page)
    expect(page.get_by_role("textbox", name="Note")).to_have_value("1 nu 23v")
    assert shown(page, ".judge-progress").inner_text() == judged
    expect(page.locator("[data-leaving]")).to_have_count(0, timeout=PATIENCE)
    page.get_by_role("button", name="A is better").click()
    told = page.get_by_text(re.compile("^You preferred A: "))
    expect(told).to_be_visible()
    expect(page.locator(".vote-why")).to_have_text("table1 nu 23v")
    heads = page.locator(".blind-column h3").all_inner_texts()
    assert sorted(head.split()[1] for head in heads) == ["Pooled", "SMART"]
    assert page.locator(".page-card img.thumb").count() == page.locator(".page-card").count(), "the thumbnails stayed"
    with page.context.expect_page() as compared:
        page.get_by_role("link", name="Open in Compare").click()
    expect(compared.value.get_by_role("textbox", name="Search")).to_have_value(OWN, timeout=PATIENCE)
    assert page.locator('img[src="x"]').count() == 0
    visit.close()


def test_three_pages_are_graded_by_keyboard_on_a_phone_in_the_dark(app, browser):
    visit = Visit(browser, app, width=390, height=844, dark=True)
    page = visit.open()
    open_panel(page)
    expect(shown(page, ".judge-query")).to_be_visible(timeout=PATIENCE)
    assert page.evaluate("document.scrollingElement.scrollWidth <= innerWidth")
    page.get_by_role("button", name=re.compile("^Query 12: ")).click()
    arrived(page, 12)
    page.get_by_role("tab", name="Grade", exact=True).click()
    options = page.get_by_role("listbox", name="Pages to grade").get_by_role("option")
    expect(options).to_have_count(4, timeout=PATIENCE)
    arrived(page, 12)
    assert page.evaluate("document.scrollingElement.scrollWidth <= innerWidth")
    for number, (key, words) in enumerate([("3", "it answers"), ("0", "not relevant"), ("1", "a little")], start=1):
        page.keyboard.press(key)
        expect(shown(page, ".judge-progress")).to_contain_text(f"{number} of 4 graded")
        expect(page.locator(".judge-said")).to_contain_text(f"Saved. {key}, {words}")
    page.keyboard.press("ArrowLeft")
    expect(options.nth(2)).to_be_focused()
    expect(options.nth(2)).to_have_attribute("aria-selected", "true")
    page.keyboard.press("2")
    expect(options.nth(2)).to_have_accessible_name(re.compile("grade 2, it helps$"))
    page.keyboard.press("u")
    arrived(page, 12)
    expect(options.nth(2)).to_have_attribute("data-grade", "1")
    expect(page.get_by_role("columnheader", name="rank, SMART")).to_have_count(0)
    options.nth(3).click()
    page.get_by_role("button", name="It helps").click()
    expect(page.get_by_text("Every page has a grade.", exact=True)).to_be_visible()
    page.get_by_role("button", name="Show the ranks").click()
    expect(page.get_by_role("row")).to_have_count(5)
    assert page.evaluate("document.scrollingElement.scrollWidth <= innerWidth")
    visit.close()


def test_a_server_that_is_gone_keeps_nothing_and_says_so(app, browser):
    visit = Visit(browser, app)
    page = visit.open()
    open_panel(page)
    page.get_by_role("button", name=re.compile("^Query 11: ")).click()
    arrived(page, 11)
    page.route(GONE, lambda route: route.abort())
    page.keyboard.press("1")
    expect(page.get_by_role("alert").filter(has_text="The demo does not answer")).to_be_visible()
    expect(page.get_by_role("button", name="A is better")).to_be_visible()
    page.unroute(GONE)
    page.locator("#judge-vote [data-ticket]").evaluate("sheet => { sheet.dataset.ticket = '0'.repeat(32); }")
    page.keyboard.press("1")
    expect(page.locator(".judge-printed")).to_contain_text("This was shown too long ago to be judged.")
    arrived(page, 11)
    page.keyboard.press("1")
    expect(page.get_by_text(re.compile("^You preferred A: "))).to_be_visible()
    visit.faults = [fault for fault in visit.faults if "ERR_FAILED" not in fault]
    visit.close()


@pytest.mark.long
def test_each_browser_has_a_journal_of_its_own_on_a_public_page(app, browser, tmp_path):
    with served_app("minilm", app.samples, tmp_path / "public", SMART_PUBLIC="on") as public:
        mine, yours = Visit(browser, public), Visit(browser, public)
        page = mine.open()
        open_panel(page)
        expect(page.get_by_text("only this browser can open them")).to_be_visible(timeout=PATIENCE)
        page.get_by_role("button", name="Start judging").click()
        arrived(page, 1)
        page.keyboard.press("3")
        expect(page.get_by_text("You said: a tie.", exact=True)).to_be_visible()
        mine.leave()  # a vote counts outcomes again, which may not have been answered
        mine.open()
        open_panel(page)
        expect(page.get_by_text("You said: a tie.", exact=True)).to_be_visible(timeout=PATIENCE)
        other = yours.open()
        open_panel(other)
        expect(other.get_by_role("button", name="Start judging")).to_be_visible(timeout=PATIENCE)
        for visit in (mine, yours):
            visit.close()
