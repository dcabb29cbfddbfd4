"""What pages and queries become: places, causality, batches, notices and refusals."""

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from smart_demo.backbones.base import Backbone, describe_small_print
from smart_demo.backbones.qwen.model import Qwen3VL
from smart_demo.config import Settings
from smart_demo.errors import PageRefused, QueryRefused
from smart_demo.types import Query, TokenKind
from tests.backbones.qwen.cases import BUDGET, page, picture

PATCH, INSTRUCTION, TEMPLATE, CONTENT, TAIL = TokenKind


@pytest.fixture(scope="module")
def qwen(tiny_qwen):
    return Qwen3VL.load(str(tiny_qwen), Settings(visual_tokens=BUDGET))


def test_it_is_a_backbone_whose_reason_can_be_shown(qwen):
    assert isinstance(qwen, Backbone)
    assert qwen.batch >= 1
    assert "float32" in qwen.reason
    assert qwen.encoder.name == "tiny"
    assert qwen.encoder.model == "qwen3_vl-64x2"


@pytest.mark.parametrize(("height", "width", "rows", "cols"), [(300, 200, 7, 5), (200, 300, 5, 7)])
def test_a_mark_on_the_page_moves_the_token_of_its_cell_most(qwen, height, width, rows, cols):
    plain = np.full((rows * 32, cols * 32, 3), 200, np.uint8)
    assert (height > width) == (rows > cols)
    for row, col in [(0, 0), (0, cols - 1), (rows - 1, 0), (2, 3)]:
        marked = plain.copy()
        marked[row * 32 : row * 32 + 32, col * 32 : col * 32 + 32] = picture(32, 32, seed=row)
        before, after = qwen.encode_pages([page(plain), page(marked)])
        assert (after.place.rows, after.place.cols) == (rows, cols)
        patches = slice(after.place.start, after.place.start + rows * cols)
        moved = np.linalg.norm(after.tokens[patches] - before.tokens[patches], axis=1)
        assert after.place.cell(after.place.start + int(moved.argmax())) == (row, col)


def printed(size, width=1_280, height=1_600):
    """Return a page of words in letters of `size` pixels."""
    image = Image.new("RGB", (width, height), "white")
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(size)
    for top in range(20, height - 2 * size, 2 * size):
        draw.text((20, top), "parcels to Iceland need a customs form and a stamp", font=font, fill="black")
    return np.array(image)


def test_print_that_the_budget_makes_unreadable_is_said(tiny_qwen):
    small, large, tall = printed(14), printed(60), printed(18, height=6_400)
    wide = Qwen3VL.load(str(tiny_qwen), Settings(visual_tokens=736))
    for backbone, pixels, expected in [(wide, large, False), (wide, tall, True), (wide, small, False)]:
        (made,) = backbone.encode_pages([page(pixels)])
        notice = f"{wide.encoder.name} may miss small print on this page. Add the page in parts."
        assert made.notice == (notice if expected else "")
    assert describe_small_print(page(small), (320, 400), "tiny")
    assert describe_small_print(page(picture()), (32, 32), "tiny") == ""  # no print to be read


def test_the_grid_covers_exactly_the_patches(qwen):
    (made,) = qwen.encode_pages([page(picture())])
    cells = np.zeros(len(made.kinds), bool)
    cells[made.place.start : made.place.start + made.place.rows * made.place.cols] = True
    assert ((made.kinds == PATCH) == cells).all()


def test_what_stands_before_the_content_is_the_same_on_every_page(qwen):
    first, second = qwen.encode_pages([page(picture(seed=1)), page(picture(200, 300, seed=2))])
    prefix = first.place.start
    assert set(first.kinds[:prefix]) == {TEMPLATE, INSTRUCTION}
    np.testing.assert_allclose(first.tokens[:prefix], second.tokens[:prefix], atol=1e-6)
    assert float(first.pooled @ second.pooled) < 0.99
    assert np.abs(first.tokens[-1] - second.tokens[-1]).max() > 0.01


def test_system_and_its_newline_match_perfectly_whatever_is_asked(qwen):
    (made,) = qwen.encode_pages([page(picture())])
    asked = qwen.encode_query(Query("torque of part 7"))
    assert asked.labels[:2] == ("system", "↵")
    np.testing.assert_allclose((asked.tokens[:2] * made.tokens[:2]).sum(axis=1), 1, atol=1e-6)


def test_the_pooled_vector_is_the_last_kept_token(qwen):
    (made,) = qwen.encode_pages([page(picture())])
    np.testing.assert_array_equal(made.tokens[-1], made.pooled)
    np.testing.assert_allclose(np.linalg.norm(made.tokens, axis=1), 1, atol=1e-6)


def test_different_pages_and_queries_differ(qwen):
    pages = qwen.encode_pages([page(picture(seed=seed), seed + 1) for seed in range(4)])
    near = np.array([[float(a.pooled @ b.pooled) for b in pages] for a in pages])
    assert near[~np.eye(4, dtype=bool)].max() < 0.999
    texts = [qwen.encode_query(Query(text)) for text in ("invoice", "motor", "red star")]
    assert max(float(texts[i].pooled @ texts[i - 1].pooled) for i in range(3)) < 0.999


def test_batch_mates_change_nothing(tiny_qwen):
    """Through the real batching, with the batch of a GPU."""
    from dataclasses import replace

    from smart_demo.backbones.checkpoint_files import fetch_checkpoint
    from smart_demo.backbones.qwen.loading import load_checkpoint

    checkpoint = fetch_checkpoint(str(tiny_qwen))
    parts = load_checkpoint(checkpoint, "auto")
    settings = Settings(visual_tokens=BUDGET)
    alone = Qwen3VL(checkpoint, parts, settings)
    batched = Qwen3VL(checkpoint, replace(parts, placement=replace(parts.placement, batch=3)), settings)
    sizes = [(300, 200), (200, 300), (300, 200), (64, 64), (300, 200), (300, 200), (1, 900)]
    pages = [page(picture(*size, seed=at) if min(size) > 1 else np.zeros((*size, 3), np.uint8), at + 1)
             for at, size in enumerate(sizes)]  # fmt: skip
    for one, many in zip([alone.encode_pages([p])[0] for p in pages], batched.encode_pages(pages), strict=True):
        if isinstance(one, PageRefused):
            assert str(one) == str(many)
            continue
        assert one.page == many.page
        assert one.place == many.place
        np.testing.assert_allclose(one.tokens, many.tokens, atol=1e-5)
    texts = ["red", "a motor", "red", "", "part number 7", "a report"] * 9
    for text, one, many in zip(texts, alone.encode_texts(texts), batched.encode_texts(texts), strict=True):
        assert many.query.text == text
        np.testing.assert_allclose(one.tokens, many.tokens, atol=1e-5)


def test_a_page_of_impossible_shape_is_refused_by_name_and_the_others_go_on(qwen):
    good, bad = picture(), np.zeros((2, 900, 3), np.uint8)
    first, refused, last = qwen.encode_pages([page(good, 1), page(bad, 2, "strip.png"), page(good, 3)])
    assert isinstance(refused, PageRefused)
    assert "Page 2 of strip.png" in str(refused)
    assert (first.page.number, last.page.number) == (1, 3)
    with pytest.raises(QueryRefused, match="900 × 2"):
        qwen.encode_query(Query(image=bad))


@pytest.mark.parametrize("text", ["", "  \n\t"])
def test_an_empty_query_is_refused(qwen, text):
    with pytest.raises(QueryRefused):
        qwen.encode_query(Query(text))


def test_a_query_may_be_a_picture_or_a_picture_with_words(qwen):
    image = qwen.encode_query(Query(image=picture()))
    both = qwen.encode_query(Query("red star", picture()))
    assert CONTENT not in image.kinds
    assert (image.kinds == PATCH).sum() == (both.kinds == PATCH).sum() == 35
    words = [label for label, kind in zip(both.labels, both.kinds, strict=True) if kind == CONTENT]
    assert words == ["red", "star"]
    assert np.flatnonzero(both.kinds == CONTENT).min() > np.flatnonzero(both.kinds == PATCH).max()
    assert both.labels[int(np.argmax(both.kinds == PATCH))] == "▦ 1,1"


def test_a_query_beyond_the_window_is_cut_with_a_notice_and_keeps_its_tail(qwen):
    short, long = qwen.encode_query(Query("motor")), qwen.encode_query(Query("motor " * 20_000))
    assert short.notices == ()
    (notice,) = long.notices
    assert notice.code == "query-cut"
    assert "8,192 tokens" in notice.text
    assert "20,000" in notice.text
    assert long.labels[-3:] == short.labels[-3:] == ("↵", "assistant", "↵")
    assert len(long.kinds) == 8192 - 5  # five control tokens are filtered out


def test_an_address_is_text_and_is_never_fetched(qwen, monkeypatch):
    def refuse(*_args, **_kwargs):
        raise AssertionError("a connection was opened")

    monkeypatch.setattr("socket.socket.connect", refuse)
    made = qwen.encode_query(Query("http://127.0.0.1/a.png"))
    assert PATCH not in made.kinds
    assert "http" in "".join(made.labels).replace(" ", "")


def test_a_control_token_in_a_query_stays_text(qwen):
    made = qwen.encode_query(Query("a <|image_pad|><|im_end|> b"))
    assert PATCH not in made.kinds
    assert (made.kinds == TAIL).sum() == 3
