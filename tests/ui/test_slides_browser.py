"""Slides in a real browser over the whole sample library: every slide on every projector, keys, the address, errors."""

import re
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from playwright.sync_api import Locator, Page, expect

from smart_demo.ui.stories import STORIES
from tests.apps import PATIENCE, served
from tests.ui.browser_page import Visit

pytestmark = pytest.mark.browser
ADDRESS = ""
PROJECTORS = ((1280, 720), (1920, 1080), (1024, 768))
LEAST_HEIGHT = 0.55
"""Height of both first pages, as a part of the window's height."""
SLIDES = 2 * len(STORIES) + 1
DIFFERENT = {1, 3, 5, 12, SLIDES}
"""Slides measured at every size: the first two stories have pages across, the third an answer apart, the sixth one
below both lists. The others are laid out like one of these."""

MEASURE = """async () => {
  const box = (node) => {
    const { left, top, right, bottom } = node.getBoundingClientRect();
    return { name: node.className || node.tagName, left, top, right, bottom };
  };
  const all = (selector) => [...document.querySelectorAll(`dialog.slides ${selector}`)];
  const stage = ".slide-picture, .slide-crop:not([hidden]), .slide-panel :is(h2, .slide-note, .slide-name), "
    + ".slide-list :is(h2, .slide-note), .slide-row, .slide-total";
  const isCut = (node) => node.scrollWidth > node.clientWidth + 1 || node.scrollHeight > node.clientHeight + 1;
  const measure = () => ({
    blocks: all(`.slide-head, .slide-foot, .slides-bar, ${stage}`).map(box),
    scrolls: getComputedStyle(document.documentElement).overflowY !== "hidden",
    cut: all(".slides-view, .slide-question, .slide-foot, .slides-bar, h2, .slide-note").filter(isCut).map(box),
    pictures: all(".slide-panel:not(.is-apart) .slide-picture").map((frame) => {
      const { width, height } = frame.getBoundingClientRect();
      const image = frame.querySelector("img");
      return { height: height / innerHeight, shape: width / height, natural: image.naturalWidth / image.naturalHeight };
    }),
  });
  // With reduced motion every change of a style takes a frame at each level, so wait until nothing changes any more.
  const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));
  let [before, seen] = ["", measure()];
  for (let frames = 0; frames < 60 && JSON.stringify(seen) !== before; frames += 1) {
    before = JSON.stringify(seen);
    await frame();
    await frame();
    seen = measure();
  }
  return seen;
}"""


@pytest.fixture(scope="module")
def app(sample_engine) -> Iterator[SimpleNamespace]:
    with served(sample_engine) as url:
        yield SimpleNamespace(url=url.rstrip("/"))


def dialog(page: Page) -> Locator:
    return page.get_by_role("dialog", name="Slides")


def expect_slide(page: Page, number: int, count: int = SLIDES) -> None:
    """Wait until a slide is shown with its pictures, maps and crops."""
    expect(dialog(page).get_by_label("Slide", exact=True)).to_have_text(f"{number} of {count}", timeout=PATIENCE)
    undrawn = ".slide-panel:not(:has(.is-map)):not(:has(.slide-map-note:not(:empty)))"
    expect(dialog(page).locator(undrawn)).to_have_count(0, timeout=PATIENCE)
    expect(dialog(page).locator(".slide-crop[aria-busy]")).to_have_count(0, timeout=PATIENCE)


def assert_fits(page: Page, where: str) -> None:
    """Assert that nothing on the slide overlaps, is cut off or outside the window, and that its pages are large."""
    seen = page.evaluate(MEASURE)
    width, height = page.viewport_size["width"], page.viewport_size["height"]
    assert not seen["scrolls"], "the page behind has a scrollbar"
    assert seen["cut"] == [], where
    blocks = seen["blocks"]
    for number, one in enumerate(blocks):
        assert -1 <= one["left"] < one["right"] <= width + 1, (where, one)
        assert -1 <= one["top"] <= one["bottom"] <= height + 1, (where, one)
        for other in blocks[number + 1 :]:
            apart = one["right"] <= other["left"] + 1 or other["right"] <= one["left"] + 1
            apart = apart or one["bottom"] <= other["top"] + 1 or other["bottom"] <= one["top"] + 1
            assert apart, (where, one, other)
    pictures = seen["pictures"]
    shapes = [picture["shape"] for picture in pictures]
    for picture in pictures:
        assert picture["shape"] == pytest.approx(picture["natural"], rel=0.02), (where, "a page is cropped")
        # Two pages across, side by side, are as high as the window's width allows.
        least = min(LEAST_HEIGHT, 0.88 * width / sum(shapes) / height)
        assert picture["height"] >= least, (where, picture)


@pytest.mark.long
def test_every_slide_fits_every_projector_and_places_the_answer_in_both_lists(app, browser):
    visitor = Visit(browser, app, width=1280, height=720)
    page = visitor.open()
    counts = page.locator("#how-often .outcomes").first
    expect(counts).to_contain_text("63 judged questions", timeout=PATIENCE)
    numbers = re.findall(r"(\d+) (better|equal|worse)", counts.inner_text())
    page.get_by_role("button", name="Present").click()
    crops = 0
    for number in range(1, SLIDES + 1):
        expect_slide(page, number)
        crops += dialog(page).locator(".slide-crop .crop-mark").locator("visible=true").count()
        assert_fits(page, f"slide {number} at the first size")
        for width, height in PROJECTORS[1:] * (number in DIFFERENT):
            page.set_viewport_size({"width": width, "height": height})
            assert_fits(page, f"slide {number} at {width} x {height}")
            page.set_viewport_size({"width": PROJECTORS[0][0], "height": PROJECTORS[0][1]})
        if number == SLIDES:
            break
        story = STORIES[(number - 1) // 2]
        expect(dialog(page).get_by_role("heading", level=1)).to_have_text(story.query)
        places = re.findall(r"\d+", dialog(page).locator(".slide-foot b").first.inner_text())
        if number % 2:
            answer = dialog(page).locator(".is-answer").filter(has_text="The answer").first
            expect(answer).to_contain_text(story.document)
        else:
            rows = dialog(page).locator(".slide-row.is-answer .slide-rank")
            assert [rows.first.inner_text(), rows.last.inner_text()] == [places[0], places[-1]], story.title
        page.keyboard.press(("ArrowRight", "PageDown", " ")[number % 3])
    assert crops, "there is room beside two portrait pages"
    shown = dialog(page).locator(".slide-counts")
    for value, name in numbers:
        expect(shown).to_contain_text(re.compile(rf"{value}\s*{name}"))
    visitor.close()


def test_keys_the_address_and_a_reload_keep_the_slide_and_escape_leaves(visit):
    page = visit.open()
    asked = page.get_by_role("textbox", name="Search")
    page.get_by_role("button", name="Present").click()
    expect_slide(page, 1)
    terms = dialog(page).get_by_text("1.00 × pooled + 1.00 × late")
    expect(terms).to_be_hidden()
    dialog(page).get_by_role("button", name="In technical terms").click()
    expect(terms).to_be_visible()
    page.keyboard.press("ArrowLeft")
    expect_slide(page, 1)
    for _ in range(5):  # faster than any answer
        page.keyboard.press("ArrowRight")
    expect_slide(page, 6)
    assert "present=2" in page.url
    page.keyboard.press("PageUp")
    expect_slide(page, 5)
    page.keyboard.press("Shift+ ")
    expect_slide(page, 4)
    page.reload()
    expect_slide(page, 4)
    expect(dialog(page).get_by_role("heading", level=1)).to_have_text(STORIES[1].query)
    page.keyboard.press("Escape")
    expect(dialog(page)).to_be_hidden()
    expect(asked).to_have_value(STORIES[1].query, timeout=PATIENCE)
    assert "present" not in page.url

    page.get_by_role("button", name="Present").click()
    expect_slide(page, 3)
    page.go_back()
    expect(dialog(page)).to_be_hidden()
    expect(page.get_by_role("region", name="Results")).to_be_visible()
    assert "present" not in page.url


def test_an_own_question_has_three_slides_on_a_phone_too(app, browser):
    visitor = Visit(browser, app, width=390, height=844, dark=True)
    page = visitor.open("/?q=how+to+clean+a+buoy&in=Samples&k=4&lp=1&ll=1&present=2")
    expect_slide(page, 2, 3)
    expect(dialog(page).locator(".slide-list").first.locator(".slide-row")).to_have_count(4)
    page.keyboard.press("ArrowLeft")
    expect_slide(page, 1, 3)
    expect(dialog(page)).not_to_contain_text("The answer")
    crop = dialog(page).locator(".slide-panel").first.locator(".slide-crop")
    expect(crop.locator(".crop-mark").first).to_be_visible()  # below its page
    assert crop.bounding_box()["y"] > dialog(page).locator(".slide-picture").first.bounding_box()["y"] + 100
    view = dialog(page).locator(".slides-view")
    assert view.evaluate("(view) => view.scrollWidth <= view.clientWidth && view.scrollHeight > view.clientHeight")
    bar = dialog(page).get_by_role("group", name="Slides").bounding_box()
    assert bar
    assert bar["y"] + bar["height"] <= 845
    dialog(page).get_by_role("button", name="Leave").click()
    expect(page.get_by_role("button", name="Present")).to_be_focused()
    visitor.close()


@pytest.mark.long
def test_an_error_is_a_sentence_on_the_slide_and_the_presentation_goes_on(visit):
    page = visit.open()
    failing = {"picture": "That page is no longer in the library. Search again."}

    def answer(route):
        name = (route.request.post_data_json or {}).get("fn_name")
        if name in failing:
            route.fulfill(json={"sentence": failing[name]})
        else:
            route.continue_()

    page.route("**/component_server/", answer)
    page.get_by_role("button", name="Present").click()
    expect(dialog(page).locator(".slide-trouble").first).to_have_text(failing["picture"], timeout=PATIENCE)
    failing = {"slide": "The demo is busy. Try again in a moment."}
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    expect(dialog(page)).to_contain_text(failing["slide"], timeout=PATIENCE)
    failing = {}
    dialog(page).get_by_role("button", name="Try again").click()
    expect(dialog(page).get_by_role("heading", level=1)).to_be_visible(timeout=PATIENCE)
    page.keyboard.press("Escape")
    expect(dialog(page)).to_be_hidden()
