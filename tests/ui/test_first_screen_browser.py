"""What is on the first screen without scrolling, and what a visitor changes about it: the real app, a real browser."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.apps import PATIENCE, served_app
from tests.documents import write_pdf
from tests.ui.browser_page import Visit

pytestmark = pytest.mark.browser
ADDRESS = ""
A4 = (595, 842)
MAX_SHIFT = 0.1
"""Cumulative layout shift that the web's standard calls good."""
WATCH_SHIFTS = """
window.shifted = 0;
new PerformanceObserver((list) => {
  for (const one of list.getEntries()) if (!one.hadRecentInput) window.shifted += one.value;
}).observe({ type: "layout-shift", buffered: true });
"""


def open_app(folder):
    samples = folder / "samples"
    samples.mkdir()
    filler = "\n".join(["The committee met again and wrote a long report"] * 12)
    pages = [f"{filler}\n{text}\n{filler}" for text in ("harbour master decides", "tide tables", "ships anchor", "fog")]
    write_pdf(samples / "harbour.pdf", *pages, size=A4)
    return served_app("minilm", samples, folder / "data")


def box(page: Page, selector: str, at: int = 0) -> dict[str, float]:
    return page.locator(selector).nth(at).evaluate("(node) => node.getBoundingClientRect().toJSON()")


@pytest.mark.parametrize(("width", "height", "dark"), [(1280, 720, False), (1440, 900, True), (390, 844, False)])
def test_the_evidence_is_on_the_first_screen_and_nothing_moves(app, browser, width, height, dark):
    visit = Visit(browser, app, width=width, height=height, dark=dark)
    visit.context.add_init_script(WATCH_SHIFTS)
    page = visit.open()
    expect(page.locator(".evidence .crop").first).to_be_visible(timeout=PATIENCE)
    expect(page.locator(".hero h1")).to_be_visible()
    expect(page.locator(".verdict h2")).to_be_in_viewport(ratio=1)
    for side in ("left", "right"):
        column = f".ranking.of-{side}"
        assert box(page, f"{column} .card")["bottom"] <= height
        if width < 760:
            continue
        assert box(page, f"{column} .thumb")["width"] == pytest.approx(160, abs=2)
        if height >= 900:
            assert box(page, f"{column} .card", 1)["bottom"] <= height
            assert box(page, f"{column} .thumb", 2)["top"] <= height - 80
        else:
            assert box(page, f"{column} .topline", 1)["bottom"] <= height
            assert box(page, f"{column} .crop-frame", 1)["bottom"] <= height
    assert page.evaluate("document.scrollingElement.scrollWidth <= innerWidth")
    assert page.evaluate("window.shifted") < MAX_SHIFT
    visit.close()


def test_sizes_are_remembered_tune_unfolds_and_the_promise_goes_after_an_own_question(app, browser):
    visit = Visit(browser, app, width=1280, height=720)
    page = visit.open()
    large = page.get_by_role("button", name="Large pages")
    expect(page.get_by_role("button", name="Medium pages")).to_have_attribute("aria-pressed", "true")
    large.click()
    expect(large).to_have_attribute("aria-pressed", "true")
    assert box(page, ".thumb")["width"] == pytest.approx(224, abs=2)

    # Folded, Tune states the formula; unfolded, it has the weights.
    tune = page.get_by_role("button", name="Tune")
    expect(page.locator(".column-head.of-right")).to_contain_text("1.00 × pooled + 1.00 × late")
    expect(tune).to_have_attribute("aria-expanded", "false")
    expect(page.locator("#controls")).to_be_hidden()
    tune.click()
    expect(tune).to_have_attribute("aria-expanded", "true")
    expect(page.get_by_role("spinbutton", name="Late weight")).to_be_visible()

    # A number beyond the slider's range is the nearest one in it, and no error.
    late = page.get_by_role("spinbutton", name="Late weight")
    for typed, used in (("99", "4"), ("-3", "0"), ("1", "1")):
        late.fill(typed)
        expect(late).to_have_value(used)
        formula = f"1.00 × pooled + {used}.00 × late" if used != "0" else "one vector per page"
        expect(page.locator(".column-head.of-right")).to_contain_text(formula, timeout=PATIENCE)
    expect(page.locator(".toast-body")).to_have_count(0)

    page.get_by_role("button", name="serial number P3-2309").click()
    expect(page.locator('.chip[aria-pressed="true"]')).to_have_text("serial number P3-2309", timeout=PATIENCE)
    expect(page.locator(".hero")).to_be_visible()  # an example is no question of one's own
    visit.search("when is the tide")
    expect(page.locator(".hero")).to_be_hidden()
    expect(tune).to_have_attribute("aria-expanded", "true")

    page.reload()
    expect(page.locator(".answer .card").first).to_be_visible(timeout=PATIENCE)
    expect(page.locator(".hero")).to_be_hidden()
    expect(large).to_have_attribute("aria-pressed", "true")

    # On a phone the right column is beside the window: the first pages of both are above, and a tap brings a column.
    page.set_viewport_size({"width": 390, "height": 844})
    pair = page.get_by_role("group", name="The first page of each column").get_by_role("button")
    for first, column in zip(pair.all(), ("Pooled only", "SMART"), strict=True):
        expect(first).to_be_in_viewport(ratio=1)
        expect(first).to_contain_text(column)
        expect(first).to_contain_text(re.compile(r"harbour\.pdf\s*page \d · (was|now|same)"))
    expect(pair.first).to_have_attribute("aria-pressed", "true")
    right = page.locator(".ranking.of-right .card").first
    assert box(page, ".ranking.of-right .card")["left"] > 300
    pair.last.click()
    expect(right).to_be_in_viewport(ratio=0.95)
    expect(pair.last).to_have_attribute("aria-pressed", "true")
    expect(pair.first).to_have_attribute("aria-pressed", "false")
    visit.leave()
    visit.close()
