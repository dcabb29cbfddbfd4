"""A change of the model keeps the library: pages are encoded again one by one, and none is ever missing."""

import shutil
import threading
from dataclasses import replace

import numpy as np
import pytest

from smart_demo.backbones import ocr
from smart_demo.backbones.bag_of_words import WordBackbone
from smart_demo.backbones.ocr import Reading
from smart_demo.config import Limits, Quotas
from smart_demo.errors import PageRefused, QueryRefused
from smart_demo.indexing.indexer import Indexer
from smart_demo.indexing.progress import ReencodingProgress
from smart_demo.indexing.reencoding import BackgroundReencoding, Reencoder, restore_page
from smart_demo.page_text import Box, Word, WordSource
from smart_demo.store.library import Library
from smart_demo.types import LOCAL, Query, Scope
from tests.apps import open_words, settings_below
from tests.backbones.cases import loaded
from tests.documents import write_pdf
from tests.store.cases import path_of

TEXTS = ("tide table", "harbour moon", "sun star")
OLD, NEW = WordBackbone(["tide"]), WordBackbone(["moon"])
VISITOR = Scope("visitor-one")


@pytest.fixture(scope="module")
def indexed(tmp_path_factory):
    """Yield the folder of a library whose document a.pdf has a page for each of TEXTS, encoded by OLD."""
    folder = tmp_path_factory.mktemp("indexed")
    with Library.open(folder / "data", folder / "index") as library:
        add(library, write_pdf(folder / "a.pdf", *TEXTS))
    return folder


@pytest.fixture
def filled(indexed, tmp_path):
    """Yield a copy of that library."""
    shutil.copytree(indexed, tmp_path, dirs_exist_ok=True)
    with Library.open(tmp_path / "data", tmp_path / "index") as opened:
        yield opened


@pytest.fixture
def library(tmp_path):
    with Library.open(tmp_path / "data", tmp_path / "index") as opened:
        yield opened


def add(library, path, backbone=OLD, scope=LOCAL):
    *_, last = Indexer(library, Limits()).add(scope, [(path, path.name)], backbone)
    return last


def reencoder(library, **quotas):
    return Reencoder(library, Limits(), Quotas(**quotas))


def stored(library, backbone, scope=LOCAL):
    return {page.number: page for page in library.pages([scope], backbone.encoder.fingerprint)}


def reencode(library, backbone=NEW, scope=LOCAL, **quotas):
    *_, last = reencoder(library, **quotas).run(scope, backbone)
    return last


@pytest.mark.parametrize(("before", "after"), [("words", "minilm"), ("minilm", "tiny-qwen"), ("tiny-qwen", "minilm")])
def test_pages_of_one_model_are_encoded_by_another_and_searched(tmp_path, before, after):
    first, second = loaded(before), loaded(after)
    path = write_pdf(tmp_path / "a.pdf", "tide table of the harbour", "moon and sun")
    with Library.open(tmp_path / "data", tmp_path / "index") as library:
        add(library, path, first)
        old = stored(library, first)
        kept = {number: library.kept_parts(page) for number, page in old.items()}
        last = reencode(library, second)
        assert (last.done, last.total, last.left, last.refused, last.error) == (2, 2, 0, 0, "")
        assert stored(library, first) == {}
    with Library.open(tmp_path / "data", tmp_path / "index") as library:
        new = stored(library, second)
        assert [page.reencoded for page in new.values()] == [True, True]
        assert {n: (page.added, page.width, page.document) for n, page in new.items()} == {
            n: (page.added, page.width, page.document) for n, page in old.items()
        }
        for number, page in new.items():
            assert library.kept_parts(page) == kept[number]  # pictures byte by byte, words and where they come from
            restored = restore_page(page, *(part for part in (kept[number][0].picture, kept[number][1])), Limits())
            (alone,) = second.encode_pages([restored])
            np.testing.assert_allclose(library.encoding(page).pooled, alone.pooled, atol=1e-5)
        query = second.encode_query(Query("moon and sun"))
        assert len(library.nearest([LOCAL], second.encoder.fingerprint, query.pooled, 2)) == 2
        assert library.totals(LOCAL) == (2, sum(page.bytes for page in new.values()))
        reencode(library, first)  # and back: words and pictures are those of the document still
        again = stored(library, first)
        assert {n: page.source for n, page in again.items()} == {n: page.source for n, page in old.items()}
        assert stored(library, second) == {}
        document, *_ = library.pages([LOCAL], first.encoder.fingerprint).documents
        assert document.reencoded == document.stored == 2


def test_adding_the_document_again_encodes_the_original(tmp_path, library):
    path = write_pdf(tmp_path / "a.pdf", *TEXTS[:2])
    add(library, path)
    reencode(library)
    last = add(library, path, NEW)
    assert (last.outcome.added, last.outcome.reencoded) == ((1, 2), 0)
    assert [page.reencoded for page in stored(library, NEW).values()] == [False, False]
    assert library.totals(LOCAL)[0] == 2


def test_it_stops_after_a_page_and_continues_with_the_others(filled):
    library = filled
    everything = set(stored(library, OLD))
    steps = reencoder(library).run(LOCAL, NEW)
    seen = []
    for step in steps:
        old, new = set(stored(library, OLD)), set(stored(library, NEW))
        assert old | new == everything
        assert not old & new
        seen.append((step.done, step.left, len(new)))
        if step.done == 2:
            steps.close()
    assert seen == [(0, 3, 0), (1, 2, 1), (2, 1, 2)]
    last = reencode(library)
    assert (last.done, last.total) == (1, 1)
    assert set(stored(library, NEW)) == everything


def test_two_owners_are_separate(tmp_path, library):
    path = write_pdf(tmp_path / "a.pdf", *TEXTS[:2])
    for scope in (LOCAL, VISITOR):
        add(library, path, OLD, scope)
    assert reencode(library, scope=VISITOR).done == 2
    assert len(stored(library, OLD)) == len(stored(library, NEW, VISITOR)) == 2
    assert stored(library, NEW) == stored(library, OLD, VISITOR) == {}


def test_a_full_library_is_encoded_again_within_its_room(filled):
    library = filled
    pages, size = library.totals(LOCAL)
    assert reencode(library, library_pages=pages, library_bytes=size + 100).done == 3
    wide = WordBackbone(["sun"], width=4096)
    last = reencode(library, wide, library_pages=pages, library_bytes=size + 100)
    assert "Your library is full" in last.error
    assert (len(stored(library, NEW)), stored(library, wide)) == (3, {})
    assert reencode(library, wide).done == 3


def test_pages_that_the_model_refuses_or_that_are_damaged_keep_their_encoding(tmp_path, filled):
    library = filled

    class Picky(WordBackbone):
        def encode_pages(self, pages):
            made = super().encode_pages(pages)
            return [
                PageRefused(f"Page {page.number} is refused.") if page.number == 2 else encoding
                for page, encoding in zip(pages, made, strict=True)
            ]

    picture = path_of(tmp_path, stored(library, OLD)[3]).with_suffix(".webp")
    picture.write_bytes(picture.read_bytes()[:-9] + b"damaged!!")
    last = reencode(library, Picky(["moon"]))
    assert (last.done, last.refused, last.left) == (1, 2, 0)
    assert last.messages == (
        "Page 2 is refused.",
        "Page 3 of a.pdf is damaged.",
        "Add its document again.",
    )
    assert set(stored(library, OLD)) == {2, 3}
    assert library.report.damaged == ()


def test_deletions_and_additions_at_the_same_time_win(tmp_path, filled):
    library = filled
    again = write_pdf(tmp_path / "b.pdf", "tide moon", "table sun")
    add(library, again)
    steps = reencoder(library).run(LOCAL, NEW)
    next(steps)
    next(steps)
    file = next(page.id.file for page in stored(library, OLD).values() if page.document == "a.pdf")
    library.delete_document(LOCAL, file)
    add(library, again, NEW)
    *_, last = steps
    assert (last.left, last.refused, last.error) == (0, 0, "")
    pages = library.pages([LOCAL], NEW.encoder.fingerprint)
    assert [(page.document, page.reencoded) for page in pages] == [("b.pdf", False), ("b.pdf", False)]


def test_words_that_a_seeing_model_did_not_read_are_read_from_the_picture(tmp_path, library, monkeypatch):
    read = []

    def read_pages(pictures, *, turn):
        read.extend(pictures)
        words = (Word("moon", Box(0.1, 0.1, 0.3, 0.2)),)
        return [Reading(words, turns=1)] * len(pictures)

    class Reader(WordBackbone):
        needs_words = True

    monkeypatch.setattr(ocr, "read_pages", read_pages)
    seeing, reader = loaded("tiny-qwen"), Reader(["moon"])
    add(library, write_pdf(tmp_path / "a.pdf", ""), seeing)
    width, height = stored(library, seeing)[1].width, stored(library, seeing)[1].height
    assert reencode(library, reader).done == 1
    page = stored(library, reader)[1]
    assert (page.source, len(read)) == (WordSource.OCR, 1)
    assert page.width > page.height  # turned upright, its picture too
    assert width < height
    assert restore_page(page, library.picture(page), None, Limits()).pixels.shape[1] == page.width
    assert reencode(library, Reader(["sun"])).done == 1
    assert len(read) == 1  # words that were read once are not read again


class Steps:
    """Progress of pages that take as long as a test wants."""

    def __init__(self, pages=3):
        self.order, self.pages, self.closed = [], pages, []
        self.may_go, self.reached = threading.Event(), threading.Event()
        self.may_go.set()

    def __call__(self, owner):
        try:
            for done in range(self.pages + 1):
                self.order.append((owner, done))
                yield ReencodingProgress(self.pages, done, self.pages - done)
                self.reached.set()
                assert self.may_go.wait(20)
        finally:
            self.closed.append(owner)


def test_owners_take_turns_in_the_background_and_their_outcomes_are_kept():
    steps, lowered = Steps(), []
    steps.may_go.clear()
    background = BackgroundReencoding(steps, lambda: lowered.append(threading.current_thread().name))
    background.start(LOCAL)
    assert steps.reached.wait(20)
    background.start(VISITOR)
    steps.may_go.set()
    background.wait(20)
    owners = [owner for owner, _ in steps.order]
    assert owners.index(VISITOR) < len(owners) - 1 - owners[::-1].index(LOCAL)
    assert lowered == ["reencoding"]
    for owner in (LOCAL, VISITOR):
        assert not background.running(owner)
        assert background.progress(owner) == ReencodingProgress(3, 3, 0, running=False)
    background.delete(LOCAL)
    assert background.progress(LOCAL) is None


@pytest.mark.parametrize("end", ["stop", "delete"])
def test_an_owner_stops_it_and_starts_it_again(end):
    steps = Steps()
    steps.may_go.clear()
    background = BackgroundReencoding(steps, lambda: None)
    background.start(LOCAL)
    assert steps.reached.wait(20)
    getattr(background, end)(LOCAL)
    if end == "stop":
        assert background.progress(LOCAL).stopping
    steps.may_go.set()
    background.wait(20)
    outcome = background.progress(LOCAL)
    assert (outcome.done < 3 and not outcome.running) if end == "stop" else outcome is None
    assert steps.closed == [LOCAL]
    background.start(LOCAL)
    background.wait(20)
    assert background.progress(LOCAL).done == 3


def test_an_unexpected_error_is_said_and_the_next_owner_continues(caplog):
    def failing(owner):
        yield ReencodingProgress(1, 0, 1)
        if owner == LOCAL:
            raise ZeroDivisionError

    background = BackgroundReencoding(failing, lambda: None)
    for owner in (LOCAL, VISITOR):
        background.start(owner)
    background.wait(20)
    assert "log says why" in background.progress(LOCAL).error
    assert background.progress(VISITOR).error == ""


def restarted(folder, **options):
    changes = options.pop("settings", {})
    return open_words(settings_below(folder, **changes), **options)


def test_a_named_model_starts_by_itself_on_a_private_page_alone(tmp_path):
    (tmp_path / "samples").mkdir()
    path = write_pdf(tmp_path / "a.pdf", *TEXTS)
    with restarted(tmp_path, main=OLD) as engine:
        list(engine.add(LOCAL, [(path, "a.pdf")]))
    with restarted(tmp_path, main=NEW, settings={"public": True}) as engine:
        engine.resume_reencoding()
        assert engine.reencoding.progress(LOCAL) is None
    with restarted(tmp_path, main=QueryRefused("no such model"), bundled=NEW) as engine:
        engine.resume_reencoding()  # the model that stands in for a missing one destroys nothing
        assert engine.reencoding.progress(LOCAL) is None
    with restarted(tmp_path, main=NEW) as engine:
        assert engine.pages_of_other_encoders(LOCAL) == 3
        engine.resume_reencoding()
        engine.reencoding.wait(20)
        assert engine.pages_of_other_encoders(LOCAL) == 0
        best, *_ = engine.search(Query("harbour moon"), [LOCAL]).results["pooled"].hits
        assert (best.page.number, best.page.reencoded) == (2, True)


def test_deleting_everything_and_expiring_end_it(tmp_path):
    (tmp_path / "samples").mkdir()
    path = write_pdf(tmp_path / "a.pdf", *TEXTS)
    with restarted(tmp_path, main=OLD, settings={"public": True}) as engine:
        for scope in (VISITOR, Scope("visitor-two")):
            list(engine.add(scope, [(path, "a.pdf")]))
    with restarted(tmp_path, main=NEW, settings={"public": True}) as engine:
        for scope, end in ((VISITOR, engine.delete_library), (Scope("visitor-two"), None)):
            steps = engine.reencode(scope)
            next(steps)
            next(steps)
            if end:
                end(scope)
            else:
                (visitor,) = engine.library.visitors()
                assert engine.expire(replace(visitor)) is not None
            *_, last = steps
            assert (last.left, last.refused) == (0, 0)
            assert engine.library.totals(scope) == (0, 0)
