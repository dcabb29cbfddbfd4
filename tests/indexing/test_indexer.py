"""Adding documents: pages are kept with their words, notices are said, and pages of earlier versions read again."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smart_demo.backbones import ocr
from smart_demo.backbones.bag_of_words import WordBackbone
from smart_demo.backbones.ocr import Reading
from smart_demo.config import Limits, Quotas
from smart_demo.errors import PageRefused
from smart_demo.indexing import indexer
from smart_demo.indexing.indexer import Indexer, name_pages
from smart_demo.indexing.page_words import read_pages
from smart_demo.indexing.progress import State
from smart_demo.page_text import Box, Word, WordSource
from smart_demo.store.library import Library
from smart_demo.types import LOCAL
from tests.documents import write_pdf
from tests.store.cases import forget_words


class Reader(WordBackbone):
    """Encodes words, so that pages without a text layer are read by OCR; says which pages have few."""

    needs_words = True

    def encode_pages(self, pages):
        return [
            made if isinstance(made, PageRefused) or len(page.words) > 1 else replace(made, notice="Few words.")
            for page, made in zip(pages, super().encode_pages(pages), strict=True)
        ]


@pytest.fixture
def opened(tmp_path):
    def open_library():
        return Library.open(tmp_path / "data", tmp_path / "index")

    return open_library


@pytest.fixture(autouse=True)
def read_by_ocr(monkeypatch):
    """OCR finds two words in any picture; return how many it has read."""
    read = []
    words = tuple(Word(text, Box(0.1, 0.1, 0.2, 0.2)) for text in ("scanned", "page"))

    def read_pages(pictures, *, turn):
        read.extend(pictures)
        return [Reading(words)] * len(pictures)

    monkeypatch.setattr(ocr, "read_pages", read_pages)
    return read


def add(library, path, backbone=None, **options):
    """Add a file; return its last step."""
    *_, last = Indexer(library, Limits(), **options).add(LOCAL, [(path, path.name)], backbone or Reader())
    return last


def stored(library):
    return {page.number: page for page in library.pages([LOCAL], Reader().encoder.fingerprint)}


def test_each_page_is_kept_with_the_words_it_was_encoded_by(tmp_path, opened, read_by_ocr):
    path = write_pdf(tmp_path / "a.pdf", "tide table", "", "harbour moon sun")
    with opened() as library:
        last = add(library, path)
        assert last.outcome.added == (1, 2, 3)
        assert last.outcome.sources == {WordSource.LAYER: 2, WordSource.OCR: 1}
        assert len(read_by_ocr) == 1
        kept = {number: library.page_words(page) for number, page in stored(library).items()}
        assert [word.text for word in kept[1].words] == ["tide", "table"]
        assert [kept[number].source for number in (1, 2, 3)] == [WordSource.LAYER, WordSource.OCR, WordSource.LAYER]
        again = add(library, path)
        assert (again.state, again.outcome.sources) == (State.KNOWN, last.outcome.sources)
        assert again.outcome.added == ()


def test_a_backbone_that_sees_starts_no_ocr(tmp_path, opened, read_by_ocr):
    with opened() as library:
        add(library, write_pdf(tmp_path / "a.pdf", "tide table", ""), WordBackbone())
    assert read_by_ocr == []


def test_what_was_noticed_is_said_once_with_the_pages_that_have_it(tmp_path, opened, monkeypatch):
    def noticing(pages, **options):
        own = [("Turned upright.", "Read.") if page.number % 2 else ("Read.",) for page in pages]
        read = read_pages(pages, **options)
        return [replace(page, notices=notices) for page, notices in zip(read, own, strict=True)]

    monkeypatch.setattr(indexer, "read_pages", noticing)
    with opened() as library:
        last = add(library, write_pdf(tmp_path / "a.pdf", "one two", "only", "three four", "five six", "seven eight"))
    assert last.message == "Pages 1, 3, 5: Turned upright. Read. Page 2: Few words."
    assert last.outcome.notices == {"Turned upright.": (1, 3, 5), "Read.": (1, 2, 3, 4, 5), "Few words.": (2,)}


def test_many_notices_are_few_sentences(tmp_path, opened, monkeypatch):
    def noticing(pages, **_):
        return [replace(page, notices=(f"N{page.number}.",)) for page in read_pages(pages, use_ocr=False)]

    monkeypatch.setattr(indexer, "read_pages", noticing)
    with opened() as library:
        last = add(library, write_pdf(tmp_path / "a.pdf", *(f"word {number}" for number in range(9))))
    assert last.message == "Page 1: N1. Page 2: N2. Page 3: N3."
    assert (len(last.outcome.notices), last.outcome.notices_left_out) == (9, 6)


def test_refusals_and_damage_come_before_what_is_no_fault(tmp_path, opened, monkeypatch):
    facts = sorted(indexer.FACTS)
    own = {1: (*facts, "A."), 2: (*facts, "B."), 3: ("C.",), 4: ("A.",)}

    def noticing(pages, **_):
        read = read_pages(pages, use_ocr=False)
        return [
            PageRefused("Page 4 is torn.", "Mend it.") if page.number == 4 else replace(page, notices=own[page.number])
            for page in read
        ]

    monkeypatch.setattr(indexer, "read_pages", noticing)
    with opened() as library:
        last = add(library, write_pdf(tmp_path / "a.pdf", *(f"word {number}" for number in range(4))))
    assert last.message == "Page 4 is torn. Mend it. Page 1: A. Page 2: B. Page 3: C."
    assert last.outcome.notices_left_out == len(facts)
    assert set(last.outcome.notices) == {*facts, "A.", "B.", "C."}


@given(st.sets(st.integers(1, 40), min_size=1).map(sorted))
def test_page_names_are_short_and_name_the_first_pages(numbers):
    named = name_pages(numbers)
    assert len(named) < 60
    begin = named.removeprefix("Pages ").removeprefix("Page ")
    expanded = [
        number
        for part in begin.removesuffix(" and others").split(", ")
        for number in range(int(part.partition("-")[0]), int(part.rpartition("-")[2]) + 1)
    ]
    assert expanded == numbers[: len(expanded)]
    assert named.endswith(" and others") or expanded == numbers


def test_a_refused_page_has_its_number_and_reason(tmp_path, opened, monkeypatch):
    monkeypatch.setattr(ocr, "read_pages", lambda pictures, *, turn: [Reading(())] * len(pictures))
    with opened() as library:
        last = add(library, write_pdf(tmp_path / "a.pdf", "tide table", "", "moon sun"))
    assert last.outcome.added == (1, 3)
    assert list(last.outcome.refused) == [2]
    assert "Page 2 of a.pdf" in last.outcome.refused[2]


def test_a_document_read_by_an_earlier_version_is_read_again_page_by_page(tmp_path, opened):
    path = write_pdf(tmp_path / "a.pdf", "tide table", "harbour moon", "sun star")
    with opened() as library:
        add(library, path)
        before = stored(library)
    assert forget_words(tmp_path / "data") == 3
    with opened() as library:
        steps = Indexer(library, Limits()).add(LOCAL, [(path, path.name)], Reader())
        seen = []
        for step in steps:
            seen.append((step.done, sum(page.source is None for page in stored(library).values())))
            assert len(stored(library)) == 3  # every page, at every moment
            if step.state is State.WORKING and len(seen) == 3:
                steps.close()  # the visitor stops it: what was read stays
        assert seen == [(3, 3), (3, 2), (3, 1)]
        last = add(library, path)
        assert (last.state, last.done, last.outcome.added) == (State.DONE, 3, (3,))
        assert last.outcome.sources == {WordSource.LAYER: 3}
        assert add(library, path).state is State.KNOWN
        assert {number: page.bytes for number, page in stored(library).items()} == {
            number: page.bytes for number, page in before.items()
        }


def test_an_old_page_that_is_refused_now_stays_as_it_was(tmp_path, opened, monkeypatch):
    path = write_pdf(tmp_path / "a.pdf", "", "tide table")
    with opened() as library:
        add(library, path)
    forget_words(tmp_path / "data")
    monkeypatch.setattr(ocr, "read_pages", lambda pictures, *, turn: [Reading(())] * len(pictures))
    with opened() as library:
        last = add(library, path)
        assert (last.done, last.outcome.added, list(last.outcome.refused)) == (2, (2,), [1])
        assert stored(library)[1].source is None


def test_a_full_library_can_still_be_read_again(tmp_path, opened):
    """A page takes the room of the one that it replaces."""
    path = write_pdf(tmp_path / "a.pdf", "tide table", "harbour moon")
    with opened() as library:
        add(library, path)
        _, size = library.totals(LOCAL)
    forget_words(tmp_path / "data")
    with opened() as library:
        quotas = Quotas(library_pages=2, library_bytes=size + 200)
        last = add(library, path, quotas=quotas)
        assert (last.message, last.outcome.added) == ("", (1, 2))
