"""What the page's events do. Every argument is doubted: private endpoints can still be called by anyone with curl.

No markup is made here and no component touched; `build` connects these to both.
"""

from __future__ import annotations

import base64
import logging
import re
import secrets
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from smart_demo.backbones.serving import Serving
from smart_demo.engine import Engine
from smart_demo.errors import InputRefused, LibraryError, SmartError
from smart_demo.indexing.samples import Samples
from smart_demo.search.request import (
    ON_BOTH,
    ON_MINE,
    ON_SAMPLES,
    SCOPE_CHOICES,
    SearchRequest,
    format_url_query,
    make_region,
)
from smart_demo.server.visitors import current_visitor
from smart_demo.types import (
    LATE,
    LOCAL,
    POOLED,
    SAMPLES,
    SMART,
    Document,
    Method,
    PageId,
    Pixels,
    Progress,
    Query,
    Scope,
    StoredPage,
)
from smart_demo.ui import compare, library_tab, query_input, stories, viewer
from smart_demo.ui.events import answer_or_error
from smart_demo.ui.library_tab import PendingSamples, SamplePreparation
from smart_demo.ui.query_input import QueryPictures
from smart_demo.ui.stories import STORY_QUERIES, find_story
from smart_demo.ui.upload_queue import UploadQueue
from smart_demo.wording import size_in_words

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class BackgroundState:
    """All that changes behind the page without anybody's doing."""

    serving: Serving
    ready: bool
    samples: Samples | None
    preparing: bool
    uploading: bool
    arrivals: tuple[Progress, ...]
    """Of whoever asks; so is the rest. What others do behind the page changes nothing here."""
    shelf: tuple[int, float]
    """How many pages of one's own there are, and when the newest came: one of the two tells of any change."""
    trouble: str

    @property
    def busy(self) -> bool:
        """Whether something may still change by itself."""
        return self.preparing or self.uploading or not self.ready

    @property
    def page(self) -> str:
        """Differs whenever anything around the answer does."""
        return repr(self)

    @property
    def answers(self) -> str:
        """Differs whenever the answer may; during an upload it waits for the end."""
        return repr((self.ready, self.samples, self.trouble, None if self.uploading else self.shelf))


class Handlers:
    """Answers of one app, around one engine."""

    def __init__(self, engine: Engine, uploads: UploadQueue, preparation: SamplePreparation) -> None:
        self.engine, self.uploads, self.preparation = engine, uploads, preparation
        self.pictures = QueryPictures(self.stored, engine.library.picture, engine.settings.limits, lambda: self.own)

    @property
    def private(self) -> bool:
        """Whether everybody who sees this page is its owner, whose library and judgements it keeps."""
        return self.engine.settings.uploads and not self.engine.settings.public

    @property
    def own(self) -> Scope | None:
        """Whose pages whoever asks may see and change, beside the samples; None for nobody's."""
        return current_visitor(self.engine.settings)

    def scopes(self, choice: str) -> tuple[Scope, ...]:
        """The scopes behind one of CHOICES, for whoever asks. InputRefused where they may not be seen here."""
        own = self.own
        if own is None and LOCAL in SCOPE_CHOICES[choice]:
            raise InputRefused("Only the samples can be searched here.")
        return tuple(own if own and scope == LOCAL else scope for scope in SCOPE_CHOICES[choice])

    def key(self, wire: object) -> tuple[Scope, PageId]:
        """The page that a browser means. InputRefused for what is no page, LibraryError for one it may not see."""
        scope, page = parse_page_key(wire)
        return self._seen(scope), page

    def _seen(self, scope: Scope) -> Scope:
        """What browsers call `local` is whose it is who asks; no other name of anybody's pages is understood."""
        own = self.own if scope == LOCAL else scope
        if own is None or scope not in {SAMPLES, LOCAL}:
            raise LibraryError("That page cannot be shown here.")
        return own

    def waits(self, scopes: Sequence[Scope]) -> bool:
        """Whether these scopes cannot be searched yet, since the model of people's own documents is loading."""
        return any(scope != SAMPLES for scope in scopes) and not self.engine.backbones.ready

    def samples(self) -> Samples | None:
        """How far the samples are; None while not even the embedded model could be loaded."""
        try:
            return self.engine.samples()
        except SmartError as error:
            self.preparation.trouble = self.preparation.trouble or error.sentence
            return None

    def pending(self, scopes: Sequence[Scope]) -> PendingSamples | None:
        """Return how far the samples are if they are among the scopes and cannot be searched; else None."""
        return self.preparation.pending(self.samples()) if SAMPLES in scopes else None

    def choices(self) -> list[str]:
        """Scopes to choose from; both together only where one encoder made them."""
        own = self.own
        if own is None:
            return [ON_SAMPLES]
        offered = [ON_SAMPLES, ON_MINE]
        try:
            if self.engine.backbones.ready:
                sides = {self.engine.backbone(scope).encoder.fingerprint for scope in (SAMPLES, own)}
                offered += [ON_BOTH] if len(sides) == 1 else []
        except SmartError as error:
            log.warning("no encoder to compare: %s", type(error).__name__)
        return offered

    def serving(self) -> Serving:
        """Which model answers; where not one could be loaded, the sentence why."""
        try:
            return self.engine.serving()
        except SmartError as error:
            wanted = self.engine.backbones.choice.name
            return Serving(wanted, "none", False, f"No model could be loaded. {error.sentence}")

    def answer(self, wanted: SearchRequest) -> str:
        """The markup of an answer. InputRefused for what cannot be answered, LibraryError where the disk fails."""
        scopes = self.scopes(wanted.scope)
        if pending := self.pending(scopes):
            if pending.failed or pending.samples is None:
                return compare.render_empty("The samples are not ready", pending.trouble, calm=False)
            return compare.render_preparing(pending.samples)
        if self.waits(scopes):
            name = self.serving().name
            return compare.render_empty(
                f"{name} is still loading", "Your documents are searched as soon as it is there."
            )
        methods = (POOLED, LATE, Method(SMART.name, SMART.label, wanted.weights))
        found = self.engine.search(self.query(wanted), scopes, methods, wanted.top)
        # What a check said is said of what it checked.
        checked = self.engine.candidate_check(found, scopes) if wanted.weights == SMART.weights else None
        answer = compare.render_results(found, self.thumbnail, format_url_query(wanted), viewer.asking(wanted), checked)
        return stories.render_story(find_story(found)) + answer

    def query(self, wanted: SearchRequest) -> Query:
        """What the encoder is given. Refused where its picture is gone, or is not for whoever asks."""
        return self.question(wanted.text, self.pictures.pixels(wanted.picture) if wanted.picture else None)

    def question(self, text: str, pixels: Pixels | None = None) -> Query:
        """A query of whoever asks. What it took is kept for them alone: a quick answer would tell others that somebody
        asked it before. The examples, and what the owner of a private page asks, are no secret.
        """
        if not self.engine.settings.public or (pixels is None and text in STORY_QUERIES):
            return Query(text, pixels)
        own = self.own
        return Query(text, pixels, owner=secrets.token_hex(8) if own is None else str(own))

    def keep(self, copy: Path) -> str:
        """Keep an uploaded picture for asking, delete its temporary copy; the picture's reference."""
        if self.own is None:
            raise InputRefused("This page takes no pictures.", "Open a page and draw on it instead.")
        try:
            return self.pictures.keep(copy)
        finally:
            self.uploads.discard(copy)

    def alike(self, page: object, corners: object) -> str:
        """The reference of a part of a page, as a browser draws it."""
        return str(make_region(*parse_page_key(page), corners))

    def asked_with(self, wanted: SearchRequest) -> str:
        """The markup of the picture that a question carries; empty where it has words alone."""
        if not wanted.picture:
            return ""
        try:
            return query_input.render_picture_tag(self.pictures.glimpse(wanted.picture))
        except SmartError:  # the answer says why
            return query_input.render_picture_tag(None)

    def shown(self, wanted: SearchRequest) -> str:
        """The same, with a refusal in the place of the answer: for looks that nobody asked for."""
        try:
            return self.answer(wanted)
        except SmartError as error:
            return compare.render_empty("No answer", error.sentence, calm=False)

    def documents(self, scope: Scope) -> tuple[Document, ...]:
        """What a scope holds; nothing while its model is not there."""
        try:
            return self.engine.documents(scope)
        except SmartError as error:
            log.warning("documents cannot be listed: %s", type(error).__name__)
            return ()

    def own_documents(self, serving: Serving) -> str:
        """The markup of one's own shelf."""
        if not self.engine.backbones.ready:
            return library_tab.render_documents((), 0, loading=serving.loading)
        own, others = self.own, 0
        if own is None:
            return ""
        with suppress(SmartError):  # the banner above everything says why
            others = self.engine.pages_of_other_encoders(own)
        return library_tab.render_documents(self.documents(own), others, loading=False) + self._keeping(own)

    def _keeping(self, own: Scope) -> str:
        """How much room is left, how long it is kept, and the way to be rid of it."""
        return library_tab.render_usage(self.engine.usage(own), self.engine.settings)

    def pulse(self) -> BackgroundState:
        """How things stand now."""
        own = self.own
        return BackgroundState(
            self.serving(),
            self.engine.backbones.ready,
            self.samples(),
            self.preparation.running,
            own is not None and self.uploads.running(own),
            self.uploads.progress(own) if own else (),
            self._shelf(own),
            self.preparation.trouble,
        )

    def _shelf(self, own: Scope | None) -> tuple[int, float]:
        if own is None or not self.engine.backbones.ready:
            return (0, 0.0)
        try:
            pages = self.engine.library.pages([own], self.engine.backbone(own).encoder.fingerprint)
        except SmartError:  # no model, no shelf
            return (0, 0.0)
        return len(pages), pages.newest

    def stored(self, scope: Scope, page: PageId) -> StoredPage:
        """A page that may be shown to whoever asks, by the scope's name in browsers. LibraryError for any other."""
        seen = self._seen(scope)
        if self.waits([seen]):
            raise LibraryError("That page cannot be shown here.")
        return self.engine.page(seen, page)

    def picture(self, key: object) -> dict[str, object]:
        """A page's picture as a data address for the viewer, or a sentence why there is none."""
        return answer_or_error(lambda: {"picture": self._picture(key)}, "a page could not be shown")

    def _picture(self, key: object) -> str:
        picture = self.engine.library.picture(self.stored(*parse_page_key(key)))
        return f"data:image/webp;base64,{base64.b64encode(picture).decode('ascii')}"

    def submit(self, copies: Sequence[Path]) -> None:
        """Queue copies of uploaded files for one's own library. InputRefused where nobody's documents are taken."""
        own = self.own
        if own is None:
            raise InputRefused("This page takes no documents from you.", "Reload it and try again.")
        self.uploads.submit(own, copies)

    def cancel(self) -> None:
        """Stop one's own uploads."""
        if (own := self.own) is not None:
            self.uploads.cancel(own)

    def delete(self, file: object) -> str:
        """Remove one of one's own documents; the sentence that says how much room that made."""
        own = self.own
        if own is None or not isinstance(file, str) or not re.fullmatch(r"[0-9a-f]{16}", file):
            raise InputRefused("That document cannot be deleted here.")
        known = {document.file: document.name for document in self.engine.documents(own)}
        freed = self.engine.remove(own, file)
        return f"{known.get(file, 'The document')} is deleted: {size_in_words(freed)} freed."

    def thumbnail(self, page: StoredPage) -> bytes:
        """A page's small picture; empty where there is none."""
        try:
            return self.engine.library.thumbnail(page)
        except LibraryError as error:  # it may have been removed a moment ago; the card stands without it
            log.info("no thumbnail: %s", type(error).__name__)
            return b""


def parse_page_key(key: object) -> tuple[Scope, PageId]:
    """What `wording.page_key` wrote. InputRefused for anything else."""
    if not isinstance(key, str) or len(key) > 100:
        raise InputRefused("That is no page.")
    scope, _, page = key.partition("/")
    try:
        return Scope(scope), PageId.parse(page)
    except ValueError:
        raise InputRefused("That is no page.") from None
