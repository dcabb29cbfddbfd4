"""Questions with pictures, as the page's handlers answer them: from regions, from uploads, and from anyone's curl."""

import io
import json
import re

import gradio as gr
import pytest
from PIL import Image

from smart_demo.backbones.bag_of_words import WordBackbone
from smart_demo.config import Limits
from smart_demo.errors import InputRefused, LibraryError, SmartError
from smart_demo.indexing.progress import Progress, State
from smart_demo.search.request import ON_BOTH, ON_SAMPLES, make_region, parse_request
from smart_demo.types import LOCAL, SAMPLES, PageId, Query, Scope
from smart_demo.ui.app import build_app
from smart_demo.ui.events import resolve_upload
from smart_demo.ui.upload_queue import UploadQueue
from smart_demo.ui.viewer import ExplainHandlers
from tests.backbones.cases import loaded
from tests.documents import write_picture
from tests.ui.cases import page_keys, stored_pages
from tests.ui.parsed_markup import ParsedMarkup

NONSENSE = ["x", "kept:", "region:samples", "x" * 200, "\ud800", "kept:" + "g" * 32, "<img src=x onerror=alert(1)>"]
WHOLE = [0, 0, 1, 1]


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
def start(start_handlers):
    """Open handlers over two sample pages and one of the owner."""

    def start_over_three_pages(backbone=None, **changes):
        pages = {"tides": ("tide table harbour", "tide gauge"), "mine": ("harbour master",)}
        return start_handlers(**pages, backbone=backbone or Seeing(), **changes)

    return start_over_three_pages


@pytest.fixture(scope="module")
def handlers(start):
    """For tests that change nothing in the library."""
    return start()


@pytest.fixture
def encoded(handlers):
    """The queries that were encoded during the test."""
    queries = handlers.engine.backbones.main().encoded
    queries.clear()
    return queries


def part_of(handlers, scope=SAMPLES, corners=WHOLE):
    return str(make_region(scope, stored_pages(handlers, scope)[0].id, corners))


def copy_of(tmp_path, text="harbour", name="q.png", size=(64, 40)):
    """A temporary copy as Gradio makes it, in a folder of its own."""
    folder = tmp_path / "temporary" / "abc"
    folder.mkdir(parents=True, exist_ok=True)
    return write_picture(folder / name, text, size)


def first_of(markup, column):
    """Document and page of a column's first card."""
    (card,) = re.findall(rf'aria-labelledby="head-{column}">.*?aria-label="Rank 1: ([^,]+), page (\d+)', markup)
    return card


# -- answers


def test_a_region_is_searched_alone_or_with_words(handlers, encoded):
    alone = handlers.render_answer(parse_request("", picture=part_of(handlers)))
    assert first_of(alone, "right") == ("tides.pdf", "1")
    with_words = handlers.render_answer(parse_request("gauge tide", picture=part_of(handlers)))
    assert "ranked 2 of 2 pages" in with_words
    (page,) = {one.image.shape for one in encoded}
    picture = Image.open(io.BytesIO(handlers.engine.library.picture(stored_pages(handlers, SAMPLES)[0])))
    assert page == (picture.height, picture.width, 3)


def test_weights_scopes_maps_and_links_need_no_second_encoding(handlers, encoded):
    maps, page = ExplainHandlers(handlers), page_keys(handlers, SAMPLES)[0]
    reference = part_of(handlers, corners=[0, 0, 1, 0.51])
    first = handlers.render_answer(parse_request("", picture=reference))
    for late in (0, 0.5, 4):
        turned = parse_request("", ON_SAMPLES, 7, 1.0, late, "sum", "content", reference)
        handlers.render_answer(turned)
        for view in ("query", "winners", "term-0"):
            wanted = {"asked": turned.fields, "page": page, "view": view}
            assert "picture" in maps.overlay(wanted), maps.overlay(wanted)
        assert [chip["label"] for chip in maps.explain(wanted)["chips"]] == ["harbour"]
    handlers.render_answer(parse_request("", ON_BOTH, picture=reference))
    assert len(encoded) == 1
    assert reference in json.loads(*ParsedMarkup(first).values("data-asked")).values()
    handlers.render_answer(parse_request("", picture=part_of(handlers, corners=[0, 0, 1, 0.6])))
    handlers.render_answer(parse_request("tide", picture=reference))
    assert len(encoded) == 3


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
def test_nonsense_is_one_sentence(handlers, encoded, reference):
    with pytest.raises(InputRefused):
        handlers.render_answer(parse_request("tide", picture=reference))
    fields = parse_request("tide", picture=reference).fields
    page = page_keys(handlers, SAMPLES)[0]
    assert set(ExplainHandlers(handlers).overlay({"asked": fields, "page": page, "view": "query"})) == {"sentence"}
    assert "no longer there" in handlers.render_query_picture(parse_request("tide", picture=reference))
    assert encoded == []


def test_foreign_scopes_and_pages_that_are_not_there_are_refused(handlers):
    known = stored_pages(handlers, LOCAL)[0].id
    for scope, page in [(Scope("someone"), known), (SAMPLES, known), (LOCAL, PageId("b" * 16, 1))]:
        with pytest.raises(LibraryError):
            handlers.render_answer(parse_request("", picture=str(make_region(scope, page, WHOLE))))


def test_a_region_of_a_deleted_page_is_refused(start):
    handlers = start()
    wanted = parse_request("", ON_SAMPLES, picture=part_of(handlers, LOCAL))
    assert "of <bdi>mine.pdf</bdi>" in handlers.render_query_picture(wanted)
    handlers.render_answer(wanted)
    handlers.delete_document(stored_pages(handlers, LOCAL)[0].id.file)
    with pytest.raises(LibraryError, match="no longer in the library"):
        handlers.render_answer(wanted)
    assert "That page is no longer in the library." in handlers.render_answer_or_error(wanted)
    assert "no longer there" in handlers.render_query_picture(wanted)


@pytest.mark.parametrize(("page", "corners"), [(None, WHOLE), ("samples/x", WHOLE), (["samples"], WHOLE)], ids=repr)
def test_a_drawing_on_no_page_is_refused(handlers, page, corners):
    with pytest.raises(InputRefused):
        handlers.make_region_reference(page, corners)


def test_a_public_page_searches_with_regions_of_samples_only(start, tmp_path):
    public = start(public=True, uploads=False)
    assert first_of(public.render_answer(parse_request("", picture=part_of(public))), "right") == ("tides.pdf", "1")
    with pytest.raises(LibraryError, match="cannot be shown here"):
        public.render_answer(parse_request("", picture=part_of(public, LOCAL)))
    assert "mine.pdf" not in public.render_query_picture(parse_request("", picture=part_of(public, LOCAL)))
    with pytest.raises(InputRefused, match="takes no pictures"):
        public.store_picture(copy_of(tmp_path))
    app = build_app(public.engine, public.preparation, public.picture_addresses)
    assert not any(isinstance(block, gr.UploadButton) for block in app.blocks.values())


# -- uploads


def test_an_uploaded_picture_is_asked_with_and_its_copy_deleted(handlers, tmp_path):
    copy = copy_of(tmp_path)
    wanted = parse_request("", picture=handlers.store_picture(copy))
    assert not copy.exists()
    assert not copy.parent.exists()
    assert first_of(handlers.render_answer(wanted), "right") == ("tides.pdf", "1")
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


def test_a_picture_over_the_limits_is_refused(start, tmp_path):
    small = start(limits=Limits(pixels=2_000))
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


# -- the backbone that sees


@pytest.fixture(scope="module")
def seeing(start):
    """Handlers over pages that the tiny Qwen encoded."""
    return start(loaded("tiny-qwen"))


def told(handlers, wanted):
    """What the viewer is told of the first sample page: chips, anatomy, and its maps by name."""
    maps, page = ExplainHandlers(handlers), page_keys(handlers, SAMPLES)[0]
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
