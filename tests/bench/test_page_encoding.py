"""Benchmarks of indexing and encoding: both encoders encode the same, and no file stays. The tests check no time."""

import json
import math
from pathlib import Path

import pytest

from tests import bench
from tests.bench import Figure, Goal, checkpoint, encoders, harness, indexing, page_encoding
from tests.bench.__main__ import main
from tests.bench.page_encoding import OfficialWrapper

SMALL_TEXT = {"vocab_size": 900, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2}
SMALL_TEXT |= {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16}
SMALL_VISION = {"depth": 2, "hidden_size": 32, "intermediate_size": 64, "num_heads": 2, "out_hidden_size": 64}
SMALL_VISION |= {"num_position_embeddings": 64, "deepstack_visual_indexes": [0]}


@pytest.fixture
def small_checkpoint(monkeypatch, tmp_path):
    """The bench with a checkpoint of half a megabyte, in this process, its folders under tmp_path."""
    rope = {"rope_type": "default", "rope_theta": 5e6, "mrope_section": [4, 2, 2]}
    monkeypatch.setattr(checkpoint, "TEXT_CONFIG", {**checkpoint.TEXT_CONFIG, **SMALL_TEXT, "rope_parameters": rope})
    monkeypatch.setattr(checkpoint, "VISION_CONFIG", {**checkpoint.VISION_CONFIG, **SMALL_VISION})
    monkeypatch.setattr(checkpoint, "STANDARD_DEVIATION", 0.2)  # at the usual one two layers hardly mix
    monkeypatch.setattr(page_encoding, "LARGEST", (3, 4))
    monkeypatch.setattr(page_encoding, "TIMED", (3, 2))
    monkeypatch.setattr(page_encoding, "ROUNDS", 1)
    here = {"checkpoint": checkpoint.write_checkpoint, "page_encoding": page_encoding.measure}
    monkeypatch.setattr(harness, "run_module", lambda module, folder: f"\n{json.dumps(here[module](Path(folder)))}\n")
    monkeypatch.setattr(indexing.tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_encoding_is_measured_on_a_checkpoint_that_loads_as_any_other_and_is_deleted(small_checkpoint):
    official, memory, pace, *others = indexing.measure_encoding()
    assert all(isinstance(one, Figure) and one.measured > 0 for one in others)
    assert (official.name, official.bound, str(official.kind)) == ("encode.official", indexing.OFFICIAL_BOUND, "max")
    assert (memory.name, memory.bound, str(memory.kind)) == ("encode.memory", 1.0, "max")
    assert isinstance(pace, Figure)
    assert min(official.measured, memory.measured, pace.measured) > 0
    assert list(small_checkpoint.glob("smart-demo-bench-*")) == []


def test_a_comparison_with_something_else_is_none(small_checkpoint, monkeypatch):
    monkeypatch.setattr(OfficialWrapper, "encode", lambda self, pixels: -page_encoding.np.ones(64, dtype="f4") / 8)
    with pytest.raises(RuntimeError, match="something else"):
        indexing.measure_encoding()


def test_the_checkpoint_is_as_large_as_the_published_one():
    import torch

    with torch.device("meta"):
        model = checkpoint.build_model(dict.fromkeys((f"<|{name}|>" for name in checkpoint.CONTROL_TOKENS), 0))
    sizes = {
        name: math.prod(one.shape) for name, one in model.named_parameters() if name not in checkpoint.UNUSED_WEIGHTS
    }
    assert sum(sizes.values()) == 2_127_532_032


def test_indexing_goes_through_the_engine_and_leaves_nothing(monkeypatch, tmp_path):
    monkeypatch.setattr(indexing, "TEXT_DOCUMENTS", ("galley-menu-week-24.pdf",))
    monkeypatch.setattr(indexing, "SCANS", ("boya-aviso-es.pdf",))  # it has words: OCR takes half a minute to load
    monkeypatch.setattr(indexing.tempfile, "tempdir", str(tmp_path))
    written, scanned = indexing.measure_indexing()
    assert (written.name, scanned.name) == ("index.minilm", "index.minilm.ocr")
    assert "2 pages" in written.what
    assert min(written.measured, scanned.measured) > 0
    assert list(tmp_path.glob("smart-demo-bench-*")) == []


def measure_one():
    return [Goal("one", "a goal", 1, 2)]


def measure_two():
    return [Figure("two", "apples a day", 1.5), Goal("missed", "a goal", 3, 2)]


def test_figures_stand_beside_goals_and_none_is_missed(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(bench, "MEASURES", (measure_one, lambda: measure_two()[:1]))
    out = tmp_path / "bench.json"
    assert main(["--out", str(out)]) == 0
    report = json.loads(out.read_text())
    assert [row["name"] for row in report["goals"]] == ["one"]
    assert report["figures"] == [{"name": "two", "measured": 1.5}]
    assert "| two | 1.500 | | | apples a day |" in capsys.readouterr().out


def test_a_measure_is_left_out_by_name_and_no_other(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(bench, "MEASURES", (measure_one, measure_two))
    out = tmp_path / "bench.json"
    assert main(["--out", str(out), "--without", "two"]) == 0
    assert [row["name"] for row in json.loads(out.read_text())["goals"]] == ["one"]
    assert main(["--without", "too"]) == 1
    assert "There is no measure too. --without takes one, two." in capsys.readouterr().err


def test_models_that_look_at_pages_are_measured_at_their_own_budgets(monkeypatch, tmp_path):
    tiny = {"neomme-260m": encoders.write_tiny_neomme, "embeddinggemma-2": encoders.write_tiny_gemma}
    monkeypatch.setattr(encoders, "WRITERS", tiny)
    monkeypatch.setattr(encoders, "PDF_PAGES", 3)
    monkeypatch.setattr(encoders, "ROUNDS", 1)
    run = lambda _, name, folder: f"\n{json.dumps(encoders.measure(name, Path(folder)))}\n"  # noqa: E731
    monkeypatch.setattr(harness, "run_module", run)
    monkeypatch.setattr(encoders.tempfile, "tempdir", str(tmp_path))
    results = {result.name: result for result in encoders.measure_encoders()}
    facts = ("page", "query", "load", "memory")
    assert set(results) == {"index.busy", *(f"encode.{name}.{fact}" for name in tiny for fact in facts)}
    assert "266 visual tokens" in results["encode.embeddinggemma-2.page"].what
    assert "736 visual tokens" in results["encode.neomme-260m.page"].what
    assert 0 < results["index.busy"].measured <= 1
    assert min(result.measured for result in results.values()) > 0
    assert not list(tmp_path.glob("smart-demo-bench-*"))
