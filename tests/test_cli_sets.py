"""`eval --dataset` and `--run-dir` as a person or a script uses them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.evaluation.cases import write_beir

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def shell(tmp_path):
    env = {key: value for key, value in os.environ.items() if not key.startswith(("SMART_", "HF_"))}
    # The hub's own switch: what is not in its cache, here an empty one, cannot be reached.
    env |= {"SMART_BACKBONE": "words", "SMART_DATA_DIR": str(tmp_path / "data")}
    env |= {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hub")}

    def run(*arguments):
        command = [sys.executable, "-m", "smart_demo", "eval", *map(str, arguments)]
        return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=100)

    return run


def test_a_dataset_answers_in_json_alone_and_leaves_run_files(shell, tmp_path):
    folder, runs = write_beir(tmp_path / "harbour"), tmp_path / "runs"
    answer = shell("--dataset", folder, "--limit", "1", "--run-dir", runs, "--json")
    assert answer.returncode == 0, answer.stderr
    report = json.loads(answer.stdout)
    assert (report["collection"], report["pages"], report["queries"]) == ("harbour", 3, 1)
    assert report["methods"]["smart"]["ndcg@10"] == 1.0
    assert answer.stderr.startswith("Reading ")
    assert sorted(path.name for path in runs.iterdir()) == ["late.run", "pooled.run", "qrels.txt", "smart.run"]
    assert not (tmp_path / "data").exists()


def test_a_hub_that_cannot_be_reached_is_one_sentence_that_says_what_to_do(shell):
    answer = shell("--dataset", "vidore/docvqa_test_subsampled")
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
def test_command_lines_that_make_no_sense(shell, arguments, status, said):
    answer = shell(*arguments)
    assert answer.returncode == status
    assert said in answer.stderr
    assert "Traceback" not in answer.stderr
