"""The Library tab: the preparation of the samples, and the markup of upload limits, uploads and documents."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass

from smart_demo import ingest
from smart_demo.config import Settings
from smart_demo.engine import Engine
from smart_demo.errors import SmartError
from smart_demo.indexing.samples import Samples
from smart_demo.store.quotas import Usage
from smart_demo.types import SAMPLES, Document, Progress, State
from smart_demo.ui.format import bdi, count_of, esc, format_time_left
from smart_demo.wording import count, size_in_words

log = logging.getLogger(__name__)
_MARKS = {State.WORKING: "…", State.DONE: "✓", State.KNOWN: "=", State.REFUSED: "✕"}
_OUTCOMES = {State.DONE: "Added", State.KNOWN: "", State.REFUSED: "Refused"}
_COMMAND = "SMART_PUBLIC=off python app.py"
_STORED_HERE = "They are read, encoded and kept on this machine."
_STORED_FOR_VISITOR = "Only this browser can see, search and delete them."
_TEMPORARY = "This library is temporary: it is lost when this page's machine restarts or sleeps."
_NO_BROWSER_STORAGE = "This browser keeps nothing for this page: after a reload you cannot reach your documents."


@dataclass(frozen=True, slots=True)
class PendingSamples:
    """The state of samples that cannot be searched yet, or never."""

    samples: Samples | None
    """Number of encoded pages; None if no model could be loaded."""
    failed: bool
    """Whether they will not be ready without a restart."""
    error: str
    """One sentence, or empty."""


class SamplePreparation:
    """Encodes the sample library once, in a thread of its own, and stores what went wrong."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._thread: threading.Thread | None = None
        self.error = ""
        """One sentence, or empty."""

    @property
    def running(self) -> bool:
        """Whether more pages may become ready."""
        return self._thread is not None and self._thread.is_alive()

    def pending(self, samples: Samples | None) -> PendingSamples | None:
        """Return None if the samples can be searched, else their state.

        samples: their progress, or None if no model could be loaded.
        """
        if samples is not None and samples.complete:
            return None
        failed = samples is None or (bool(self.error) and not self.running)
        return PendingSamples(samples, failed, self.error)

    def start(self) -> None:
        """Start in the background. Pages that are encoded are skipped, so a start with a complete library is cheap."""
        self._thread = threading.Thread(target=self._work, name="prepare-samples", daemon=True)
        self._thread.start()

    def _work(self) -> None:
        try:
            for step in self._engine.prepare_samples():
                if step.state is State.REFUSED:
                    self.error = f"A sample was refused: {step.document}. {step.message}"
        except SmartError as error:
            self.error = f"The samples could not be prepared. {error.sentence}"
        except Exception:
            log.exception("preparing the samples failed")
            self.error = "The samples could not be prepared; the log of the demo says why."


def render_intro(settings: Settings) -> str:
    """Return the text beside the upload box: which files are accepted, and who can see them."""
    privacy = _STORED_HERE
    if settings.public:
        waiting, total = count(settings.quotas.waiting_files, "file"), size_in_words(settings.quotas.total_bytes)
        privacy = f"{_STORED_FOR_VISITOR} All visitors together have room for {waiting} that wait and {total}."
    limits = settings.limits
    return (
        f'<div class="panel-head" data-most-files="{limits.files}" data-most-bytes="{limits.file_bytes}">'
        "<h2>Add your documents</h2>"
        f"<p>{esc(ingest.describe_limits(settings.limits))} {esc(privacy)}</p></div>"
    )


def render_usage(usage: Usage, settings: Settings) -> str:
    """Return how much room a visitor uses, how long it is kept, and the button that deletes all of it."""
    pages = count_of(usage.pages, usage.pages_limit, "page")
    text = f"{pages} and {size_in_words(usage.bytes)} of {size_in_words(usage.bytes_limit)} are used."
    notes = "" if settings.persistent else f'<p class="notice">{esc(_TEMPORARY)}</p>'
    if settings.public:
        hours = count(settings.quotas.keep_hours, "hour")
        text += (
            f" Your documents and judgements are deleted {hours} after you last changed them (after one hour, if this "
            "page has no more room for others), or now:"
        )
        notes += f'<p class="notice forgetful">{esc(_NO_BROWSER_STORAGE)}</p>'
    return (
        f'{notes}<div class="keeping"><p>{esc(text)}</p>'
        '<button type="button" class="remove" data-forget>Delete everything of mine</button></div>'
    )


def render_no_uploads() -> str:
    """Return the text of a page without uploads, and the command that starts one with them."""
    return (
        '<div class="panel-head"><h2>Your documents stay yours</h2>'
        "<p>This page shows its samples and takes no uploads. "
        "Run it yourself to search your own documents; nothing then leaves your machine.</p>"
        f"<pre><code>{esc(_COMMAND)}</code></pre></div>"
    )


def render_uploads(files: Sequence[Progress]) -> str:
    """Return the files of the last uploads with their progress; empty before the first."""
    if not files:
        return ""
    items = "".join(map(_upload, files))
    return f'<ul class="arrivals" aria-label="Uploads" aria-live="polite">{items}</ul>'


def render_documents(own: Sequence[Document], other_pages: int, *, loading: bool) -> str:
    """Return the visitor's documents, each with a button that deletes it.

    other_pages: number of the visitor's pages that another model encoded.
    """
    if loading:
        body = '<p class="quiet" role="status">The model is still loading; your documents appear when it is ready.</p>'
    elif not own:
        body = '<p class="quiet">Nothing here yet. Drop a PDF or a picture into the box.</p>'
    else:
        body = f'<ul class="documents" aria-label="My documents">{"".join(map(_document, own))}</ul>'
    search = '<button type="button" class="to-search" data-search-in="My documents">Search them</button>' if own else ""
    return f"{_head('My documents', own, search)}{_other_pages(other_pages)}{body}"


def render_sample_documents(documents: Sequence[Document], samples: Samples | None) -> str:
    """Return the sample library's documents, and how many pages are ready until all are."""
    note = ""
    if samples is not None and not samples.complete:
        ready = f"{samples.ready} of {count(samples.total, 'page')} are ready."
        note = f'<p class="quiet" role="status">{esc(ready)}</p>'
    rows = "".join(map(_document, documents))
    return f'{_head("Samples", documents)}{note}<ul class="documents" aria-label="Samples">{rows}</ul>'


def _head(title: str, documents: Sequence[Document], button: str = "") -> str:
    total = ""
    if documents:
        total = f"{count(len(documents), 'document')}, {count(sum(d.stored for d in documents), 'page')}"
    return f'<div class="panel-head"><h2>{esc(title)}</h2><p>{esc(total)}</p>{button}</div>'


def _other_pages(pages: int) -> str:
    if not pages:
        return ""
    text = f"{count(pages, 'page')} of another model are kept but cannot be searched with this one."
    return f'<p class="notice">{esc(text)} Add their files again to use them here.</p>'


def _document(document: Document) -> str:
    facts = f"{count_of(document.stored, document.pages, 'page')} · {size_in_words(document.bytes)}"
    remove = ""
    if document.scope != SAMPLES:
        remove = (
            f'<button type="button" class="remove" data-remove="{esc(document.file)}" '
            f'data-name="{esc(document.name)}" data-facts="{esc(facts)}" '
            f'aria-label="Delete {esc(document.name)}">Delete</button>'
        )
    return (
        f'<li class="document"><span class="kind" aria-hidden="true">{esc(_kind(document.name))}</span>'
        f'<span class="document-name">{bdi(document.name)}</span><span class="document-facts">{esc(facts)}</span>'
        f"{remove}</li>"
    )


def _kind(file: str) -> str:
    """Return a file name's extension, at most four letters."""
    stem, dot, suffix = file.rpartition(".")
    return suffix[:4].lower() if dot and stem and suffix.isalnum() else "file"


def _upload(file: Progress) -> str:
    part = file.done / file.total if file.total else 0.0
    working = file.state is State.WORKING
    message = _progress(file) if working else _outcome(file)
    bar = f'<span class="progress"><i style="width:{part * 100:.1f}%"></i></span>' if working and file.total else ""
    return (
        f'<li class="arrival is-{file.state}"><span class="mark" aria-hidden="true">{_MARKS[file.state]}</span>'
        f'<span class="arrival-name">{bdi(file.document)}</span><span class="arrival-said">{esc(message)}</span>'
        f"{bar}</li>"
    )


def _progress(file: Progress) -> str:
    if not file.total:
        return file.message or "Waiting."
    pages = f"{file.done} of {count(file.total, 'page')}"
    return " · ".join(filter(None, (pages, format_time_left(file.seconds_left), file.message)))


def _outcome(file: Progress) -> str:
    pages = count_of(file.done, file.total, "page") if file.done and file.state is State.DONE else ""
    outcome = ": ".join(filter(None, (_OUTCOMES[file.state], pages)))
    return " ".join(filter(None, (outcome and f"{outcome}.", file.message)))
