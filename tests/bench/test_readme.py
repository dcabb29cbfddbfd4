"""The table in assets/bench.md is made from assets/bench.json."""

import json
from pathlib import Path

from tests.bench.report import fill_table, format_table

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
