"""Adding documents from any tab: the hint while files are dragged, the line of progress, and the outcome.

The components lie outside the tabs, because Gradio mounts a tab when it is first opened.
"""

from __future__ import annotations

from collections.abc import Iterator

import gradio as gr

from smart_demo.config import Settings
from smart_demo.indexing.progress import BatchProgress, Progress, State
from smart_demo.ui.events import html_component
from smart_demo.ui.format import format_time_left
from smart_demo.ui.render import NOTHING, render
from smart_demo.wording import count

MAX_NAMED_REFUSALS = 3
"""Number of files that were not added of which the line says why. The Library lists all."""


class AddingPanel:
    """The components below the head of the page. Create it inside a `gr.Blocks`."""

    def __init__(self, settings: Settings) -> None:
        with gr.Column(elem_id="adding-panel"):
            html_component(render("drop_hint", settings=settings), "drop-hint")
            if settings.uploads:
                self.line = html_component("", "adding", "smartDemo.adding(element, trigger)")
                # The script gives it the files that are dropped or chosen anywhere but in the Library's box.
                self.files = gr.UploadButton("Add files", file_count="multiple", elem_id="added-files")


def render_line(batch: BatchProgress) -> str:
    """Return the progress of all files of an upload, or its outcome; empty before the first and once it was read."""
    if not batch.files or (batch.dismissed and not batch.running):
        return NOTHING
    if batch.running:
        pages = batch.pages
        share = batch.read_pages / pages if pages else None
        return render("adding", batch=batch, sentence=describe_progress(batch), share=share)
    is_searchable = batch.added_pages > 0 or batch.count_in(State.KNOWN) > 0
    return render("added", batch=batch, sentences=list(_outcome(batch)), is_searchable=is_searchable)


def describe_progress(batch: BatchProgress) -> str:
    """Return the progress of all files of an upload in one line.

    >>> files = Progress("a.pdf", State.DONE, 41, 41), Progress("b.pdf", State.WORKING, 0, 79)
    >>> describe_progress(BatchProgress(files, running=True, seconds_left=110))
    '1 of 2 files · 41 of 120 pages · about 2 minutes left'
    >>> describe_progress(BatchProgress(files, waiting_pages=None, running=True))
    '1 of 2 files · 41 pages'
    """
    pages, read = batch.pages, batch.read_pages
    parts = [f"{batch.finished_files:,} of {count(len(batch.files), 'file')}"]
    if pages:
        parts.append(f"{read:,} of {count(pages, 'page')}")
    elif read:
        parts.append(count(read, "page"))
    else:  # nothing is known yet but why it waits
        parts.append(next((file.message for file in batch.files if file.state is State.WORKING and file.message), ""))
    parts.append(format_time_left(batch.seconds_left))
    return " · ".join(filter(None, parts))


def _outcome(batch: BatchProgress) -> Iterator[str]:
    """Yield what became of the files of an upload."""
    if batch.added_pages:
        documents = count(batch.added_documents, "document")
        yield f"{count(batch.added_pages, 'page')} of {documents} added in {_time_taken(batch.seconds)}."
    known = batch.count_in(State.KNOWN)
    if known:
        yield f"{count(known, 'file')} {'was' if known == 1 else 'were'} in your documents already."
    if not (batch.added_pages or known):
        yield "Nothing was added."
    if batch.stopped:
        yield "Stopped. Add the files again to continue."
        return
    if any(file.state is State.DONE and file.done < file.total for file in batch.files):
        yield "Some pages are missing: the Library says why."
    refused = [file for file in batch.files if file.state is State.REFUSED]
    named = refused if len(refused) <= MAX_NAMED_REFUSALS else refused[: MAX_NAMED_REFUSALS - 1]
    yield from map(_describe_refusal, named)
    if len(named) < len(refused):
        yield f"{len(refused) - len(named):,} more files were not added: the Library says why."


def _describe_refusal(file: Progress) -> str:
    """Return why a file was not added. Most reasons name the file themselves."""
    return file.message if file.document in file.message else f"{file.document} was not added. {file.message}".strip()


def _time_taken(seconds: float) -> str:
    """Return the time that an upload took.

    >>> _time_taken(0.2), _time_taken(9.4), _time_taken(151), _time_taken(4000)
    ('1 s', '9 s', '3 min', '67 min')
    """
    return f"{max(1, round(seconds))} s" if seconds < 100 else f"{round(seconds / 60)} min"
