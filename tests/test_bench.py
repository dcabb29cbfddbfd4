"""Goals and their report, and that what is timed is really done. How long it takes is no matter of a test."""

import json

import pytest

from smart_demo import bench, cli
from smart_demo.bench import Goal, maps, synthetic
from smart_demo.bench.goals import Kind

GOALS = [Goal("map.first", "a map", 0.2, 0.5), Goal("found", "recall", 0.9, 0.8, Kind.MIN)]
MISSED = [Goal("map.first", "a map", 0.500001, 0.5)]


@pytest.mark.parametrize(
    ("goals", "status"), [(GOALS, 0), ([*GOALS, *MISSED], 1), ([GOALS[1], Goal("x", "", 2, 1)], 1)]
)
def test_the_figures_are_written_and_a_missed_goal_fails(goals, status, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(bench, "MEASURES", (lambda: goals[:1], lambda: goals[1:]))
    out = tmp_path / "new" / "bench.json"
    assert cli.main(["bench", "--out", str(out)], {"HOME": str(tmp_path)}) == status
    told = json.loads(out.read_text())["goals"]
    assert [set(row) for row in told] == [{"name", "measured", "bound", "kind", "met"}] * len(goals)
    assert [(row["name"], row["measured"], row["bound"]) for row in told] == [
        (goal.name, goal.measured, goal.bound) for goal in goals
    ]
    assert {row["kind"] for row in told} <= {"max", "min"}
    assert all(row["met"] for row in told) is (status == 0)
    table = capsys.readouterr().out
    assert table.count("**no**") == sum(not row["met"] for row in told)


def test_a_place_that_takes_no_file_is_one_sentence(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(bench, "MEASURES", (lambda: GOALS,))
    (tmp_path / "file").write_text("")
    assert cli.main(["bench", "--out", str(tmp_path / "file" / "bench.json")], {"HOME": str(tmp_path)}) == 1
    assert "--out" in capsys.readouterr().err


def test_maps_are_measured_on_maps_that_are_drawn(monkeypatch):
    monkeypatch.setattr(synthetic, "WIDTH", 64)
    monkeypatch.setattr(synthetic, "ROWS", 8)
    monkeypatch.setattr(synthetic, "COLS", 6)
    monkeypatch.setattr(maps, "QUERIES", 2)
    first, further = maps.measure_maps()
    assert (first.name, first.bound, first.kind) == ("map.first", 0.5, "max")
    assert further.name == "map.next"
    assert first.measured > 0
    assert further.measured > 0
