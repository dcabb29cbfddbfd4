"""Our Qwen encode against two that share no code with it, on one tiny checkpoint, to 1e-4."""

import numpy as np
import pytest
from PIL import Image

from smart_demo.backbones.qwen.model import Qwen3VL
from smart_demo.config import Settings
from smart_demo.errors import SettingRefused
from smart_demo.types import Query
from tests.backbones.qwen.cases import (
    BUDGET,
    DOCUMENT,
    QUERY,
    PlainEncoder,
    SentenceTransformersEncoder,
    page,
    picture,
    unit,
)

TEXTS = ["what is the report total", "Schraube M8, größer als 3 %", "a\n\nb  c", "x" * 300]
SIZES = [(300, 200, 224, 160), (200, 300, 160, 224), (64, 64, 64, 64), (1754, 1240, 224, 160), (10, 10, 64, 64)]
"""A picture's height and width, and what the reference resizes it to within 40 visual tokens."""


@pytest.fixture(scope="module")
def ours(tiny_qwen):
    return Qwen3VL.load(str(tiny_qwen), Settings(visual_tokens=BUDGET))


@pytest.fixture(scope="module")
def theirs(tiny_qwen):
    with pytest.MonkeyPatch.context() as patch:
        return SentenceTransformersEncoder(tiny_qwen, patch)


@pytest.fixture(scope="module")
def plain(tiny_qwen):
    return PlainEncoder(tiny_qwen)


def close(ours, pooled, tokens):
    np.testing.assert_allclose(ours.pooled, pooled, atol=1e-4)
    np.testing.assert_allclose(ours.tokens, tokens, atol=1e-4)


@pytest.mark.parametrize("text", TEXTS)
def test_a_query_is_what_sentence_transformers_makes_of_it(ours, theirs, text):
    close(ours.encode_query(Query(text)), *theirs.encode(text, QUERY))


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_document_is_too(ours, theirs, text):
    (made,) = ours.encode_texts([text])
    close(made, *theirs.encode(text, DOCUMENT))


@pytest.mark.parametrize(("height", "width"), [size[:2] for size in SIZES])
def test_a_page_is_too(ours, theirs, height, width):
    pixels = picture(height, width)
    (made,) = ours.encode_pages([page(pixels)])
    close(made, *theirs.encode(Image.fromarray(pixels), DOCUMENT))


def test_a_picture_with_words_is_too(ours, theirs):
    pixels = picture()
    made = ours.encode_query(Query("the red star", pixels))
    close(made, *theirs.encode({"image": Image.fromarray(pixels), "text": "the red star"}, QUERY))


@pytest.mark.parametrize(("height", "width", "to_height", "to_width"), SIZES)
def test_a_page_agrees_with_the_encode_written_out(ours, plain, height, width, to_height, to_width):
    pixels = picture(height, width, seed=3)
    (made,) = ours.encode_pages([page(pixels)])
    _, states = plain.encode(DOCUMENT, pixels, size=(to_height, to_width))
    np.testing.assert_allclose(made.pooled, unit(states[-1]), atol=1e-4)
    assert (made.place.rows, made.place.cols) == (to_height // 32, to_width // 32)


@pytest.mark.parametrize("token_filter", ["code", "paper"])
def test_each_filter_keeps_what_its_source_says_token_by_token(tiny_qwen, plain, token_filter):
    pixels = picture()
    backbone = Qwen3VL.load(str(tiny_qwen), Settings(visual_tokens=BUDGET, token_filter=token_filter))
    made = backbone.encode_query(Query("the red star", pixels))
    ids, states = plain.encode(QUERY, pixels, "the red star", size=(224, 160))
    names = plain.tokenizer.convert_ids_to_tokens(ids.tolist())
    if token_filter == "paper":
        kept = [at for at in range(len(names)) if at != len(names) - 1]
    else:
        kept = [at for at, name in enumerate(names) if name == "<|image_pad|>" or not name.startswith("<|")]
    np.testing.assert_allclose(made.tokens, unit(states[kept]), atol=1e-4)
    np.testing.assert_allclose(made.pooled, unit(states[-1]), atol=1e-4)


# -- states of an earlier layer


def layered(tiny_qwen, layer):
    return Qwen3VL.load(str(tiny_qwen), Settings(visual_tokens=BUDGET, late_layer=layer))


def test_the_last_layer_by_its_number_is_the_default_bit_for_bit(tiny_qwen, ours):
    numbered = layered(tiny_qwen, 2)
    assert numbered.encoder == ours.encoder
    for a, b in [
        (numbered.encode_pages([page(picture())])[0], ours.encode_pages([page(picture())])[0]),
        (numbered.encode_query(Query(TEXTS[0])), ours.encode_query(Query(TEXTS[0]))),
    ]:
        np.testing.assert_array_equal(a.tokens, b.tokens)
        np.testing.assert_array_equal(a.pooled, b.pooled)


def test_an_earlier_layer_is_the_raw_stream_of_that_layer(tiny_qwen, ours, plain):
    early, text = layered(tiny_qwen, 1), TEXTS[0]
    assert early.encoder.fingerprint != ours.encoder.fingerprint
    (made,) = early.encode_texts([text])
    ids, states = plain.encode(DOCUMENT, text=text, layer=1)
    kept = [at for at, name in enumerate(plain.tokenizer.convert_ids_to_tokens(ids.tolist())) if name[:2] != "<|"]
    np.testing.assert_allclose(made.tokens, unit(states[kept]), atol=1e-4)
    np.testing.assert_allclose(made.pooled, unit(plain.encode(DOCUMENT, text=text)[1][-1]), atol=1e-4)
    (default,) = ours.encode_texts([text])
    assert np.abs(made.tokens - default.tokens).max() > 0.01
    # A page too, whose patches DeepStack adds to after the layer.
    (a,), (b,) = early.encode_pages([page(picture())]), ours.encode_pages([page(picture())])
    np.testing.assert_array_equal(a.pooled, b.pooled)
    assert a.tokens.shape == b.tokens.shape


def test_a_layer_beyond_the_last_is_refused_in_a_sentence(tiny_qwen):
    with pytest.raises(SettingRefused, match="has 2 layers"):
        layered(tiny_qwen, 3)
