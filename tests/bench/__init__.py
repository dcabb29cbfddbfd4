"""How fast it is on this machine, against what was promised: `python -m tests.bench`.

    readme       the table of README.md, made of the figures in assets/bench.json
    goals        what was measured, what it may be, and the report of both
    synthetic    a library of pages as large as real ones, and the backbone that asks them
    program      modules of the bench in processes of their own
    large        a library of any number of small pages
    one_size     that library opened and asked, in a process of its own
    growth       opening, memory and queries over 100 to 100,000 pages
    start        from the start of the process to the first page
    maps         from a click in the viewer to the picture over the page
    shapes       queries and pages to score, and a clock
    scoring      ours against the machine's limits and against peers
    peers        what others do, written again or, where it is installed, called
    mapped       candidates read from files, warm and cold
    indexing     sample documents from the file to the last page kept
    encoding     Qwen in full size against the official wrapper
    checkpoint   a checkpoint of that size, with random weights
    one_page     pages through it, in a process of its own
    official     the official wrapper's way, written again

A measure is a function without arguments that answers goals, and figures of which nothing was promised; MEASURES lists
them all. What is timed is the code that people wait for, called as the page calls it.
"""

from collections.abc import Callable, Sequence

from tests.bench.encoding import measure_encoding
from tests.bench.goals import Figure, Goal, as_json, as_markdown
from tests.bench.growth import measure_growth
from tests.bench.indexing import measure_indexing
from tests.bench.mapped import measure_mapped
from tests.bench.maps import measure_maps
from tests.bench.scoring import measure_scoring
from tests.bench.start import measure_start

MEASURES: tuple[Callable[[], Sequence[Goal | Figure]], ...] = (
    measure_scoring,
    measure_mapped,
    measure_maps,
    measure_indexing,
    measure_encoding,
    measure_growth,
    measure_start,
)

__all__ = ["MEASURES", "Figure", "Goal", "as_json", "as_markdown"]
