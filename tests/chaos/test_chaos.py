"""The short version of `make chaos`: a few of each trial from a fixed seed, with real kills and a real Chroma."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.chaos.operations_log import OperationsLog
from tests.chaos.page_content import Key
from tests.chaos.results import PROMISES

ROOT = Path(__file__).resolve().parents[2]
KEY, FACTS = Key("local", "a1" * 8, 1, 1), (5.0, 100)
ADDED = {"ack": "add", "key": list(KEY), "added": 5.0, "bytes": 100}


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """Return the report of one run, in its own process: a process that forks must have no threads."""
    folder = tmp_path_factory.mktemp("chaos")
    command = [sys.executable, "-m", "tests.chaos", "--quick", "--trials", "4", "--seed", "7"]
    command += ["--folder", str(folder), "--out", str(folder / "chaos.json")]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    told = json.loads((folder / "chaos.json").read_text())
    held = all(promise["held"] for promise in told["promises"])
    assert ended.returncode == (0 if held else 1), ended.stderr
    return told


@pytest.mark.timeout(300)
@pytest.mark.parametrize("promise", PROMISES.values())
def test_the_promise_is_held(told, promise):
    (found,) = [one for one in told["promises"] if one["name"] == promise]
    assert found["held"], found["detail"]


@pytest.mark.timeout(300)
def test_the_run_killed_recovered_and_mutated(told):
    assert told["kills"] >= 10
    assert told["acknowledged"] > 20
    assert told["rebuilt"] == told["recovered"] > 3
    assert told["mutations"] == told["detected"] == 200
    assert told["lost"] == told["half_visible"] == told["leaks"] == 0
    assert {"random kill", "damaged Chroma", "full disk", "death after a step (remove)"} <= told["trials"].keys()


# -- the log itself


@pytest.mark.parametrize(
    ("said", "seen", "against"),
    [
        ([ADDED], {KEY: FACTS}, []),
        ([ADDED], {}, ["lost"]),
        ([ADDED], {KEY: (6.0, 100)}, ["lost"]),
        ([{"try": "add", "key": list(KEY)}], {}, []),
        ([{"try": "add", "key": list(KEY)}], {KEY: FACTS}, []),
        ([], {KEY: FACTS}, ["returned"]),
        ([ADDED, {"try": "remove", "scope": "local", "file": 1}], {}, []),
        ([ADDED, {"try": "remove", "scope": "local", "file": 1}], {KEY: FACTS}, []),
        ([ADDED, {"try": "remove", "scope": "local", "file": 2}], {}, ["lost"]),
        ([ADDED, {"try": "remove", "scope": "samples", "file": 1}], {}, ["lost"]),
        ([ADDED, {"ack": "remove", "scope": "local", "file": 1}], {KEY: FACTS}, ["returned"]),
        ([ADDED, {"ack": "delete scope", "scope": "local"}], {}, []),
        ([ADDED, {"ack": "flush"}], {}, ["lost"]),
    ],
)
def test_the_ledger_detects_lost_and_returned_pages(said, seen, against):
    log = OperationsLog()
    log.record(said)
    assert [kind for kind, _ in log.compare(seen)] == against
    assert log.stored == seen
    assert log.compare(seen) == []
