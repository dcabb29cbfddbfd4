"""Checkpoints that must not be trusted, and what is known of a good one before and after it is loaded."""

import json
import logging
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from smart_demo.backbones.checkpoint_files import HUB_IDS, fetch_checkpoint, hash_checkpoint, is_on_disk, read_dtype
from smart_demo.backbones.device import Placement
from smart_demo.backbones.qwen import loading, model
from smart_demo.backbones.qwen.model import Qwen3VL
from smart_demo.config import Settings
from smart_demo.errors import BackboneUnavailable
from smart_demo.types import Query
from tests.backbones.qwen.cases import page, picture
from tests.backbones.qwen.tiny_checkpoint import write_tiny_qwen

LAYER = "model.language_model.layers.1.mlp.up_proj.weight"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def load(folder, **settings):
    return Qwen3VL.load(str(folder), Settings(visual_tokens=16, **settings))


def dtypes(folder, wanted):
    """Return the formats of the loaded weights."""
    parts = loading.load_checkpoint(fetch_checkpoint(str(folder)), wanted)
    return {values.dtype for values in parts.model.parameters()}


def rewrite(folder, change):
    path = folder / "model.safetensors"
    weights = load_file(path)
    changed = change(weights)
    save_file(weights if changed is None else changed, path, metadata={"format": "pt"})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda w: {key: value for key, value in w.items() if key != LAYER},
            r"1 weights are missing \(first: .*layers\.1\.mlp\.up_proj",
        ),
        (lambda w: w.update(surplus=torch.zeros(3)), r"1 weights have no place in the model \(first: surplus"),
        (lambda w: w.update({LAYER: torch.zeros(3, 3)}), "1 weights have another shape"),
        (lambda w: w.update({LAYER: torch.full_like(w[LAYER], torch.nan)}), "holds values that are no numbers"),
        (lambda w: {f"old.{key}": value for key, value in w.items()}, "are missing"),
    ],
)
def test_weights_that_did_not_load_completely_are_refused(tiny_qwen_copy, change, message):
    rewrite(tiny_qwen_copy, change)
    with pytest.raises(BackboneUnavailable, match=message) as caught:
        load(tiny_qwen_copy)
    assert caught.value.hint


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("has_head", [True, False])
def test_a_head_for_words_may_be_there_or_not_and_changes_nothing(tiny_qwen, tiny_qwen_copy, tied, has_head):
    """Qwen3-VL-Embedding-8B has none, though its configuration says that the head is not tied to the embeddings."""
    config = json.loads((tiny_qwen_copy / "config.json").read_text())
    config["tie_word_embeddings"] = config["text_config"]["tie_word_embeddings"] = tied
    (tiny_qwen_copy / "config.json").write_text(json.dumps(config))
    weights = load_file(tiny_qwen_copy / "model.safetensors")
    assert not any("lm_head" in name for name in weights)  # the tiny model ties it, so it is not in its file
    if has_head:
        head = {"lm_head.weight": torch.ones_like(weights["model.language_model.embed_tokens.weight"])}
        rewrite(tiny_qwen_copy, lambda w: w.update(head))
    ours, theirs = load(tiny_qwen_copy).encode_query(Query("motor")), load(tiny_qwen).encode_query(Query("motor"))
    np.testing.assert_array_equal(ours.tokens, theirs.tokens)
    np.testing.assert_array_equal(ours.pooled, theirs.pooled)


def test_keys_as_the_inner_model_saves_them_load_too(tiny_qwen, tiny_qwen_copy):
    rewrite(tiny_qwen_copy, lambda w: {key.removeprefix("model."): value for key, value in w.items()})
    ours, theirs = load(tiny_qwen_copy).encode_query(Query("motor")), load(tiny_qwen).encode_query(Query("motor"))
    np.testing.assert_array_equal(ours.tokens, theirs.tokens)


def tear(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def foreign(folder):
    (folder / "config.json").write_text(json.dumps({"model_type": "bert"}))


def damaged_configuration(folder):
    (folder / "config.json").write_text("{")


def other_image_token(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"image_token_id": 1}))


def remove(name):
    return lambda folder: (folder / name).unlink()


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (tear, "does not hold a whole model"),
        (remove("model.safetensors"), "does not hold a whole model"),
        (remove("config.json"), "does not hold a whole model"),
        (remove("tokenizer.json"), "tokenizer"),
        (lambda folder: (folder / "tokenizer.json").write_text('{"model": {"type": "BPE"}}'), "tokenizer"),
        (remove("preprocessor_config.json"), "image settings"),
        (foreign, "of type bert"),
        (damaged_configuration, "cannot be read"),
        (other_image_token, "does not belong to its weights"),
    ],
)
def test_an_incomplete_checkpoint_is_refused_with_the_reason(tiny_qwen_copy, harm, message):
    harm(tiny_qwen_copy)
    with pytest.raises(BackboneUnavailable, match=message) as caught:
        load(tiny_qwen_copy)
    assert caught.value.hint
    assert str(tiny_qwen_copy.parent) not in str(caught.value) or "whole model" in message


def test_a_checkpoint_with_a_missing_shard_is_not_whole(tiny_qwen_copy):
    (tiny_qwen_copy / "model.safetensors").rename(tiny_qwen_copy / "model-00001-of-00002.safetensors")
    files = {LAYER: "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    (tiny_qwen_copy / "model.safetensors.index.json").write_text(json.dumps({"weight_map": files}))
    assert not is_on_disk(str(tiny_qwen_copy))
    with pytest.raises(BackboneUnavailable):
        load(tiny_qwen_copy)


def test_float32_weights_are_not_narrowed_and_the_reason_says_so(tiny_qwen):
    backbone = load(tiny_qwen)
    assert read_dtype(tiny_qwen) == "float32"
    assert "not narrowed" in backbone.reason
    assert dtypes(tiny_qwen, "auto") == {torch.float32}


def test_a_setting_is_obeyed_and_bfloat16_stays_close(tiny_qwen):
    wide, narrow = load(tiny_qwen), load(tiny_qwen, dtype="bfloat16")
    assert dtypes(tiny_qwen, "bfloat16") == {torch.bfloat16}
    assert narrow.encoder.fingerprint == wide.encoder.fingerprint
    for made, exact in zip(narrow.encode_pages([page(picture())]), wide.encode_pages([page(picture())]), strict=True):
        assert made.tokens.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(made.tokens, axis=1), 1, atol=1e-5)
        assert float(made.pooled @ exact.pooled) > 0.99


def test_the_fingerprint_follows_weights_budget_and_filter_but_not_the_packaging(tiny_qwen, tiny_qwen_copy):
    base = load(tiny_qwen).encoder
    weights = load_file(tiny_qwen_copy / "model.safetensors")
    names = sorted(weights)
    index = {"metadata": {}, "weight_map": {}}
    for number, some in enumerate((names[::2], names[1::2])):
        save_file(
            {name: weights[name] for name in some}, tiny_qwen_copy / f"part{number}.safetensors", {"format": "pt"}
        )
        index["weight_map"] |= dict.fromkeys(some, f"part{number}.safetensors")
    (tiny_qwen_copy / "model.safetensors").unlink()
    (tiny_qwen_copy / "model.safetensors.index.json").write_text(json.dumps(index))
    assert load(tiny_qwen_copy).encoder.fingerprint == base.fingerprint
    assert load(tiny_qwen, token_filter="paper").encoder.fingerprint != base.fingerprint
    assert Qwen3VL.load(str(tiny_qwen), Settings(visual_tokens=17)).encoder.fingerprint != base.fingerprint
    assert hash_checkpoint(write_tiny_qwen(tiny_qwen_copy.parent / "other", seed=1)) != base.weights


def test_one_changed_value_of_one_tensor_changes_the_hash(tiny_qwen, tiny_qwen_copy):
    rewrite(tiny_qwen_copy, lambda w: w[LAYER].__setitem__((5, 7), 0.5))
    assert hash_checkpoint(tiny_qwen_copy) != hash_checkpoint(tiny_qwen)


def test_the_hash_of_a_large_checkpoint_still_sees_every_tensor(tiny_qwen, tiny_qwen_copy, monkeypatch):
    monkeypatch.setattr("smart_demo.backbones.checkpoint_files.MAX_FULL_HASH_BYTES", 0)
    before = hash_checkpoint(tiny_qwen_copy)
    assert before == hash_checkpoint(tiny_qwen)
    for name in (LAYER, "model.visual.merger.norm.bias"):
        rewrite(tiny_qwen_copy, lambda w, name=name: w.update({name: w[name] + 0.01}))
        after = hash_checkpoint(tiny_qwen_copy)
        assert after != before
        before = after


@pytest.fixture
def hub_cache(tmp_path, monkeypatch):
    """An empty cache, and a hub that cannot be reached: no test asks the network."""
    import huggingface_hub.constants as constants

    cache = tmp_path / "hub"
    cache.mkdir()
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return cache


def test_a_model_that_is_neither_here_nor_reachable_is_refused_in_words(hub_cache):
    assert not is_on_disk("qwen3-vl-2b")
    with pytest.raises(BackboneUnavailable, match="hub cannot be reached") as caught:
        Qwen3VL.load("qwen3-vl-2b", Settings())
    assert "folder" in caught.value.hint
    with pytest.raises(BackboneUnavailable, match="neither a folder here nor"):
        Qwen3VL.load("no such/thing/anywhere", Settings())


def test_a_whole_snapshot_in_the_cache_is_found_and_loaded_without_the_hub(tiny_qwen, hub_cache):
    snapshot = hub_cache / "models--Qwen--Qwen3-VL-Embedding-2B" / "snapshots" / COMMIT
    shutil.copytree(tiny_qwen, snapshot)
    refs = snapshot.parent.parent / "refs"
    refs.mkdir()
    (refs / "main").write_text(COMMIT)
    assert is_on_disk("qwen3-vl-2b", "newest")
    assert is_on_disk(HUB_IDS["qwen3-vl-2b"], COMMIT)
    assert not is_on_disk("qwen3-vl-2b")  # another commit than the one that is pinned
    encoder = Qwen3VL.load("qwen3-vl-2b", Settings(visual_tokens=16, revision="newest")).encoder
    assert (encoder.name, encoder.revision) == ("qwen3-vl-2b", COMMIT)
    assert encoder.fingerprint == load(tiny_qwen).encoder.fingerprint
    (snapshot / "model.safetensors").unlink()
    assert not is_on_disk("qwen3-vl-2b", "newest")


def test_the_pooled_token_is_logged(tiny_qwen, caplog):
    with caplog.at_level(logging.INFO, logger=model.__name__):
        load(tiny_qwen)
    assert "pooled token is '↵'" in caplog.text


def test_a_model_that_accelerate_spreads_encodes_the_same(tiny_qwen, monkeypatch):
    """Without a GPU all layers are on the CPU: this tests the wiring."""
    (alone,) = load(tiny_qwen).encode_pages([page(picture())])
    placement = Placement("cpu", "float32", sharded=True, batch=1, reason="spread.")
    monkeypatch.setattr(loading, "choose_placement", lambda *_: placement)
    backbone = load(tiny_qwen)
    assert backbone.reason.endswith("spread.")
    (spread,) = backbone.encode_pages([page(picture())])
    np.testing.assert_allclose(spread.tokens, alone.tokens, atol=1e-6)


def test_a_device_without_room_for_the_weights_raises_backbone_unavailable(tiny_qwen, monkeypatch):
    """Simulate a GPU that was filled after it was chosen; this device does not exist."""
    placement = Placement("mps", "float32", sharded=False, batch=1, reason="It was free.")
    monkeypatch.setattr(loading, "choose_placement", lambda *_: placement)
    with pytest.raises(BackboneUnavailable, match="tiny could not be moved to the device mps"):
        load(tiny_qwen)
