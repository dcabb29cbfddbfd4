"""Costs: sizes against files that were really written, times against laps and a clock that only tests turn."""

import json
import threading
from dataclasses import replace
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smart_demo.backbones.bag_of_words import WordBackbone
from smart_demo.config import CODECS, Limits, Settings
from smart_demo.indexing import indexer, jobs
from smart_demo.indexing.indexer import Indexer
from smart_demo.methods import POOLED, SMART
from smart_demo.search.costs import RecentTimings, StageTiming, compute_costs, token_states_bytes
from smart_demo.store import prepared_page
from smart_demo.store.library import Library
from smart_demo.types import LOCAL, Encoder, Query
from tests.documents import write_pdf
from tests.store.cases import POOLED as POOLED_WIDTH
from tests.store.cases import WIDTH, made, open_library, put, token_files
from tests.ui.cases import stored
from tests.ui.costs_cases import add_own, started

READS = Encoder("reads", "m", "", "w", pooled_width=POOLED_WIDTH, token_width=WIDTH)
SEES = replace(READS, visual_tokens=64)
SETTINGS = Settings(candidates=100, exhaustive=2_000)


def encoding_bytes(token_file: bytes) -> int:
    """Return the bytes of a token file's tensors without those of the page's words."""
    header = 8 + int.from_bytes(token_file[:8], "little")
    return len(token_file) - header - json.loads(token_file[8:header])["words"]["shape"][0]


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize(("file", "encoder"), [(1, SEES), (2, READS)], ids=["grid", "boxes"])
@pytest.mark.parametrize("tokens", [2, 7, 300])
def test_a_size_is_that_of_the_file_really_written(codec, file, encoder, tokens):
    written = prepared_page.prepare_page(LOCAL, *made(file, tokens=tokens), codec).tokens
    assert token_states_bytes(tokens, codec, encoder) == encoding_bytes(written) - 4 * POOLED_WIDTH


@pytest.mark.parametrize("codec", CODECS)
def test_what_is_kept_is_what_lies_on_the_disk(tmp_path, codec):
    with open_library(tmp_path, codec=codec) as library:
        pages = put(library, 2, 4, 6)
        found = compute_costs(pages, READS, {}, SETTINGS)
    sizes = [encoding_bytes(path.read_bytes()) for path in token_files(tmp_path)]
    assert found.pages * (found.stored_bytes + found.pooled) == sum(sizes)
    assert found.stored_bytes == found.states[codec]
    assert found.stored == {codec: 3}
    lying = sum(path.stat().st_size for path in (tmp_path / "data" / "tokens").rglob("*") if path.is_file())
    assert found.disk == lying
    assert found.size_ratio == found.stored_bytes / (4 * POOLED_WIDTH)


def test_pages_of_several_codecs_are_counted_as_each_is_kept():
    pages = [replace(stored(1), codec="int8", tokens=10), replace(stored(2), codec="float32", tokens=30)]
    found = compute_costs(pages, READS, {}, SETTINGS)
    assert found.stored == {"int8": 1, "float32": 1}
    assert found.stored_bytes == (token_states_bytes(10, "int8", READS) + token_states_bytes(30, "float32", READS)) / 2
    assert (found.mean_tokens, found.min_tokens, found.max_tokens) == (20, 10, 30)


def test_without_pages_there_is_nothing_to_say_and_without_measures_no_time():
    assert compute_costs([], READS, {}, SETTINGS) is None
    found = compute_costs([stored(1)], READS, {"score": ()}, SETTINGS)
    assert found.indexing is None
    assert found.stages == {}
    scaled = found.at_scale(10**9)
    assert (scaled.indexing, scaled.every_page, scaled.candidates) == (None, None, None)


def test_pages_without_a_time_do_not_count_as_fast_ones():
    pages = [replace(stored(number), seconds=seconds) for number, seconds in enumerate([0.0, 1.0, 2.0, 6.0], start=1)]
    found = compute_costs(pages, READS, {}, SETTINGS).indexing
    assert (found.mean, found.median, found.pages) == (3.0, 2.0, 3)


@given(
    many=st.integers(1, 10**10),
    laps=st.lists(st.tuples(st.floats(0.001, 1e4), st.integers(1, 5_000)), min_size=1, max_size=9),
)
def test_what_is_extrapolated_grows_with_the_pages_and_the_candidates_do_not(many, laps):
    measured = {"score": [StageTiming(took, pages) for took, pages in laps]}
    found = compute_costs([replace(stored(1), seconds=0.5)], READS, measured, SETTINGS)
    one, all_of_them = found.at_scale(1), found.at_scale(many)
    for name in ("pooled", "indexing", "every_page"):
        assert getattr(all_of_them, name) == pytest.approx(many * getattr(one, name))
    for codec in CODECS:
        assert all_of_them.states[codec] == pytest.approx(many * one.states[codec])
    assert all_of_them.candidates == pytest.approx(min(many, 100) * one.every_page)
    each = sorted(took / pages for took, pages in laps)
    assert each[0] <= one.every_page <= each[-1]


def test_the_median_is_over_the_queries_that_ran():
    laps = {
        "encode": [StageTiming(1.0, 0), StageTiming(9.0, 0), StageTiming(2.0, 0)],
        "score": [StageTiming(10.0, 10), StageTiming(30.0, 10), StageTiming(80.0, 40)],
    }
    stages = compute_costs([stored(1)], READS, laps, SETTINGS).stages
    assert (stages["encode"].milliseconds, stages["encode"].queries, stages["encode"].per_page) == (2.0, 3, 0.0)
    assert (stages["score"].milliseconds, stages["score"].per_page) == (30.0, 2.0)
    assert "rank" not in stages


def test_only_the_last_laps_are_kept():
    laps = RecentTimings(3)
    for number in range(9):
        laps.add("rank", StageTiming(number, 1))
    assert laps.by_stage() == {"rank": (StageTiming(6, 1), StageTiming(7, 1), StageTiming(8, 1))}


def test_a_stage_that_was_answered_from_memory_does_not_count(tmp_path):
    handlers = started(tmp_path)
    with handlers.engine as engine:
        add_own(handlers, tmp_path)
        found = engine.search(Query("harbour"), (LOCAL,), (POOLED, SMART))
        assert all(took > 0 for took in found.milliseconds.values())
        again = engine.search(Query("harbour"), (LOCAL,), (POOLED, SMART))
        assert [stage for stage, took in again.milliseconds.items() if took] == ["rank"]
        engine.search(Query("master"), (LOCAL,), (POOLED, SMART))
        counted = {stage: len(laps) for stage, laps in engine.stage_timings((LOCAL,)).items()}
        assert counted == {"encode": 2, "candidates": 2, "score": 2, "rank": 3}
        assert [lap.pages for lap in engine.stage_timings((LOCAL,))["score"]] == [1, 1]


class Clock(threading.local):
    """Time that passes only where a test says so, and only for the thread that says it."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now


def test_a_page_s_seconds_are_its_share_of_the_batch_and_the_write_before(tmp_path, monkeypatch):
    clock = Clock()
    for module in (indexer, jobs):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=clock.monotonic))

    class Slow(WordBackbone):
        def encode_pages(self, pages):
            clock.now += 8.0
            return super().encode_pages(pages)

    class SlowDisk(Library):
        def add(self, *given):
            clock.now += 0.25
            return super().add(*given)

    file = write_pdf(tmp_path / "five.pdf", "one", "two", "three", "four", "five")
    with SlowDisk.open(tmp_path / "data", tmp_path / "index") as library:
        for _ in Indexer(library, Limits()).add(LOCAL, [(file, "five.pdf")], Slow()):
            clock.now += 1_000.0  # the consumer of the progress takes its time
        pages = library.pages([LOCAL], Slow().encoder.fingerprint)
    assert [page.seconds for page in pages] == [2.0, 2.25, 2.25, 2.25, 8.25]  # batches of four and of one
    with Library.open(tmp_path / "data", tmp_path / "index") as library:
        assert library.pages([LOCAL], Slow().encoder.fingerprint) == pages
