"""The Library tab: the preparation of the samples, and the markup of upload limits, uploads and documents."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

from markupsafe import Markup

from smart_demo import ingest
from smart_demo.config import Settings
from smart_demo.engine import Engine
from smart_demo.errors import SmartError
from smart_demo.indexing.progress import Progress, ReencodingProgress, State
from smart_demo.indexing.samples import Samples
from smart_demo.page_text import WordSource
from smart_demo.search.background import yield_to_searches
from smart_demo.types import Document
from smart_demo.ui.format import count_of, format_time_left
from smart_demo.ui.render import NOTHING, render
from smart_demo.wording import count, describe_pages_of_older_versions, describe_pages_of_other_models

log = logging.getLogger(__name__)


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
    """Imports or encodes the sample library once, in a thread of its own, and stores what went wrong."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._running = False
        self.error = ""
        """One sentence, or empty."""
        self._listeners: list[Callable[[], object]] = []
        self._search_listeners: list[Callable[[], object]] = []

    def add_listener(self, on_done: Callable[[], object]) -> None:
        """Call `on_done` in the background when the samples were prepared, or could not be. Its errors are logged."""
        self._listeners.append(on_done)

    def add_search_listener(self, on_searchable: Callable[[], object]) -> None:
        """Call `on_searchable` as `add_listener`, and before that as soon as the samples can be searched.

        Then their pictures may not be drawn yet, and another model's encodings of them may follow.
        """
        self._search_listeners.append(on_searchable)

    @property
    def running(self) -> bool:
        """Whether more pages may become ready."""
        return self._running

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
        self._running = True
        threading.Thread(target=self._work, name="prepare-samples", daemon=True).start()

    def _work(self) -> None:
        engine = self._engine
        try:
            self._watch(engine.prepare_samples())
            # Now, since drawing takes some time, and another model's encodings wait until it is loaded.
            _call(self._search_listeners)
            yield_to_searches()
            self._watch(chain(engine.draw_samples(), engine.import_samples()))
        except SmartError as error:
            self.error = f"The samples could not be prepared. {error.sentence}"
        except Exception:
            log.exception("preparing the samples failed")
            self.error = "The samples could not be prepared; the log of the demo says why."
        finally:
            self._running = False
        for notice in engine.sample_notices:
            log.warning("encodings of the samples: %s", notice)
        _call([*self._search_listeners, *self._listeners])

    def _watch(self, steps: Iterable[Progress]) -> None:
        for step in steps:
            if step.state is State.REFUSED:
                self.error = f"A sample was refused: {step.document}. {step.message}"


def _call(listeners: Iterable[Callable[[], object]]) -> None:
    for on_done in listeners:
        try:
            on_done()
        except Exception:
            log.exception("what follows the preparation of the samples failed")


def render_intro(settings: Settings) -> Markup:
    """Return the text beside the upload box: which files are accepted, and who can see them."""
    return render("library_intro", accepted=ingest.describe_limits(settings.limits), settings=settings)


def render_uploads(files: Sequence[Progress]) -> Markup:
    """Return the files of the last uploads with their progress; empty before the first."""
    return render("uploads", files=[(file, describe_upload(file)) for file in files]) if files else NOTHING


def describe_upload(file: Progress) -> str:
    """Return a sentence on the progress of a file, or on its outcome.

    >>> describe_upload(Progress("a.pdf", State.WORKING, 3, 9, seconds_left=12.4))
    '3 of 9 pages · about 20 seconds left'
    >>> describe_upload(Progress("a.pdf", State.DONE, 8, 9, "Page 4 was left out: it is empty."))
    'Added: 8 of 9 pages. Page 4 was left out: it is empty.'
    """
    match file.state:
        case State.WORKING if not file.total:
            return file.message or "Waiting."
        case State.WORKING:
            parts = f"{file.done} of {count(file.total, 'page')}", format_time_left(file.seconds_left), file.message
            return " · ".join(filter(None, parts))
        case State.DONE:
            outcome = (
                f"Added: {count_of(file.done, file.total, 'page')}{_describe_ocr(file)}." if file.done else "Added."
            )
        case State.KNOWN:
            outcome = ""
        case State.REFUSED:
            outcome = "Refused."
    left_out = file.outcome.notices_left_out if file.outcome else 0
    return " ".join(filter(None, [outcome, file.message, f"And {left_out:,} more." if left_out else ""]))


def _describe_ocr(file: Progress) -> str:
    """Return how many pages OCR read alone, to follow their number; empty for none."""
    scans = file.outcome.sources.get(WordSource.OCR, 0) if file.outcome else 0
    if not scans:
        return ""
    return ", read by OCR" if scans == file.done else f", {scans:,} of them read by OCR"


def render_documents(
    own: Sequence[Document],
    other_pages: int,
    older_pages: int = 0,
    reencoding: ReencodingProgress | None = None,
    *,
    loading: bool,
) -> Markup:
    """Return the visitor's documents, each with a button that deletes it.

    other_pages: number of the visitor's pages that only another model encoded, with a button that encodes them again.
    older_pages: number of those that an older version read. reencoding: the latest progress of encoding pages again.
    """
    sentence = describe_pages_of_older_versions(older_pages)
    return _render_documents(
        own, own=True, other_pages=other_pages, older_pages=sentence, reencoding=reencoding, loading=loading
    )


def describe_reencoding(progress: ReencodingProgress) -> str:
    """Return the progress of encoding pages again in one line.

    >>> describe_reencoding(ReencodingProgress(12, 3, 9, seconds_left=12.4))
    'Encoding the pages of another model again: 3 of 12 pages · about 20 seconds left'
    """
    begun, total = progress.total - progress.left, progress.total
    pages = f": {begun:,} of {count(total, 'page')}" if total else ""  # else they are not counted yet
    left = format_time_left(progress.seconds_left)
    return f"Encoding the pages of another model again{pages}{' · ' if left else ''}{left}"


def describe_reencoding_outcome(progress: ReencodingProgress) -> str:
    """Return why pages keep their old encoding; empty while pages are encoded, and if none does.

    >>> describe_reencoding_outcome(ReencodingProgress(2, 1, 0, 1, ("Page 2 is damaged.",), running=False))
    '1 page keeps its old encoding. Page 2 is damaged.'
    """
    if progress.running:
        return ""
    kept = f"{count(progress.refused, 'page')} {'keeps its' if progress.refused == 1 else 'keep their'} old encoding."
    return " ".join(filter(None, [kept if progress.refused else "", *progress.messages, progress.error]))


def render_sample_documents(documents: Sequence[Document], samples: Samples | None) -> Markup:
    """Return the sample library's documents, and how many pages are ready until all are."""
    return _render_documents(documents, preparing=None if samples is None or samples.complete else samples)


def _render_documents(
    documents: Sequence[Document],
    *,
    own: bool = False,
    other_pages: int = 0,
    older_pages: str = "",
    reencoding: ReencodingProgress | None = None,
    loading: bool = False,
    preparing: Samples | None = None,
) -> Markup:
    return render(
        "documents",
        documents=[(document, _kind(document.name)) for document in documents],
        own=own,
        other_pages=other_pages,
        other_sentence=describe_pages_of_other_models(other_pages) if other_pages else "",
        older_pages=older_pages,
        reencoding=reencoding,
        reencoding_sentence=describe_reencoding(reencoding) if reencoding else "",
        reencoding_share=100 * (1 - reencoding.left / reencoding.total) if reencoding and reencoding.total else 0.0,
        reencoding_outcome=describe_reencoding_outcome(reencoding) if reencoding else "",
        loading=loading,
        preparing=preparing,
    )


def _kind(file: str) -> str:
    """Return a file name's extension, at most four letters."""
    stem, dot, suffix = file.rpartition(".")
    return suffix[:4].lower() if dot and stem and suffix.isalnum() else "file"
