"""Goals and their report, and whether what is timed is really done. The tests check no time."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from smart_demo.scoring import maxima
from smart_demo.store.page_files import PageFiles
from tests import bench
from tests.bench import Goal, cases, growth, harness, large_library, maps, scoring
from tests.bench.__main__ import main
from tests.bench.harness import Kind
from tests.bench.report import fill_table, format_table

GOALS = [Goal("map.first", "a map", 0.2, 0.5), Goal("found", "recall", 0.9, 0.8, Kind.MIN)]
MISSED = [Goal("map.first", "a map", 0.500001, 0.5)]


@pytest.mark.parametrize(
    ("goals", "status"), [(GOALS, 0), ([*GOALS, *MISSED], 1), ([GOALS[1], Goal("x", "", 2, 1)], 1)]
)
def test_the_figures_are_written_and_a_missed_goal_fails(goals, status, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(bench, "MEASURES", (lambda: goals[:1], lambda: goals[1:]))
    out = tmp_path / "new" / "bench.json"
    assert main(["--out", str(out)]) == status
    rows = json.loads(out.read_text())["goals"]
    assert [set(row) for row in rows] == [{"name", "measured", "bound", "kind", "met"}] * len(goals)
    assert [(row["name"], row["measured"], row["bound"]) for row in rows] == [
        (goal.name, goal.measured, goal.bound) for goal in goals
    ]
    assert {row["kind"] for row in rows} <= {"max", "min"}
    assert all(row["met"] for row in rows) is (status == 0)
    table = capsys.readouterr().out
    assert table.count("**no**") == sum(not row["met"] for row in rows)


def test_a_place_that_takes_no_file_is_one_sentence(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(bench, "MEASURES", (lambda: GOALS,))
    (tmp_path / "file").write_text("")
    assert main(["--out", str(tmp_path / "file" / "bench.json")]) == 1
    assert "--out" in capsys.readouterr().err


def test_maps_are_measured_on_maps_that_are_drawn(monkeypatch):
    monkeypatch.setattr(maps, "WIDTH", 64)
    monkeypatch.setattr(maps, "ROWS", 8)
    monkeypatch.setattr(maps, "COLS", 6)
    monkeypatch.setattr(maps, "QUERIES", 2)
    first, further = maps.measure_maps()
    assert (first.name, first.bound, first.kind) == ("map.first", 0.5, "max")
    assert further.name == "map.next"
    assert first.measured > 0
    assert further.measured > 0


TINY = [replace(shape, pages=20, lengths=(6, 9), width=64) for shape in (cases.WIDE, cases.NARROW)]


def test_peers_and_ours_score_the_same_pages_the_same():
    case = cases.make_case(TINY[0])
    exact = [float((case.query.astype("f8") @ page.T.astype("f8")).max(axis=1).mean()) for page in case.states]
    assert cases.score_released(case.query, case.states) == pytest.approx(exact, abs=1e-5)
    assert cases.score_lists(case.query, case.states) == pytest.approx(exact, abs=1e-5)
    assert maxima(case.query, case.codes).mean(axis=1) == pytest.approx(exact, abs=2e-3)


def test_every_goal_of_scoring_is_reported(monkeypatch):
    wide, narrow = TINY
    for name, shape in (("WIDE", wide), ("NARROW", narrow), ("RAGGED", replace(wide, name="R"))):
        monkeypatch.setattr(scoring, name, shape)
    monkeypatch.setattr(scoring, "EVERYTHING", ((narrow, 3, 0.07), (wide, 2, 0.15)))
    monkeypatch.setattr(scoring, "ROUNDS", 2)
    monkeypatch.setattr(scoring, "SQUARE", 32)
    found = {goal.name: goal for goal in [*scoring.measure_scoring(), *scoring.measure_mapped()]}
    assert {name: (goal.bound, str(goal.kind)) for name, goal in found.items()} == {
        "W.limit": (2, "max"),
        "W.released": (18, "min"),
        "W.fast_maxsim": (4, "min"),
        "N.limit": (3, "max"),
        "N.released": (5, "min"),
        "N.fast_maxsim": (3, "min"),
        "fidelity.overlap": (0.99, "min"),
        "fidelity.error": (0.002, "max"),
        "exhaustive.N": (0.07, "max"),
        "exhaustive.W": (0.15, "max"),
        "mapped": (1.3, "max"),
    }
    assert all(goal.measured > 0 for name, goal in found.items() if "fast_maxsim" not in name)


def test_a_peer_that_is_not_installed_is_said_so(monkeypatch):
    monkeypatch.setattr(scoring, "ROUNDS", 1)
    monkeypatch.setattr(scoring, "SQUARE", 32)
    monkeypatch.setattr(cases, "find_spec", lambda name: None)
    *_, goal = scoring.compare_scorers(cases.make_case(TINY[0]), "")
    assert (goal.name, goal.measured, goal.met) == ("W.fast_maxsim", 0.0, False)
    assert "not installed" in goal.what


def test_growth_is_measured_on_libraries_that_are_searched_and_deleted(monkeypatch, tmp_path):
    monkeypatch.setattr(growth, "SIZES", ((5, 4), (7, 9), (1_100, 4), (1_200, 4)))
    monkeypatch.setattr(growth, "OUT", tmp_path)
    monkeypatch.setattr(large_library, "TOKENS", 4)
    monkeypatch.setattr(growth.tempfile, "tempdir", str(tmp_path))
    here = {"first": large_library.measure_first_opening, "again": large_library.measure_opening_again}
    # A process for each would take a minute.
    monkeypatch.setattr(harness, "run_module", lambda _, opening, folder: json.dumps(here[opening](Path(folder))))
    found = growth.measure_growth()
    assert {goal.name for goal in found} == {
        "open.100k", "open.100k.first", "open.snapshot", "growth.time", "growth.memory", "query.overhead"
    }  # fmt: skip
    assert all(goal.measured > 0 for goal in found if goal.name != "growth.memory")  # which is another process's
    written = json.loads((tmp_path / "growth.json").read_text())
    assert [one["pages"] for one in written] == [5, 7, 1_100, 1_200]
    assert [one["snapshot"] > 0 for one in written] == [False, False, True, True]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["growth.json", "growth.png"]


def test_a_made_library_is_one_that_the_store_believes(tmp_path):
    large_library.write_library(tmp_path / "data", 130, 4)
    found = PageFiles(tmp_path / "data").scan()
    assert (len(found.headers), found.damaged, found.deleted_leftovers) == (130, [], 0)
    body = PageFiles(tmp_path / "data").body(found.headers[0], verified=False)
    assert body.codes.states().shape == (4, large_library.WIDTH)
    assert body.codes.states() @ body.codes.states()[0] == pytest.approx([1, 0.36, 0.36, 0.36], abs=0.3)


ROOT = Path(__file__).resolve().parents[2]
FOUND = json.loads((ROOT / "assets" / "bench.json").read_text(encoding="utf-8"))
TABLE = (ROOT / "assets" / "bench.md").read_text(encoding="utf-8")
CURE = "copy build/bench.json and build/growth.png to assets/ and run `python -m tests.bench.report`"


def test_the_table_is_made_of_the_figures():
    assert "<!-- bench -->" in TABLE
    assert fill_table(TABLE, FOUND) == TABLE, CURE
    assert (ROOT / "assets" / "growth.png").is_file()


def test_a_goal_that_is_missed_is_said_so():
    goal = {"name": "N.limit", "measured": 3.21, "bound": 3, "kind": "max"}
    found = {
        "goals": [goal | {"met": False}, goal | {"met": True, "bound": 1000}],
        "figures": [],
        "machine": {"cores": "2"},
        "done": {"N.limit": "times the limit: 200 pages"},
    }
    _, _, missed, met, _, machine = format_table(found).splitlines()
    assert missed == "| `N.limit` times the limit | 3.210 | ≤ 3 | **missed** |"
    assert met.endswith("≤ 1,000 | met |")
    assert machine == "Measured on: cores 2."
