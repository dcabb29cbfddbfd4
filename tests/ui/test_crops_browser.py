"""The evidence on the cards as a visitor meets it: the real app, a real browser."""

import json

import pytest
from playwright.sync_api import Locator, Route, expect

from tests.apps import PATIENCE, served_app
from tests.documents import write_pdf
from tests.ui.browser_page import Visit

pytestmark = pytest.mark.browser
ADDRESS = ""
QUERY, OTHER = "where does the harbour master decide", "cinnamon saffron"


def open_app(folder):
    samples = folder / "samples"
    samples.mkdir()
    filler = "\n".join(["The committee met again and wrote a long report"] * 12)
    pages = [f"{filler}\nthe harbour master decides\n{filler}", f"{filler}\ntide tables", "Ships anchor outside"]
    write_pdf(samples / "harbour.pdf", *pages)
    write_pdf(samples / "receipt.pdf", "cinnamon buns" + "\n" * 90 + "saffron rice", size=(300, 3000))
    return served_app("minilm", samples, folder / "data")


def rectangle(node: Locator) -> dict[str, float]:
    return node.evaluate("(node) => node.getBoundingClientRect().toJSON()")


def lies_inside(inner: Locator, outer: Locator) -> None:
    one, other = rectangle(inner), rectangle(outer)
    assert one["width"] > 0
    assert one["height"] > 0
    assert other["left"] - 1 <= one["left"] < one["right"] <= other["right"] + 1
    assert other["top"] - 1 <= one["top"] < one["bottom"] <= other["bottom"] + 1


def wait_for_crops(visit: Visit) -> None:
    expect(visit.page.locator(".evidence:empty")).to_have_count(0, timeout=PATIENCE)
    visit.page.wait_for_function(
        "[...document.querySelectorAll('.crop img')].every((one) => one.complete && one.naturalWidth > 0)"
    )


def is_about_crops(route: Route) -> bool:
    return json.loads(route.request.post_data or "{}").get("fn_name") == "crops"


def test_cards_show_where_their_pages_matched(app, browser):
    visit = Visit(browser, app, width=1280, height=720)
    held: list[Route] = []
    asked: list[str] = []
    hold = True

    def watch(route: Route) -> None:
        if is_about_crops(route):
            asked.append(route.request.post_data or "")
            if hold:
                held.append(route)
                return
        route.continue_()

    visit.page.route("**/component_server*", watch)
    page = visit.open(f"/?q={QUERY}")

    # The ranking is there before its crops, and does not move when they come.
    cards = page.locator(".card")
    expect(page.locator(".evidence")).not_to_have_count(0)
    page.wait_for_function("[...document.querySelectorAll('img.thumb')].every((one) => one.naturalWidth > 0)")
    before = [rectangle(card) for card in cards.all()]
    hold = False
    for route in held:
        route.continue_()
    wait_for_crops(visit)
    assert [rectangle(card) for card in cards.all()] == before

    # The winning words are outlined, in both columns alike.
    for column in ("Pooled only", "SMART"):
        card = visit.cards(column).filter(has=page.locator(".crop-mark")).first
        lies_inside(card.locator(".crop-frame"), card.locator(".evidence"))
        lies_inside(card.locator(".crop-mark").first, card.locator(".crop-frame"))
    first = visit.cards("SMART").first
    key = first.get_attribute("data-page")
    twins = page.locator(f'.card[data-page="{key}"]')
    assert twins.count() == 2
    addresses = {card.locator(".crop img").get_attribute("src") for card in twins.all()}
    assert len(addresses) == 1
    described = page.locator(f'[id="{first.get_attribute("aria-describedby")}"]')
    expect(described).to_contain_text("of the late part")
    expect(described).to_contain_text("“master”")

    # The winner map lies over the page while the pointer rests on its card, in both columns, and for the keyboard.
    first.hover()
    for card in twins.all():
        expect(card.locator(".card-map")).to_be_visible()
        lies_inside(card.locator(".card-map"), card.locator(".thumb"))
    page.mouse.move(2, 2)
    expect(page.locator(".card-map")).to_have_count(0)
    visit.cards("Pooled only").nth(1).focus()
    page.keyboard.press("ArrowUp")
    expect(page.locator(".card:focus .card-map")).to_be_visible()
    page.keyboard.press("Escape")

    # Other weights rank again without new crops.
    before_ranking = len(asked)
    page.get_by_role("button", name="Tune").click()
    formula = page.locator(".answer").get_attribute("data-link")
    page.locator("#preset-0-1").click()
    expect(page.locator(f'.answer:not([data-link="{formula}"])')).to_be_visible(timeout=PATIENCE)
    wait_for_crops(visit)
    assert len(asked) == before_ranking

    # Crops of a query that is no longer on the screen are dropped.
    held.clear()
    hold = True
    visit.search("tide tables")
    expect(page.locator(".crop")).to_have_count(0)
    hold = False
    visit.search(OTHER)
    for route in held:
        route.continue_()
    wait_for_crops(visit)
    expect(page.locator(".crop-words").filter(has_text="tide")).to_have_count(0)
    expect(page.locator(".crop-words").filter(has_text="saffron").first).to_be_visible()

    # A receipt's map reaches beyond the start that its thumbnail shows.
    receipt = page.locator('.card[data-side="right"]').filter(has_text="receipt.pdf")
    receipt.hover()
    expect(receipt.locator(".card-map")).to_be_visible()
    heights = [rectangle(receipt.locator(part).first)["height"] for part in (".card-map-ink", ".thumb")]
    assert heights[0] == pytest.approx(2.5 * heights[1], rel=0.05)
    visit.close()

    phone = Visit(browser, app, width=390, height=844, dark=True)
    page = phone.open(f"/?q={QUERY}")
    wait_for_crops(phone)
    frame = page.locator(".crop-frame").first
    expect(frame).to_be_in_viewport()
    lies_inside(frame, page.locator(".evidence").first)
    assert page.evaluate("document.scrollingElement.scrollWidth <= innerWidth")
    phone.close()
