"""The evidence on the cards: answers to any client's request, and the markup of one page's crop."""

import json
import re
from dataclasses import replace

import pytest

from smart_demo.page_text import Box
from smart_demo.search import explain
from smart_demo.search.explain import EvidenceCrop, Mark, NoPlace
from smart_demo.search.explain.explainer import PageCrop
from smart_demo.search.request import MAX_K, ON_BOTH, ON_MINE, ON_SAMPLES
from smart_demo.server.picture_addresses import PictureAddresses
from smart_demo.types import LOCAL, SAMPLES, Scope
from smart_demo.ui.crops import MAX_PAGES, NO_PAGE, REASONS, CropHandlers, embed_crops, render_crop
from tests.documents import write_pdf
from tests.search.explain.cases import CARD_SLOT
from tests.ui.cases import HOSTILE, NONSENSE, page_keys, stored, stored_pages
from tests.ui.parsed_markup import ParsedMarkup

SEARCH = {"text": "where is the harbour tide?", "scope": ON_SAMPLES}
FIRST, NO_TIDE, LAST = range(3)
"""Pages of the sample document: "the tide table of the harbour", "a page of other matters", "the tide of it"."""
SIZE = [365.5, 103]


@pytest.fixture(scope="module")
def tide_pages(start_handlers):
    """For tests that change nothing in the library."""
    return start_handlers()


@pytest.fixture(scope="module")
def samples(tide_pages):
    return page_keys(tide_pages, SAMPLES)


@pytest.fixture(scope="module")
def mine(tide_pages):
    return page_keys(tide_pages, LOCAL)


def ask(handlers, pages, **changes):
    return CropHandlers(handlers).crops({"asked": SEARCH | changes, "pages": pages})


def shown(handlers, pages, **changes):
    """Return the evidence of pages, parsed, by key."""
    answer = ask(handlers, [[page, *SIZE] for page in pages], **changes)
    json.dumps(answer)
    return {page: ParsedMarkup(markup) for page, markup in zip(pages, answer["crops"], strict=True)}


def test_every_page_has_its_crop_with_outlined_words_or_says_why_not(tide_pages, samples):
    evidence = shown(tide_pages, samples)
    assert [*evidence] == samples
    both = evidence[samples[FIRST]]
    assert both.joined == "“tide” “harbour” · 67 % of the late part"
    assert sorted(both.values("title", "span")) == ["“harbour”", "“tide”"]
    (address,) = both.values("src", "img")
    assert address.startswith("pictures/samples/")
    assert evidence[samples[LAST]].values("title", "span") == ["“tide”"]
    assert evidence[samples[NO_TIDE]].joined.strip() == (
        "No clear place on this page. The words of the question match nothing here."
    )
    assert "img" not in evidence[samples[NO_TIDE]].tags


def test_the_address_of_a_crop_serves_the_outlined_words(tide_pages, samples):
    (address,) = shown(tide_pages, samples[:1])[samples[FIRST]].values("src", "img")
    page, version, stem = re.fullmatch("pictures/samples/(.+)/(.+)/(.+).webp", address).groups()
    addresses = tide_pages.picture_addresses
    picture = addresses.find_sample(page, version, stem)
    found = tide_pages.engine.crops(
        tide_pages.query_for_visitor(SEARCH["text"]), [SAMPLES], {picture.page.key: explain.Slot(360, 100)}
    )
    (crop,) = found.values()
    assert picture.crop.box == Box(*(round(side, 4) for side in (*vars_of(crop.crop.box),)))
    assert addresses.read(picture)[8:12] == b"WEBP"
    saved = render_crop(crop, CARD_SLOT, embed_crops(addresses))
    assert "data:image/webp;base64," in saved


def vars_of(box):
    return box.left, box.top, box.right, box.bottom


def test_a_pages_crop_fits_its_place(tide_pages, samples):
    def shape(width, height):
        markup = ask(tide_pages, [[samples[FIRST], width, height]])["crops"][0]
        across, down = (int(re.search(rf"--{side}:(\d+)", markup)[1]) for side in ("width", "height"))
        return across / down

    assert shape(365.5, 103) == pytest.approx(3.6, rel=0.02)
    assert shape(480, 100) == pytest.approx(4.8, rel=0.02)
    assert shape(-5, 99_999) == shape(120, 800)


def test_own_pages_have_private_addresses_and_other_pages_a_sentence(tide_pages, samples, mine):
    own = shown(tide_pages, mine, scope=ON_MINE)[mine[0]]
    assert own.values("data-picture", "img")[0].startswith("pictures/own/")
    assert own.values("src", "img") == []
    both = shown(tide_pages, [samples[FIRST], mine[1]], scope=ON_BOTH)
    assert all("of the late part" in one.joined for one in both.values())
    # Not searched, not there, of another visitor, and no page at all: one sentence, and the others have their crops.
    others = [
        mine[0],
        "samples/0123456789abcdef-0001",
        f"visitor-{'0' * 32}/{'0' * 16}-0001",
        "samples/../../etc/passwd",
    ]
    evidence = shown(tide_pages, [samples[FIRST], *others, HOSTILE[0]])
    assert "of the late part" in evidence.pop(samples[FIRST]).joined
    assert {one.joined.strip() for one in evidence.values()} == {NO_PAGE}


def test_a_deleted_page_does_not_fail_the_others(start_handlers, tmp_path):
    handlers = start_handlers()
    file = write_pdf(tmp_path / "more.pdf", "tide and harbour")
    list(handlers.engine.add(LOCAL, [(file, "more.pdf")]))
    pages = page_keys(handlers, LOCAL)
    assert all("of the late part" in one.joined for one in shown(handlers, pages, scope=ON_MINE).values())
    (gone,) = (page for page in stored_pages(handlers, LOCAL) if page.document == "more.pdf")
    handlers.engine.delete_document(LOCAL, gone.id.file)
    evidence = shown(handlers, pages, scope=ON_MINE)
    assert evidence.pop(f"local/{gone.id}").joined.strip() == NO_PAGE
    assert all("of the late part" in one.joined for one in evidence.values())


@pytest.mark.parametrize("value", NONSENSE, ids=lambda value: repr(value)[:20])
def test_any_argument_is_answered_by_a_sentence(tide_pages, samples, value):
    handlers = CropHandlers(tide_pages)
    page = [samples[FIRST], *SIZE]
    wrong = [value, {"asked": value, "pages": [page]}, {"asked": SEARCH, "pages": [value]}]
    if value != []:
        wrong += [{"asked": SEARCH, "pages": value}]
    if not isinstance(value, int | float) or value != value or abs(value) > 10**12:
        wrong += [{"asked": SEARCH, "pages": [[samples[FIRST], *sides]]} for sides in ((value, 100), (100, value))]
    for request in wrong:
        assert set(handlers.crops(request)) == {"sentence"}, request
    for huge in (10**400, -(10**400)):
        assert set(ask(tide_pages, [[samples[FIRST], 360, huge]])) == {"sentence"}


def test_no_more_pages_than_two_columns_show(tide_pages):
    pages = [[f"samples/{'0' * 16}-{number:04d}", *SIZE] for number in range(1, MAX_PAGES + 2)]
    assert MAX_PAGES == 2 * MAX_K
    assert len(ask(tide_pages, pages[:-1])["crops"]) == MAX_PAGES
    assert set(ask(tide_pages, pages)) == {"sentence"}
    assert ask(tide_pages, []) == {"crops": []}


@pytest.mark.parametrize("reason", NoPlace)
def test_every_reason_is_said_in_words(reason):
    said = ParsedMarkup(render_crop(PageCrop(stored(1), reason), CARD_SLOT, lambda *_: "")).joined.strip()
    assert said == f"No clear place on this page. {REASONS[reason]}"
    assert "img" not in said


def test_every_named_word_has_an_outline_of_its_own_that_the_caption_shows():
    box = Box(0.1, 0.1, 0.2, 0.3)
    marks = [Mark(box, labels, 0.5) for labels in (("tide",), ("harbour", "tide"), ("x", "y", "z"))]

    def rings(marks):
        crop = EvidenceCrop(Box(0, 0, 0.5, 0.5), tuple(marks), 0.5)
        markup = render_crop(PageCrop(stored(1), crop, 500, 140), CARD_SLOT, lambda *_: "a.webp")
        view, _, caption = markup.partition("crop-caption")
        numbers = re.compile(r"crop-ring is-(\d)")
        return [numbers.findall(part) for part in view.split("crop-mark")[1:]], numbers.findall(caption)

    assert rings(marks) == ([["1"], ["1", "2"], ["3", "4"]], ["1", "2", "3", "4"])
    assert rings(marks[:1]) == ([["1"]], [])  # one word needs no key
    far = Mark(box, ("a word beyond those that the caption names",), 0.1)
    assert rings([*marks, far])[0][-1] == ["0"]


@pytest.mark.parametrize("word", HOSTILE)
def test_words_of_the_query_are_only_text(word):
    mark = Mark(Box(0.1, 0.1, 0.2, 0.3), (word, "tide"), 0.5)
    crop = EvidenceCrop(Box(0, 0, 0.5, 0.5), (mark,) * 2 + (replace(mark, labels=tuple("abcdef")),), 0.004)
    page = replace(stored(1), scope=Scope("visitor-x"))
    markup = render_crop(PageCrop(page, crop, 500, 140), CARD_SLOT, lambda _, __, width: f"pictures/own/{width}")
    seen = ParsedMarkup(markup)
    assert set(seen.tags) <= {"span", "img", "bdi"}
    assert "<1 % of the late part" in seen.joined
    assert "and 4 others" in seen.joined
    assert seen.values("data-picture", "img") == ["pictures/own/500"]


def test_addresses_of_large_places_are_no_larger_than_the_picture(tide_pages, samples):
    wide = ask(tide_pages, [[samples[FIRST], 1200, 300]])["crops"][0]
    width = int(re.search(r"--width:(\d+)", wide)[1])
    assert re.search(r"-(\d+)\.webp", wide)[1] == str(width)
    assert isinstance(tide_pages.picture_addresses, PictureAddresses)
