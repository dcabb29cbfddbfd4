"""Adding documents from any tab, without a browser: the line of progress, the outcome, the questions."""

from dataclasses import replace

import pytest

from smart_demo.errors import FileRefused
from smart_demo.indexing.progress import BatchProgress, FileOutcome, Progress, State
from smart_demo.types import LOCAL, Scope
from smart_demo.ui.adding import render_line
from smart_demo.ui.format import strip_unprintable
from smart_demo.ui.handlers import Handlers
from smart_demo.ui.library_tab import SamplePreparation
from smart_demo.ui.upload_queue import UploadQueue
from tests.documents import write_pdf
from tests.ui.cases import HOSTILE
from tests.ui.parsed_markup import ParsedMarkup
from tests.ui.test_upload_queue import copies

A, B = Scope("visitor-a"), Scope("visitor-b")


def text_of(batch):
    return ParsedMarkup(render_line(batch)).text


def test_the_line_shows_files_pages_and_the_time_left_with_a_button_to_stop():
    files = Progress("a.pdf", State.DONE, 41, 41), Progress("b.pdf", State.WORKING, 0, 79)
    running = BatchProgress(files, running=True, seconds_left=110)
    seen = ParsedMarkup(render_line(running))
    assert "1 of 2 files · 41 of 120 pages · about 2 minutes left" in seen.text
    assert [button["data-adding"] for button in seen.find("button")] == ["stop"]
    assert [bar["aria-valuenow"] for bar in seen.find("span") if "aria-valuenow" in bar] == ["34"]
    stopping = ParsedMarkup(render_line(replace(running, stopping=True)))
    assert "Stopping after this page" in stopping.text
    assert not [button for button in stopping.find("button") if "data-adding" in button]


def test_nothing_is_said_that_is_not_known_yet():
    waiting = BatchProgress((Progress("a.pdf", State.WORKING),), waiting_pages=None, running=True)
    assert text_of(waiting) == "Adding 0 of 1 file Stop"
    assert not [bar for bar in ParsedMarkup(render_line(waiting)).find("span") if "aria-valuenow" in bar]
    loading = Progress("a.pdf", State.WORKING, message="Waiting for the model to load.")
    assert "0 of 1 file · Waiting for the model to load." in text_of(replace(waiting, files=(loading,)))
    assert render_line(BatchProgress()) == ""


def test_the_outcome_names_pages_documents_time_refusals_and_questions():
    files = (
        Progress("a.pdf", State.DONE, 8, 8, file="a", added=8),
        Progress("b.pdf", State.DONE, 4, 4, file="b", added=4),
        Progress("c.pdf", State.REFUSED, message="c.pdf is damaged and cannot be read."),
        Progress("d.pdf", State.REFUSED, message="Only 2 files at once. Add this one again."),
        Progress("e.pdf", State.KNOWN, 3, 3, file="e"),
    )
    seen = ParsedMarkup(render_line(BatchProgress(files, seconds=9.2, questions=("red door", "lemon juice"))))
    assert "12 pages of 2 documents added in 9 s." in seen.text
    assert "1 file was in your documents already." in seen.text
    assert "c.pdf is damaged and cannot be read." in seen.text
    assert "d.pdf was not added. Only 2 files at once." in seen.text
    assert "made from the pages’ own words" in seen.text
    assert [b["data-ask"] for b in seen.find("button") if "data-ask" in b] == ["red door", "lemon juice", "red door"]


def test_an_outcome_without_pages_offers_no_search_and_one_that_was_read_is_gone():
    refused = BatchProgress((Progress("a.txt", State.REFUSED, message="a.txt is no PDF."),))
    seen = ParsedMarkup(render_line(refused))
    assert "Nothing was added. a.txt is no PDF." in seen.text
    assert [button["data-adding"] for button in seen.find("button")] == ["dismiss"]
    assert render_line(replace(refused, dismissed=True)) == ""


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_and_words_are_shown_as_text(name):
    files = Progress(name, State.DONE, 1, 1, file="a", added=1), Progress(name, State.REFUSED, message="No PDF.")
    markup = render_line(BatchProgress(files, questions=(name,)))
    seen = ParsedMarkup(markup)
    assert strip_unprintable(name) in "".join(seen.words)
    assert not seen.find("img")
    assert "\u202e" not in markup


class Ticking:
    """A clock that the test sets."""

    def __init__(self):
        self.now = 1_000.0

    def __call__(self):
        return self.now


def test_the_time_left_is_measured_over_all_files_and_their_pages_are_counted_before_they_are_read(tmp_path):
    clock, seen = Ticking(), []
    lengths = {"a.pdf": 4, "b.pdf": 6, "c.pdf": 0}

    def add(_, files):
        ((_, name),) = files
        total = lengths[name]
        if not total:
            raise FileRefused("c.pdf is damaged.")
        for page in range(total + 1):
            clock.now += 3.0 if page else 1.0
            step = Progress(name, State.WORKING, page, total, file=name, added=page, left=total - page)
            yield step
            seen.append((name, page, uploads.batch(A)))
        yield replace(step, state=State.DONE, outcome=FileOutcome(tuple(range(1, total + 1))))

    def count_pages(_, name):
        if not lengths[name]:
            raise FileRefused("c.pdf is damaged.")
        return lengths[name]

    uploads = UploadQueue(add, 20, count_pages=count_pages, clock=clock)
    uploads.submit(A, copies(tmp_path, *lengths))
    uploads.wait(10)
    assert {name: batch.pages for name, page, batch in seen if page} == {"a.pdf": 10, "b.pdf": 10}
    left = {(name, page): batch.seconds_left for name, page, batch in seen}
    assert left["a.pdf", 0] is None
    assert left["a.pdf", 4] == pytest.approx(6 * 3.0)
    # Nine pages and the opening of the second file took 28 s, so the last one is expected to take 28/9 s.
    assert left["b.pdf", 5] == pytest.approx(28 / 9)
    done = uploads.batch(A)
    assert (done.seconds_left, done.seconds) == (None, 1.0 + 4 * 3.0 + 1.0 + 6 * 3.0)
    assert (done.added_pages, done.added_documents, done.count_in(State.REFUSED)) == (10, 2, 1)
    assert uploads.batch(B) == BatchProgress()


def handlers_with_questions(page: Handlers) -> Handlers:
    engine = page.engine
    uploads = UploadQueue(engine.add, 20, count_pages=engine.count_pages, suggest=engine.suggest_questions)
    return Handlers(engine, uploads, SamplePreparation(engine), page.picture_addresses)


def test_questions_are_of_the_new_pages_and_gone_when_a_document_is_deleted(fresh_page, tmp_path):
    handlers = handlers_with_questions(fresh_page)
    for name, line in (("door.pdf", "Every keeper paints his lighthouse door"), ("juice.pdf", "Descale it with lemon")):
        (tmp_path / name[:4]).mkdir()
        write_pdf(tmp_path / name[:4] / name, line)
    handlers.submit_uploads([tmp_path / "door" / "door.pdf", tmp_path / "juic" / "juice.pdf"])
    handlers.uploads.wait(20)
    batch = handlers.background_state().uploads
    assert (batch.added_pages, batch.added_documents) == (2, 2)
    assert len(batch.questions) == 2
    assert {question.split()[0] for question in batch.questions} == {"Every", "Descale"}
    before = handlers.background_state().fingerprint
    (door,) = [document.file for document in handlers.list_documents(LOCAL) if document.name == "door.pdf"]
    handlers.delete_document(door)
    assert handlers.background_state().uploads.questions is None
    assert handlers.background_state().fingerprint != before
    assert render_line(handlers.background_state().uploads) == "", "it offers pages that are deleted"


def test_pages_without_a_question_say_so_only_if_their_words_were_read():
    added = BatchProgress((Progress("a.pdf", State.DONE, 1, 1, file="a", added=1),))
    assert "gave no question" in text_of(replace(added, questions=()))
    assert "question" not in text_of(replace(added, questions=None))
    assert "Search them" in text_of(replace(added, questions=None))


def test_a_document_deleted_during_an_upload_counts_no_more_and_another_changes_nothing(tmp_path):
    def add(_, files):
        ((_, name),) = files
        if name == "b.pdf":
            uploads.discard_outcome(A, "a.pdf")
        yield Progress(name, State.DONE, 1, 1, file=name, added=1)

    uploads = UploadQueue(add, 20, suggest=lambda *_: ("red door",))
    uploads.submit(A, copies(tmp_path, "a.pdf", "b.pdf"))
    uploads.wait(10)
    assert (uploads.batch(A).added_pages, uploads.batch(A).questions) == (1, ("red door",))
    uploads.discard_outcome(A, "older.pdf")
    assert "red door" in render_line(uploads.batch(A))
    uploads.discard_outcome(A, "b.pdf")
    assert render_line(uploads.batch(A)) == ""


def test_questions_that_cannot_be_made_do_not_stop_an_upload(tmp_path):
    def add(_, files):
        yield Progress(files[0][1], State.DONE, 1, 1, file="a", added=1)

    def suggest(*_):
        raise RuntimeError("no words")

    uploads = UploadQueue(add, 20, suggest=suggest)
    uploads.submit(A, copies(tmp_path, "a.pdf"))
    uploads.wait(10)
    assert (uploads.batch(A).running, uploads.batch(A).added_pages, uploads.batch(A).questions) == (False, 1, None)
