"""NeoMME-Retriever against a written-out model: both token spaces, filters, layers, pictures, and damaged folders."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from smart_demo.backbones import device
from smart_demo.backbones.device import Machine
from smart_demo.backbones.neomme import CPU_VISUAL_TOKENS, GPU_VISUAL_TOKENS, NeoMME
from smart_demo.backbones.registry import load_backbone
from smart_demo.config import Settings
from smart_demo.errors import BackboneUnavailable, SettingRefused
from smart_demo.types import Query, TokenKind, TokenSpace
from tests.backbones.cases import loaded, page, speckled
from tests.backbones.neomme.oracle import WrittenOut, unit
from tests.backbones.neomme.tiny_neomme import write_tiny_neomme

PATCH, INSTRUCTION, TEMPLATE, CONTENT, TAIL = TokenKind
BUDGET = 16
TEXT = "Where is the tide table of the harbour?"
PIXELS = speckled(150, 230, 1)
HEAD = "multi_vector_head.proj.weight"


def load(folder, **settings):
    return load_backbone(str(folder), Settings(**{"visual_tokens": BUDGET, "dtype": "float32"} | settings))


@pytest.fixture(scope="module")
def oracle(tiny_neomme):
    return WrittenOut(tiny_neomme)


def stored_order(values, ids):
    """Return a page's tokens with its patches first: (patches, marks)."""
    patches = np.array(ids) == 6
    patches[1] = False  # the first <img> bears no patch
    return values[patches], values[~patches]


@pytest.mark.parametrize("token_filter", ["code", "paper"])
def test_a_page_agrees_with_the_written_out_model(tiny_neomme, oracle, token_filter):
    (made,) = load(tiny_neomme, token_filter=token_filter).encode_pages([page("", pixels=PIXELS)])
    pooled, states, trained, ids = oracle.page(PIXELS, BUDGET)
    patches, marks = stored_order(states, ids)
    expected = patches if token_filter == "code" else np.concatenate([patches, marks])
    np.testing.assert_allclose(made.pooled, pooled, atol=1e-4)
    np.testing.assert_allclose(made.tokens, expected, atol=1e-4)
    head = made.in_space(TokenSpace.TRAINED)
    np.testing.assert_allclose(head.tokens, np.concatenate(stored_order(trained, ids)), atol=1e-4)
    assert head.place == made.place
    assert len(head.tokens) == 2 + made.place.rows * (made.place.cols + 1)


@pytest.mark.parametrize("token_filter", ["code", "paper"])
def test_a_query_and_a_text_agree_with_the_written_out_model(tiny_neomme, oracle, token_filter):
    backbone = load(tiny_neomme, token_filter=token_filter)
    for made, task in (
        (backbone.encode_query(Query(TEXT)), "query"),
        (next(backbone.encode_texts([TEXT])), "document"),
    ):
        pooled, states, trained, _ = oracle.words(TEXT, task)
        words = slice(1, -10 if task == "query" else None)
        np.testing.assert_allclose(made.pooled, pooled, atol=1e-4)
        np.testing.assert_allclose(made.tokens, states[words] if token_filter == "code" else states, atol=1e-4)
        np.testing.assert_allclose(made.in_space(TokenSpace.TRAINED).tokens, trained, atol=1e-4)
        assert made.in_space(TokenSpace.TRAINED).labels[0] == ("<query>" if task == "query" else "<doc>")
        assert "".join(made.word_texts) == TEXT.replace(" ", "")


def test_an_earlier_layer_gives_the_raw_states_alone(tiny_neomme, oracle):
    backbone = load(tiny_neomme, late_layer=2)
    made, whole = backbone.encode_query(Query(TEXT)), loaded("tiny-neomme").encode_query(Query(TEXT))
    ids = oracle.words(TEXT)[-1]
    states = oracle.states(ids, [(at, at) for at in range(len(ids))])[1]
    np.testing.assert_allclose(made.tokens, unit(states)[1:-10], atol=1e-4)
    np.testing.assert_array_equal(made.pooled, whole.pooled)
    np.testing.assert_array_equal(made.spaces[TokenSpace.TRAINED].tokens, whole.spaces[TokenSpace.TRAINED].tokens)
    assert backbone.encoder.fingerprint != loaded("tiny-neomme").encoder.fingerprint
    assert load(tiny_neomme, late_layer=4).encoder == loaded("tiny-neomme").encoder
    with pytest.raises(SettingRefused, match="has 4 layers"):
        load(tiny_neomme, late_layer=5)


def test_the_batch_of_a_gpu_changes_nothing(tiny_neomme, monkeypatch):
    """Through the real batching: pages of equal length share a pass, also if their grids differ (2 × 5 and 3 × 3)."""
    sizes = [(150, 230), (230, 150), (150, 230), (64, 160), (150, 230), (96, 96), (150, 230)]
    pages = [page("", at + 1, speckled(*size, at)) for at, size in enumerate(sizes)]
    texts = ["red star", "a motor", "red star", "", "part number 7", "tide"] * 3
    alone = [loaded("tiny-neomme").encode_pages([one])[0] for one in pages]
    words = list(loaded("tiny-neomme").encode_texts(texts))
    monkeypatch.setattr(
        "smart_demo.backbones.neomme.choose_placement",
        lambda *_, **__: device.Placement("cpu", "float32", False, 3, "It."),
    )
    batched = load(tiny_neomme)
    for one, many in zip([*alone, *words], [*batched.encode_pages(pages), *batched.encode_texts(texts)], strict=True):
        np.testing.assert_allclose(one.pooled, many.pooled, atol=1e-5)
        np.testing.assert_allclose(one.tokens, many.tokens, atol=1e-5)
        np.testing.assert_allclose(
            one.in_space(TokenSpace.TRAINED).tokens, many.in_space(TokenSpace.TRAINED).tokens, atol=1e-5
        )


def test_a_mark_on_the_page_moves_the_token_of_its_cell_most():
    plain = np.full((96, 128, 3), 200, np.uint8)
    for row, col in [(0, 0), (0, 3), (2, 1)]:
        marked = plain.copy()
        marked[row * 32 : row * 32 + 32, col * 32 : col * 32 + 32] = speckled(32, 32, row)
        before, after = loaded("tiny-neomme").encode_pages([page("", pixels=plain), page("", pixels=marked)])
        for space in TokenSpace.RAW, TokenSpace.TRAINED:
            ours, theirs = after.in_space(space), before.in_space(space)
            moved = np.linalg.norm(ours.tokens - theirs.tokens, axis=1)
            moved[ours.kinds != PATCH] = 0
            assert ours.place.cell(int(moved.argmax())) == (row, col)


def test_a_picture_alone_is_compared_as_a_page_and_the_answer_says_so():
    backbone = loaded("tiny-neomme")
    made = backbone.encode_query(Query(image=PIXELS))
    (as_page,) = backbone.encode_pages([page("", pixels=PIXELS)])
    np.testing.assert_allclose(made.tokens, as_page.tokens, atol=1e-6)
    assert set(made.kinds) == {PATCH}
    assert made.labels[0] == "▦ 1,1"
    (notice,) = made.notices
    assert (notice.code, notice.text) == (
        "picture-as-page",
        "tiny-neomme learned from questions in words. It compares your picture as if it were a page.".replace(
            "tiny-neomme", backbone.encoder.name
        ),
    )


def test_of_words_and_a_picture_the_words_are_searched_and_the_answer_says_so():
    both, words = (loaded("tiny-neomme").encode_query(Query("red star", image)) for image in (PIXELS, None))
    np.testing.assert_array_equal(both.tokens, words.tokens)
    (notice,) = both.notices
    assert notice.code == "picture-not-seen"
    assert "searched with the words" in notice.text
    assert words.notices == ()


def test_a_query_beyond_the_window_is_cut_with_a_notice(tiny_neomme, monkeypatch):
    monkeypatch.setattr("smart_demo.backbones.neomme_prompt.MAX_TEXT_TOKENS", 40)
    made = load(tiny_neomme).encode_query(Query("motor " * 50))
    (notice,) = made.notices
    assert notice.code == "query-cut"
    assert "window of 40 tokens: its first 29 of" in notice.text
    assert made.in_space(TokenSpace.TRAINED).labels[-1] == "<mask>"


def test_the_default_budget_follows_the_device(tiny_neomme, monkeypatch):
    assert load(tiny_neomme, visual_tokens=0).encoder.visual_tokens == CPU_VISUAL_TOKENS == 736
    monkeypatch.setattr("smart_demo.backbones.neomme.load_model", lambda *_: torch.nn.Identity())
    monkeypatch.setattr("smart_demo.backbones.neomme.detect_machine", lambda: Machine("cuda", capability=(9, 0)))
    assert load(tiny_neomme, visual_tokens=0).encoder.visual_tokens == GPU_VISUAL_TOKENS == 2_944


def test_bfloat16_stays_close_and_float16_is_refused(tiny_neomme):
    exact, narrow = loaded("tiny-neomme"), load(tiny_neomme, dtype="bfloat16")
    assert narrow.encoder.fingerprint == exact.encoder.fingerprint
    one, other = (backbone.encode_query(Query(TEXT)) for backbone in (exact, narrow))
    assert float(one.pooled @ other.pooled) > 0.99
    with pytest.raises(SettingRefused, match="float16 is too narrow"):
        load(tiny_neomme, dtype="float16")


def rewrite(change):
    """Return a change of a checkpoint's weights."""

    def harm(folder):
        path = folder / "model.safetensors"
        weights = load_file(path)
        change(weights)
        save_file(weights, path, metadata={"format": "pt"})

    return harm


def edit(name, **facts):
    """Return a change of a JSON file of a checkpoint."""

    def harm(folder):
        path = folder / name
        path.write_text(json.dumps(json.loads(path.read_text()) | facts))

    return harm


def write(name, text):
    return lambda folder: (folder / name).write_text(text)


def remove(name):
    return lambda folder: (folder / name).unlink()


ENDS = "image_processor"
FROM_0_TO_1 = {"image_mean": [0.0] * 3, "image_std": [1.0] * 3, "rescale_factor": 1 / 255}


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (rewrite(lambda w: w.pop(HEAD)), r"1 weights are missing \(first: multi_vector_head"),
        (rewrite(lambda w: w.update(surplus=torch.zeros(3))), "1 weights have no place in the model"),
        (rewrite(lambda w: w.update({HEAD: torch.zeros(3, 3)})), "1 weights have another shape"),
        (rewrite(lambda w: w[HEAD].fill_(torch.nan)), "holds values that are no numbers"),
        (remove("model.safetensors"), "does not hold a whole model"),
        (remove("tokenizer.json"), "tokenizer"),
        (write("tokenizer.json", '{"model": {"type": "BPE"}}'), "tokenizer"),
        (remove("chat_template.jinja"), "chat template cannot be used"),
        (write("chat_template.jinja", "{{ oops("), "chat template cannot be used"),
        (write("chat_template.jinja", "{{ query_token }}"), "writes no query as this program expects it"),
        (remove("processor_config.json"), "image settings of copy cannot be read"),
        (write("processor_config.json", "[]"), "image settings of copy cannot be read"),
        (edit("processor_config.json", image_processor=FROM_0_TO_1), "colours in another range"),
        (edit("tokenizer_config.json", extra_special_tokens={}), "names no token for document, image, query, row"),
        (edit("config.json", image_token_id=9), "does not belong to its weights"),
        (edit("config.json", patch_size=16), "takes patches of 16 pixels"),
        (edit("config.json", num_key_value_heads=3), "describes no NeoMME model"),
        (edit("config.json", auto_map={"AutoModel": "own.py"}), "brings code of its own"),
    ],
)
def test_a_damaged_folder_is_refused_in_words(tiny_neomme_copy, harm, message):
    harm(tiny_neomme_copy)
    with pytest.raises(BackboneUnavailable, match=message) as caught:
        load(tiny_neomme_copy)
    assert str(tiny_neomme_copy.parent) not in str(caught.value) or "whole model" in message


def test_the_fingerprint_follows_weights_budget_filter_and_template(tiny_neomme, tiny_neomme_copy):
    base = loaded("tiny-neomme").encoder.fingerprint
    path = tiny_neomme_copy / "chat_template.jinja"
    path.write_text(path.read_text().replace("mask_token * 10", "mask_token * 9"))
    others = [load(tiny_neomme_copy), load(tiny_neomme, token_filter="paper"), load(tiny_neomme, visual_tokens=17)]
    others.append(load(write_tiny_neomme(tiny_neomme_copy.parent / "other", seed=1)))
    assert len({base, *(one.encoder.fingerprint for one in others)}) == 5


def test_image_settings_in_the_older_file_and_form_are_read(tiny_neomme_copy):
    (tiny_neomme_copy / "processor_config.json").unlink()
    facts = {"image_mean": [1.0] * 3, "image_std": [1.0] * 3, "rescale_factor": 1 / 127.5}
    (tiny_neomme_copy / "preprocessor_config.json").write_text(json.dumps(facts))
    assert isinstance(load(tiny_neomme_copy), NeoMME)
