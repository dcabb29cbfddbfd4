"""Checkpoints that are refused, and what loading leaves out."""

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from smart_demo.backbones import embedding_gemma, model_loading
from smart_demo.backbones.checkpoint_files import fetch_checkpoint, read_dtype
from smart_demo.backbones.device import Machine
from smart_demo.backbones.embedding_gemma import EmbeddingGemma, load_gemma
from smart_demo.backbones.model_loading import count_parameters
from smart_demo.backbones.registry import load_backbone
from smart_demo.config import Settings
from smart_demo.errors import BackboneUnavailable, SettingRefused
from smart_demo.types import Query
from tests.backbones.cases import loaded, tiny_gemma_folder

LAYER = "language_model.layers.1.mlp.up_proj.weight"


@pytest.fixture
def copy(tmp_path):
    return shutil.copytree(tiny_gemma_folder(), tmp_path / "copy")


def load(folder, **settings):
    return EmbeddingGemma.load(str(folder), Settings(**{"visual_tokens": 70, "dtype": "float32"} | settings))


def rewrite(folder, change):
    path = folder / "model.safetensors"
    weights = load_file(path)
    changed = change(weights)
    save_file(weights if changed is None else changed, path, metadata={"format": "pt"})


def without(*beginnings):
    return lambda weights: {key: value for key, value in weights.items() if not key.startswith(beginnings)}


def reconfigure(folder, file="config.json", **changes):
    facts = json.loads((folder / file).read_text())
    (folder / file).write_text(json.dumps(facts | changes))


def test_it_is_loaded_by_its_type_and_its_audio_is_not():
    folder = tiny_gemma_folder()
    assert (
        load_backbone(str(folder), Settings(visual_tokens=70, dtype="float32")).encoder == loaded("tiny-gemma").encoder
    )
    model = load_gemma(fetch_checkpoint(str(folder)), "float32").model
    assert model.audio_tower is None
    assert model.embed_audio is None
    assert sum(values.numel() for values in model.parameters()) < count_parameters(folder)
    assert read_dtype(folder) == "bfloat16"


def test_weights_without_audio_encode_the_same(copy):
    rewrite(copy, without("audio_tower.", "embed_audio."))
    reconfigure(copy, audio_config=None)
    ours, theirs = load(copy).encode_query(Query("motor")), loaded("tiny-gemma").encode_query(Query("motor"))
    np.testing.assert_array_equal(ours.tokens, theirs.tokens)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without(LAYER), r"1 weights are missing \(first: .*layers\.1\.mlp\.up_proj"),
        (without("vision_tower."), "are missing"),
        (without("embed_vision."), "1 weights are missing"),
        (without("language_model.layers.0.layer_scalar"), "1 weights are missing"),
        (lambda w: w.update({LAYER: torch.zeros(3, 3)}), "1 weights have another shape"),
        (lambda w: w.update({LAYER: torch.full_like(w[LAYER], torch.nan)}), "holds values that are no numbers"),
        (lambda w: {f"model.old.{key}": value for key, value in w.items()}, "are missing"),
    ],
)
def test_weights_that_did_not_load_completely_are_refused(copy, change, message):
    rewrite(copy, change)
    with pytest.raises(BackboneUnavailable, match=message) as refusal:
        load(copy)
    assert refusal.value.hint


def other_patches(folder):
    vision = json.loads((folder / "config.json").read_text())["vision_config"]
    reconfigure(folder, vision_config=vision | {"patch_size": 14})


def no_mark(folder):
    text = (folder / "tokenizer.json").read_text()
    (folder / "tokenizer.json").write_text(text.replace("<image|>", "<picture|>"))
    reconfigure(folder, "tokenizer_config.json", eoi_token="<picture|>")


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda folder: (folder / "model.safetensors").unlink(), "does not hold a whole model"),
        (lambda folder: (folder / "tokenizer.json").unlink(), "tokenizer or image settings"),
        (lambda folder: (folder / "tokenizer.json").write_text('{"model": {"type": "BPE"}}'), "tokenizer or image"),
        # The file beside it, preprocessor_config.json, holds the settings of audio.
        (lambda folder: (folder / "processor_config.json").unlink(), "tokenizer or image settings"),
        (lambda folder: reconfigure(folder, model_type="bert"), "of type bert, not an EmbeddingGemma 2"),
        (lambda folder: reconfigure(folder, vision_config=None), "has no vision tower"),
        (lambda folder: reconfigure(folder, image_token_id=7), "does not belong to its weights"),
        (lambda folder: reconfigure(folder, auto_map={"AutoModel": "own.Own"}), "code of its own"),
        (lambda folder: reconfigure(folder, text_config={"hidden_size": "wide"}), "values that do not fit its model"),
        (other_patches, "patches of another size"),
        (no_mark, r"lacks <image\|>"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_refused_with_the_reason(copy, harm, message):
    harm(copy)
    with pytest.raises(BackboneUnavailable, match=message) as refusal:
        load(copy)
    assert refusal.value.hint


def test_float16_is_refused_if_it_is_set_and_widened_if_it_is_stored(copy, monkeypatch):
    with pytest.raises(SettingRefused, match="SMART_DTYPE=float16 is too narrow") as refusal:
        load(tiny_gemma_folder(), dtype="float16")
    assert "bfloat16 or float32" in refusal.value.hint
    rewrite(copy, lambda weights: {key: value.half() for key, value in weights.items()})
    monkeypatch.setattr(embedding_gemma, "detect_machine", lambda: Machine("mps"))  # the only check is of the format
    monkeypatch.setattr(model_loading, "_move_to_device", lambda model, *_: model)
    assert load(copy, dtype="auto").runtime.dtype == "float32"


def test_bfloat16_stays_close():
    wide, narrow = loaded("tiny-gemma"), load(tiny_gemma_folder(), dtype="bfloat16")
    assert narrow.encoder.fingerprint == wide.encoder.fingerprint
    a, b = (one.encode_query(Query("the red star")) for one in (wide, narrow))
    assert float(a.pooled @ b.pooled) > 0.99
    np.testing.assert_allclose(np.linalg.norm(b.tokens, axis=1), 1, atol=1e-5)


def test_the_fingerprint_follows_weights_settings_of_images_budget_and_filter(copy):
    base = loaded("tiny-gemma").encoder.fingerprint
    assert load(copy).encoder.fingerprint == base
    assert load(copy, token_filter="paper").encoder.fingerprint != base
    assert load(copy, visual_tokens=140).encoder.fingerprint != base
    assert load(copy, visual_tokens=139).encoder.fingerprint == base
    reconfigure(copy, "processor_config.json", image_seq_length=281)
    assert load(copy).encoder.fingerprint != base
