"""Links that reopen a view, and presets: the real app, a real browser."""

import re
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import expect

from tests.apps import served_app
from tests.ui.browser_page import Visit
from tests.ui.stories_cases import write_story_samples

pytestmark = pytest.mark.browser
ADDRESS = ""


def open_app(folder):
    return served_app("minilm", write_story_samples(folder / "samples"), folder / "data")


def test_a_copied_link_reopens_the_same_view_in_a_new_tab(app, browser, visit):
    page = visit.open("/?q=floor+plan&in=Samples&k=4&lp=0.5&ll=2.5")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    visit.cards("SMART").nth(1).click()
    viewer = page.get_by_role("dialog", name="Page")
    seen = viewer.locator(".facts-name").inner_text(), viewer.locator(".facts-page").inner_text()
    viewer.get_by_role("button", name="Copy link").click()
    expect(viewer.get_by_role("button", name="Link copied")).to_be_visible()
    link = page.evaluate("navigator.clipboard.readText()")
    shown = parse_qs(urlsplit(link).query)
    assert shown["page"][0].startswith("samples/")
    assert {name: shown[name] for name in ("q", "in", "k", "lp", "ll")} == {
        "q": ["floor plan"],
        "in": ["Samples"],
        "k": ["4"],
        "lp": ["0.5"],
        "ll": ["2.5"],
    }
    other = Visit(browser, app)
    again = other.open(link.removeprefix(app.url))
    viewer = again.get_by_role("dialog", name="Page")
    expect(viewer).to_contain_text("SMART · 2 of 4")
    assert (viewer.locator(".facts-name").inner_text(), viewer.locator(".facts-page").inner_text()) == seen
    again.keyboard.press("Escape")
    expect(viewer).to_be_hidden()
    expect(again).not_to_have_url(re.compile("[?&](page|at)="))
    expect(again.locator(".column-head.of-right")).to_contain_text("0.50 × pooled + 2.50 × late")
    other.tune()
    expect(again.get_by_role("spinbutton", name="Late weight")).to_have_value("2.5")
    other.close()


def test_a_preset_ranks_again_without_an_encoder(visit):
    page = visit.open()
    visit.tune()
    smart = page.get_by_role("button", name="SMART 1/1")
    expect(smart).to_have_attribute("aria-pressed", "true")
    page.get_by_role("button", name="Pooled only", exact=True).click()
    expect(page.get_by_role("heading", name="Same 5 pages in the same order")).to_be_visible()
    expect(page.locator(".column-head.of-right")).to_contain_text("one vector per page")
    expect(page.locator(".verdict .meta")).not_to_contain_text("encoded")
    expect(page.get_by_role("button", name="Pooled only", exact=True)).to_have_attribute("aria-pressed", "true")
    expect(smart).to_have_attribute("aria-pressed", "false")
    page.get_by_role("button", name="Late only").click()
    expect(page.locator(".column-head.of-right")).to_contain_text("1.00 × late")
    expect(page.get_by_role("spinbutton", name="Pooled weight")).to_have_value("0")


def test_the_late_part_as_a_sum_or_over_own_words_is_named_and_linked(visit):
    page = visit.open()
    visit.tune()
    head = page.locator(".column-head.of-right p")
    page.get_by_role("radio", name="sum").check()
    expect(head).to_contain_text("1.00 × late (sum)")
    expect(page.get_by_role("button", name="SMART 1/1")).to_have_attribute("aria-pressed", "false")
    page.get_by_role("radio", name="own words").check()
    expect(head).to_contain_text("ablation")
    expect(page.locator(".notice")).to_contain_text("leaves nothing out")
    expect(page.locator(".verdict .meta")).not_to_contain_text("encoded")
    again = visit.open("/?" + page.locator(".answer").get_attribute("data-link"))
    visit.tune()
    expect(again.get_by_role("radio", name="sum")).to_be_checked()
    expect(head).to_contain_text("(sum), own words only")
    page.get_by_role("button", name="SMART 1/1").click()
    expect(page.get_by_role("radio", name="mean")).to_be_checked()
    expect(head).to_have_text(re.compile(r"1\.00 × pooled \+ 1\.00 × late$"))


def test_a_link_to_what_is_gone_says_so(visit):
    page = visit.open("/?q=noon&page=samples%2Fdeadbeefdeadbeef-0001")
    expect(page.locator(".notice")).to_contain_text("not among these results")
    assert "page=" not in page.url
    visit.open("/?like=nonsense")
    expect(page.get_by_text("The part of a page in this link cannot be read")).to_be_visible()
