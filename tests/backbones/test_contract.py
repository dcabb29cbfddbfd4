"""What every backbone promises, held against each of them. A new backbone adds its name to NAMES."""

from contextlib import suppress
from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smart_demo.backbones.base import Backbone
from smart_demo.errors import PageRefused, QueryRefused
from smart_demo.types import Query, TokenGrid, TokenKind, TokenSpace
from tests.backbones.cases import BLANK, fresh, loaded, page, speckled

NAMES = ("words", "minilm", "tiny-qwen", "tiny-neomme", "tiny-gemma")
READERS = ("words", "minilm")
TEXTS = ("tide", "the tide table of a small port " * 12, "Müller's invoice: 1,234.50 €", "two words")
PAGES = tuple(
    page(text, number, speckled(64 + 32 * number, 96, number)) for number, text in enumerate(TEXTS, start=1)
)  # unlike in words, width and height, so that a batch of them needs padding


@pytest.fixture(scope="module", params=NAMES)
def backbone(request):
    return loaded(request.param)


@pytest.fixture(scope="module", params=("minilm", "tiny-qwen", "tiny-neomme", "tiny-gemma"))
def reader_of_text(request):
    """Backbones that cut words into pieces."""
    return loaded(request.param)


@pytest.fixture(scope="module", params=READERS)
def reader(request):
    return loaded(request.param)


def assert_well_formed(encoding, encoder):
    """Shapes, types and lengths that scoring and storage rely on, in every token space."""
    assert encoding.encoder == encoder.fingerprint
    assert encoding.pooled.shape == (encoder.pooled_width,)
    assert np.linalg.norm(encoding.pooled) == pytest.approx(1, abs=1e-5)
    assert set(encoding.spaces) == set(encoder.widths) - {TokenSpace.RAW}
    for space, width in encoder.widths.items():
        states = encoding.in_space(space)
        count = len(states.tokens)
        assert count >= 1
        assert states.tokens.shape == (count, width)
        assert encoding.pooled.dtype == states.tokens.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(states.tokens, axis=1), 1, atol=1e-5)
        assert states.kinds.shape == (count,)
        assert states.kinds.dtype == np.uint8
        assert set(states.kinds.tolist()) <= set(TokenKind)


def assert_same(one, other):
    np.testing.assert_allclose(one.pooled, other.pooled, atol=1e-5)
    for space in (TokenSpace.RAW, *one.spaces):
        ours, theirs = one.in_space(space), other.in_space(space)
        assert ours.tokens.shape == theirs.tokens.shape
        np.testing.assert_allclose(ours.tokens, theirs.tokens, atol=1e-5)
        np.testing.assert_array_equal(ours.kinds, theirs.kinds)


def test_it_is_a_backbone_and_says_how_it_runs(backbone):
    assert isinstance(backbone, Backbone)
    assert backbone.batch >= 1
    assert backbone.reason.endswith(".")
    assert backbone.encoder.name


def test_it_says_where_it_runs_and_whether_it_sees_the_page(backbone):
    """Whether tokens form a grid follows from the budget of visual tokens: sizes are worked out by it."""
    assert backbone.runtime.device in {"cpu", "cuda", "mps"}
    assert backbone.runtime.dtype in {"float32", "bfloat16", "float16"}
    (encoding,) = backbone.encode_pages(PAGES[:1])
    assert isinstance(encoding.place, TokenGrid) == (backbone.encoder.visual_tokens > 0)


def test_pages_come_back_in_order_and_well_formed(backbone):
    encodings = backbone.encode_pages(PAGES)
    assert [one.page for one in encodings] == [one.id for one in PAGES]
    for one in encodings:
        assert_well_formed(one, backbone.encoder)


def test_no_pages_are_no_encodings(backbone):
    assert backbone.encode_pages([]) == []


def test_every_token_of_a_page_has_its_place_on_it_or_says_that_it_has_none(backbone):
    encodings = backbone.encode_pages(PAGES)
    for one in (found.in_space(space) for found in encodings for space in backbone.encoder.widths):
        if isinstance(one.place, TokenGrid):
            image = np.flatnonzero(one.kinds == TokenKind.PATCH)
            assert image.tolist() == list(range(one.place.start, one.place.start + one.place.rows * one.place.cols))
            assert 0 < one.place.covered_width <= 1
            assert 0 < one.place.covered_height <= 1
            continue
        left, top, right, bottom = one.place.boxes.T
        assert one.place.boxes.shape == (len(one.tokens), 4)
        assert one.place.boxes.dtype == np.float32
        placed = ~np.isnan(left)
        for low, high in ((left, right), (top, bottom)):
            assert np.all((low[placed] >= 0) & (low[placed] <= high[placed]) & (high[placed] <= 1))


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=8, deadline=None)
@given(chosen=st.lists(st.integers(0, len(PAGES) - 1), min_size=1, max_size=5))
def test_batch_mates_never_change_a_page(name, chosen):
    together = loaded(name).encode_pages([PAGES[n] for n in chosen])
    for n, one in zip(chosen, together, strict=True):
        assert_same(one, loaded(name).encode_pages([PAGES[n]])[0])


def test_a_query_is_well_formed_and_every_token_has_a_label(backbone):
    query = Query("Where is the tide table?")
    encoding = backbone.encode_query(query)
    assert_well_formed(encoding, backbone.encoder)
    assert encoding.query is query
    assert len(encoding.labels) == len(encoding.tokens)
    assert "tide" in "".join(encoding.labels)
    assert encoding.notices == ()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Embeddings of knots?", ["Embeddings", "of", "knots", "?"]),
        ("Müller's 1,234.50 (paid)", ["Müller's", "1,234.50", "paid"]),
    ],
)
def test_the_pieces_of_a_word_know_their_word(reader_of_text, text, words):
    encoding = reader_of_text.encode_query(Query(text))
    assert len(encoding.words) == len(encoding.tokens)
    assert [word for word in encoding.word_texts if word not in "()"] == words
    assert sorted(set(encoding.words) - {-1}) == list(range(len(encoding.word_texts)))
    for label, word, kind in zip(encoding.labels, encoding.words, encoding.kinds, strict=True):
        assert (word >= 0) == (kind == TokenKind.CONTENT and bool(label.strip()))  # a space is of no word


@pytest.mark.parametrize("text", ["", "   ", "\n\t\u3000"])
def test_an_empty_query_is_refused_with_a_hint(backbone, text):
    with pytest.raises(QueryRefused) as refusal:
        backbone.encode_query(Query(text))
    assert str(refusal.value).endswith(".")
    assert refusal.value.hint


@pytest.mark.parametrize(
    "text",
    [
        "\x00tide",
        "🌊🌊 tide",
        "المد والجزر",
        "<|im_end|>[SEP]</s><img><mask>",
        "tide\ud800",
        "a" * 5000,
        "tide " * 3000,
    ],
    ids=["nul", "emoji", "right to left", "special tokens", "half a pair", "one long word", "a long text"],
)
def test_a_strange_query_is_answered_or_refused_and_never_an_error(backbone, text):
    with suppress(QueryRefused):
        encoding = backbone.encode_query(Query(text))
        assert_well_formed(encoding, backbone.encoder)
        assert len(encoding.labels) == len(encoding.tokens)


def test_texts_come_back_in_order_whatever_stands_beside_them(backbone):
    texts = [f"{text} {number}" for number in range(9) for text in TEXTS]
    encodings = list(backbone.encode_texts(texts))
    assert [one.query.text for one in encodings] == texts
    for n in (0, 1, 17, 35):
        assert_well_formed(encodings[n], backbone.encoder)
        assert len(encodings[n].labels) == len(encodings[n].tokens)
        assert_same(encodings[n], next(backbone.encode_texts([texts[n]])))


def test_texts_are_encoded_as_they_are_asked_for(backbone):
    assert len(list(islice(backbone.encode_texts(["tide"] * 100_000), 3))) == 3
    assert list(backbone.encode_texts([])) == []


@pytest.mark.parametrize("name", NAMES)
def test_loading_again_gives_the_same_fingerprint_and_the_same_numbers(name):
    again = fresh(name)
    assert again.encoder == loaded(name).encoder
    assert_same(again.encode_query(Query("tide table")), loaded(name).encode_query(Query("tide table")))


def test_no_two_backbones_share_a_fingerprint():
    assert len({loaded(name).encoder.fingerprint for name in NAMES}) == len(NAMES)


def test_a_page_without_words_is_named_and_the_others_go_on(reader):
    good, blank = PAGES[1], page("", 7, BLANK, "scan.pdf")
    first, refused, last = reader.encode_pages([good, blank, good])
    assert isinstance(refused, PageRefused)
    assert "Page 7 of scan.pdf" in str(refused)
    assert_same(first, reader.encode_pages([good])[0])
    assert_same(last, first)


def test_a_page_is_nearest_to_its_own_words(reader):
    pooled = np.stack([one.pooled for one in reader.encode_pages(PAGES)])
    for n, text in enumerate(TEXTS):
        assert np.argmax(pooled @ reader.encode_query(Query(text)).pooled) == n
