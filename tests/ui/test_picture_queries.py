"""Questions with pictures, as the page's handlers answer them: from regions, from uploads, and from anyone's curl."""

import io
import json
import re

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from smart_demo.backbones.bag_of_words import WordBackbone
from smart_demo.backbones.registry import BackboneChoice
from smart_demo.backbones.serving import EMBEDDED, Backbones
from smart_demo.config import Limits, Settings
from smart_demo.engine import Engine
from smart_demo.errors import InputRefused, LibraryError, SmartError
from smart_demo.search.cache import LRUCache
from smart_demo.search.request import ON_BOTH, ON_SAMPLES, make_region, parse_request
from smart_demo.store.library import Library
from smart_demo.types import LOCAL, SAMPLES, PageId, Progress, Query, Scope, State
from smart_demo.ui import query_input
from smart_demo.ui.app import build_app
from smart_demo.ui.events import resolve_upload
from smart_demo.ui.format import page_key
from smart_demo.ui.handlers import Handlers
from smart_demo.ui.library_tab import SamplePreparation
from smart_demo.ui.query_input import PicturePreview, QueryPictures
from smart_demo.ui.upload_queue import UploadQueue
from smart_demo.ui.viewer import ExplainHandlers
from tests.backbones.cases import loaded
from tests.documents import write_pdf, write_picture
from tests.ui.cases import HOSTILE, stored

NONSENSE = ["x", "kept:", "region:samples", "x" * 200, "\ud800", "kept:" + "g" * 32, "<img src=x onerror=alert(1)>"]
WHOLE = [0, 0, 1, 1]
RED, GREEN, BLUE, WHITE = (200, 0, 0), (0, 160, 0), (0, 0, 200), (255, 255, 255)


class Seeing(WordBackbone):
    """The word backbone, which sees in every picture the word `harbour`, and counts what it encodes."""

    def __init__(self):
        super().__init__()
        self.encoded = []

    def encode_query(self, query):
        self.encoded.append(query)
        words = query.text if query.image is None else f"{query.text} harbour"
        return super().encode_query(Query(words))


@pytest.fixture(scope="module")
def make(tmp_path_factory):
    """Handlers over two sample pages and one of one's own, in folders of their own."""
    opened = []

    def start(backbone=None, **changes):
        tmp_path = tmp_path_factory.mktemp("app")
        samples = tmp_path / "samples"
        samples.mkdir()
        write_pdf(samples / "tides.pdf", "tide table harbour", "tide gauge")
        models = {"main": backbone or Seeing(), EMBEDDED: WordBackbone()}
        settings = Settings(data_dir=tmp_path / "data", index_dir=tmp_path / "index", samples=samples, **changes)
        library = Library.open(settings.data_dir, settings.index_dir)
        engine = Engine(
            library, Backbones(BackboneChoice("main", "a test", explicit=True), models.get, fall_back=False), settings
        )
        opened.append(engine)
        main = engine.backbones.main()
        list(engine.prepare_samples(main))
        list(engine.add(LOCAL, [(write_pdf(tmp_path / "mine.pdf", "harbour master"), "mine.pdf")]))
        return Handlers(engine, UploadQueue(engine.add, 20), SamplePreparation(engine))

    yield start
    for engine in opened:
        engine.close()


@pytest.fixture(scope="module")
def handlers(make):
    """For tests that change nothing in the library."""
    return make()


def pages(handlers, scope):
    engine = handlers.engine
    return engine.library.pages([scope], engine.backbone(scope).encoder.fingerprint)


def part_of(handlers, scope=SAMPLES, corners=WHOLE):
    return str(make_region(scope, pages(handlers, scope)[0].id, corners))


def copy_of(tmp_path, text="harbour", name="q.png", size=(64, 40)):
    """A temporary copy as Gradio makes it, in a folder of its own."""
    folder = tmp_path / "temporary" / "abc"
    folder.mkdir(parents=True, exist_ok=True)
    return write_picture(folder / name, text, size)


def first_of(markup, column):
    """Document and page of a column's first card."""
    (card,) = re.findall(rf'aria-labelledby="head-{column}">.*?aria-label="Rank 1: ([^,]+), page (\d+)', markup)
    return card


def plain_pictures(pixels):
    """Pictures over one page of the given pixels; what was asked for it is in the list."""
    asked_for, stream = [], io.BytesIO()
    Image.fromarray(pixels).save(stream, "WEBP", lossless=True)

    def page(scope, number):
        asked_for.append((scope, number))
        return stored(1)

    return QueryPictures(page, lambda _: stream.getvalue(), Limits()), asked_for


# -- references to pixels


def test_a_region_is_cut_where_it_was_drawn():
    sheet = np.full((100, 60, 3), WHITE, np.uint8)
    sheet[20:50, 30:60] = RED
    sheet[60:100, 0:20] = BLUE
    shelf, asked_for = plain_pictures(sheet)
    page = PageId("a" * 16, 1)
    red = shelf.load_pixels(str(make_region(SAMPLES, page, [0.5, 0.2, 1, 0.5])))
    assert red.shape == (30, 30, 3)
    assert (red == RED).all()
    blue = shelf.load_pixels(str(make_region(SAMPLES, page, [0, 0.6, 1 / 3, 1])))
    assert blue.shape == (40, 20, 3)
    assert (blue == BLUE).all()
    np.testing.assert_array_equal(shelf.load_pixels(str(make_region(SAMPLES, page, WHOLE))), sheet)
    assert set(asked_for) == {(SAMPLES, page)}


def test_a_region_too_small_to_recognise_is_refused_with_a_message():
    shelf, _ = plain_pictures(np.zeros((1000, 700, 3), np.uint8))
    page = PageId("a" * 16, 1)
    assert shelf.load_pixels(str(make_region(SAMPLES, page, [0, 0, 16 / 700, 0.016]))).shape[:2] >= (16, 16)
    with pytest.raises(InputRefused, match="too small to ask with"):
        shelf.load_pixels(str(make_region(SAMPLES, page, [0.1, 0.1, 0.9, 0.114])))


def test_a_damaged_stored_picture_raises():
    shelf = QueryPictures(lambda *_: stored(1), lambda _: b"RIFF nothing", Limits())
    with pytest.raises(LibraryError, match="cannot be read"):
        shelf.load_pixels(str(make_region(SAMPLES, PageId("a" * 16, 1), WHOLE)))


def test_an_uploaded_picture_is_reduced_and_has_a_random_name(tmp_path):
    shelf, _ = plain_pictures(np.zeros((20, 20, 3), np.uint8))
    path = tmp_path / "large.png"
    Image.new("RGB", (2400, 1200), GREEN).save(path)
    first, second = shelf.store(path), shelf.store(path)
    assert first != second
    assert shelf.load_pixels(first).shape == (800, 1600, 3)
    assert (shelf.load_pixels(first) == GREEN).all()
    glimpse = shelf.preview(first)
    assert glimpse.page is None
    assert Image.open(io.BytesIO(glimpse.thumbnail)).size <= query_input.PREVIEW_SIZE


def test_the_least_recently_used_picture_is_evicted_by_count_and_by_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(query_input, "MAX_PICTURES", 3)
    monkeypatch.setattr(query_input, "MAX_PICTURES_BYTES", 2 * 50 * 40 * 3)
    shelf, _ = plain_pictures(np.zeros((20, 20, 3), np.uint8))

    def keep(width, height):
        path = tmp_path / "q.png"
        Image.new("RGB", (width, height), GREEN).save(path)
        return shelf.store(path)

    def is_kept(reference):
        try:
            return bool(shelf.load_pixels(reference).size)
        except InputRefused as error:
            return error.sentence != "That picture is no longer kept. Choose it again."

    small = [keep(20, 20) for _ in range(4)]
    assert [is_kept(one) for one in small] == [False, True, True, True]
    is_kept(small[1])  # asked with again, so it is not the oldest
    large = keep(50, 40)
    assert [is_kept(one) for one in [*small, large]] == [False, True, False, True, True]
    largest = keep(100, 39)
    assert [is_kept(one) for one in [*small, large, largest]] == [False] * 5 + [True]


def test_an_uploaded_picture_is_available_to_its_visitor_only_and_evicted_by_their_own(tmp_path):
    asking = ["alice"]
    shelf = QueryPictures(lambda *_: stored(1), lambda _: b"", Limits(), lambda: Scope(asking[0]))
    path = tmp_path / "q.png"
    Image.new("RGB", (20, 20), GREEN).save(path)
    hers = shelf.store(path)
    asking[0] = "bob"
    with pytest.raises(InputRefused, match="no longer kept"):
        shelf.load_pixels(hers)
    his = [shelf.store(path) for _ in range(query_input.MAX_PICTURES + 1)]
    with pytest.raises(InputRefused, match="no longer kept"):
        shelf.load_pixels(his[0])
    shelf.delete(Scope("bob"))
    with pytest.raises(InputRefused, match="no longer kept"):
        shelf.load_pixels(his[-1])
    asking[0] = "alice"
    assert shelf.load_pixels(hers).size


def test_the_cache_evicts_values_over_its_weight():
    kept = LRUCache(9, len, max_weight=5)
    for key, value in enumerate(["aa", "bb", "cc"]):
        kept.put(key, value)
    assert [kept.get(key) for key in range(3)] == [None, "bb", "cc"]
    kept.put(3, "x" * 6)
    assert [kept.get(key) for key in range(4)] == [None] * 4


# -- answers


def test_a_region_is_searched_alone_or_with_words(handlers):
    encoded = handlers.engine.backbones.main().encoded
    encoded.clear()
    alone = handlers.render_answer(parse_request("", picture=part_of(handlers)))
    assert first_of(alone, "smart") == ("tides.pdf", "1")
    with_words = handlers.render_answer(parse_request("gauge tide", picture=part_of(handlers)))
    assert "ranked 2 of 2 pages" in with_words
    (page,) = {one.image.shape for one in encoded}
    picture = Image.open(io.BytesIO(handlers.engine.library.picture(pages(handlers, SAMPLES)[0])))
    assert page == (picture.height, picture.width, 3)


def test_weights_scopes_maps_and_links_need_no_second_encoding(handlers):
    counting, maps = handlers.engine.backbones.main(), ExplainHandlers(handlers)
    counting.encoded.clear()
    reference = part_of(handlers, corners=[0, 0, 1, 0.51])
    first = handlers.render_answer(parse_request("", picture=reference))
    for late in (0, 0.5, 4):
        turned = parse_request("", ON_SAMPLES, 7, 1.0, late, "sum", "content", reference)
        handlers.render_answer(turned)
        for view in ("query", "winners", "term-0"):
            wanted = {"asked": turned.fields, "page": page_key(SAMPLES, pages(handlers, SAMPLES)[0].id), "view": view}
            assert "picture" in maps.overlay(wanted), maps.overlay(wanted)
        assert [chip["label"] for chip in maps.explain(wanted)["chips"]] == ["harbour"]
    handlers.render_answer(parse_request("", ON_BOTH, picture=reference))
    assert len(counting.encoded) == 1
    assert reference in first.replace("&quot;", '"')
    handlers.render_answer(parse_request("", picture=part_of(handlers, corners=[0, 0, 1, 0.6])))
    handlers.render_answer(parse_request("tide", picture=reference))
    assert len(counting.encoded) == 3


def test_what_was_encoded_is_kept_without_its_pixels(handlers):
    found = handlers.engine.search(handlers.build_query(parse_request("", picture=part_of(handlers))), [SAMPLES])
    again = handlers.engine.search(handlers.build_query(parse_request("", picture=part_of(handlers))), [SAMPLES])
    assert again.encoding is found.encoding
    assert found.encoding.query.image is None
    assert found.encoding.query.key == found.query.key != Query("").key


def test_a_query_with_a_picture_has_no_story(handlers):
    words = "restricted area, no anchoring"
    assert 'class="story' not in handlers.render_answer(parse_request(words, picture=part_of(handlers)))


@pytest.mark.parametrize("reference", NONSENSE, ids=lambda text: repr(text)[:30])
def test_nonsense_is_one_sentence(handlers, reference):
    handlers.engine.backbones.main().encoded.clear()
    with pytest.raises(InputRefused):
        handlers.render_answer(parse_request("tide", picture=reference))
    fields = parse_request("tide", picture=reference).fields
    page = page_key(SAMPLES, pages(handlers, SAMPLES)[0].id)
    assert set(ExplainHandlers(handlers).overlay({"asked": fields, "page": page, "view": "query"})) == {"sentence"}
    assert "no longer there" in handlers.render_query_picture(parse_request("tide", picture=reference))
    assert handlers.engine.backbones.main().encoded == []


def test_foreign_scopes_and_pages_that_are_not_there_are_refused(handlers):
    known = pages(handlers, LOCAL)[0].id
    for scope, page in [(Scope("someone"), known), (SAMPLES, known), (LOCAL, PageId("b" * 16, 1))]:
        with pytest.raises(LibraryError):
            handlers.render_answer(parse_request("", picture=str(make_region(scope, page, WHOLE))))


def test_a_region_of_a_deleted_page_is_refused(make):
    handlers = make()
    wanted = parse_request("", ON_SAMPLES, picture=part_of(handlers, LOCAL))
    assert "of <bdi>mine.pdf</bdi>" in handlers.render_query_picture(wanted)
    handlers.render_answer(wanted)
    handlers.delete_document(pages(handlers, LOCAL)[0].id.file)
    with pytest.raises(LibraryError, match="no longer in the library"):
        handlers.render_answer(wanted)
    assert "That page is no longer in the library." in handlers.render_answer_or_error(wanted)
    assert "no longer there" in handlers.render_query_picture(wanted)


@pytest.mark.parametrize(("page", "corners"), [(None, WHOLE), ("samples/x", WHOLE), (["samples"], WHOLE)], ids=repr)
def test_a_drawing_on_no_page_is_refused(handlers, page, corners):
    with pytest.raises(InputRefused):
        handlers.make_region_reference(page, corners)


def test_a_public_page_searches_with_regions_of_samples_only(make, tmp_path):
    public = make(public=True, uploads=False)
    assert first_of(public.render_answer(parse_request("", picture=part_of(public))), "smart") == ("tides.pdf", "1")
    with pytest.raises(LibraryError, match="cannot be shown here"):
        public.render_answer(parse_request("", picture=part_of(public, LOCAL)))
    assert "mine.pdf" not in public.render_query_picture(parse_request("", picture=part_of(public, LOCAL)))
    with pytest.raises(InputRefused, match="takes no pictures"):
        public.store_picture(copy_of(tmp_path))
    app = build_app(public.engine, public.preparation)
    assert not any(isinstance(block, gr.UploadButton) for block in app.blocks.values())


# -- uploads


def test_an_uploaded_picture_is_asked_with_and_its_copy_deleted(handlers, tmp_path):
    copy = copy_of(tmp_path)
    wanted = parse_request("", picture=handlers.store_picture(copy))
    assert not copy.exists()
    assert not copy.parent.exists()
    assert first_of(handlers.render_answer(wanted), "smart") == ("tides.pdf", "1")
    assert "This picture" in handlers.render_query_picture(wanted)


def test_a_file_that_is_no_picture_is_refused_with_a_message_and_deleted(handlers, tmp_path):
    for name, content in [("a.png", b"%PDF-1.7 "), ("b.png", b"\x89PNG\r\n\x1a\n broken"), ("c.png", b"")]:
        copy = copy_of(tmp_path, name=name)
        copy.write_bytes(content)
        with pytest.raises(SmartError):
            handlers.store_picture(copy)
        assert not copy.exists()
    with pytest.raises(InputRefused, match="too small"):
        handlers.store_picture(copy_of(tmp_path, size=(300, 9)))


def test_a_picture_over_the_limits_is_refused(make, tmp_path):
    small = make(limits=Limits(pixels=2_000))
    with pytest.raises(InputRefused, match="megapixels"):
        small.store_picture(copy_of(tmp_path))


def test_a_copy_that_is_queued_for_the_library_is_not_deleted(handlers, tmp_path, monkeypatch):
    copy = copy_of(tmp_path)
    reached, kept = [], []

    def add(_, files):
        reached.extend(path.exists() for path, _ in files)
        kept.append(handlers.store_picture(copy))
        reached.extend(path.exists() for path, _ in files)
        yield Progress("q.png", State.DONE, 1, 1)

    monkeypatch.setattr(handlers, "uploads", UploadQueue(add, 20))
    handlers.uploads.submit(LOCAL, [copy])
    handlers.uploads.wait(10)
    assert reached == [True, True]
    assert kept
    assert not copy.exists()


def test_only_what_gradio_put_into_its_own_folder_is_an_upload(tmp_path):
    inside, outside = copy_of(tmp_path), write_picture(tmp_path / "outside.png", "x", (20, 20))
    folder = inside.parent.parent
    assert resolve_upload(str(inside), str(folder)) == inside
    link = inside.with_name("link.png")
    link.symlink_to(outside)
    loose = write_picture(folder / "loose.png", "x", (20, 20))
    around = f"{inside.parent}/../../outside.png"
    for path in [None, 7, [str(inside)], {"path": str(inside)}, "", "\0", str(outside), str(link), str(loose), around,
                 str(folder), str(inside.parent), "/etc/passwd", str(inside) + "x"]:  # fmt: skip
        with pytest.raises(InputRefused):
            resolve_upload(path, str(folder))
    assert outside.exists()


# -- the tag in the ask row


@pytest.mark.parametrize("document", HOSTILE)
def test_a_name_in_the_tag_is_only_a_name(document):
    markup = query_input.render_picture_tag(PicturePreview(b"webp", stored(3, document), whole=False))
    assert "<b>A part of page 3</b> <span>of <bdi>" in markup
    assert set(re.findall(r"<([a-z]+)", markup)) == {"div", "img", "span", "b", "bdi", "button"}
    assert not re.search("[\u202e\x00\x1b]", markup)


def test_a_whole_page_is_called_a_page():
    assert "<b>Page 3</b>" in query_input.render_picture_tag(PicturePreview(b"webp", stored(3), whole=True))


# -- the backbone that sees


@pytest.fixture(scope="module")
def seeing(make):
    """Handlers over pages that the tiny Qwen encoded."""
    return make(loaded("tiny-qwen"))


def told(handlers, wanted):
    """What the viewer is told of the first sample page: chips, anatomy, and its maps by name."""
    maps, page = ExplainHandlers(handlers), page_key(SAMPLES, pages(handlers, SAMPLES)[0].id)
    ask = {"asked": json.loads(json.dumps(wanted.fields)), "page": page}
    described = maps.explain(ask)
    return described, {view: maps.overlay(ask | {"view": view}) for view in ("query", "winners", "term-0", "term-1")}


def test_qwen_sees_a_region_and_its_patches_are_one_picture(seeing):
    wanted = parse_request("", counted="content", picture=part_of(seeing, corners=[0, 0, 1, 0.5]))
    answer = seeing.render_answer(wanted)
    assert "The question has no words of its own, so all of its tokens count." in answer
    assert "cannot see" not in answer
    described, maps = told(seeing, wanted)
    shown = [chip["label"] for chip in described["chips"] if not chip["more"]]
    assert shown == ["▦ picture"]
    assert len({chip["label"] for chip in described["chips"]}) > 5  # the instruction, behind "show all"
    late = float(re.search(r"late part (−?[\d.]+)", described["anatomy"])[1].replace("−", "-"))
    adds = sum(float(chip["adds"].replace("−", "-")) for chip in described["chips"])
    assert adds == pytest.approx(late, abs=0.0005 * (len(described["chips"]) + 1))
    assert maps["query"]["caption"] == "Best similarity to any part of the picture"
    assert maps["term-0"]["caption"] == "Similarity to “▦ picture”"
    assert maps["winners"]["note"]
    assert all(one["alt"] for one in maps.values())


def test_qwen_takes_a_picture_with_words(seeing, tmp_path):
    wanted = parse_request("motor report", picture=seeing.store_picture(copy_of(tmp_path, "motor", size=(96, 160))))
    seeing.render_answer(wanted)
    described, maps = told(seeing, wanted)
    shown = [chip["label"] for chip in described["chips"] if not chip["more"]]
    assert shown == ["▦ picture", "motor", "report"]
    assert maps["query"]["caption"] == "Best similarity to any word or part of the picture"
    assert maps["term-1"]["caption"] == "Similarity to “motor”"


def test_two_parts_of_one_page_are_two_questions(seeing):
    keys = {
        re.search(
            'data-query="([^"]+)"', seeing.render_answer(parse_request("", picture=part_of(seeing, corners=corners)))
        )[1]
        for corners in (WHOLE, [0, 0, 1, 0.5], [0, 0.5, 1, 1])
    }
    assert len(keys) == 3


def test_nothing_of_an_upload_is_written(handlers, tmp_path):
    folder = handlers.engine.settings.data_dir
    before = {path for path in folder.rglob("*") if path.is_file()}
    handlers.render_answer(parse_request("", picture=handlers.store_picture(copy_of(tmp_path))))
    assert {path for path in folder.rglob("*") if path.is_file()} == before
