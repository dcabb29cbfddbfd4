"""States of an earlier layer, and [CLS] and [SEP] kept: ablations that leave every existing encoding alone."""

import hashlib
import json
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch

from smart_demo.backbones import registry
from smart_demo.backbones.minilm import MiniLM
from smart_demo.backbones.qwen.model import Qwen3VL
from smart_demo.config import Settings, read_settings
from smart_demo.errors import SettingRefused
from smart_demo.types import Query, TokenKind
from tests.backbones.cases import loaded, page, speckled, tiny_qwen_folder
from tests.backbones.qwen.cases import DOCUMENT, PlainEncoder, unit

TEXT = "tide unaffable port"
LONG = "tide table " * 300
QWEN = Settings(visual_tokens=16, dtype="float32")


def minilm_states(text, layer):
    """(n + 2, 384) states of layer `layer`, asked of the network itself."""
    model = loaded("minilm")
    ids = model._tokenizer.encode(text, add_special_tokens=False).ids
    with torch.inference_mode():
        fed = torch.tensor([[101, *ids, 102]])
        out = model._bert._model(input_ids=fed, output_hidden_states=True)
    return out.hidden_states[layer][0].numpy()


@pytest.mark.parametrize("value", ["", "last", " LAST "])
def test_the_last_layer_is_the_default(value):
    assert read_settings({"SMART_LATE_LAYER": value}).late_layer == Settings().late_layer == 0


@pytest.mark.parametrize("value", ["0", "-1", "201", "first", "2.5"])
def test_a_layer_that_makes_no_sense_is_refused_by_name(value):
    with pytest.raises(SettingRefused, match="SMART_LATE_LAYER"):
        read_settings({"SMART_LATE_LAYER": value})


def test_the_last_layer_leaves_no_trace_in_a_fingerprint():
    """What `fingerprint` hashed before there was a choice of layer: libraries of that time must stay readable."""
    encoder = loaded("minilm").encoder
    facts = {k: v for k, v in asdict(encoder).items() if k not in {"name", "revision", "late_layer"}}
    before = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]
    assert encoder.token_filter == ""
    assert encoder.fingerprint == before
    others = {replace(encoder, late_layer=layer).fingerprint for layer in (1, 2)}
    assert len(others | {before}) == 3


@pytest.mark.parametrize("last", [0, 6])
def test_minilms_last_layer_by_its_number_is_the_default_bit_for_bit(last):
    ours, plain = MiniLM(device="cpu", late_layer=last), loaded("minilm")
    assert ours.encoder == plain.encoder
    (a,), (b,) = ours.encode_pages([page(TEXT)]), plain.encode_pages([page(TEXT)])
    np.testing.assert_array_equal(a.tokens, b.tokens)
    np.testing.assert_array_equal(a.pooled, b.pooled)


def test_minilms_earlier_layer_gives_the_tokens_and_the_last_the_pooled_vector():
    ours = MiniLM(device="cpu", late_layer=3)
    for made in (ours.encode_query(Query(TEXT)), ours.encode_pages([page(TEXT)])[0]):
        np.testing.assert_allclose(made.tokens, unit(minilm_states(TEXT, 3)[1:-1]), atol=1e-5)
        np.testing.assert_allclose(made.pooled, unit(minilm_states(TEXT, 6).mean(axis=0)), atol=1e-5)
        assert made.encoder != loaded("minilm").encoder.fingerprint


def test_minilm_with_the_papers_filter_keeps_both_ends_of_every_window():
    ours = MiniLM(device="cpu", token_filter="paper")
    query = ours.encode_query(Query(TEXT))
    np.testing.assert_allclose(query.tokens, unit(minilm_states(TEXT, 6)), atol=1e-5)
    assert (query.labels[0], query.labels[-1]) == ("[CLS]", "[SEP]")
    assert query.words == (-1, 0, 1, 1, 1, 2, -1)
    assert [kind == TokenKind.CONTENT for kind in query.kinds] == [False, *[True] * 5, False]
    (one,) = ours.encode_pages([page(LONG.strip())])  # 600 pieces: two windows of 300
    (plain,) = loaded("minilm").encode_pages([page(LONG.strip())])
    placeless = np.isnan(one.place.boxes).all(axis=1)
    assert list(np.flatnonzero(placeless)) == [0, 301, 302, 603]
    assert list(one.kinds[placeless]) == [TokenKind.TEMPLATE] * 4
    np.testing.assert_array_equal(one.tokens[~placeless], plain.tokens)
    np.testing.assert_array_equal(one.place.boxes[~placeless], plain.place.boxes)
    np.testing.assert_array_equal(one.pooled, plain.pooled)
    assert one.encoder != plain.encoder


def test_a_layer_beyond_the_last_is_refused_in_a_sentence():
    with pytest.raises(SettingRefused, match="minilm has 6 layers"):
        MiniLM(device="cpu", late_layer=7)
    with pytest.raises(SettingRefused, match="has 2 layers"):
        Qwen3VL.load(str(tiny_qwen_folder()), replace(QWEN, late_layer=3))


def test_minilm_that_stands_in_for_another_model_is_itself():
    """Layer 20 is meant for Qwen; the samples may still be minilm's."""
    plain = loaded("minilm").encoder
    assert (
        registry.load_backbone("minilm", Settings(backbone="auto", late_layer=20, token_filter="paper")).encoder
        == plain
    )
    asked = registry.load_backbone("minilm", Settings(backbone="MiniLM", late_layer=2, token_filter="paper")).encoder
    assert (asked.late_layer, asked.token_filter) == (2, "paper")


def test_qwens_last_layer_by_its_number_is_the_default_bit_for_bit():
    ours, plain = Qwen3VL.load(str(tiny_qwen_folder()), replace(QWEN, late_layer=2)), loaded("tiny-qwen")
    assert ours.encoder == plain.encoder
    pixels = speckled(90, 70, 1)
    for a, b in [
        (ours.encode_pages([page("", pixels=pixels)])[0], plain.encode_pages([page("", pixels=pixels)])[0]),
        (ours.encode_query(Query(TEXT)), plain.encode_query(Query(TEXT))),
    ]:
        np.testing.assert_array_equal(a.tokens, b.tokens)
        np.testing.assert_array_equal(a.pooled, b.pooled)


def test_qwens_earlier_layer_is_the_raw_stream_of_that_layer():
    ours, plain = Qwen3VL.load(str(tiny_qwen_folder()), replace(QWEN, late_layer=1)), loaded("tiny-qwen")
    assert ours.encoder.fingerprint != plain.encoder.fingerprint
    seen = []
    layer = ours._forward._model.language_model.layers[0]
    hook = layer.register_forward_hook(lambda _module, _given, out: seen.append(out))
    (made,) = ours.encode_texts([TEXT])
    hook.remove()
    kept = ours._parts.writer.token_mask(ours._parts.writer.write(DOCUMENT, None, TEXT), "code")
    np.testing.assert_allclose(made.tokens, unit(seen[0][0].numpy()[kept]), atol=1e-6)
    _, last = PlainEncoder(tiny_qwen_folder()).encode(DOCUMENT, text=TEXT)
    np.testing.assert_allclose(made.pooled, unit(last[-1]), atol=1e-4)
    (default,) = plain.encode_texts([TEXT])
    assert np.abs(made.tokens - default.tokens).max() > 0.01
    pixels = speckled(90, 70, 1)  # a page too, whose patches DeepStack adds to after the layer
    (a,) = ours.encode_pages([page("", pixels=pixels)])
    (b,) = plain.encode_pages([page("", pixels=pixels)])
    np.testing.assert_array_equal(a.pooled, b.pooled)
    assert a.tokens.shape == b.tokens.shape
