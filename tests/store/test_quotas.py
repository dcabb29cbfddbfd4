"""Quotas: the limits of libraries are stated, and never exceeded, also by simultaneous uploads."""

import sys
import tempfile
import threading
from functools import cache, partial
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from smart_demo.config import Quotas, read_settings
from smart_demo.errors import QuotaExceeded
from smart_demo.indexing.indexer import AdmissionCheck, IndexingJob
from smart_demo.indexing.progress import State
from smart_demo.store.quotas import QuotaCheck, Usage
from smart_demo.types import LOCAL, SAMPLES
from smart_demo.wording import size_in_words
from tests.documents import write_pdf
from tests.server import cases as keeping_cases
from tests.server.cases import Words, add, bytes_under, judge, names, visitor, without_index
from tests.store.cases import ENCODER, OTHER_ENCODER, machine_settings, made, page_id

ME, YOU = visitor(1), visitor(2)
an_engine = partial(keeping_cases.an_engine, open_library=without_index)


def paper(folder, name, pages):
    return write_pdf(folder / name, *[f"{name} page {number}" for number in range(pages)])


def test_a_file_whose_pages_do_not_fit_is_refused_before_any_is_drawn(tmp_path):
    words = Words()
    with an_engine(tmp_path, words, library_pages=5) as engine:
        add(engine, ME, paper(tmp_path, "a.pdf", 3))
        refused, kept = add(engine, ME, paper(tmp_path, "b.pdf", 4), paper(tmp_path, "c.pdf", 2))
        assert refused.state is State.REFUSED
        assert refused.message == ("b.pdf has 4 pages; your library has room for 2 more of 5. Delete something first.")
        assert (kept.state, words.encoded) == (State.DONE, 5)  # a smaller file of the same batch fits
        (full,) = add(engine, ME, paper(tmp_path, "d.pdf", 1))
        assert full.message == "d.pdf has 1 page; your library is full: it has 5 of 5 pages. Delete something first."
        engine.delete_document(ME, engine.documents(ME)[0].file)
        assert add(engine, ME, paper(tmp_path, "d.pdf", 1))[0].state is State.DONE


def test_usage_is_stated_before_the_limit_is_reached(tmp_path):
    with an_engine(tmp_path, library_pages=5) as engine:
        assert engine.usage(ME) == Usage(0, 0, 5, 500 * 10**6)
        add(engine, ME, paper(tmp_path, "a.pdf", 3))
        used = engine.usage(ME)
        assert (used.pages, used.bytes) == (3, bytes_under(tmp_path / "data"))
        assert engine.usage(YOU).pages == 0
    with an_engine(tmp_path, library_pages=2) as engine:  # a restart keeps the count, and a lower limit deletes nothing
        assert engine.usage(ME) == Usage(3, used.bytes, 2, 500 * 10**6)
        (refused,) = add(engine, ME, paper(tmp_path, "b.pdf", 1))
        assert "it has 3 of 2 pages" in refused.message


def test_a_library_stays_within_its_bytes(tmp_path):
    with an_engine(tmp_path / "measured") as engine:
        add(engine, ME, paper(tmp_path, "a.pdf", 4))
        sizes = [page.bytes for page in engine.library.pages([ME], engine.backbone(ME).encoder.fingerprint)]
    limit = sum(sizes[:2]) + sizes[2] // 2
    words = Words()
    with an_engine(tmp_path, words, library_bytes=limit) as engine:
        (end,) = add(engine, ME, tmp_path / "a.pdf")
        assert (end.state, end.done, end.total) == (State.DONE, 2, 4)
        assert "The other 2 are not kept. Your library is full" in end.message
        assert end.message.endswith("Delete something first.")
        assert engine.usage(ME).bytes == bytes_under(tmp_path / "data") <= limit
    with an_engine(tmp_path, words := Words(), library_bytes=sum(sizes[:2])) as engine:
        (end,) = add(engine, ME, paper(tmp_path, "b.pdf", 1))
        assert (end.state, words.encoded) == (State.REFUSED, 0)
        assert "Your library is full" in end.message


def test_all_visitors_stay_within_the_total_and_judgements_count(tmp_path):
    with an_engine(tmp_path) as engine:
        add(engine, ME, paper(tmp_path, "a.pdf", 1))
        used = engine.usage(ME).bytes
    with an_engine(tmp_path, total_bytes=used + 40) as engine:
        (refused,) = add(engine, YOU, paper(tmp_path, "b.pdf", 1))
        assert "all visitors together may take" in refused.message
        assert "unchanged for an hour" in refused.message
        assert add(engine, LOCAL, paper(tmp_path, "b.pdf", 1))[0].state is State.DONE  # it belongs to no visitor
    with an_engine(tmp_path, total_bytes=3 * used) as engine:
        path = judge(engine, YOU, "x" * 2 * used)
        assert add(engine, ME, paper(tmp_path, "c.pdf", 1))[0].state is State.REFUSED
        path.unlink()
        assert add(engine, ME, paper(tmp_path, "c.pdf", 1))[0].state is State.DONE


def test_the_samples_are_never_limited(tmp_path):
    (tmp_path / "sample_docs").mkdir()
    paper(tmp_path / "sample_docs", "tides.pdf", 3)
    with an_engine(tmp_path, library_pages=1, library_bytes=1, total_bytes=1) as engine:
        list(engine.prepare_samples())
        assert engine.samples().complete
        assert engine.usage(SAMPLES).pages_limit == engine.usage(SAMPLES).bytes_limit == sys.maxsize


def test_two_simultaneous_uploads_cannot_both_take_the_last_space(tmp_path):
    """Both are admitted while there is room for either; both are encoding when the first one commits."""
    meeting = threading.Barrier(2, timeout=30)
    with an_engine(tmp_path, Words(before=lambda _: meeting.wait()), library_pages=2) as engine:
        paths, ends = [paper(tmp_path, name, 2) for name in ("a.pdf", "b.pdf")], []
        threads = [threading.Thread(target=lambda p=path: ends.extend(add(engine, ME, p))) for path in paths]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert engine.usage(ME).pages == sum(end.done for end in ends if end.state is State.DONE) == 2
        short = [end for end in ends if end.done < 2]
        assert len(short) in (1, 2)  # either took both, or each took one
        assert all("it has 2 of 2 pages. Delete something first." in end.message for end in short)


def test_a_refusal_states_the_configured_size():
    quotas = read_settings({"SMART_PUBLIC": "on"}).quotas
    for full in (Usage(1, quotas.library_bytes, 200, quotas.library_bytes), Usage(1, 9, 200, quotas.library_bytes)):
        with pytest.raises(QuotaExceeded) as refusal:
            QuotaCheck(full, quotas.total_bytes, quotas).check_page(1)
        limit = quotas.library_bytes if full.bytes > 9 else quotas.total_bytes
        assert size_in_words(limit) in str(refusal.value)
        assert size_in_words(limit) in ("500 MB", "4,000 MB")


def test_a_page_of_two_encoders_counts_once(tmp_path):
    path = paper(tmp_path, "a.pdf", 3)
    with an_engine(tmp_path, library_pages=3) as engine:
        add(engine, ME, path)
        once = engine.usage(ME)
    with an_engine(tmp_path, Words(width=512), library_pages=3) as engine:
        assert names(engine, ME) == []
        assert add(engine, ME, path)[0].state is State.DONE
        assert engine.usage(ME).pages == 3
        assert engine.usage(ME).bytes == bytes_under(tmp_path / "data") > once.bytes


def test_a_refusal_never_reveals_another_visitors_library(tmp_path):
    with an_engine(tmp_path) as engine:
        add(engine, ME, paper(tmp_path, "secret.pdf", 2))
    with an_engine(tmp_path, total_bytes=1) as engine:
        (refused,) = add(engine, YOU, paper(tmp_path, "b.pdf", 1))
        assert not {"secret", str(ME)} & set(refused.message.split())


TIGHT = (
    Quotas(library_pages=3, library_bytes=10**9, total_bytes=10**9),
    Quotas(library_pages=99, library_bytes=20_000, total_bytes=10**9),
    Quotas(library_pages=99, library_bytes=10**9, total_bytes=24_000),
    Quotas(library_pages=3, library_bytes=20_000, total_bytes=24_000),
)
"""Quotas that about four pages of 5 kB exceed."""


@cache
def size_of(file, number, encoder):
    """Return the maximal bytes of a page on disk: a longer scope and another time make its header slightly longer."""
    with tempfile.TemporaryDirectory() as name:
        library = without_index(Path(name), Path(name) / "index")
        return library.add(LOCAL, *made(file, number, encoder)).bytes + 64


class Accounting(RuleBasedStateMachine):
    """Adds to and deletes from three libraries: the counts equal the bytes on disk and stay within the limits."""

    scopes = st.sampled_from([LOCAL, ME, YOU])
    files, numbers, encoders = st.integers(1, 4), st.integers(1, 2), st.sampled_from([ENCODER, OTHER_ENCODER])

    def __init__(self):
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.model: dict = {}
        self.quotas = TIGHT[-1]
        self.start()

    @initialize(quotas=st.sampled_from(TIGHT))
    def limit(self, quotas):
        self.quotas = quotas

    def start(self):
        self.library = without_index(self.folder / "data", self.folder / "index")

    def teardown(self):
        self.library.close()

    def of(self, *scopes):
        return {key: size for key, size in self.model.items() if key[0] in scopes}

    @rule(scope=scopes, pages=st.lists(st.tuples(files, numbers, encoders), min_size=1, max_size=9))
    def add(self, scope, pages):
        for one in pages:
            self.add_one(scope, *one)

    def add_one(self, scope, file, number, encoder):
        page, encoding = made(file, number, encoder)
        upload = SimpleNamespace(file=page.id.file, name="a.pdf", pages=3)
        admission, key = (
            AdmissionCheck(self.library, self.quotas, IndexingJob(scope), upload),
            (scope, encoder, page.id),
        )
        mine, size = self.of(scope), size_of(file, number, encoder)
        pages = {other[2] for other in mine} | {page.id}
        visitors = sum(self.of(ME, YOU).values()) + size if scope != LOCAL else 0
        over = (
            len(pages) > self.quotas.library_pages,
            sum(mine.values()) + size > self.quotas.library_bytes,
            visitors > self.quotas.total_bytes,
        )
        try:
            self.model.setdefault(key, self.library.add(scope, page, encoding, 0.0, admission.check_page).bytes)
        except QuotaExceeded:
            assert key not in mine
            assert any(over)

    @rule(scope=scopes, file=files)
    def remove(self, scope, file):
        gone = [key for key in self.of(scope) if key[2].file == page_id(file).file]
        assert self.library.delete_document(scope, page_id(file).file) == sum(self.model.pop(key) for key in gone)

    @rule(scope=scopes)
    def forget(self, scope):
        assert self.library.delete_scope(scope) == sum(self.model.pop(key) for key in self.of(scope))
        assert not (self.folder / "data" / "tokens" / str(scope)).exists()

    @rule()
    def restart(self):
        self.library.close()
        self.start()

    @invariant()
    def counts_equal_the_files_on_disk(self):
        for scope in (LOCAL, ME, YOU):
            mine, folder = self.of(scope), self.folder / "data" / "tokens" / str(scope)
            on_disk = bytes_under(folder) if folder.exists() else 0
            assert self.library.totals(scope) == (len({key[2] for key in mine}), sum(mine.values()))
            assert self.library.totals(scope)[1] == on_disk <= self.quotas.library_bytes
            assert self.library.totals(scope)[0] <= self.quotas.library_pages
            numbers = {key[2].number for key in mine if key[2].file == page_id(1).file}
            assert self.library.page_numbers(scope, page_id(1).file) == numbers
        visitors = self.library.visitors()
        assert {one.scope: one.bytes for one in visitors} == {
            scope: sum(self.of(scope).values()) for scope in (ME, YOU) if self.of(scope)
        }
        assert self.library.visitor_page_bytes() == sum(one.bytes for one in visitors) <= self.quotas.total_bytes


TestAccounting = Accounting.TestCase
TestAccounting.settings = machine_settings(examples=14, steps=12)


@pytest.mark.parametrize("scope", [LOCAL, ME])
def test_a_refused_page_stores_nothing(tmp_path, scope):
    with an_engine(tmp_path, library_bytes=1_000) as engine:
        (end,) = add(engine, scope, paper(tmp_path, "a.pdf", 1))
        assert end.state is State.REFUSED
        assert bytes_under(tmp_path / "data") == 0
        assert engine.usage(scope).pages == 0
