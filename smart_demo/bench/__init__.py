"""How fast it is on this machine, against what was promised: `python -m smart_demo bench`.

    goals        what was measured, what it may be, and the report of both
    synthetic    a library of pages as large as real ones, and the backbone that asks them
    large        a library of any number of small pages
    one_size     that library opened and asked, in a process of its own
    growth       opening, memory and queries over 100 to 100,000 pages
    start        from the start of the process to the first page
    maps         from a click in the viewer to the picture over the page
    shapes       queries and pages to score, and a clock
    scoring      ours against the machine's limits and against peers
    peers        what others do, written again or, where it is installed, called
    mapped       candidates read from files, warm and cold

A measure is a function without arguments that answers goals; MEASURES lists them all. What is timed is the code that
people wait for, called as the page calls it.
"""

from smart_demo.bench.goals import Goal, as_json, as_markdown
from smart_demo.bench.growth import measure_growth
from smart_demo.bench.mapped import measure_mapped
from smart_demo.bench.maps import measure_maps
from smart_demo.bench.scoring import measure_scoring
from smart_demo.bench.start import measure_start

MEASURES = (measure_scoring, measure_mapped, measure_maps, measure_growth, measure_start)

__all__ = ["MEASURES", "Goal", "as_json", "as_markdown"]
