"""The shell as a person or a script uses it: a process of its own, its output, its exit status."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from smart_demo import cli
from smart_demo.backbones import registry
from smart_demo.backbones.bag_of_words import WordBackbone
from smart_demo.backbones.registry import Serving
from smart_demo.config import Limits, read_settings
from smart_demo.indexing.indexer import Indexer
from smart_demo.indexing.progress import FileOutcome, Progress, State
from smart_demo.store.library import Library
from smart_demo.types import LOCAL
from smart_demo.ui.page_layout import render_footer
from tests.documents import write_pdf
from tests.evaluation.cases import write_beir
from tests.store.cases import forget_words

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def environment(tmp_path):
    env = {key: value for key, value in os.environ.items() if not key.startswith(("SMART_", "HF_"))}
    env |= {"SMART_BACKBONE": "words", "SMART_DATA_DIR": str(tmp_path / "data")}
    # The hub's own switch: what is not in its cache, here an empty one, cannot be reached.
    return env | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hub")}


@pytest.fixture
def run_program(environment):
    """Run a command line in a process of its own."""

    def run(*arguments, **changes):
        command = [sys.executable, "-m", "smart_demo", *map(str, arguments)]
        return subprocess.run(command, cwd=ROOT, env=environment | changes, capture_output=True, text=True, timeout=100)

    return run


@pytest.fixture
def run_cli(environment, capsys):
    """Run a command line in this process, which has imported everything, with the same kind of result."""
    before = signal.getsignal(signal.SIGTERM)

    def run(*arguments, **changes):
        try:
            status = cli.main(list(map(str, arguments)), environment | changes)
        except SystemExit as ended:
            status = ended.code
        written = capsys.readouterr()
        return SimpleNamespace(returncode=status, stdout=written.out, stderr=written.err)

    yield run
    signal.signal(signal.SIGTERM, before)


def test_index_then_search(run_program, tmp_path):
    folder = tmp_path / "docs"
    folder.mkdir()
    write_pdf(folder / "red.pdf", "red star", "blue moon")
    (folder / ".hidden.pdf").write_bytes(b"no")
    (folder / "notes.txt").write_text("no")
    (folder / "broken.pdf").write_bytes(b"%PDF-1.4 no")
    indexed = run_program("index", folder)
    assert indexed.returncode == 0, indexed.stderr
    assert "added: red.pdf 2 of 2 pages" in indexed.stdout
    assert "refused: broken.pdf" in indexed.stdout
    assert "notes.txt" in indexed.stderr

    found = run_program("search", "blue moon", "--top", "1", "--json")
    answer = json.loads(found.stdout)
    assert (answer["query"], answer["pages"], answer["candidates"]) == ("blue moon", 2, 2)
    assert set(answer["results"]) == {"pooled", "smart"}
    (hit,) = answer["results"]["smart"]
    assert set(hit) == {"rank", "document", "page", "pooled", "late", "smart"}
    assert (hit["rank"], hit["document"], hit["page"]) == (1, "red.pdf", 2)
    assert hit["smart"] == pytest.approx(hit["pooled"] + hit["late"], abs=2e-6)

    plain = run_program("search", "blue moon")
    assert "red.pdf p. 2" in plain.stdout


def test_index_fails_only_if_nothing_was_indexed(run_cli, tmp_path):
    bad = tmp_path / "broken.pdf"
    bad.write_bytes(b"%PDF-1.4 no")
    assert run_cli("index", bad).returncode == 1
    assert run_cli("index", tmp_path / "nowhere").returncode == 1
    assert run_cli("index", bad, write_pdf(tmp_path / "good.pdf", "red")).returncode == 0


def test_index_says_how_pages_were_read(run_cli, tmp_path):
    path, bad = write_pdf(tmp_path / "a.pdf", "red star", "blue moon"), tmp_path / "b.pdf"
    bad.write_bytes(b"%PDF-1.4 no")
    assert "\n  2 pages: 2 text layer\n" in run_cli("index", path).stdout
    assert "\n  2 pages: 2 text layer\n" in run_cli("index", path).stdout  # it is known by now

    mixed = write_pdf(tmp_path / "c.pdf", "red star", "", "green sun")
    answer = run_cli("index", mixed, bad, path, "--json")
    added, refused, known = map(json.loads, answer.stdout.splitlines())
    assert (added["document"], added["state"], added["pages"], added["stored"]) == ("c.pdf", "added", 3, 2)
    assert (added["added"], added["sources"], added["notices"]) == ([1, 3], {"layer": 2}, [])
    ((page, reason),) = [(one["page"], one["reason"]) for one in added["refused"]]
    assert page == 2
    assert "Page 2 of c.pdf" in reason
    assert (refused["state"], refused["added"], refused["sources"]) == ("refused", [], {})
    assert "b.pdf" in refused["message"]
    assert (known["state"], known["added"], known["sources"]) == ("known", [], {"layer": 2})


def test_index_counts_the_notices_that_it_leaves_out(capsys):
    cli._print_outcome(Progress("a.pdf", State.DONE, 1, 1, "N1.", outcome=FileOutcome(notices_left_out=1)))
    cli._print_outcome(Progress("a.pdf", State.DONE, 1, 1, "N1.", outcome=FileOutcome(notices_left_out=2)))
    first, second = capsys.readouterr().out.splitlines()
    assert first == "added: a.pdf 1 of 1 pages - N1. And 1 more notice: see index --json."
    assert second.endswith("And 2 more notices: see index --json.")


def test_pages_of_another_model_are_named_and_encoded_again(run_cli, tmp_path):
    path = write_pdf(tmp_path / "a.pdf", "red star", "blue moon")
    with Library.open(tmp_path / "data", tmp_path / "data" / "index") as library:
        list(Indexer(library, Limits()).add(LOCAL, [(path, "a.pdf")], WordBackbone(["tide"])))
    answer = run_cli("search", "moon")
    assert "2 pages were encoded by another model and are not searched. Encode them again: python" in answer.stderr
    doctor = json.loads(run_cli("doctor", "--json", SMART_SAMPLE_DOCS=str(tmp_path / "none")).stdout)
    assert doctor["library"]["other_encoders"] == 2
    again = run_cli("reencode")
    assert (again.returncode, again.stdout) == (0, "2 of 2 pages of another model are now encoded by words.\n")
    assert json.loads(run_cli("search", "moon", "--json").stdout)["pages"] == 2
    assert run_cli("reencode").stdout == "0 of 0 pages of another model are now encoded by words.\n"
    assert run_cli("reencode", "--json").returncode == 1


def test_pages_of_an_earlier_version_are_counted_until_they_are_added_again(run_cli, tmp_path):
    path = write_pdf(tmp_path / "a.pdf", "red star", "blue moon")
    other = write_pdf(tmp_path / "b.pdf", "green sun")
    run_cli("index", path)
    forget_words(tmp_path / "data")
    sentence = "2 pages were read by an older version. Add their documents again to read them better."
    doctor = json.loads(run_cli("doctor", "--json", SMART_SAMPLE_DOCS=str(tmp_path / "none")).stdout)
    assert doctor["library"]["pages_of_older_versions"] == sentence
    assert sentence in run_cli("index", other).stderr
    assert json.loads(run_cli("search", "blue moon", "--json").stdout)["pages"] == 3
    again = run_cli("index", path)
    assert "added: a.pdf 2 of 2 pages\n  2 pages: 2 text layer" in again.stdout
    assert again.stderr == ""


def test_search_of_an_empty_library_says_what_to_do(run_cli):
    answer = run_cli("search", "anything", "--json")
    found = json.loads(answer.stdout)
    assert found["results"] == {"pooled": [], "smart": []}
    assert [notice["code"] for notice in found["notices"]] == ["empty-library"]
    assert found["notices"][0]["text"] in answer.stderr
    assert "index PATH" in answer.stderr


def test_pages_of_another_model_are_not_called_an_empty_library(run_cli, tmp_path):
    run_cli("index", write_pdf(tmp_path / "a.pdf", "red star", "blue moon"))
    answer = run_cli("search", "red star", "--json", SMART_BACKBONE="minilm")
    found = json.loads(answer.stdout)
    assert found["pages"] == 0
    assert [notice["code"] for notice in found["notices"]] == ["other-model"]
    assert "2 pages were encoded by another model" in answer.stderr
    assert "empty" not in answer.stderr


def test_a_page_whose_tokens_were_not_scored_says_so(run_cli, tmp_path):
    run_cli("index", write_pdf(tmp_path / "a.pdf", "red star", "blue moon", "green sun"))
    few = {"SMART_EXHAUSTIVE": "0", "SMART_CANDIDATES": "1"}
    plain = run_cli("search", "blue moon", **few).stdout
    assert "Pooled only: ranked 3 of 3 pages" in plain
    assert "SMART: ranked 1 of 3 pages" in plain
    assert "late not scored" in plain
    assert "nan" not in plain
    found = json.loads(run_cli("search", "blue moon", "--json", **few).stdout)
    assert [hit["late"] is None for hit in found["results"]["pooled"]] == [False, True, True]
    (notice,) = found["notices"]
    assert notice["code"] == "ranked-n-of-m"
    assert "1 of 3 pages" in notice["text"]


def test_a_top_out_of_range_is_refused(run_cli):
    for top in ("0", "51", "five"):
        answer = run_cli("search", "red", "--top", top)
        assert (answer.returncode, answer.stdout) == (2, "")
        assert "from 1 to 50" in answer.stderr


def test_the_samples_are_searched_together_with_the_local_library(run_cli, tmp_path):
    samples = tmp_path / "samples"
    samples.mkdir()
    write_pdf(samples / "tides.pdf", "tide table")
    run_cli("index", write_pdf(tmp_path / "own.pdf", "tide gauge"))
    for _ in range(2):
        answer = run_cli("search", "tide", "--samples", "--json", SMART_SAMPLE_DOCS=str(samples))
        assert answer.returncode == 0, answer.stderr
        found = json.loads(answer.stdout)
        assert {hit["document"] for hit in found["results"]["smart"]} == {"own.pdf", "tides.pdf"}
        assert found["notices"] == []
    assert "Preparing" not in answer.stderr  # the second time
    write_pdf(samples / "blank.pdf", "")
    answer = run_cli("search", "tide", "--samples", "--json", SMART_SAMPLE_DOCS=str(samples))
    (notice,) = json.loads(answer.stdout)["notices"]
    assert notice["code"] == "samples-not-whole"
    assert notice["text"].startswith("1 of 2 sample pages")
    assert notice["text"] in answer.stderr


def test_a_closed_pipe_is_no_error(environment, tmp_path):
    environment |= {"SMART_SAMPLE_DOCS": str(tmp_path)}  # no samples, so that no model is loaded
    command = [sys.executable, "-m", "smart_demo", "doctor", "--json"]
    reader, writer = os.pipe()
    os.close(reader)
    try:
        ended = subprocess.run(
            command, cwd=ROOT, env=environment, stdout=writer, stderr=subprocess.PIPE, text=True, timeout=100
        )
    finally:
        os.close(writer)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_second_process_is_refused_in_one_sentence(run_program, tmp_path):
    with Library.open(tmp_path / "data", tmp_path / "data" / "index"):
        answer = run_program("search", "red")
    assert answer.returncode == 1
    assert len(answer.stderr.strip().splitlines()) == 1
    assert "Traceback" not in answer.stderr


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"SMART_BACKBONE": "gpt"}, "SMART_BACKBONE"),
        ({"SMART_CODEC": "int4"}, "SMART_CODEC"),
        ({"SMART_BACKBONE": "no-such-owner/no-such-model"}, "no-such-owner/no-such-model"),
    ],
)
def test_an_impossible_setting_is_one_sentence(run_program, changes, told):
    answer = run_program("search", "red", **changes)
    assert (answer.returncode, answer.stdout) == (1, "")
    assert told in answer.stderr
    assert "Traceback" not in answer.stderr


def test_doctor_says_what_runs_and_why(run_cli, tmp_path):
    answer = run_cli("doctor", "--json", SMART_SAMPLE_DOCS=str(tmp_path))  # no samples, so that no model is loaded
    facts = json.loads(answer.stdout)
    assert facts["backbone"]["name"] == "words"
    assert "SMART_BACKBONE" in facts["backbone"]["reason"]
    assert (facts["backbone"]["dtype"], facts["backbone"]["device"]) == ("float32", "cpu")
    assert facts["machine"]["mcp"][0].isdigit()
    assert facts["library"]["index"].startswith("ok")
    assert facts["library"]["room"].startswith("0 of 20,000 pages, 0 bytes of 50,000 MB")
    assert facts["library"]["visitors"].startswith("0 on the disk, 0 bytes of 4,000 MB")


def test_doctor_names_the_command_that_gets_a_model_that_sees_pages(run_cli, tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "detect_gpu", lambda: None)
    monkeypatch.setattr(registry, "is_on_disk", lambda *_: False)
    answer = run_cli("doctor", "--json", SMART_BACKBONE="auto", SMART_SAMPLE_DOCS=str(tmp_path))
    facts = json.loads(answer.stdout)["backbone"]
    assert facts["name"] == "minilm"
    assert "run python -m smart_demo fetch neomme-260m" in facts["reason"]
    served = Serving("minilm", "minilm", False, facts["reason"])
    assert "python -m smart_demo fetch neomme-260m" in render_footer(served, "minilm", read_settings({}))


def test_eval_of_a_folder_answers_in_json_alone(run_cli, tmp_path):
    folder = tmp_path / "docs"
    folder.mkdir()
    write_pdf(folder / "a.pdf", "red star", "blue moon", "green sun")
    lines = [
        {"qid": "1", "query": "blue moon", "kind": "x", "relevant": [{"document": "a.pdf", "page": 2, "grade": 2}]},
        {"qid": "2", "query": "green", "kind": "y", "relevant": [{"document": "a.pdf", "page": 3, "grade": 1}]},
    ]
    queries = tmp_path / "queries.jsonl"
    queries.write_text("\n".join(map(json.dumps, lines)))
    answer = run_cli("eval", "--documents", folder, "--queries", queries, "--json")
    assert answer.returncode == 0, answer.stderr
    methods = json.loads(answer.stdout)["methods"]
    assert set(methods) == {"pooled", "late", "smart"}
    assert methods["smart"]["ndcg@10"] == 1.0
    assert {"ndcg@5", "ndcg@10", "recall@1", "recall@5", "mrr@10"} <= set(methods["pooled"])
    assert not (tmp_path / "data" / "tokens").exists()  # a library apart


def test_a_dataset_answers_in_json_alone_and_leaves_run_files(run_cli, tmp_path):
    folder, runs = write_beir(tmp_path / "harbour"), tmp_path / "runs"
    answer = run_cli("eval", "--dataset", folder, "--limit", "1", "--run-dir", runs, "--json")
    assert answer.returncode == 0, answer.stderr
    report = json.loads(answer.stdout)
    assert (report["collection"], report["pages"], report["queries"]) == ("harbour", 3, 1)
    assert report["methods"]["smart"]["ndcg@10"] == 1.0
    assert answer.stderr.startswith("Reading ")
    assert sorted(path.name for path in runs.iterdir()) == ["late.run", "pooled.run", "qrels.txt", "smart.run"]
    assert not (tmp_path / "data").exists()


def test_a_hub_that_cannot_be_reached_is_one_sentence_that_says_what_to_do(run_program):
    answer = run_program("eval", "--dataset", "vidore/docvqa_test_subsampled")
    assert answer.returncode == 1
    assert answer.stdout == ""
    assert answer.stderr.splitlines() == [
        "Reading vidore/docvqa_test_subsampled.",
        "vidore/docvqa_test_subsampled is not on this disk and the hub cannot be reached. "
        "On a machine that reaches it: hf download vidore/docvqa_test_subsampled --repo-type dataset --local-dir DIR. "
        "Then give that folder as --dataset.",
    ]


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["--dataset", "x/y", "--queries", "q.jsonl"], 1, "--queries does not go with --dataset"),
        (["--language", "english"], 1, "--language goes with --dataset alone"),
        (["--dataset", "x/y", "--cranfield", "z"], 2, "not allowed with"),
        (["--dataset", "x/y", "--limit", "0"], 2, "must be a whole number from 1"),
    ],
)
def test_command_lines_that_make_no_sense(run_cli, arguments, status, said):
    answer = run_cli("eval", *arguments)
    assert answer.returncode == status
    assert said in answer.stderr
    assert "Traceback" not in answer.stderr
