"""Benchmarks of speed and memory against goals: `python -m tests.bench`.

    harness        goals and figures, a clock, and measurements in separate processes
    report         the results as JSON, as a table on the terminal and in assets/bench.md
    cases          queries and pages to score, and other scorers to compare with
    scoring        our scorer against the machine's limits and other scorers, in memory and from files
    maps           from a click in the viewer to the map over the page
    indexing       from the file to the stored page, and encoding by a full-size Qwen
    ocr_pages      OCR of pages with known words: speed, words and boxes against RapidOCR's defaults
    checkpoint     a Qwen checkpoint of full size, with random weights
    page_encoding  encoding by that checkpoint against the official wrapper, in a separate process
    encoders       NeoMME and EmbeddingGemma 2 of full size: seconds, memory, and how busy indexing keeps the model
    growth         opening, memory and queries from 100 to 100,000 pages
    large_library  a library of small pages, opened and searched in a separate process
    page_weight    bytes, first screen, layout shift and times of the page in a browser
    start          from the start of the process to the first page

A measure is a function without arguments that returns goals and figures; MEASURES lists all of them. They time the
code that visitors wait for, called as the page calls it.
"""

from collections.abc import Callable, Sequence

from tests.bench.encoders import measure_encoders
from tests.bench.growth import measure_growth
from tests.bench.harness import Figure, Goal
from tests.bench.indexing import measure_encoding, measure_indexing
from tests.bench.maps import measure_maps
from tests.bench.ocr_pages import measure_ocr
from tests.bench.page_weight import measure_page
from tests.bench.scoring import measure_mapped, measure_scoring
from tests.bench.start import measure_start

MEASURES: tuple[Callable[[], Sequence[Goal | Figure]], ...] = (
    measure_scoring,
    measure_mapped,
    measure_maps,
    measure_indexing,
    measure_ocr,
    measure_encoding,
    measure_encoders,
    measure_growth,
    measure_page,
    measure_start,
)

__all__ = ["MEASURES", "Figure", "Goal"]
