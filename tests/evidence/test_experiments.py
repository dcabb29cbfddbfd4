"""The whole command on collections of a few pages: the form of the JSON, what is left out, the files."""

import json
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from smart_demo import evidence
from smart_demo.cli import main
from smart_demo.config import Settings
from smart_demo.diagnostics import figure_commit
from smart_demo.errors import InputRefused
from smart_demo.evidence import plots, report
from smart_demo.evidence.experiments import NO_CRANFIELD, NOT_REQUESTED
from tests.backbones.cases import tiny_qwen_folder
from tests.documents import write_pdf
from tests.evaluation.cases import write_cranfield, write_judged

ROOT = Path(__file__).resolve().parents[2]
METHODS = {"pooled", "late", "smart"}
QWEN = Settings(visual_tokens=16, dtype="float32")


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """Documents with judged queries, and a text collection."""
    documents, texts = tmp_path_factory.mktemp("harbour"), tmp_path_factory.mktemp("cran")
    write_pdf(documents / "tides.pdf", "tide table of the old harbour and its two long piers", "tide", "bolts")
    rows = [("q1", "tide table", 1), ("q2", "bolts", 3), ("q3", "tide", 2)]
    judged = [(qid, text, [("tides.pdf", page, 1)]) for qid, text, page in rows]
    write_judged(documents, *judged, kinds=["plain", "exact", "plain"])
    write_cranfield(texts)
    return documents, texts


def plan(places, only=evidence.PART_NAMES, **changes):
    documents, _ = places
    made = evidence.Plan(documents, documents / "queries.jsonl", only=frozenset(only), pairs=1, command="make evidence")
    return replace(made, **changes)


@pytest.fixture(scope="module")
def found(places):
    scratch = places[0].parent / "scratch"
    scratch.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(scratch))
        made = evidence.run_experiments(Settings(backbone="words"), plan(places, cranfield=places[1]))
    assert list(scratch.iterdir()) == []
    return made


def test_the_json_has_the_agreed_form(found):
    data = json.loads(json.dumps(found, allow_nan=False))
    for direction in ("a_to_b", "b_to_a"):
        assert set(data["binding"][direction]) >= METHODS
        assert all(0 <= accuracy <= 1 for accuracy in data["binding"][direction].values())
    for part in ("text", "pages"):
        assert set(data[part]["methods"]) >= METHODS
        assert all("ndcg@10" in means for means in data[part]["methods"].values())
    assert (data["text"]["documents"], data["pages"]["documents"]) == (3, 3)
    assert set(data["text"]["sha256"]) == {"cran.all.1400", "cran.qry", "cranqrel"}
    assert data["encoder"]["fingerprint"]
    made = data["made"]
    assert made["command"] == "make evidence"
    assert made["seed"] == {"pairs": 20260524, "resampling": 20260524}
    assert {"python", "numpy", "torch"} <= set(made["versions"])
    assert str(ROOT) not in json.dumps(data)


def test_settings_a_backbone_lacks_have_a_note_and_no_figures(found):
    rows = {(row["factor"], row["setting"]): row for row in found["ablations"]["rows"]}
    words = rows["query tokens", "own words only"]
    filters = next(row for (factor, _), row in rows.items() if factor == "token filter")
    for row in (words, filters):
        assert row["note"].startswith("no effect by construction")
        assert row["pages"] is row["text"] is row["binding"] is None
    assert not any(factor == "late layer" for factor, _ in rows)
    assert rows["reduction", "sum"]["pages"]["late"] is None
    default = next(row for row in rows.values() if row["default"])
    assert default["pages"]["smart"] == found["pages"]["methods"]["smart"]["ndcg@10"]
    assert default["text"]["late"] == found["text"]["methods"]["late"]["ndcg@10"]
    assert default["binding"]["smart"] == found["binding"]["both"]["smart"]
    assert {setting for factor, setting in rows if factor == "codec"} == {"float16", "float32"}


def test_a_model_with_layers_is_asked_about_them_and_about_its_own_words(places):
    settings = replace(QWEN, backbone=str(tiny_qwen_folder()))
    made = evidence.run_experiments(settings, plan(places, ["ablations"]))
    rows = {row["factor"]: row for row in made["ablations"]["rows"]}
    assert rows["late layer"]["setting"] == "1 of 2"
    for factor in ("late layer", "token filter", "query tokens"):
        assert rows[factor]["note"] == ""
        assert 0 <= rows[factor]["binding"]["smart"] <= 1
        assert 0 <= rows[factor]["pages"]["late"] <= 1
        assert rows[factor]["text"] is None
    assert made["binding"] == {"left_out": NOT_REQUESTED}
    assert "raw residual stream" in report.format_evidence(made)


def test_without_a_text_collection_the_rest_is_measured_and_a_note_says_how_to_get_one(places):
    made = evidence.run_experiments(Settings(backbone="words"), plan(places, ["text", "binding"]))
    assert made["text"] == {"left_out": NO_CRANFIELD}
    assert "CRANFIELD=DIR" in NO_CRANFIELD
    assert "http" in NO_CRANFIELD
    assert made["pages"] == {"left_out": NOT_REQUESTED}
    assert made["binding"]["pairs"] == 1
    assert NO_CRANFIELD in report.format_evidence(made)


def test_a_collection_that_cannot_be_read_is_refused_before_a_model_loads(places, tmp_path):
    unloadable = Settings(backbone="loading this would be refused")
    with pytest.raises(InputRefused, match=r"cran\.all\.1400 is not there"):
        evidence.run_experiments(unloadable, plan(places, cranfield=tmp_path))


def test_files_are_written_and_plots_drawn(found, tmp_path):
    files, notices = evidence.write_evidence(found, tmp_path / "deep" / "build")
    assert notices == []
    names = {file.name for file in files}
    assert names == {
        "evidence.json",
        "evidence.md",
        "evidence-weights.png",
        "evidence-binding.png",
        "evidence-reports.png",
    }
    text = (tmp_path / "deep" / "build" / "evidence.md").read_text()
    for name in names:
        assert not name.endswith(".png") or f"({name})" in text
    assert json.loads((tmp_path / "deep" / "build" / "evidence.json").read_text()) == json.loads(json.dumps(found))
    assert text == report.format_evidence(json.loads(json.dumps(found)))


def test_without_matplotlib_the_plots_alone_are_missing(found, tmp_path, monkeypatch):
    monkeypatch.setattr(plots, "find_spec", lambda _: None)
    files, notices = evidence.write_evidence(found, tmp_path)
    assert [file.name for file in files] == ["evidence.json", "evidence.md", "evidence-reports.png"]
    assert notices == [plots.MATPLOTLIB_MISSING]


def test_the_commit_is_the_working_trees_or_nothing(monkeypatch):
    head = subprocess.run(["git", "-C", str(ROOT), "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    assert figure_commit().split(",")[0] == head.stdout.strip()
    monkeypatch.setenv("PATH", "")
    assert figure_commit() == ""


def test_the_command_line(tmp_path, monkeypatch, capsys, places):
    env = {"SMART_BACKBONE": "words", "SMART_DATA_DIR": str(tmp_path / "data"), "SMART_SAMPLE_DOCS": str(places[0])}
    assert main(["evidence", "--only", "binding", "--only", "text", "--pairs", "1", "--out", str(tmp_path)], env) == 0
    output = capsys.readouterr()
    assert str(tmp_path / "evidence.json") in output.out
    assert NO_CRANFIELD in output.err
    made = json.loads((tmp_path / "evidence.json").read_text())
    assert made["made"]["command"] == (
        "SMART_BACKBONE=words python -m smart_demo evidence --only binding --only text --pairs 1"
    )
    assert made["binding"]["a_to_b"]["smart"] == 0.5
    assert not (tmp_path / "data").exists()  # a library apart
    for wrong in (["--pairs", "0"], ["--pairs", "1001"], ["--only", "videos"]):
        with pytest.raises(SystemExit):
            main(["evidence", *wrong], env)
