"""The engine: add, delete and search documents. It joins indexing, backbones, search and the library.

Importing it loads neither torch nor gradio nor chromadb. All methods are safe to call from several threads.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Container, Generator, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

from smart_demo import ingest
from smart_demo.backbones import registry
from smart_demo.backbones.base import Backbone
from smart_demo.backbones.registry import Backbones, Serving
from smart_demo.config import NO_ENCODINGS, Settings
from smart_demo.errors import LibraryError, QueryRefused, SmartError
from smart_demo.indexing.indexer import Indexer
from smart_demo.indexing.progress import Progress, ReencodingProgress, State
from smart_demo.indexing.reencoding import BackgroundReencoding, Reencoder
from smart_demo.indexing.samples import SampleDocuments, Samples
from smart_demo.ingest import Upload
from smart_demo.methods import POOLED, SMART, Found, Method, Parts, Weights, compared_methods
from smart_demo.page_list import Key
from smart_demo.page_text import PageWords
from smart_demo.search.answer_check import AnswerCheck
from smart_demo.search.background import yield_to_searches
from smart_demo.search.candidate_check import MAX_CHECKED_QUERIES, CandidateCheck
from smart_demo.search.costs import StageTiming
from smart_demo.search.explain import Slot
from smart_demo.search.explain.explainer import Explainer, Explanation, PageCrop, Pairing
from smart_demo.search.retrieval import Retrieval
from smart_demo.search.suggested_questions import ReadPage, choose_pages, suggest_questions
from smart_demo.store.library import Library
from smart_demo.store.quotas import Usage, Visitor, build_usage, evictable_visitors
from smart_demo.types import LOCAL, SAMPLES, Document, PageId, Query, Scope, StoredPage


class Engine:
    """The service behind the page and the command line; one per process."""

    def __init__(self, library: Library, backbones: Backbones, settings: Settings) -> None:
        self.library, self.backbones, self.settings = library, backbones, settings
        rules = (library, settings.limits, settings.quotas, self.evict_idle_visitors)
        self._indexer = Indexer(*rules, public=settings.public)
        self._reencoder = Reencoder(*rules, public=settings.public)
        self.reencoding = BackgroundReencoding(self.reencode, yield_to_searches)
        self._retrieval = Retrieval(library, settings)
        self.answer_check, self._checks_answers = AnswerCheck(library, self._retrieval.score), False
        self._explainer = Explainer(library)
        self.sample_documents, self.sample_notices = SampleDocuments(settings), list[str]()
        self._on_expired: Callable[[Scope], object] = lambda _: None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the data folder, so that another process can open it."""
        self.reencoding.close()
        self.library.close()

    def serving(self) -> Serving:
        """Return which backbone is in use and why, without waiting until it is loaded."""
        return self.backbones.serving()

    def backbone(self, scope: Scope) -> Backbone:
        """Return the backbone that made a scope's encodings; waits until it is loaded.

        For the samples it is the bundled one until the chosen one is loaded and has encoded all of them.
        """
        if scope != SAMPLES:
            return self.backbones.main()
        if self.backbones.ready:
            main = self.backbones.main()
            if self.samples(main).complete:
                return main
        return self.backbones.bundled()

    # -- documents

    def add(self, scope: Scope, files: Iterable[tuple[Path, str]]) -> Generator[Progress]:
        """Read, encode and store files of (path, name); yield the progress after every page.

        A refused file or page is reported in its progress and the rest continues. Closing the generator cancels: pages
        that were reported stay.
        """
        files = list(files)
        with self._indexer.start_job(scope) as job:
            if not self.backbones.ready:
                for _, name in files:
                    yield Progress(name, State.WORKING, message="Waiting for the model to load.")
            yield from self._indexer.add(scope, files, self.backbones.main(), job)

    def count_pages(self, path: Path, name: str) -> int:
        """Return the page count of a file that is not added yet. Raises FileRefused if it cannot be added."""
        return ingest.inspect(path, name, self.settings.limits).pages

    def suggest_questions(self, scope: Scope, files: Mapping[str, Collection[int]]) -> tuple[str, ...]:
        """Return at most three queries from the words of some pages of a scope, rare in the rest of it.

        files: numbers of the pages by file; no numbers stand for all pages of the file. Of many pages some are read.
        """
        stored = self.library.pages([scope], self.backbone(scope).encoder.fingerprint)
        read: list[ReadPage] = []
        for page, is_new in choose_pages(stored, files):
            with suppress(LibraryError):  # it was deleted a moment ago
                if found := self.library.page_words(page):
                    read.append(ReadPage(page.id, found.words, is_new))
        return suggest_questions(read)

    def delete_document(self, scope: Scope, file: str) -> int:
        """Delete a document and everything stored of it; return the bytes freed on disk."""
        freed = self._indexer.delete_document(scope, file)
        self._discard_deleted_pages()
        return freed

    def delete_library(self, scope: Scope) -> int:
        """Delete a library with everything stored of it and its owner; return the bytes freed on disk.

        This covers pages, pictures, judgements, cached queries and results, and files that are being added. `compact`
        frees the bytes in the index. Raises ValueError for the samples, LibraryError if the disk refuses: call it again
        to continue.
        """
        self.reencoding.delete(scope)
        try:
            return self._indexer.delete_library(scope)
        finally:
            self._discard_caches(scope)

    def expire(self, visitor: Visitor) -> int | None:
        """Delete a visitor's library, as `delete_library`, and return the bytes freed.

        Returns None and deletes nothing if it changed since `visitor` was read, or if files are being added to it.
        """
        freed = self._indexer.expire(visitor)
        if freed is not None:
            self._discard_caches(visitor.scope)
            self._on_expired(visitor.scope)
        return freed

    def set_expiry_listener(self, on_expired: Callable[[Scope], object]) -> None:
        """Call `on_expired` for each visitor whom `expire` deletes from now on, in place of the listener before."""
        self._on_expired = on_expired

    def evict_idle_visitors(self, owner: Scope, size: int, among: Container[Scope] | None = None) -> bool:
        """Free `size` bytes for `owner` by deleting other visitors, the longest idle first; return whether that worked.

        Deletes none if all who are idle together would not free enough. `among`: those whose deletion would help, all
        by default. Call it without a lock that `set_expiry_listener`'s listener takes.
        """
        idle = evictable_visitors(self.library.visitors(), time.time())
        idle = [visitor for visitor in idle if visitor.scope != owner and (among is None or visitor.scope in among)]
        if sum(visitor.bytes for visitor in idle) < size:
            return False
        freed = 0
        for visitor in idle:
            if freed >= size:
                break
            with suppress(SmartError):  # a visitor who cannot be deleted now must not protect the others
                freed += self.expire(visitor) or 0
        return freed >= size

    def compact(self) -> bool:
        """Rebuild the index if that frees bytes of deleted pages; searches continue. Return whether it was rebuilt."""
        return self.library.compact()

    def usage(self, scope: Scope) -> Usage:
        """Return the pages and bytes that a library takes, and its limits."""
        return build_usage(scope, *self.library.totals(scope), self.settings.quotas)

    def _discard_caches(self, scope: Scope) -> None:
        self.reencoding.delete(scope)
        self._retrieval.delete_scope(scope)
        self.answer_check.delete_scope(scope)
        self._discard_deleted_pages()

    def _discard_deleted_pages(self) -> None:
        self._explainer.discard_deleted_pages()
        self._retrieval.discard_deleted_pages()

    def documents(self, scope: Scope) -> tuple[Document, ...]:
        """Return the documents of a scope under its backbone, sorted by name."""
        return self.library.pages([scope], self.backbone(scope).encoder.fingerprint).documents

    def pages_of_other_encoders(self, scope: Scope) -> int:
        """Count the pages of a scope that other encoders alone made: stored, not searchable until encoded again."""
        return len(self.library.pages_of_other_encoders(scope, self.backbone(scope).encoder.fingerprint))

    def reencode(self, scope: Scope) -> Generator[ReencodingProgress]:
        """Encode those pages again from their stored pictures and words; yield the progress after every page.

        Waits until the model is loaded. Closing the generator stops it; the next call continues.
        """
        yield from self._reencoder.run(scope, self.backbones.main())

    def resume_reencoding(self) -> None:
        """Encode pages of another model again in the background, on a private page whose model was named.

        If another model only stands in for one that is missing today, its pages would be lost for nothing: then, and on
        a public page, the owner of the pages decides. Call it when the model is loaded.
        """
        if not (self.settings.is_private and self.backbones.choice.explicit):
            return
        with suppress(SmartError):  # no model can be loaded: the page says why
            if self.pages_of_other_encoders(LOCAL) and not self.backbones.falls_back:
                self.reencoding.start(LOCAL)

    def pages_of_older_versions(self, scope: Scope) -> int:
        """Count the pages of a scope that an earlier version read: searchable, and read better if added again."""
        pages = self.library.pages([scope], self.backbone(scope).encoder.fingerprint)
        return sum(page.source is None for page in pages)

    def page_words(self, scope: Scope, page: PageId) -> PageWords | None:
        """Return the words of one stored page, or None if an earlier version stored it without them.

        Raises LibraryError if it was deleted.
        """
        return self.library.page_words(self.page(scope, page))

    def page(self, scope: Scope, page: PageId) -> StoredPage:
        """Return the metadata of one stored page. Raises LibraryError if it was deleted."""
        stored = self.library.page(scope, self.backbone(scope).encoder.fingerprint, page)
        if stored is None:
            raise LibraryError("That page is no longer in the library.", "Search again.")
        return stored

    # -- the sample library

    def samples(self, backbone: Backbone | None = None) -> Samples:
        """Return how much of the sample library is encoded, by default under the backbone that serves it."""
        encoder = (backbone or self.backbone(SAMPLES)).encoder
        stored = self.sample_documents.stored(self.library, encoder.fingerprint)
        documents, fingerprint = self.sample_documents, encoder.fingerprint
        return Samples(
            len(stored), documents.count_pages(fingerprint), encoder.name, documents.count_refused(fingerprint)
        )

    def prepare_samples(self, backbone: Backbone | None = None) -> Generator[Progress]:
        """Take what is missing of the samples from encodings files and encode the rest, by default by minilm.

        Documents that are no longer in the sample folder are deleted. `draw_samples` draws the pages from files.
        """
        uploads = self.sample_documents.uploads  # first: they are inspected while the model is loading
        using = backbone or self.backbones.bundled()
        stored = {page.id.file for page in self.library.pages([SAMPLES], using.encoder.fingerprint)}
        for file in stored - {upload.file for upload in uploads}:
            self.delete_document(SAMPLES, file)
        taken, chosen = set(), backbone is not None or self.backbones.choice.name == registry.BUNDLED_BACKBONE
        steps = self.sample_documents.import_encodings(self.library, using.encoder, self.sample_notices, chosen=chosen)
        for step in steps:
            taken.add(step.file)
            yield step
        yield from self._encode_samples([upload for upload in uploads if upload.file not in taken], using)

    def _encode_samples(self, uploads: Sequence[Upload], backbone: Backbone, refused: int = 0) -> Generator[Progress]:
        for step in self._indexer.add(SAMPLES, [(upload.path, upload.name) for upload in uploads], backbone):
            refused += step.total - step.done if step.state is not State.WORKING else 0
            yield step
        self.sample_documents.record_refused(backbone.encoder.fingerprint, refused)

    def draw_samples(self, backbone: Backbone | None = None) -> Generator[Progress]:
        """Draw sample pages that were taken from a file. A document that does not show them is encoded here instead."""
        using = backbone or self.backbones.bundled()
        failed = self.sample_documents.draw_all(self.library, using.encoder.fingerprint, self.sample_notices)
        for upload in failed:
            self.delete_document(SAMPLES, upload.file)
        yield from self._encode_samples(failed, using, self.sample_documents.count_refused(using.encoder.fingerprint))

    def import_samples(self) -> Generator[Progress]:
        """Take the samples of the chosen backbone, once it is loaded, from the files of the settings, and draw them."""
        if self.settings.sample_encodings in ("", NO_ENCODINGS):
            return
        main = self.backbones.main()
        if main is not self.backbones.bundled():
            yield from self.sample_documents.import_encodings(self.library, main.encoder, self.sample_notices)
            yield from self.draw_samples(main)

    def with_pictures(self, page: StoredPage) -> StoredPage:
        """Return a page, its pictures drawn now if it is a sample without. Raises SmartError if they cannot be."""
        return self.sample_documents.draw(self.library, page) if page.scope == SAMPLES else page

    # -- search

    def search(
        self,
        query: Query,
        scopes: Sequence[Scope] = (LOCAL,),
        methods: Sequence[Method] = (POOLED, SMART),
        top: int = 5,
    ) -> Found:
        """Answer one query by several methods, from one encoding and one set of parts.

        A repeated query is answered from caches without running a model, so changing weights is cheap. Raises
        QueryRefused for an empty query and for scopes whose encodings cannot be compared.
        """
        return self._retrieval.search(query, scopes, methods, top, self._shared_backbone(scopes))

    def check_answer(self, found: Found, scopes: Sequence[Scope]) -> Found:
        """Return the result of a search of these scopes, with a notice if probably nothing in them answers the query.

        Does nothing before `start_answer_check`. A library's threshold is computed in the background when it is first
        checked after a change; until then there is no notice. Raises QueryRefused as `search`.
        """
        if not self._checks_answers:
            return found
        return self.answer_check.check(found, scopes, self._shared_backbone(scopes))

    def start_answer_check(self) -> None:
        """Let `check_answer` check from now on, and begin with the threshold of the samples."""
        self._checks_answers = True
        with suppress(SmartError):  # no model can be loaded: then no search is answered either
            backbone = self.backbone(SAMPLES)
            pages = self.library.pages([SAMPLES], backbone.encoder.fingerprint)
            self.answer_check.threshold([SAMPLES], len(pages), backbone)

    def score(self, query: Query, scope: Scope) -> Parts:
        """Return the score parts of one query, for work in the background: it is neither cached nor timed.

        Raises QueryRefused if the query is empty or too long.
        """
        return self._retrieval.score(query, [scope], self.backbone(scope))

    def explain(
        self,
        query: Query,
        scopes: Sequence[Scope],
        page: Key,
        weights: Weights = SMART.weights,
        top: int = 5,
    ) -> Explanation:
        """Explain the rank of a page in the search with these arguments, from its cached encoding and parts.

        Raises LibraryError if the page is not among those searched, QueryRefused as `search`.
        """
        return self._explainer.explain(self._search_to_explain(query, scopes, weights, top), page, weights)

    def pair(
        self,
        query: Query,
        scopes: Sequence[Scope],
        page: Key,
        other: Key | None = None,
        weights: Weights = SMART.weights,
        top: int = 5,
    ) -> Pairing:
        """Explain why one page of a search passed another, by default the one that explains most of its move.

        Encodes nothing that was encoded before. Raises InputRefused if both are the same page, LibraryError and
        QueryRefused as `explain`.
        """
        return self._explainer.pair(self._search_to_explain(query, scopes, weights, top), page, other, weights)

    def crops(
        self,
        query: Query,
        scopes: Sequence[Scope],
        pages: Mapping[Key, Slot],
        weights: Weights = SMART.weights,
        top: int = 5,
    ) -> dict[Key, PageCrop]:
        """Find the part of each page of a search that shows its evidence, from the search's cached encoding.

        pages: the size at which each crop is shown, by page.

        Pages that are not among those searched, or were deleted since, are left out. Raises QueryRefused as `search`.
        """
        found = self._search_to_explain(query, scopes, weights, top)
        crops = {}
        for page, slot in pages.items():
            with suppress(LibraryError):
                crops[page] = self._explainer.crop(found, page, weights, slot)
        return crops

    def _search_to_explain(self, query: Query, scopes: Sequence[Scope], weights: Weights, top: int) -> Found:
        return self._retrieval.search(query, scopes, compared_methods(weights), top, self._shared_backbone(scopes))

    def candidate_check(self, found: Found, scopes: Sequence[Scope]) -> CandidateCheck | None:
        """Return the last check of a search's candidates against a full scan.

        None if the search scored all pages, or if no check applies to this library.
        """
        pages = len(found.parts.pages)
        if len(found.parts.candidates) == pages:
            return None
        return self._retrieval.candidate_check(scopes, found.encoding.encoder, pages)

    def check_candidates(
        self, texts: Sequence[str], scope: Scope = LOCAL, on_progress: Callable[[int], None] = lambda _: None
    ) -> CandidateCheck | None:
        """Answer queries by a full scan and by candidates; searches then score as many candidates as agreement needs.

        Calls `on_progress` with the number of pages read. Returns None without pages or queries. Raises LibraryError if
        a page is deleted during the scan.
        """
        backbone = self.backbone(scope)
        queries = [text for text in dict.fromkeys(map(str.strip, texts)) if text][:MAX_CHECKED_QUERIES]
        if not queries or not self.library.pages([scope], backbone.encoder.fingerprint):
            return None
        encoded = backbone.encode_texts(queries)
        return self._retrieval.check_candidates(encoded, scope, backbone.encoder.fingerprint, on_progress)

    def stage_timings(self, scopes: Sequence[Scope]) -> Mapping[str, tuple[StageTiming, ...]]:
        """Return how long each stage took in the latest queries over these scopes, without those a cache answered.

        Raises QueryRefused as `search`.
        """
        return self._retrieval.stage_timings(scopes, self._shared_backbone(scopes).encoder.fingerprint)

    def _shared_backbone(self, scopes: Sequence[Scope]) -> Backbone:
        """Return the backbone that made all pages of these scopes. Raises QueryRefused if there are several."""
        backbones = [self.backbone(scope) for scope in scopes]
        if len({backbone.encoder.fingerprint for backbone in backbones}) != 1:
            names = " and ".join(sorted({backbone.encoder.name for backbone in backbones}))
            raise QueryRefused(
                f"The samples and your documents were encoded by different models ({names}).",
                "Their scores cannot be compared: search one of the two.",
            )
        return backbones[0]


def open_engine(settings: Settings, *, fall_back: bool = True, background: bool = False) -> Engine:
    """Open the library of the settings and the backbone that they choose.

    If `fall_back` is false, a backbone named in the settings must load. If `background` is true, the engine answers
    before its index is open; call `library.start_background_tasks` to open it. Raises LibraryBusy if another process
    holds the data folder, SettingRefused for an unknown backbone.
    """
    choice = registry.choose_backbone(settings)
    backbones = Backbones(
        choice,
        lambda name: registry.load_backbone(name, settings),
        fall_back=fall_back or not choice.explicit,
        hints=not settings.public,
    )
    library = Library.open(
        settings.data_dir,
        settings.index_dir,
        settings.codec,
        settings.candidates,
        settings.resident_bytes,
        in_background=background,
        former=registry.former_fingerprints(),
    )
    return Engine(library, backbones, settings)
