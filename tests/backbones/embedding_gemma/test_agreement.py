"""Our EmbeddingGemma encode against two that share no code with it, on one tiny checkpoint, to 1e-4 in float32."""

import numpy as np
import pytest
from PIL import Image

from smart_demo.backbones.embedding_gemma import EmbeddingGemma
from smart_demo.config import Settings
from smart_demo.errors import SettingRefused
from smart_demo.types import Query
from tests.backbones.cases import loaded, tiny_gemma_folder
from tests.backbones.embedding_gemma.cases import PlainEncoder, SentenceTransformersEncoder
from tests.backbones.embedding_gemma.tiny_checkpoint import DOCUMENT, QUERY
from tests.backbones.qwen.cases import page, picture, unit

TEXTS = ["what is the report total", "Schraube M8, größer als 3 % 🌊", "a\n\nb  c", "x" * 300]
SIZES = [(300, 200, 480, 288), (200, 300, 288, 480), (64, 64, 384, 384), (1754, 1240, 432, 336), (3, 700, 48, 3360)]
"""A picture's height and width, and what it is resized to within 70 visual tokens, worked out by hand."""
FRAME = slice(2, -2)
"""The patches of a page: what is left without two marks at each end."""


@pytest.fixture(scope="module")
def ours():
    return loaded("tiny-gemma")


@pytest.fixture(scope="module")
def theirs():
    with pytest.MonkeyPatch.context() as patch:
        return SentenceTransformersEncoder(tiny_gemma_folder(), patch)


@pytest.fixture(scope="module")
def plain():
    return PlainEncoder(tiny_gemma_folder())


def load(**settings):
    return EmbeddingGemma.load(str(tiny_gemma_folder()), Settings(visual_tokens=70, dtype="float32", **settings))


def close(made, pooled, tokens):
    np.testing.assert_allclose(made.pooled, pooled, atol=1e-4)
    np.testing.assert_allclose(made.tokens, tokens, atol=1e-4)


@pytest.mark.parametrize("text", TEXTS)
def test_a_query_is_what_sentence_transformers_makes_of_it(ours, theirs, text):
    pooled, tokens, names = theirs.encode(text, "query")
    assert (names[0], names[-1]) == ("<bos>", "<eos>")
    close(ours.encode_query(Query(text)), pooled, tokens[1:-1])


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_document_is_too(ours, theirs, text):
    pooled, tokens, _ = theirs.encode(text, "document")
    (made,) = ours.encode_texts([text])
    close(made, pooled, tokens[1:-1])


@pytest.mark.parametrize(("height", "width"), [size[:2] for size in SIZES])
def test_a_page_is_too_without_a_prompt(ours, theirs, height, width):
    pixels = picture(height, width)
    pooled, tokens, names = theirs.encode(Image.fromarray(pixels))
    assert names[:2] + names[-2:] == ["<bos>", "<|image>", "<image|>", "<eos>"]
    (made,) = ours.encode_pages([page(pixels)])
    close(made, pooled, tokens[FRAME])
    same = ours.encode_query(Query(image=pixels))  # so a page that is searched for by its picture is found
    np.testing.assert_array_equal(same.pooled, made.pooled)
    np.testing.assert_array_equal(same.tokens, made.tokens)


def test_a_picture_with_words_is_what_encode_query_makes_of_both(ours, theirs):
    pixels = picture()
    pooled, tokens, names = theirs.encode({"image": Image.fromarray(pixels), "text": "the red star"}, "query")
    kept = [at for at, name in enumerate(names) if name not in {"<bos>", "<|image>", "<image|>", "<eos>"}]
    close(ours.encode_query(Query("the red star", pixels)), pooled, tokens[kept])


@pytest.mark.parametrize(("height", "width", "to_height", "to_width"), SIZES)
def test_a_page_agrees_with_the_encode_written_out(ours, plain, height, width, to_height, to_width):
    pixels = picture(height, width, seed=3)
    (made,) = ours.encode_pages([page(pixels)])
    _, states = plain.encode(pixels=pixels, size=(to_height, to_width))
    close(made, unit(states.mean(axis=0)), unit(states[FRAME]))
    assert (made.place.rows, made.place.cols) == (to_height // 48, to_width // 48)


@pytest.mark.parametrize("token_filter", ["code", "paper"])
def test_each_filter_keeps_what_its_rule_says_token_by_token(plain, token_filter):
    backbone, pixels = load(token_filter=token_filter), picture()
    made = backbone.encode_query(Query("the red star", pixels))
    names, states = plain.encode(QUERY, pixels, "the red star", (480, 288))
    marks = set() if token_filter == "paper" else {"<bos>", "<|image>", "<image|>", "<eos>"}
    kept = [at for at, name in enumerate(names) if name not in marks]
    close(made, unit(states.mean(axis=0)), unit(states[kept]))
    (seen,) = backbone.encode_pages([page(pixels)])
    assert (len(seen.tokens), seen.place.start) == ((64, 2) if token_filter == "paper" else (60, 0))


def test_the_last_layer_by_its_number_is_the_default_bit_for_bit(ours):
    numbered = load(late_layer=3)
    assert numbered.encoder == ours.encoder
    a, b = numbered.encode_query(Query(TEXTS[0])), ours.encode_query(Query(TEXTS[0]))
    np.testing.assert_array_equal(a.tokens, b.tokens)


def test_an_earlier_layer_goes_through_the_norm_and_the_projection(ours, plain):
    early, text = load(late_layer=1), TEXTS[0]
    assert early.encoder.fingerprint != ours.encoder.fingerprint
    (made,) = early.encode_texts([text])
    _, states = plain.encode(DOCUMENT + text, layer=1)
    _, last = plain.encode(DOCUMENT + text)
    close(made, unit(last.mean(axis=0)), unit(states[1:-1]))
    assert np.abs(made.tokens - unit(last[1:-1])).max() > 0.01
    (a,), (b,) = early.encode_pages([page(picture())]), ours.encode_pages([page(picture())])
    np.testing.assert_array_equal(a.pooled, b.pooled)
    assert a.tokens.shape == b.tokens.shape


def test_a_layer_beyond_the_last_is_refused_in_a_sentence():
    with pytest.raises(SettingRefused, match="has 3 layers"):
        load(late_layer=4)
