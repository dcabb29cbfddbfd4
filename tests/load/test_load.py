"""A short run of a few visitors with a fixed seed. `make load` is the long one."""

import pytest

from smart_demo.indexing.progress import Progress, State
from smart_demo.types import Document, Scope
from smart_demo.ui import library_tab
from tests.apps import serve_documents
from tests.documents import write_pdf
from tests.load.documents import Canaries
from tests.load.metrics import Metrics
from tests.load.page_parser import parse_documents, parse_uploads
from tests.load.process_monitor import Sample, hourly_growth, stored_files
from tests.load.run import RunPlan, check_folders, check_growth, check_run, run
from tests.server.visitor import Visitor


def open_app(folder):
    pages = "How to descale the machine", "Capacity of the reservoir and its budget"
    settings = {"SMART_PUBLIC": "on", "SMART_LIBRARY_PAGES": "10", "SMART_QUEUE": "6"}
    return serve_documents(folder, {"manual.pdf": pages}, "words", **settings)


def test_a_short_run_keeps_every_promise(app, tmp_path):
    before = stored_files(app.folder)
    metrics = run(app.url, tmp_path / "documents", RunPlan(visitors=4, seed=5, actions=18, pace=0.0, pictures=False))
    left = [path.name for path in app.uploads.rglob("*") if path.is_file() and path.stat().st_size]
    promises = [*check_run(metrics), *check_folders(before, stored_files(app.folder), left, metrics.unclaimed, (0, 0))]
    assert [promise for promise in promises if not promise.held] == []
    assert {"search", "upload until stored", "delete", "open a page"} <= metrics.durations.keys()


def test_equal_files_of_two_visitors_are_two_copies(app, tmp_path):
    """The visitor who finishes first deletes their copy; the other's was uploaded, but not yet submitted."""
    leaflet = write_pdf(tmp_path / "leaflet.pdf", "Take one, it is free of charge")
    first, second = Visitor(app.url), Visitor(app.url)
    waiting = second.send(leaflet)
    first.upload(leaflet)
    assert "Added" in str(first.shown("uploads"))
    second.do(second.event("upload", "upload"), upload=waiting)
    while "is-working" in str(second.shown("uploads")) or not second.shown("uploads"):
        second.look()
    assert "Added" in str(second.shown("uploads"))
    assert [path for path in app.uploads.rglob("*") if path.is_file()] == []
    for visitor in (first, second):
        visitor.forget()
        visitor.close()


def test_other_visitors_canaries_are_found_inside_markup():
    canaries = Canaries()
    canaries.register("anna", "0123456789abcdef")
    canaries.register("anna", "bakodelimuno")
    said = '<b>Bakodelimuno.pdf</b> data-page="local/0123456789abcdef-0001"'
    assert canaries.find_foreign(said, "anna") == set()
    assert canaries.find_foreign(said, "bert") == {"bakodelimuno", "0123456789abcdef"}
    assert canaries.find_foreign(said, "bert", allowed={"bakodelimuno"}) == {"0123456789abcdef"}
    assert canaries.find_foreign(f"visitor-{'0' * 32}", "anna") == {f"visitor-{'0' * 32}"}


def test_steady_growth_differs_from_short_peaks():
    def sampled(hourly_mb):
        """Memory in which a page takes 300 MB for a moment, now and then, and more at first."""
        return [
            Sample(at, 0.0, 700 + hourly_mb * at / 3600 + (300 if number % 5 else 0) - (200 if at < 60 else 0), 9, 9)
            for number, at in enumerate(range(0, 600, 2))
        ]

    assert hourly_growth(sampled(0)) == pytest.approx(0, abs=10)
    assert hourly_growth(sampled(400)) == pytest.approx(400, abs=20)
    assert all(promise.held for promise in check_growth(sampled(0), 0))
    assert [promise.name for promise in check_growth(sampled(4_000), 0) if not promise.held] == ["memory flat"]


def test_a_limit_that_is_stated_is_no_error():
    metrics = Metrics()
    metrics.record_refusal("40 files of all visitors are still waiting. Add this one again in a minute.")
    metrics.record_refusal("bakodelimuno.pdf is damaged.")
    assert (sum(metrics.limits.values()), dict(metrics.refusals)) == (1, {"FILE is damaged.": 1})


def test_the_parser_reads_the_page_s_markup():
    mine = [Document(Scope("visitor-a"), "0" * 16, "a & b.pdf", 3, 2, 900)]
    (listed,) = parse_documents(library_tab.render_documents(mine, 0, loading=False))
    assert (listed.file, listed.name, listed.pages) == ("0" * 16, "a & b.pdf", 2)
    (arrived,) = parse_uploads(
        library_tab.render_uploads([Progress("a & b.pdf", State.DONE, 2, 3, "Page 3 is empty.")])
    )
    assert (arrived.name, arrived.state, arrived.pages) == ("a & b.pdf", "done", 2)
