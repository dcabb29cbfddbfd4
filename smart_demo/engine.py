"""The service: add, remove, search. Read this first: it joins ingest, backbones, scoring and the library.

Importing it loads neither torch nor gradio nor chromadb. All methods may be called from several threads.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Generator, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Self

from smart_demo.backbones import registry
from smart_demo.backbones.base import Backbone
from smart_demo.backbones.serving import Backbones, Serving
from smart_demo.config import Settings
from smart_demo.errors import LibraryError, QueryRefused
from smart_demo.indexing.indexer import Indexer
from smart_demo.indexing.samples import Samples, Shipped
from smart_demo.search import candidates
from smart_demo.search.cache import Lap
from smart_demo.search.candidates import CandidateCheck
from smart_demo.search.comparison import Key
from smart_demo.search.explain.explainer import Explainer, Explanation, Pairing
from smart_demo.search.retrieval import Retrieval
from smart_demo.store.library import Library
from smart_demo.store.quotas import IdleEviction, Usage, Visitor, measured
from smart_demo.types import (
    LOCAL,
    POOLED,
    SAMPLES,
    SMART,
    Document,
    Found,
    Method,
    PageId,
    Progress,
    Query,
    Scope,
    State,
    StoredPage,
    Weights,
)


class Engine:
    """One per process. Everything the page and the shell do goes through here."""

    def __init__(self, library: Library, backbones: Backbones, settings: Settings) -> None:
        self.library, self.backbones, self.settings = library, backbones, settings
        self._displacement = IdleEviction(library.visitors, self.expire)
        self._indexer = Indexer(library, settings.limits, settings.quotas, self.make_way)
        self._retrieval = Retrieval(library, settings)
        self._explainer = Explainer(library)
        self._shipped = Shipped(settings.samples, settings.limits)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let another process open the data folder."""
        self.library.close()

    def serving(self) -> Serving:
        """Which backbone is in use and why, without waiting for it to load."""
        return self.backbones.serving()

    def backbone(self, scope: Scope) -> Backbone:
        """The backbone whose encodings a scope is searched by; waits while it loads.

        Samples that the backbone in use never encoded, or that it is not loaded to search, are the embedded one's.
        """
        if scope != SAMPLES:
            return self.backbones.main()
        if self.backbones.ready:
            main = self.backbones.main()
            if self.samples(main).whole:
                return main
        return self.backbones.embedded()

    # -- documents

    def add(self, scope: Scope, files: Iterable[tuple[Path, str]]) -> Generator[Progress]:
        """Read, encode and keep files of (path, name), telling of every page. A bad file or page is refused in
        words and the rest goes on. Closing the generator cancels: pages already told of stay.
        """
        files = list(files)
        with self._indexer.addition(scope) as addition:
            if not self.backbones.ready:
                for _, name in files:
                    yield Progress(name, State.WORKING, message="Waiting for the model to load.")
            yield from self._indexer.add(scope, files, self.backbones.main(), addition)

    def remove(self, scope: Scope, file: str) -> int:
        """Take a document out of the library with everything kept of it. Bytes freed on disk."""
        freed = self._indexer.remove(scope, file)
        self._drop_what_went()
        return freed

    def forget(self, scope: Scope) -> int:
        """Delete a library with everything kept of it and its owner: pages, pictures, judgements, what was asked of it
        and found in it, and what is being added. Bytes freed on disk; `compact` frees those of the index.

        ValueError for the samples. LibraryError where the disk refuses: asking again goes on.
        """
        try:
            return self._indexer.forget(scope)
        finally:
            self._let_go(scope)

    def expire(self, visitor: Visitor) -> int | None:
        """`forget` a visitor, unless something came since they were looked at, or is on its way: then None."""
        freed = self._indexer.expire(visitor)
        if freed is not None:
            self._let_go(visitor.scope)
        return freed

    def attend(self, told: Callable[[Scope], object]) -> None:
        """`told` hears of each visitor who made way for another."""
        self._displacement.attend(told)

    def make_way(self, newcomer: Scope, lacking: int, among: Container[Scope] | None = None) -> bool:
        """Whether so many bytes were freed for one visitor by forgetting others, those unchanged for longest first and
        nobody who changed anything within the last hour. `among`: whose going would help, if not everybody's.
        """
        return self._displacement.make_way(newcomer, lacking, among)

    def compact(self) -> bool:
        """Build the index anew where that frees bytes of what was deleted, while others search. Whether it did."""
        return self.library.compact()

    def usage(self, scope: Scope) -> Usage:
        """The room that a library takes, and may take."""
        return measured(scope, *self.library.tally(scope), self.settings.quotas)

    def _let_go(self, scope: Scope) -> None:
        self._retrieval.forget(scope)
        self._drop_what_went()

    def _drop_what_went(self) -> None:
        self._explainer.drop_what_went()
        self._retrieval.drop_what_went()

    def documents(self, scope: Scope) -> tuple[Document, ...]:
        """What a scope holds under the backbone that serves it, by name."""
        return self.library.pages([scope], self.backbone(scope).encoder.fingerprint).documents

    def of_other_encoders(self, scope: Scope) -> int:
        """Pages of a scope that another encoder made: kept, but not searchable until their files are added again."""
        return self.library.other_encoders(scope, self.backbone(scope).encoder.fingerprint)

    def page(self, scope: Scope, page: PageId) -> StoredPage:
        """The facts of one stored page. LibraryError if it is not there."""
        stored = self.library.page(scope, self.backbone(scope).encoder.fingerprint, page)
        if stored is None:
            raise LibraryError("That page is no longer in the library.", "Search again.")
        return stored

    # -- the sample library

    def samples(self, backbone: Backbone | None = None) -> Samples:
        """How far the sample library is, under the backbone that serves it or under a given one."""
        encoder = (backbone or self.backbone(SAMPLES)).encoder
        stored = self._shipped.stored(self.library, encoder.fingerprint)
        return Samples(len(stored), self._shipped.pages(encoder.fingerprint), encoder.name)

    def prepare_samples(self, backbone: Backbone | None = None) -> Generator[Progress]:
        """Encode what is missing of the sample library, by the embedded backbone unless told otherwise; documents
        that are no longer shipped leave it.
        """
        using = backbone or self.backbones.embedded()
        shipped = {upload.file for upload in self._shipped.uploads}
        for file in {page.id.file for page in self.library.pages([SAMPLES], using.encoder.fingerprint)} - shipped:
            self.remove(SAMPLES, file)
        files, refused = [(upload.path, upload.name) for upload in self._shipped.uploads], 0
        for step in self._indexer.add(SAMPLES, files, using):
            refused += step.total - step.done if step.state is not State.WORKING else 0
            yield step
        self._shipped.refuse(using.encoder.fingerprint, refused)

    # -- search

    def search(
        self,
        query: Query,
        scopes: Sequence[Scope] = (LOCAL,),
        methods: Sequence[Method] = (POOLED, SMART),
        top: int = 5,
    ) -> Found:
        """One query answered by several methods from one encoding and one set of parts.

        A repeated query is answered from what was kept: no model runs, so weights may be turned freely.
        QueryRefused for an empty query and for scopes whose encodings cannot be compared.
        """
        return self._retrieval.search(query, scopes, methods, top, self._one_backbone(scopes))

    def explain(
        self,
        query: Query,
        scopes: Sequence[Scope],
        page: Key,
        weights: Weights = SMART.weights,
        top: int = 5,
    ) -> Explanation:
        """Why a page stands where it stands in the search with these arguments, whose encoding and parts are used
        again. LibraryError if it is not among the pages searched; QueryRefused as `search`.
        """
        return self._explainer.explain(self._explained(query, scopes, weights, top), page, weights)

    def pair(
        self,
        query: Query,
        scopes: Sequence[Scope],
        page: Key,
        other: Key | None = None,
        weights: Weights = SMART.weights,
        top: int = 5,
    ) -> Pairing:
        """Why one page of a search passed another; without another, the one that tells most of its move. Encodes
        nothing that was encoded before. InputRefused for one page twice; LibraryError and QueryRefused as `explain`.
        """
        return self._explainer.pair(self._explained(query, scopes, weights, top), page, other, weights)

    def _explained(self, query: Query, scopes: Sequence[Scope], weights: Weights, top: int) -> Found:
        """The search whose pages are explained, as it was kept."""
        methods = (POOLED, replace(SMART, weights=weights))
        return self._retrieval.search(query, scopes, methods, top, self._one_backbone(scopes))

    def checked(self, found: Found, scopes: Sequence[Scope]) -> CandidateCheck | None:
        """What a full scan said of the candidates that a search went through; None where all pages were scored, or no
        check says anything of this library.
        """
        pages = len(found.parts.pages)
        if len(found.parts.candidates) == pages:
            return None
        return self._retrieval.checked(scopes, found.encoding.encoder, pages)

    def check(
        self, texts: Sequence[str], scope: Scope = LOCAL, tell: Callable[[int], None] = lambda _: None
    ) -> CandidateCheck | None:
        """Answer queries by a scan of all pages of a scope and by its candidates; from now on as many are scored as
        agreement takes. None where there is no page or no query. LibraryError where a page goes meanwhile.
        """
        backbone = self.backbone(scope)
        asked = [text for text in dict.fromkeys(map(str.strip, texts)) if text][: candidates.MOST]
        if not asked or not self.library.pages([scope], backbone.encoder.fingerprint):
            return None
        encoded = backbone.encode_texts(asked)
        return self._retrieval.check(encoded, scope, backbone.encoder.fingerprint, tell)

    def laps(self, scopes: Sequence[Scope]) -> Mapping[str, tuple[Lap, ...]]:
        """How long each stage took in the last queries over these scopes that really ran it. QueryRefused as
        `search`.
        """
        return self._retrieval.laps(scopes, self._one_backbone(scopes).encoder.fingerprint)

    def _one_backbone(self, scopes: Sequence[Scope]) -> Backbone:
        """The backbone that made all pages of these scopes; QueryRefused where that were several."""
        backbones = [self.backbone(scope) for scope in scopes]
        if len({backbone.encoder.fingerprint for backbone in backbones}) != 1:
            names = " and ".join(sorted({backbone.encoder.name for backbone in backbones}))
            raise QueryRefused(
                f"The samples and your documents were encoded by different models ({names}).",
                "Their scores cannot be compared: search one of the two.",
            )
        return backbones[0]


def open_engine(settings: Settings, *, fall_back: bool = True, behind: bool = False) -> Engine:
    """The engine a person runs: the library of the settings and the backbone they choose.

    With fall_back false a backbone that was insisted on must load. With `behind` the engine answers before its index is
    open, which `library.begin` sees to. LibraryBusy while another process holds the data folder; SettingRefused for an
    unknown backbone.
    """
    choice = registry.choose(settings)
    backbones = Backbones(
        choice,
        lambda name: registry.load(name, settings),
        fall_back=fall_back or not choice.insisted,
        hints=not settings.public,
    )
    library = Library.open(
        settings.data_dir, settings.index_dir, settings.codec, settings.candidates, settings.resident, behind=behind
    )
    return Engine(library, backbones, settings)
