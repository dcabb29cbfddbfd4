"""The sample library is encoded behind the page, once; what went wrong on the way is kept in words.

The library tab: what is in it, what is on its way, what may come in.
"""

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


@dataclass(frozen=True, slots=True)
class PendingSamples:
    """Samples that cannot be searched yet, or never: `failed`."""

    samples: Samples | None
    """How many pages are encoded; None if no model could be loaded."""
    failed: bool
    """Whether waiting is of no use."""
    trouble: str
    """What went wrong, in one sentence; empty if nothing did."""


class SamplePreparation:
    """One run of `Engine.prepare_samples` in a thread of its own."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._thread: threading.Thread | None = None
        self.trouble = ""
        """One sentence once it has failed."""

    @property
    def running(self) -> bool:
        """Whether pages may still come."""
        return self._thread is not None and self._thread.is_alive()

    def pending(self, samples: Samples | None) -> PendingSamples | None:
        """Return None if the samples can be searched, else how far they are. samples: None if they have no model."""
        if samples is not None and samples.complete:
            return None
        failed = samples is None or (bool(self.trouble) and not self.running)
        return PendingSamples(samples, failed, self.trouble)

    def start(self) -> None:
        """Begin behind the page; nothing is encoded twice, so starting over a whole library costs little."""
        self._thread = threading.Thread(target=self._work, name="prepare-samples", daemon=True)
        self._thread.start()

    def _work(self) -> None:
        try:
            for step in self._engine.prepare_samples():
                if step.state is State.REFUSED:
                    self.trouble = f"A sample was refused: {step.document}. {step.message}"
        except SmartError as error:
            self.trouble = f"The samples could not be prepared. {error.sentence}"
        except Exception:
            log.exception("preparing the samples failed")
            self.trouble = "The samples could not be prepared; the log of the demo says why."


_MARKS = {State.WORKING: "…", State.DONE: "✓", State.KNOWN: "=", State.REFUSED: "✕"}
_SAID = {State.DONE: "Added", State.KNOWN: "", State.REFUSED: "Refused"}
_COMMAND = "SMART_PUBLIC=off python app.py"
_ON_A_PUBLIC_PAGE = "Only this browser can see, search and delete them."
_TEMPORARY = "This library is temporary: it is lost when this page's machine restarts or sleeps."
_FORGETFUL = "This browser keeps nothing for this page, so a reload loses the way to your documents."


def render_intro(settings: Settings) -> str:
    """What may be dropped and who will see it, beside the box."""
    whose = "They are read, encoded and kept on this machine."
    if settings.public:
        waiting, total = count(settings.quotas.waiting_files, "file"), size_in_words(settings.quotas.total_bytes)
        whose = f"{_ON_A_PUBLIC_PAGE} All visitors together have room for {waiting} that wait and {total}."
    limits = settings.limits
    return (
        f'<div class="panel-head" data-most-files="{limits.files}" data-most-bytes="{limits.file_bytes}">'
        "<h2>Add your documents</h2>"
        f"<p>{esc(ingest.describe_limits(settings.limits))} {esc(whose)}</p></div>"
    )


def render_usage(usage: Usage, settings: Settings) -> str:
    """How much room is left, how long what is there is kept, and the way to be rid of it all at once."""
    pages = count_of(usage.pages, usage.pages_limit, "page")
    room = f"{pages} and {size_in_words(usage.bytes)} of {size_in_words(usage.bytes_limit)} are used."
    hours = count(settings.quotas.keep_hours, "hour")
    said = [room]
    if settings.public:
        said.append(
            f"Your documents and judgements are deleted {hours} after you last changed them (after one hour, if this "
            "page has no more room for others), or now:"
        )
    notes = "" if settings.persistent else f'<p class="notice">{esc(_TEMPORARY)}</p>'
    notes += f'<p class="notice forgetful">{esc(_FORGETFUL)}</p>' if settings.public else ""
    return (
        f'{notes}<div class="keeping"><p>{esc(" ".join(said))}</p>'
        '<button type="button" class="remove" data-forget>Delete everything of mine</button></div>'
    )


def render_no_uploads() -> str:
    """Why a public page takes nobody's documents, and how to have one that does."""
    return (
        '<div class="panel-head"><h2>Your documents stay yours</h2>'
        "<p>This page shows its samples and takes no uploads. "
        "Run it yourself to search your own documents; nothing then leaves your machine.</p>"
        f"<pre><code>{esc(_COMMAND)}</code></pre></div>"
    )


def render_uploads(files: Sequence[Progress]) -> str:
    """Files of the last uploads with how far they are; empty before the first."""
    if not files:
        return ""
    items = "".join(_arrival(file) for file in files)
    return f'<ul class="arrivals" aria-label="Uploads" aria-live="polite">{items}</ul>'


def render_documents(mine: Sequence[Document], others: int, *, loading: bool) -> str:
    """One's own documents, each with a way out."""
    if loading:
        body = '<p class="quiet" role="status">The model is still loading; your documents appear when it is there.</p>'
    elif not mine:
        body = '<p class="quiet">Nothing here yet. Drop a PDF or a picture into the box.</p>'
    else:
        body = f'<ul class="documents" aria-label="My documents">{"".join(map(_document, mine))}</ul>'
    go = '<button type="button" class="to-search" data-search-in="My documents">Search them</button>' if mine else ""
    return f"{_head('My documents', mine, go)}{_others(others)}{body}"


def render_sample_documents(documents: Sequence[Document], samples: Samples | None) -> str:
    """The sample library, which cannot be changed here."""
    if samples is not None and not samples.complete:
        said = f"{samples.ready} of {count(samples.total, 'page')} are ready."
        note = f'<p class="quiet" role="status">{esc(said)}</p>'
    else:
        note = ""
    rows = "".join(map(_document, documents))
    return f'{_head("Samples", documents)}{note}<ul class="documents" aria-label="Samples">{rows}</ul>'


def _head(title: str, found: Sequence[Document], more: str = "") -> str:
    total = f"{count(len(found), 'document')}, {count(sum(d.stored for d in found), 'page')}" if found else ""
    return f'<div class="panel-head"><h2>{esc(title)}</h2><p>{esc(total)}</p>{more}</div>'


def _others(pages: int) -> str:
    if not pages:
        return ""
    said = f"{count(pages, 'page')} of another model are kept but cannot be searched with this one."
    return f'<p class="notice">{esc(said)} Add their files again to use them here.</p>'


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
    """The extension as it stands on a tab of the folder, short."""
    stem, dot, suffix = file.rpartition(".")
    return suffix[:4].lower() if dot and stem and suffix.isalnum() else "file"


def _arrival(file: Progress) -> str:
    part = file.done / file.total if file.total else 0.0
    working = file.state is State.WORKING
    said = _on_the_way(file) if working else _outcome(file)
    bar = f'<span class="progress"><i style="width:{part * 100:.1f}%"></i></span>' if working and file.total else ""
    return (
        f'<li class="arrival is-{file.state}"><span class="mark" aria-hidden="true">{_MARKS[file.state]}</span>'
        f'<span class="arrival-name">{bdi(file.document)}</span><span class="arrival-said">{esc(said)}</span>'
        f"{bar}</li>"
    )


def _on_the_way(file: Progress) -> str:
    if not file.total:
        return file.message or "Waiting."
    pages = f"{file.done} of {count(file.total, 'page')}"
    return " · ".join(filter(None, (pages, format_time_left(file.seconds_left), file.message)))


def _outcome(file: Progress) -> str:
    pages = count_of(file.done, file.total, "page") if file.done and file.state is State.DONE else ""
    said = ": ".join(filter(None, (_SAID[file.state], pages)))
    return " ".join(filter(None, (said and f"{said}.", file.message)))
