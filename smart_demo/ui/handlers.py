"""What the page's events do: functions from a browser's values to markup, files and queries.

Every argument is validated, because any client can call private endpoints. No Gradio component is touched here; `app`
connects these functions to components.
"""

from __future__ import annotations

import json
import logging
import re
import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from smart_demo.backbones.registry import Serving
from smart_demo.engine import Engine
from smart_demo.errors import InputRefused, LibraryError, SmartError
from smart_demo.indexing.progress import BatchProgress, ReencodingProgress
from smart_demo.indexing.samples import Samples
from smart_demo.methods import SMART, Found
from smart_demo.search.request import (
    ON_BOTH,
    ON_MINE,
    ON_SAMPLES,
    SCOPE_CHOICES,
    SearchRequest,
    format_url_query,
    make_region,
)
from smart_demo.server.picture_addresses import PictureAddresses, data_address
from smart_demo.server.visitors import current_visitor
from smart_demo.types import LOCAL, SAMPLES, Document, PageId, Pixels, Query, Scope, StoredPage
from smart_demo.ui import compare, library_tab, query_input, stories
from smart_demo.ui.events import answer_errors
from smart_demo.ui.library_tab import PendingSamples, SamplePreparation
from smart_demo.ui.query_input import QueryPictures
from smart_demo.ui.render import render
from smart_demo.ui.stories import STORY_QUERIES, StoryOutcome, find_outcome
from smart_demo.ui.upload_queue import UploadQueue
from smart_demo.wording import size_in_words

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class BackgroundState:
    """Everything on a visitor's page that changes without an action of theirs: models, samples and their uploads."""

    serving: Serving
    ready: bool
    """Whether the model of visitors' documents is loaded."""
    samples: Samples | None
    preparing: bool
    """Whether samples are being encoded."""
    uploads: BatchProgress
    own_pages: tuple[int, float]
    """Number of the visitor's pages and time of the newest; every change of their library changes one of them."""
    error: str
    """Why the samples could not be prepared, or empty."""
    reencoding: ReencodingProgress | None = None
    """Progress or outcome of encoding the visitor's pages of another model again."""

    @property
    def adding(self) -> bool:
        """Whether the visitor's library changes page by page."""
        return self.uploads.running or bool(self.reencoding and self.reencoding.running)

    @property
    def busy(self) -> bool:
        """Whether more may change without an action."""
        return self.preparing or self.adding or not self.ready

    @property
    def fingerprint(self) -> str:
        """A text that differs if anything around the answer does."""
        return repr(self)

    @property
    def answer_fingerprint(self) -> str:
        """A text that differs if the answer may; it ignores the visitor's pages while they change page by page."""
        return repr((self.ready, self.samples, self.error, None if self.adding else self.own_pages))


class Handlers:
    """Answers of one app, around one engine."""

    def __init__(
        self,
        engine: Engine,
        uploads: UploadQueue,
        preparation: SamplePreparation,
        picture_addresses: PictureAddresses,
    ) -> None:
        """`picture_addresses`: those that the app serves."""
        self.engine, self.uploads, self.preparation = engine, uploads, preparation
        self.picture_addresses = picture_addresses
        self.query_pictures = QueryPictures(
            self.find_page,
            lambda page: engine.library.picture(engine.with_pictures(page)),
            engine.settings.limits,
            lambda: self.visitor,
        )
        self.find_judged_outcome: Callable[[Found, str], StoryOutcome | None] = lambda _found, _choice: None
        """Returns the outcome of a judged question in one of SCOPE_CHOICES; the app sets it."""

    # -- the visitor, and what they may see

    @property
    def is_private(self) -> bool:
        """Whether the page has one user, its owner, whose library and judgements it stores."""
        return self.engine.settings.is_private

    @property
    def visitor(self) -> Scope | None:
        """Scope of the current visitor's pages, which only they may see and change; None if they can have none."""
        return current_visitor(self.engine.settings) if self.engine.settings.uploads else None

    @property
    def owner(self) -> Scope:
        """Owner of the current visitor's judgements, which need no uploads. Raises InputRefused if there is none."""
        owner = current_visitor(self.engine.settings)
        if owner is None:
            raise InputRefused("This browser has no name to judge under.", "Reload the page.")
        return owner

    def scope_choices(self) -> list[str]:
        """Return the scopes to choose from; ON_BOTH only if one encoder made both libraries."""
        visitor = self.visitor
        if visitor is None:
            return [ON_SAMPLES]
        choices = [ON_SAMPLES, ON_MINE]
        try:
            if self.engine.backbones.ready:
                encoders = {self.engine.backbone(scope).encoder.fingerprint for scope in (SAMPLES, visitor)}
                choices += [ON_BOTH] if len(encoders) == 1 else []
        except SmartError as error:
            log.warning("no encoder to compare: %s", type(error).__name__)
        return choices

    def resolve_scopes(self, choice: str) -> tuple[Scope, ...]:
        """Return the scopes of one of SCOPE_CHOICES. Raises InputRefused if the visitor has no library here."""
        visitor = self.visitor
        if visitor is None and LOCAL in SCOPE_CHOICES[choice]:
            raise InputRefused("Only the samples can be searched here.")
        return tuple(visitor if visitor and scope == LOCAL else scope for scope in SCOPE_CHOICES[choice])

    def resolve_page(self, key: object) -> tuple[Scope, PageId]:
        """Return the page of a browser's key.

        Raises InputRefused if it is no key, LibraryError if the visitor may not see the page.
        """
        scope, page = parse_page_key(key)
        return self._resolve_scope(scope), page

    def _resolve_scope(self, scope: Scope) -> Scope:
        """Return the visitor's scope for `local`, the samples for `samples`. Raises LibraryError for any other name."""
        resolved = self.visitor if scope == LOCAL else scope
        if resolved is None or scope not in {SAMPLES, LOCAL}:
            raise LibraryError("That page cannot be shown here.")
        return resolved

    def find_page(self, scope: Scope, page: PageId) -> StoredPage:
        """Return a page by its scope's name in browsers. Raises LibraryError if the visitor may not see it."""
        resolved = self._resolve_scope(scope)
        if self.is_model_loading([resolved]):
            raise LibraryError("That page cannot be shown here.")
        return self.engine.page(resolved, page)

    # -- models and samples

    def serving(self) -> Serving:
        """Return which model answers, or why none could be loaded."""
        try:
            return self.engine.serving()
        except SmartError as error:
            requested = self.engine.backbones.choice.name
            return Serving(requested, "none", False, f"No model could be loaded. {error.sentence}")

    def is_model_loading(self, scopes: Sequence[Scope]) -> bool:
        """Return whether these scopes cannot be searched yet because the model of visitors' documents is loading."""
        return any(scope != SAMPLES for scope in scopes) and not self.engine.backbones.ready

    def samples(self) -> Samples | None:
        """Return the progress of the samples, or None if not even the bundled model could be loaded."""
        try:
            return self.engine.samples()
        except SmartError as error:
            self.preparation.error = self.preparation.error or error.sentence
            return None

    def pending_samples(self, scopes: Sequence[Scope]) -> PendingSamples | None:
        """Return the state of the samples if they are among the scopes and cannot be searched, else None."""
        return self.preparation.pending(self.samples()) if SAMPLES in scopes else None

    def background_state(self) -> BackgroundState:
        """Return the current state of models, samples and the visitor's uploads."""
        visitor = self.visitor
        return BackgroundState(
            self.serving(),
            self.engine.backbones.ready,
            self.samples(),
            self.preparation.running,
            BatchProgress() if visitor is None else self.uploads.batch(visitor),
            self._own_pages(visitor),
            self.preparation.error,
            None if visitor is None else self.engine.reencoding.progress(visitor),
        )

    def _own_pages(self, visitor: Scope | None) -> tuple[int, float]:
        if visitor is None or not self.engine.backbones.ready:
            return (0, 0.0)
        try:
            pages = self.engine.library.pages([visitor], self.engine.backbone(visitor).encoder.fingerprint)
        except SmartError:  # without a model the library cannot be searched
            return (0, 0.0)
        return len(pages), pages.newest

    # -- answers

    def render_answer(self, request: SearchRequest) -> str:
        """Search and return the markup. Raises InputRefused for an invalid request, LibraryError if the disk fails."""
        scopes = self.resolve_scopes(request.scope)
        if pending := self.pending_samples(scopes):
            if pending.failed or pending.samples is None:
                return compare.render_empty("The samples are not ready", pending.error, calm=False)
            return render("outline", samples=pending.samples)
        if self.is_model_loading(scopes):
            title = f"{self.serving().name} is still loading"
            return compare.render_empty(title, "You can search your documents as soon as it is ready.")
        found = self.engine.search(self.build_query(request), scopes, request.methods, request.top)
        found = self.check_answer(found, scopes)
        # The check ran with SMART's weights and holds for no others.
        check = self.engine.candidate_check(found, scopes) if request.weights == SMART.weights else None
        link, search = format_url_query(request), json.dumps(request.fields)
        answer = compare.render_results(found, self.picture_addresses.thumbnail, link, search, check)
        return stories.render_story(self.find_outcome(found, request.scope)) + answer

    def find_outcome(self, found: Found, choice: str) -> StoryOutcome | None:
        """Return the ranks of the page that is known to answer a question: a story's, or a judged question's."""
        return find_outcome(found) or self.find_judged_outcome(found, choice)

    def check_answer(self, found: Found, scopes: Sequence[Scope]) -> Found:
        """Return an answer, with a notice if probably nothing in these scopes answers the question.

        It is not checked while one of them changes page by page: each page would begin the check anew.
        """
        if any(self.uploads.running(scope) or self.engine.reencoding.running(scope) for scope in scopes):
            return found
        return self.engine.check_answer(found, scopes)

    def render_answer_or_error(self, request: SearchRequest) -> str:
        """Return the answer's markup, or the error in its place, for a search that the visitor did not start."""
        try:
            return self.render_answer(request)
        except SmartError as error:
            return compare.render_empty("No answer", error.sentence, calm=False)

    def build_query(self, request: SearchRequest) -> Query:
        """Return the query of a request. Raises InputRefused or LibraryError if its picture is gone or not visible."""
        return self.query_for_visitor(
            request.text, self.query_pictures.load_pixels(request.picture) if request.picture else None
        )

    def query_for_visitor(self, text: str, pixels: Pixels | None = None) -> Query:
        """Return a query whose encoding is cached for the current visitor only.

        Otherwise a fast answer would show a visitor that another one sent the same query. Examples, and queries on a
        private page, are cached for all.
        """
        if not self.engine.settings.public or (pixels is None and text in STORY_QUERIES):
            return Query(text, pixels)
        visitor = self.visitor
        return Query(text, pixels, owner=secrets.token_hex(8) if visitor is None else str(visitor))

    # -- pictures

    def store_picture(self, copy: Path) -> str:
        """Store an uploaded picture for queries, delete its temporary copy and return its reference."""
        if self.visitor is None:
            raise InputRefused("This page takes no pictures.", "Open a page and draw on it instead.")
        try:
            return self.query_pictures.store(copy)
        finally:
            self.uploads.delete_copy(copy)

    def make_region_reference(self, page: object, corners: object) -> str:
        """Return the reference of the part of a page that was drawn in a browser."""
        return str(make_region(*parse_page_key(page), corners))

    def render_query_picture(self, request: SearchRequest) -> str:
        """Return the markup of a request's picture, or an empty text if it has none."""
        if not request.picture:
            return ""
        try:
            preview = self.query_pictures.preview(request.picture, self.picture_addresses.crop)
        except SmartError:  # the answer names the error
            preview = None
        return query_input.render_picture_tag(preview)

    @answer_errors("a page could not be shown")
    def load_picture(self, key: object) -> dict[str, object]:
        """Return `picture`, the address of a page's picture for the viewer, or a sentence."""
        return {"picture": self.picture_addresses.whole(self.find_page(*parse_page_key(key)))}

    def embed_thumbnail(self, page: StoredPage) -> str:
        """Return a page's thumbnail as a data address, or an empty text if it cannot be read."""
        try:
            return data_address(self.engine.library.thumbnail(self.engine.with_pictures(page)))
        except (LibraryError, InputRefused) as error:  # it was deleted, or its document is damaged: a card without it
            log.info("no thumbnail: %s", type(error).__name__)
            return ""

    # -- the visitor's library

    def list_documents(self, scope: Scope) -> tuple[Document, ...]:
        """Return the documents of a scope, or none if its model cannot be loaded."""
        try:
            return self.engine.documents(scope)
        except SmartError as error:
            log.warning("documents cannot be listed: %s", type(error).__name__)
            return ()

    def render_own_documents(self, serving: Serving) -> str:
        """Return the markup of the visitor's documents and of the room they use."""
        if not self.engine.backbones.ready:
            return library_tab.render_documents((), 0, loading=serving.loading)
        visitor, other_pages, older_pages = self.visitor, 0, 0
        if visitor is None:
            return ""
        with suppress(SmartError):  # the banner at the top of the page names the error
            other_pages = self.engine.pages_of_other_encoders(visitor)
            older_pages = self.engine.pages_of_older_versions(visitor)
        own = self.list_documents(visitor)
        reencoding = self.engine.reencoding.progress(visitor)
        documents = library_tab.render_documents(own, other_pages, older_pages, reencoding, loading=False)
        return documents + render("library_usage", usage=self.engine.usage(visitor), settings=self.engine.settings)

    def submit_uploads(self, copies: Sequence[Path]) -> None:
        """Queue copies of uploaded files for the visitor's library. Raises InputRefused if they can have none."""
        visitor = self.visitor
        if visitor is None:
            raise InputRefused("This page takes no documents from you.", "Reload it and try again.")
        self.uploads.submit(visitor, copies)

    def cancel_uploads(self) -> None:
        """Stop the visitor's uploads."""
        if (visitor := self.visitor) is not None:
            self.uploads.cancel(visitor)

    def dismiss_uploads(self) -> None:
        """Mark the outcome of the visitor's last upload as read."""
        if (visitor := self.visitor) is not None:
            self.uploads.dismiss(visitor)

    def start_reencoding(self) -> None:
        """Encode the visitor's pages of another model again. Raises InputRefused if they can have none."""
        visitor = self.visitor
        if visitor is None:
            raise InputRefused("This page stores no documents of yours.", "Reload it and try again.")
        self.engine.reencoding.start(visitor)

    def stop_reencoding(self) -> None:
        """Stop encoding the visitor's pages again."""
        if (visitor := self.visitor) is not None:
            self.engine.reencoding.stop(visitor)

    def delete_document(self, file: object) -> str:
        """Delete one of the visitor's documents and return a sentence with the freed bytes."""
        visitor = self.visitor
        if visitor is None or not isinstance(file, str) or not re.fullmatch(r"[0-9a-f]{16}", file):
            raise InputRefused("That document cannot be deleted here.")
        names = {document.file: document.name for document in self.engine.documents(visitor)}
        freed = self.engine.delete_document(visitor, file)
        self.picture_addresses.discard_deleted_pages()
        self.uploads.discard_outcome(visitor, file)
        return f"{names.get(file, 'The document')} is deleted: {size_in_words(freed)} freed."


def parse_page_key(key: object) -> tuple[Scope, PageId]:
    """Return the scope and id in a key that `format.page_key` made. Raises InputRefused for anything else."""
    if not isinstance(key, str) or len(key) > 100:
        raise InputRefused("That is no page.")
    scope, _, page = key.partition("/")
    try:
        return Scope(scope), PageId.parse(page)
    except ValueError:
        raise InputRefused("That is no page.") from None
