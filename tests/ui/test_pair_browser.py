"""Why one page passed another, and its place by late weight, as a visitor meets them: the real app, a real browser."""

import re
from decimal import Decimal

import pytest
from playwright.sync_api import Locator, expect

from tests.apps import PATIENCE, serve_documents
from tests.ui.browser_page import Visit

pytestmark = pytest.mark.browser
QUERY = "no anchoring near the cable"
HOSTILE = '<img/src=x/onerror=alert(1)> ${alert(2)} `harbour` "tide" {{x}}'


def open_app(folder):
    """The query's words stand on a page of many matters, which pooled alone ranks second."""
    matters = "The library lends paintings.\nBread rises.\nNo anchoring near the cable.\nFoxes hunt at dusk."
    documents = {
        "harbour.pdf": ["Ships anchor outside\nthe harbour master decides", "tide tables\nfor the harbour"],
        "sea.pdf": ["Ships and boats at sea.\nMooring of vessels in port", matters],
        "img src=x onerror=alert(3).pdf": ["<img src=x onerror=alert(4)>\n${alert(5)} harbour `x`"],
    }
    return serve_documents(folder, documents)


def number(text: str) -> Decimal:
    return Decimal(text.replace("−", "-").replace("+", ""))


def numbers(rows: Locator) -> list[list[Decimal]]:
    """On X, on Y and their difference, row by row."""
    cells = rows.evaluate_all(
        "all => all.map((row) => [...row.querySelectorAll('td')].slice(0, 3).map((one) => one.textContent))"
    )
    return [[number(text) for text in row] for row in cells]


def adds_up(dialog: Locator) -> None:
    (total,) = numbers(dialog.locator("tfoot tr"))
    lines = numbers(dialog.locator("tbody tr:not(.is-folded)"))
    assert [sum(column) for column in zip(*lines, strict=True)] == total
    assert all(x - y == difference for x, y, difference in [*lines, total])
    folded = numbers(dialog.locator("tbody tr.is-folded"))
    if folded:
        (fold,) = numbers(dialog.locator("tbody tr.is-several:not(.is-folded)"))
        assert [sum(column) for column in zip(*folded, strict=True)] == fold


def outlined(dialog: Locator) -> list[list[float]]:
    """The rectangles of both outlines, each of which lies on its page."""
    expect(dialog.locator(".pair-paper > .pair-outline:visible")).to_have_count(2)
    script = """async (dialog) => {
      for (const _ of [1, 2]) await new Promise(requestAnimationFrame);  // a move takes a frame
      return [...dialog.querySelectorAll(".pair-paper")].map((paper) => {
        const [page, line] = ["img", ".pair-outline"].map((one) => paper.querySelector(one).getBoundingClientRect());
        const across = line.left > page.left - 9 && line.right < page.right + 9;
        const down = line.top > page.top - 9 && line.bottom < page.bottom + 9;
        return [across && down, line.left, line.top, line.width, line.height];
      });
    }"""
    found = dialog.evaluate(script)
    assert all(inside for inside, *_ in found)
    return [rectangle for _, *rectangle in found]


def why(visit: Visit) -> tuple[Locator, Locator]:
    """The first moved card's control, and the dialog that it opened, filled."""
    control = visit.page.locator(".moved-why").first
    control.click()
    dialog = visit.page.get_by_role("dialog", name="Why")
    expect(dialog.locator(".pair-word[aria-pressed=true]")).to_have_count(1, timeout=PATIENCE)
    return control, dialog


def test_why_tells_what_decided_with_sums_that_hold_and_both_places(app, browser):
    visit = Visit(browser, app)
    page = visit.open()
    visit.search(QUERY)
    control, dialog = why(visit)
    expect(dialog.get_by_role("heading", level=2)).to_have_text("Why did X pass Y?")
    expect(dialog.locator(".pair-said")).to_contain_text("ahead of")
    expect(dialog.locator(".pair-swap")).to_contain_text("change places at a late weight of")
    adds_up(dialog)
    expect(dialog.locator(".pair-image:not(.is-coarse)")).to_have_count(2)
    first = dialog.locator(".pair-word").first
    expect(first).to_have_attribute("aria-pressed", "true")
    expect(first).to_be_focused()
    before = outlined(dialog)

    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(first).to_have_attribute("aria-pressed", "false")
    assert outlined(dialog) != before
    dialog.get_by_role("button", name="other tokens").click()
    expect(dialog.get_by_role("button", name="other tokens")).to_have_attribute("aria-expanded", "true")
    expect(dialog.get_by_role("button", name="other tokens")).to_be_focused()
    adds_up(dialog)
    dialog.get_by_role("button", name="the", exact=True).first.click()
    expect(dialog.locator(".pair-place").first).to_contain_text("Similarity")

    x, y = dialog.get_by_label("Page X"), dialog.get_by_label("Page Y")
    chosen = x.input_value(), y.input_value()
    others = [v for v in y.locator("option").evaluate_all("all => all.map((one) => one.value)") if v not in chosen]
    y.select_option(others[-1])
    expect(dialog).not_to_have_attribute("aria-busy", "true")
    expect(
        dialog.get_by_role(
            "img", name=y.locator("option:checked").inner_text().strip("\u2068").split("\u2069")[0]
        ).first
    ).to_be_visible()
    assert (x.input_value(), y.input_value()) == (chosen[0], others[-1])
    adds_up(dialog)
    x.select_option(others[-1])  # the other side's page: the two change over
    expect(y).to_have_value(chosen[0])
    expect(x).to_have_value(others[-1])
    adds_up(dialog)
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(control).to_be_focused()

    card = visit.cards("SMART").first
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("ArrowDown")
    expect(page.locator(".card:focus")).to_have_count(1)
    card.click()
    viewer = page.get_by_role("dialog", name="Page", exact=True)
    plot = viewer.get_by_role("region", name="Place by late weight")
    expect(plot.get_by_role("img")).to_have_attribute(
        "aria-label", re.compile("^Place for late weights from 0 to 4: 2 at 0, 1 at 1,")
    )
    expect(plot).to_contain_text("place 1.")
    viewer.get_by_role("button", name="Compare with another page").click()
    expect(page.get_by_role("dialog", name="Why").locator(".pair-word[aria-pressed=true]")).to_have_count(1)
    page.keyboard.press("Escape")
    expect(page).not_to_have_url(re.compile("[?&]why="))  # the browser has gone back, and the page has followed
    page.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")
    expect(viewer).to_be_visible()
    expect(viewer.get_by_role("button", name="Compare with another page")).to_be_focused()
    visit.close()


def test_on_a_phone_in_the_dark_nothing_overlaps_or_scrolls_sideways(app, browser):
    visit = Visit(browser, app, width=390, height=844, dark=True)
    page = visit.open()
    visit.search(QUERY)
    overlaps = """() => [...document.querySelectorAll(".moved-why")].filter((why) => {
        const a = why.getBoundingClientRect();
        return [...why.parentElement.querySelectorAll(".title, .badge, .where, .part, .rank")].some((text) => {
            const b = text.getBoundingClientRect();
            return a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
        });
    }).length"""
    assert page.locator(".moved-why").count() > 0
    assert page.evaluate(overlaps) == 0
    _, dialog = why(visit)
    assert page.evaluate("document.scrollingElement.scrollWidth <= innerWidth")
    assert dialog.evaluate(
        "(one) => [one, ...one.querySelectorAll('.pair-body, .pair-sums')].every((n) => n.scrollWidth <= n.clientWidth)"
    )
    outlined(dialog)
    adds_up(dialog)
    visit.close()


def test_hostile_words_and_names_are_only_words(app, browser):
    visit = Visit(browser, app)
    page = visit.open()
    visit.search(HOSTILE)
    visit.cards("SMART").filter(has_text="img src=x").click()
    page.get_by_role("button", name="Compare with another page").click()
    dialog = page.get_by_role("dialog", name="Why")
    expect(dialog.locator(".pair-word[aria-pressed=true]")).to_have_count(1, timeout=PATIENCE)
    expect(
        dialog.get_by_label("Page X").or_(dialog.get_by_label("Page Y")).filter(has_text="img src=x").first
    ).to_be_visible()
    assert any("onerror" in word for word in dialog.locator(".pair-word bdi").all_inner_texts())
    assert page.locator('img[src="x"]').count() == 0
    visit.close()
