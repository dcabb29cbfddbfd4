"""The page over a model that sees: a tiny Qwen3-VL checkpoint, loaded and served as a published one is, in a browser.

The app runs in this process, so that the engine can be asked how often a model ran. `app` is there for every test; what
the browser shows is held against cosines worked out here from the encodings in the library.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Locator, expect

from smart_demo.search.explain import STOPWORDS
from smart_demo.types import SAMPLES, Query, TokenGrid
from smart_demo.ui.format import page_key
from tests.apps import PATIENCE, Served, served_app
from tests.backbones.qwen.tiny_checkpoint import write_tiny_qwen
from tests.ui.browser_page import Visit
from tests.ui.stories_cases import write_story_samples
from tests.ui.test_pair_browser import adds_up, outlined, why

pytestmark = pytest.mark.browser
QUERY = "invoice total report, restricted area, no anchoring"
PAGES = 20
"""Per column: more than there are."""
ADDRESS = f"/?q={quote(QUERY)}&k={PAGES}"


def open_app(folder):
    """The stories' documents and two pictures, by a tiny Qwen: pages of patches in grids that are not square."""
    checkpoint = write_tiny_qwen(folder / "tiny-qwen", seed=2)
    samples = write_pictures(write_story_samples(folder / "samples"))
    small = {"SMART_VISUAL_TOKENS": "64", "SMART_DTYPE": "float32"}
    return served_app(str(checkpoint), samples, folder / "data", **small)


@pytest.fixture(scope="module")
def words_app(tmp_path_factory) -> Iterator[Served]:
    """The same documents by the model that counts words."""
    folder = tmp_path_factory.mktemp("words")
    with served_app("words", write_story_samples(folder / "samples"), folder / "data") as served:
        yield served


def write_pictures(folder: Path) -> Path:
    """Pages whose patches differ: blocks of colour, upright and across."""
    for name, rows, cols in (("blocks.png", 6, 4), ("band.png", 3, 8)):
        pixels = np.random.default_rng(rows).integers(0, 256, (rows, cols, 3), dtype=np.uint8)
        Image.fromarray(pixels.repeat(96, axis=0).repeat(96, axis=1)).save(folder / name)
    return folder


# -- what the encodings say


@dataclass(frozen=True)
class Seen:
    """A word of the query on a page: its best patch, and whether that is what won the word."""

    page: str
    document: str
    word: str
    grid: TokenGrid
    row: int
    col: int
    won: bool
    margin: float
    """How far the best patch stands above the rest of the page."""


def seen(app: Served, query: str) -> Iterator[Seen]:
    """Every word that has a chip of its own at first, on every page."""
    asked = app.backbone.inner.encode_query(Query(query))
    for page in app.engine.library.pages([SAMPLES], app.backbone.encoder.fingerprint):
        made = app.engine.library.encoding(page)
        assert isinstance(made.place, TokenGrid)
        start, end = made.place.start, made.place.start + made.place.rows * made.place.cols
        for number, word in enumerate(map(str.strip, asked.word_texts)):
            best = (asked.tokens[np.array(asked.words) == number] @ made.tokens.T).max(axis=0)
            patches, won = best[start:end], start <= int(best.argmax()) < end
            margin = float(patches.max() - np.percentile(patches, 2))
            if word.isalpha() and word.casefold() not in STOPWORDS:
                row, col = divmod(int(patches.argmax()), made.place.cols)
                key = page_key(page.scope, page.id)
                yield Seen(key, page.document, word, made.place, row, col, won, margin)


def clearest(app: Served, query: str, *, won: bool) -> Seen:
    return max((one for one in seen(app, query) if one.won is won), key=lambda one: one.margin)


def late_by_place(app: Served, query: str, key: str) -> tuple[float, float]:
    """What patches won of the late part of a page, and what everything won."""
    asked = app.backbone.inner.encode_query(Query(query))
    (page,) = (
        one
        for one in app.engine.library.pages([SAMPLES], app.backbone.encoder.fingerprint)
        if page_key(one.scope, one.id) == key
    )
    made = app.engine.library.encoding(page)
    cosines = asked.tokens @ made.tokens.T
    end = made.place.start + made.place.rows * made.place.cols
    placed = (cosines.argmax(axis=1) >= made.place.start) & (cosines.argmax(axis=1) < end)
    parts = cosines.max(axis=1) / len(cosines)
    return float(parts[placed].sum()), float(parts.sum())


# -- what a visitor does


def opened(visit: Visit, page: str) -> Locator:
    """The viewer over a page of the right column, with its picture and its chips there."""
    visit.page.locator(f'.card[data-side="right"][data-page="{page}"]').click()
    viewer = visit.page.get_by_role("dialog", name="Page")
    expect(viewer.locator("img.viewer-image:not(.is-coarse)")).to_be_visible()
    expect(viewer.get_by_role("region", name="Score anatomy")).to_be_visible(timeout=PATIENCE)
    return viewer


def chip(viewer: Locator, word: str) -> Locator:
    return viewer.get_by_role("button", name=re.compile(rf"^{re.escape(word)}: adds"))


def rectangle(viewer: Locator, selector: str) -> list[float]:
    return viewer.locator(selector).evaluate(
        "(one) => { const { x, y, width, height } = one.getBoundingClientRect(); return [x, y, width, height]; }"
    )


def test_the_model_that_was_asked_for_serves_the_samples(visit):
    expect(visit.page.locator(".verdict .meta")).to_contain_text("tiny-qwen")
    expect(visit.page.locator(".foot")).to_contain_text("Encoder: tiny-qwen.")
    expect(visit.page.get_by_role("status").filter(has_text="serves instead")).to_have_count(0)
    expect(visit.cards("SMART").filter(has_text="blocks.png")).to_have_count(1)


def test_a_word_s_map_lies_over_the_page_and_its_patch_is_outlined(app, visit):
    one = clearest(app, QUERY, won=True)
    viewer = opened(visit, one.page)
    chip(viewer, one.word).click()
    expect(viewer.locator(".why-legend")).to_contain_text(f"Similarity to “{one.word}”, at best")
    expect(viewer.locator(".why-map")).to_be_visible()
    page = rectangle(viewer, ".viewer-image")
    assert rectangle(viewer, ".why-map") == pytest.approx(page, abs=1)
    rows, cols = one.grid.rows, one.grid.cols
    assert rows != cols
    patch = [page[0] + one.col / cols * page[2], page[1] + one.row / rows * page[3], page[2] / cols, page[3] / rows]
    assert rectangle(viewer, ".why-outline") == pytest.approx(patch, abs=1.5)
    expect(viewer.locator(".why-map")).to_have_attribute(
        "alt", re.compile(rf"row {one.row + 1} of {rows}, column {one.col + 1} of {cols}\.$")
    )
    expect(viewer.locator(".why-outline.is-closest")).to_have_count(0)


def test_the_winner_map_says_what_places_won_and_what_is_left(app, visit):
    one = clearest(app, QUERY, won=True)
    viewer = opened(visit, one.page)
    viewer.get_by_role("button", name="Winner map").click()
    legend = viewer.locator(".why-legend")
    expect(legend).to_contain_text("What each place adds to the score")
    number = r"([\d.]+)"
    remainder = rf"{number} was won by tokens without a place on it: (.+)\."
    said = rf"on the page won {number} of the late part, {number}; {remainder}"
    told = re.search(said, legend.inner_text())
    assert told
    on_page, late, elsewhere = map(float, told.groups()[:3])
    assert (on_page, late) == pytest.approx(late_by_place(app, QUERY, one.page), abs=2e-3)
    assert on_page > 0
    assert on_page + elsewhere == pytest.approx(late, abs=2e-3)
    assert set(told[4].split(", ")) <= {"the instruction", "the template", "the tail after the page"}
    expect(viewer.locator(".anatomy-sum .of-late")).to_have_text(f"late part {told[2]}")
    expect(viewer.locator(".why-map")).to_be_visible()


def test_a_winner_that_is_no_patch_is_said_in_words(app, visit):
    one = clearest(app, QUERY, won=False)
    viewer = opened(visit, one.page)
    chip(viewer, one.word).click()
    expect(viewer.locator(".why-note")).to_contain_text("The winner is not a place on the page but the")
    viewer.get_by_role("button", name="Show all").click()
    chip(viewer, "system").click()  # the template's first word: its state is the same on every page and in every query
    expect(viewer.locator(".why-note")).to_contain_text("The winner is not a place on the page but the")


@pytest.mark.parametrize("served", ["app", "words_app"])
def test_weights_results_and_links_rank_again_without_a_new_encode(served, browser, request):
    app: Served = request.getfixturevalue(served)
    visitor = Visit(browser, app)
    page = visitor.open(f"/?q={quote(QUERY)}")
    queries, encoded = app.backbone.queries, app.backbone.pages
    visitor.search("wind and waves")
    assert app.backbone.queries == queries + 1
    visitor.tune()
    late = page.get_by_role("spinbutton", name="Late weight")
    late.fill("0")
    late.press("Tab")
    expect(page.get_by_role("heading", name="Same 5 pages in the same order")).to_be_visible()
    page.get_by_role("button", name="Late only").click()
    expect(page.locator(".column-head.of-right")).to_contain_text("1.00 × late")
    count = page.get_by_role("spinbutton", name="Results")
    count.fill("3")
    count.press("Tab")
    expect(visitor.cards("Late only")).to_have_count(3)
    visitor.cards("Late only").first.click()
    expect(page.get_by_role("region", name="Score anatomy")).to_be_visible()
    page.keyboard.press("Escape")
    other = Visit(browser, app)
    again = other.open(page.url.removeprefix(app.url))
    expect(again.locator(".column-head.of-right")).to_contain_text("1.00 × late")
    other.close()
    assert (app.backbone.queries, app.backbone.pages) == (queries + 1, encoded)
    visitor.close()


def test_why_one_page_passed_another_adds_up_over_patches(app, visit):
    queries = app.backbone.queries
    _, dialog = why(visit)
    adds_up(dialog)
    expect(dialog.locator(".pair-said")).to_contain_text("ahead of")
    expect(dialog.locator(".pair-image:not(.is-coarse)")).to_have_count(2)
    assert len(outlined(dialog)) == 2
    assert app.backbone.queries == queries


def test_a_page_asked_for_whole_finds_pages_like_it(app, visit):
    queries = app.backbone.queries
    before = visit.page.locator(".answer").get_attribute("data-query")
    one = clearest(app, QUERY, won=True)
    viewer = opened(visit, one.page)
    viewer.get_by_role("button", name="Find more like this").click()
    viewer.get_by_role("button", name="Search the whole page").click()
    expect(visit.page.locator(f'.answer:not([data-query="{before}"])')).to_be_visible(timeout=PATIENCE)
    expect(visit.page.locator("#like")).to_contain_text(one.document)
    expect(visit.cards("SMART")).to_have_count(app.engine.samples().total)
    visit.cards("SMART").first.click()
    picture = visit.page.get_by_role("dialog", name="Page").get_by_role("button", name="picture: adds")
    picture.click()
    expect(visit.page.locator(".why-legend")).to_contain_text("picture")
    assert app.backbone.queries == queries + 1


def test_slides_show_pages_of_patches_and_step_by_keyboard(visit):
    page = visit.page
    page.get_by_role("button", name="Present").click()
    slides = page.get_by_role("dialog", name="Slides")
    expect(slides.get_by_role("heading", level=1)).to_have_text(QUERY, timeout=PATIENCE)
    expect(slides.locator(".slide-layer.is-map, .slide-map-note:not(:empty)").first).to_be_visible(timeout=PATIENCE)
    page.keyboard.press("ArrowRight")
    expect(slides.locator(".slide-list").first.locator(".slide-row").first).to_be_visible(timeout=PATIENCE)
    page.keyboard.press("Escape")
    expect(page.get_by_role("tab", name="Library")).to_be_visible()


def test_a_link_reopens_a_page_of_patches_in_a_new_tab(app, browser, visit):
    one = clearest(app, QUERY, won=True)
    viewer = opened(visit, one.page)
    title, address = viewer.locator(".viewer-title").inner_text(), visit.page.url
    assert "page=" in address
    queries = app.backbone.queries
    other = Visit(browser, app)
    viewer = other.open(address.removeprefix(app.url)).get_by_role("dialog", name="Page")
    expect(viewer.get_by_role("heading", level=2)).to_have_text(one.document)
    expect(viewer.locator(".viewer-title")).to_have_text(title)
    expect(chip(viewer, one.word)).to_be_visible(timeout=PATIENCE)
    assert app.backbone.queries == queries
    other.close()
