"""Maps in the viewer as a visitor meets them: the real app, a real browser."""

import pytest
from playwright.sync_api import Locator, expect

from tests.apps import PATIENCE, served_app
from tests.documents import write_pdf
from tests.ui.browser_page import Visit

pytestmark = pytest.mark.browser
HOSTILE = '<img/src=x/onerror=alert(1)> ${alert(2)} `harbour` "tide" \\n {{x}}'


def open_app(folder):
    documents = {
        "harbour.pdf": ["Ships anchor outside\nthe harbour master decides", "tide tables\nfor the harbour"],
        "img src=x onerror=alert(3).pdf": ["<img src=x onerror=alert(4)>\n${alert(5)} harbour `x`"],
    }
    samples = folder / "samples"
    samples.mkdir()
    for name, pages in documents.items():
        write_pdf(samples / name, *pages)
    write_pdf(samples / "receipt.pdf", "cinnamon buns" + "\n" * 90 + "saffron rice", size=(300, 3000))
    return served_app("minilm", samples, folder / "data")


def opened(visit: Visit, query: str, card: int = 0) -> Locator:
    """The viewer over a card of the right column, with its page and its chips there."""
    visit.search(query)
    visit.cards("SMART").nth(card).click()
    viewer = visit.page.get_by_role("dialog", name="Page")
    expect(viewer.locator("img.viewer-image:not(.is-coarse)")).to_be_visible()
    expect(viewer.get_by_role("region", name="Score anatomy")).to_be_visible(timeout=PATIENCE)
    return viewer


def rectangles(viewer: Locator, *selectors: str) -> list[list[float]]:
    """Left, top, width and height, all of the same moment: a move takes a frame."""
    script = """(dialog, all) => all.map((one) => dialog.querySelector(one).getBoundingClientRect())
        .map(({ x, y, width, height }) => [x, y, width, height])"""
    return viewer.evaluate(script, list(selectors))


def lies_over_the_page(viewer: Locator) -> None:
    expect(viewer.locator(".why-map")).to_be_visible()
    drawn, page = rectangles(viewer, ".why-map", ".viewer-image")
    assert drawn == pytest.approx(page, abs=1)


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (390, True)])
def test_a_chip_lays_a_map_over_the_page_that_moves_with_it(app, browser, width, dark):
    visit = Visit(browser, app, width=width, height=844, dark=dark)
    visit.open()
    viewer = opened(visit, "where is the harbour master")
    stage, chip = viewer.locator(".viewer-stage"), viewer.get_by_role("button", name="master: adds")
    expect(viewer.get_by_role("button", name="where: adds")).to_have_count(0)
    expect(viewer.locator(".why-map")).to_be_hidden()
    chip.focus()
    visit.page.keyboard.press("Enter")
    expect(chip).to_have_attribute("aria-pressed", "true")
    expect(viewer.locator(".why-legend")).to_contain_text("Similarity to “master”")
    lies_over_the_page(viewer)
    expect(stage).to_have_attribute("aria-label", "harbour.pdf. " + viewer.locator(".why-map").get_attribute("alt"))
    outline, page = rectangles(viewer, ".why-outline", ".viewer-image")
    assert page[0] < outline[0] < outline[0] + outline[2] < page[0] + page[2]
    viewer.get_by_role("button", name="Zoom in").click()
    expect(viewer.get_by_label("Zoom", exact=True)).to_have_text("140 %")
    lies_over_the_page(viewer)
    viewer.page.wait_for_function(
        "(left) => document.querySelector('.why-outline').getBoundingClientRect().x !== left", arg=outline[0]
    )
    assert visit.page.evaluate("document.scrollingElement.scrollWidth <= innerWidth")
    viewer.get_by_role("button", name="Show all").click()
    expect(viewer.get_by_role("button", name="where: adds")).to_be_visible()
    viewer.get_by_role("button", name="Reset").click()
    expect(viewer.locator(".why-map")).to_be_hidden()
    expect(chip).to_have_attribute("aria-pressed", "false")
    visit.close()


def test_the_choice_stays_while_paging_and_leaves_with_its_query(app, browser):
    visit = Visit(browser, app)
    visit.open()
    viewer = opened(visit, "harbour tide")
    viewer.get_by_role("button", name="tide: adds").click()
    expect(viewer.locator(".why-scale")).to_be_visible()
    colours = viewer.locator(".why-scale").inner_text()
    visit.page.keyboard.press("ArrowRight")
    expect(viewer).to_contain_text("SMART · 2 of 4")
    expect(viewer.get_by_role("button", name="tide: adds")).to_have_attribute("aria-pressed", "true")
    expect(viewer.get_by_role("button", name="tide: adds")).to_be_focused()
    lies_over_the_page(viewer)
    viewer.get_by_role("button", name="Whole query").click()
    expect(viewer.locator(".why-legend")).to_contain_text("Best similarity to any word")
    lies_over_the_page(viewer)
    assert viewer.locator(".why-scale").inner_text() == colours
    viewer.get_by_role("button", name="Winner map").click()
    expect(viewer.locator(".why-legend")).to_contain_text("was won by places on the page")
    lies_over_the_page(viewer)
    visit.page.keyboard.press("Escape")
    viewer = opened(visit, "master harbour")
    expect(viewer.get_by_role("button", name="Winner map")).to_have_attribute("aria-pressed", "true")
    expect(viewer.locator("[aria-pressed=true]")).to_have_count(1)
    visit.close()


def test_hostile_words_and_names_are_only_words(app, browser):
    visit = Visit(browser, app)
    visit.open()
    viewer = opened(visit, HOSTILE)
    viewer.get_by_role("button", name="Show all").click()
    words = viewer.locator(".why-chip:not(.is-map) bdi").all_inner_texts()
    (hostile,) = (number for number, word in enumerate(words) if "onerror" in word)
    viewer.locator(".why-chip:not(.is-map)").nth(hostile).click()
    expect(viewer.locator(".why-legend")).to_contain_text(f"Similarity to “{words[hostile]}”")
    assert visit.page.locator('img[src="x"]').count() == 0
    visit.close()


@pytest.mark.parametrize("width", [1280, 390])
def test_a_tall_page_opens_readable_and_its_outline_keeps_its_width(app, browser, width):
    visit = Visit(browser, app, width=width, height=844)
    visit.open()
    viewer = opened(visit, "saffron rice")
    outline, frame = viewer.locator(".why-outline"), viewer.locator(".why-frame")

    def places() -> tuple[list[float], list[float], list[float]]:
        visit.page.evaluate("new Promise((end) => requestAnimationFrame(() => requestAnimationFrame(end)))")
        stage, page, ring = rectangles(viewer, ".viewer-stage", ".viewer-image", ".why-outline")
        return stage, page, ring

    def ring_is_in_view() -> None:
        stage, page, ring = places()
        assert stage[0] <= ring[0] < ring[0] + ring[2] <= stage[0] + stage[2]
        assert stage[1] <= ring[1] < ring[1] + ring[3] <= stage[1] + stage[3]
        assert ring[1] - page[1] == pytest.approx(2030 / 3000 * page[3], abs=2)
        # The outline is not drawn with the layer's scale.
        assert outline.evaluate("(ring) => getComputedStyle(ring).outlineWidth") == "2px"
        assert frame.evaluate("(layer) => new DOMMatrix(getComputedStyle(layer).transform).a") == 1

    stage, page, _ = places()
    assert page[2] == pytest.approx(stage[2] - 40, abs=1)
    assert page[1] == pytest.approx(stage[1], abs=1)  # its top
    viewer.get_by_role("button", name="saffron: adds").click()
    lies_over_the_page(viewer)
    ring_is_in_view()
    for _ in range(2):
        viewer.get_by_role("button", name="Zoom in").click()
        ring_is_in_view()
    lies_over_the_page(viewer)
    viewer.get_by_role("button", name="Fit the page").click()
    stage, page, _ = places()
    assert page[3] <= stage[3]
    assert page[2] * 10 == pytest.approx(page[3], abs=1)
    ring_is_in_view()
    visit.page.keyboard.press("ArrowRight")
    expect(viewer).to_contain_text("SMART · 2 of 4")
    visit.page.keyboard.press("ArrowLeft")
    lies_over_the_page(viewer)
    ring_is_in_view()
    visit.close()
