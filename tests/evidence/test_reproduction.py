"""The reproduction on small sets of the published layouts: figures, comparison, limit, failures, and after a kill."""

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from smart_demo.backbones import registry
from smart_demo.cli import main
from smart_demo.config import Settings
from smart_demo.errors import BackboneUnavailable, SettingRefused
from smart_demo.evidence import benchmarks
from smart_demo.evidence.benchmarks import BENCHMARKS, PUBLISHED, Benchmark, BenchmarkSet, PublishedFigure
from smart_demo.evidence.reproduction import ReproductionPlan, run_reproduction
from smart_demo.evidence.reproduction_report import compare_run, format_reproduction
from smart_demo.types import TokenSpace
from tests.backbones.cases import tiny_neomme_folder, tiny_qwen_folder
from tests.evidence.cases import Painted, painted_grades, write_painted
from tests.hub_server import COMMIT, serve_hub

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = Settings(backbone="words", codec="float32")
CUTS = (5, 10)


def benchmark(*sets, name="two", **left_out):
    return Benchmark(name, "Two sets", 5, sets, left_out)


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    """Yield a benchmark of a graded set and a binary one."""
    root = tmp_path_factory.mktemp("sets")
    write_painted(root / "graded", graded=True)
    write_painted(root / "binary", split="train")
    return benchmark(
        BenchmarkSet("graded", str(root / "graded")),
        BenchmarkSet("binary", str(root / "binary"), split="train"),
        secret="It has no public dataset.",
    )


@pytest.fixture
def painted(monkeypatch):
    """Yield the backbone that every run loads."""
    backbone = Painted()
    monkeypatch.setattr(registry, "load_backbone", lambda name, settings: backbone)
    return backbone


def figures_by_hand(*, graded, queries=range(Painted.QUERIES)):
    """Compute every query's nDCG from the states alone, in plain loops."""

    def late(query, page, space):
        rows = Painted.states("q", query, space).astype(float) @ Painted.states("p", page, space).astype(float).T
        return sum(max(row) for row in rows) / len(rows)

    def pooled(query, page):
        return float(Painted.pooled("q", query).astype(float) @ Painted.pooled("p", page).astype(float))

    scores = {
        "pooled": pooled,
        "late": lambda q, p: late(q, p, TokenSpace.RAW),
        "smart": lambda q, p: pooled(q, p) + late(q, p, TokenSpace.RAW),
        "trained": lambda q, p: late(q, p, TokenSpace.TRAINED),
    }
    gains = {"linear": lambda grade: grade, "exponential": lambda grade: 2**grade - 1}
    found = {method: {f"ndcg@{cut}-{gain}": [] for cut in CUTS for gain in gains} for method in scores}
    for method, score in scores.items():
        for query in queries:
            grades = painted_grades(query, graded=graded)
            order = sorted(range(Painted.PAGES), key=lambda page: -score(query, page))
            for gain, of in gains.items():
                won = [of(grades.get(page, 0)) / np.log2(place + 2) for place, page in enumerate(order)]
                best = sorted((of(grade) for grade in grades.values()), reverse=True)
                ideal = sum(value / np.log2(place + 2) for place, value in enumerate(best))
                for cut in CUTS:
                    found[method][f"ndcg@{cut}-{gain}"].append(sum(won[:cut]) / ideal)
    return found


def published(value, method="smart", gain="linear", source="table", **more):
    return PublishedFigure("painted", "two", method, value, 5, gain, source, "a protocol", **more)


def test_figures_and_differences_equal_a_computation_by_hand(sets, painted, tmp_path):
    told = []
    found = run_reproduction(SETTINGS, ReproductionPlan((sets,), tmp_path, command="reproduce"), told.append)
    by_hand = {name: figures_by_hand(graded=name == "graded") for name in ("graded", "binary")}
    for name, expected in by_hand.items():
        values = found["sets"][f"two/{name}"]["values"]
        assert list(values) == ["pooled", "late", "smart", "trained"]
        for method, figures in expected.items():
            for figure, own in figures.items():
                assert values[method][figure] == pytest.approx(own), (name, method, figure)
    estimate = next(line for line in told if line.startswith("Estimate for 2 sets: "))
    assert "24 pages to encode at" in estimate
    assert "24 queries to rank" in estimate
    assert told.index(estimate) < told.index("two/graded: 12 pages, 12 queries.")
    assert sorted(painted.encoded) == sorted([*range(12)] * 2)  # those of the estimate are not encoded twice

    table = (published(0.5, "pooled"), published(0.6), published(0.4, "trained", "exponential", "card"),
             published(0.9, "late", "not stated", "set", set="graded"))  # fmt: skip
    report = compare_run(found, [sets], table)
    own = report["benchmarks"]["two"]
    for gain in ("linear", "exponential"):
        figure = f"ndcg@5-{gain}"
        means = {m: np.mean([np.mean(by_hand[s][m][figure]) for s in by_hand]) for m in ("pooled", "smart", "trained")}
        for method, mean in means.items():
            assert own["all"]["means"][method][figure] == pytest.approx(mean)
        assert own["all"]["difference"]["smart-pooled"][figure]["mean"] == pytest.approx(
            means["smart"] - means["pooled"]
        )
    pooled, smart, trained, late = own["published"]
    assert trained["ours"] == pytest.approx(means["trained"])  # by exponential gain, as published
    assert trained["difference"]["mean"] == pytest.approx(means["trained"] - 0.4)
    assert late["ours"] == pytest.approx(np.mean(by_hand["graded"]["late"]["ndcg@5-linear"]))
    assert late["ours_exponential"] == pytest.approx(np.mean(by_hand["graded"]["late"]["ndcg@5-exponential"]))
    for one in (pooled, smart, trained, late):
        assert one["difference"]["low"] < one["difference"]["mean"] < one["difference"]["high"]
    (gain,) = own["gain"]
    assert gain["published"] == pytest.approx(0.1)
    assert gain["ours"] == own["all"]["difference"]["smart-pooled"]["ndcg@5-linear"]
    assert own["sets"]["graded"]["graded"]
    assert not own["sets"]["binary"]["graded"]
    assert list(tmp_path.rglob("*.safetensors")) == []  # encodings of finished sets are deleted

    text = format_reproduction(json.loads(json.dumps(report)))
    assert text.startswith("# Reproduction with painted\n")
    as_qwen = format_reproduction(report | {"model": "qwen3-vl-2b"})
    assert "where the published figures have 1,800 (SMART_VISUAL_TOKENS)" in as_qwen
    assert "- Model: painted (random-8x1), revision `r1`." in text
    assert "pooled against trained late is." in text
    assert "Budget: at most 9 visual tokens a page" in text
    assert re.search(r"^\| all sets \|.*\| linear \|.*\n\| all sets \|.*\| exponential \|", text, re.M)
    assert re.search(r"^\| binary \| 12 \| 12 \| either \| 0\.", text, re.M)
    assert re.search(r"^\| Trained late \| all sets \| nDCG@5, exponential gain \| 0\.4000 \| 0\.", text, re.M)
    assert "| graded | nDCG@5, linear gain; its gain is not stated | 0.9000 |" in text
    assert "SMART − pooled, nDCG@5, linear gain: published +0.100 (table), ours " in text
    assert "| secret | It has no public dataset. |" in text
    assert "train)" in text


def test_a_missing_set_is_not_compared_with_the_mean_of_all(sets, painted, tmp_path):
    absent = benchmark(*sets.sets, BenchmarkSet("absent", "o/absent", COMMIT), name="two")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("huggingface_hub.snapshot_download", lambda *_, **__: (_ for _ in ()).throw(OSError("no disk")))
        found = run_reproduction(SETTINGS, ReproductionPlan((absent,), tmp_path))
    assert "could not be fetched" in found["sets"]["two/absent"]["error"]
    report = compare_run(found, [absent], [published(0.5), published(0.5, set="binary"), published(0.5, set="absent")])
    own = report["benchmarks"]["two"]
    assert set(own["sets"]) == {"graded", "binary"}
    whole, one, lost = own["published"]
    assert (whole["ours"], lost["ours"]) == (None, None)
    assert one["difference"] is not None
    text = format_reproduction(report)
    assert "Not in this mean: absent." in text
    assert re.search(r"^\| absent \| o/absent could not be fetched: no disk \|$", text, re.M)
    assert re.search(r"\| 0\.5000 \| not measured \| – \| – \|", text)


def test_a_limit_is_named_and_keeps_the_encodings_for_the_whole_run(sets, painted, tmp_path):
    plan = ReproductionPlan((sets,), tmp_path, limit=3)
    found = run_reproduction(SETTINGS, plan)
    values = found["sets"]["two/graded"]["values"]["smart"]["ndcg@5-linear"]
    assert values == pytest.approx(figures_by_hand(graded=True, queries=range(3))["smart"]["ndcg@5-linear"])
    text = format_reproduction(compare_run(found, [sets], [published(0.5)]))
    assert "**Only the first 3 queries of each set were run" in text
    assert "too few queries for an interval" in text
    painted.encoded.clear()
    whole = run_reproduction(SETTINGS, replace(plan, limit=0))
    assert painted.encoded == []
    assert whole["sets"]["two/graded"]["queries"] == 12
    assert len(whole["sets"]["two/graded"]["values"]["late"]["ndcg@10-linear"]) == 12


def test_pages_that_cannot_be_encoded_are_named(painted, tmp_path):
    folder = write_painted(tmp_path / "set", pages=[*range(1, 12), 255])
    chosen = benchmark(BenchmarkSet("white", str(folder)))
    found = run_reproduction(SETTINGS, ReproductionPlan((chosen,), tmp_path / "out"))
    own = found["sets"]["two/white"]
    assert (own["pages"], own["encoded"]) == (12, 11)
    assert any("255 is white." in notice for notice in own["notices"])
    assert any("not in the collection" in notice for notice in own["notices"])  # page 0 answers queries
    none = benchmark(BenchmarkSet("white", str(write_painted(tmp_path / "none", pages=[255]))))
    found = run_reproduction(SETTINGS, ReproductionPlan((none,), tmp_path / "out"))
    assert found["sets"]["two/white"]["error"].startswith("None of the pages could be encoded")
    assert "No set could be measured." in format_reproduction(compare_run(found, [none]))


@pytest.mark.parametrize(
    ("make", "name", "methods"),
    [
        (tiny_qwen_folder, "tiny-qwen", ["pooled", "late", "smart"]),
        (tiny_neomme_folder, "tiny-neomme", ["pooled", "late", "smart", "trained"]),
    ],
)
def test_the_command_measures_a_checkpoint(sets, tmp_path, monkeypatch, capsys, make, name, methods):
    monkeypatch.setitem(BENCHMARKS, "vidore-v2", replace(sets, name="vidore-v2"))
    folder, out = str(make()), tmp_path / "out"
    env = {"SMART_VISUAL_TOKENS": "16", "SMART_DTYPE": "float32", "SMART_DATA_DIR": str(tmp_path / "data")}
    command = ["reproduce", "--backbone", folder, "--sets", "vidore-v2/binary", "--out", str(out), "--limit", "4"]
    assert main(command, env) == 0
    printed = capsys.readouterr()
    assert printed.out == (out / "reproduction.md").read_text()
    assert f"- Model: {name}" in printed.out
    assert "No published figure is known for this model." in printed.out
    assert "| graded | It was not requested (--sets). |" in printed.out
    data = json.loads((out / "reproduction.json").read_text())
    assert data["methods"] == methods
    assert data["made"]["visual_tokens"] == 16
    assert data["made"]["dtype"] == "float32"
    assert data["made"]["versions"]["torch"]
    (own,) = data["benchmarks"]["vidore-v2"]["sets"].values()
    assert own["queries"] == 4
    assert all(0 <= own["means"][method]["ndcg@5-linear"] <= 1 for method in methods)
    assert "values" not in own
    assert not (tmp_path / "data").exists()
    assert main([*command[:3], "--sets", "vidore-v9"], env) == 1
    assert "'vidore-v9' is no benchmark." in capsys.readouterr().err


KILLED_RUN = """
import os, sys
import datasets  # before the fork, so that it is imported once
from smart_demo.backbones import registry
from smart_demo.cli import main
from smart_demo.evidence import reproduction_report
from smart_demo.evidence.benchmarks import BENCHMARKS, Benchmark, BenchmarkSet
from tests.hub_server import COMMIT
from tests.evidence.cases import Painted

class Mortal(Painted):
    def encode_page(self, page):
        if len(self.encoded) == 22 and not child:  # twelve pages of the first set, ten of the second
            os._exit(9)
        return super().encode_page(page)

backbone = Mortal()
registry.load_backbone = lambda name, settings: backbone
BENCHMARKS.clear()
names = {"first": COMMIT, "absent": "", "second": ""}
made = [BenchmarkSet(name, f"o/{name}", commit) for name, commit in names.items()]
BENCHMARKS["vidore-v1"] = Benchmark("vidore-v1", "Small sets", 5, tuple(made), {})
if child := os.fork():
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    print("killed", file=sys.stderr)
status = main(["reproduce", "--backbone", "words", "--out", sys.argv[1]])
print(len(backbone.encoded), file=sys.stderr)
sys.exit(status)
"""


@pytest.mark.timeout(240)
def test_a_killed_run_goes_on_and_a_set_that_is_not_there_is_reported(tmp_path):
    hub = {f"o/{name}": write_painted(tmp_path / name, graded=name == "second") for name in ("first", "second")}
    with serve_hub(hub) as (address, _):
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "SMART_"))}
        env = kept | {"HF_ENDPOINT": address, "HF_HOME": str(tmp_path / "cache"), "HF_HUB_DISABLE_XET": "1"}
        env |= {"SMART_CODEC": "float32", "USE_TORCH": "0"}  # else `datasets` imports torch, for seconds
        command = [sys.executable, "-c", KILLED_RUN, str(tmp_path / "out")]
        ran = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    told = ran.stderr.splitlines()
    assert told[told.index("killed") + 1] == "Finished before: vidore-v1/first."
    assert 2 <= int(told[-1]) <= 8  # the pages that the killed process had not written yet
    assert f"| first | o/first@{COMMIT[:12]} | 12 of 12 |" in ran.stdout
    assert "| absent | The hub has no dataset o/absent. |" in ran.stdout
    for name in ("first", "second"):
        (file,) = (tmp_path / "out").glob(f"*/vidore-v1-{name}.json")
        values = json.loads(file.read_text())["values"]
        for method, figures in figures_by_hand(graded=name == "second").items():
            assert values[method]["ndcg@5-linear"] == pytest.approx(figures["ndcg@5-linear"])


def test_a_model_that_cannot_be_loaded_ends_the_run(sets, tmp_path, monkeypatch):
    def refuse(name, settings):
        raise BackboneUnavailable("There are no weights.")

    monkeypatch.setattr(registry, "load_backbone", refuse)
    with pytest.raises(BackboneUnavailable, match="no weights"):
        run_reproduction(SETTINGS, ReproductionPlan((sets,), tmp_path))


def test_every_set_and_figure_is_well_named():
    assert [(name, len(found.sets)) for name, found in BENCHMARKS.items()] == [
        ("vidore-v1", 10), ("vidore-v2", 4), ("visrag", 6), ("vidore-v3", 8),
    ]  # fmt: skip
    for found in BENCHMARKS.values():
        assert len({one.name for one in found.sets}) == len(found.sets)
        for one in found.sets:
            assert re.fullmatch(r"(vidore|openbmb)/[\w.-]+", one.dataset)
            assert re.fullmatch(r"[0-9a-f]{40}|", one.revision)
    for figure in PUBLISHED:
        assert figure.set in ("", *(one.name for one in BENCHMARKS[figure.benchmark].sets))
        assert figure.cut == BENCHMARKS[figure.benchmark].cut
        assert 0 < figure.value < 1
    assert benchmarks.choose_benchmarks() == tuple(BENCHMARKS.values())
    with pytest.raises(SettingRefused, match="vidore-v1 has no set 'x'"):
        benchmarks.choose_benchmarks("vidore-v1/x")
    with pytest.raises(SettingRefused, match="No benchmark is named"):
        benchmarks.choose_benchmarks(",")
