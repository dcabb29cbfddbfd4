"""A collection of plain texts, ranked by the same encodings, codecs and scores as pages, without a library.

A text is stored as the only page of a document whose hash is its number, so that tied texts are ordered by number:
Cranfield's own, elsewhere their order in the corpus file. Token states, which grow with the collection, are in a
temporary file; scores are computed for groups of queries.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt

from smart_demo import scoring
from smart_demo.backbones import registry
from smart_demo.backbones.base import Backbone
from smart_demo.backbones.registry import Backbones
from smart_demo.config import Settings
from smart_demo.errors import InputRefused, QueryRefused
from smart_demo.evaluation import runner
from smart_demo.evaluation.query_sets import QueryJudgements
from smart_demo.evaluation.trec import open_run_files
from smart_demo.methods import Parts, SearchResult
from smart_demo.store import token_file
from smart_demo.store.atomic_files import storage_errors
from smart_demo.types import (
    LOCAL,
    Floats,
    PageEncoding,
    PageId,
    Query,
    QueryEncoding,
    StoredPage,
    TokenCodes,
    TokenKind,
)

ENCODE_BATCH_SIZE = 256
"""Number of texts given to the backbone at once."""
SCORE_BATCH_SIZE = 64
"""Number of texts scored at once."""
MAX_GROUP_MAXIMA = 2**27
"""Maximum number of maxima of one group of queries: half a gigabyte."""


@dataclass(frozen=True)
class TextCollection:
    """A collection as read, not yet encoded."""

    name: str
    """The collection's name."""
    documents: Mapping[PageId, str]
    """Texts by page id, none empty, in the order of ties."""
    names: Mapping[PageId, str]
    """The collection's own document ids, including judged documents that no ranking can contain."""
    judgements: tuple[QueryJudgements, ...]
    notices: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class EncodedPages:
    """Encoded pages, or texts stored as pages, whose scores `score_queries` computes."""

    pages: tuple[StoredPage, ...]
    pooled: Floats
    """Pooled vectors, (N, P)."""
    tokens: Mapping[PageId, TokenCodes]


def evaluate_texts(
    settings: Settings,
    collection: TextCollection,
    on_progress: runner.ProgressCallback = runner.ignore_progress,
    run_dir: Path | None = None,
) -> runner.Report:
    """Rank all texts for every judged query by every method, with the backbone and codec of the settings.

    run_dir: a folder for TREC files of judgements and rankings. A query without words is left out, with a notice.
    Raises InputRefused if no query or no text has words; BackboneUnavailable as the backbone does; StorageFull if the
    temporary folder is too small.
    """
    choice = registry.choose_backbone(settings)
    backbones = Backbones(choice, lambda name: registry.load_backbone(name, settings), fall_back=not choice.explicit)
    with (
        open_run_files(run_dir, collection.judgements, collection.names.__getitem__) as on_rankings,
        TemporaryDirectory(prefix="smart-demo-eval-") as folder,
        closing(TokenSpillFile(Path(folder) / "tokens")) as spill_file,
    ):
        backbone = backbones.main()
        begun = time.perf_counter()
        queries, refused = encode_queries(backbone, collection.judgements)
        texts = encode_collection(collection, backbone, settings.codec, on_progress, spill_file)
        encoded = time.perf_counter()
        search = TextSearch(texts, list(queries.values()), refused, on_progress)
        scored, left_out = runner.evaluate_queries(collection.judgements, search, on_rankings=on_rankings)
        seconds = {"encode": encoded - begun, "search": time.perf_counter() - encoded}
        notices = (*collection.notices, *_list_wordless(collection, texts, backbone.encoder.name), *left_out)
    count, encoder = len(texts.pages), backbone.encoder
    return runner.Report(collection.name, "texts", count, encoder, settings.codec, scored, seconds, notices)


class TextSearch:
    """Rankings by query text.

    A group of queries is scored when its first query runs, and its parts are cached until the next group.
    """

    def __init__(
        self,
        texts: EncodedPages,
        queries: Sequence[QueryEncoding],
        refused: Mapping[str, QueryRefused],
        on_progress: runner.ProgressCallback = runner.ignore_progress,
    ) -> None:
        self._texts, self._refused, self._on_progress = texts, refused, on_progress
        self._groups = [tuple(group) for group in group_queries(queries, len(texts.pages))]
        self._group_of = {query.query.text: group for group in self._groups for query in group}
        self._parts: Mapping[str, Parts] = {}

    def __call__(self, text: str) -> Mapping[str, SearchResult]:
        """Return a query's rankings. Raises QueryRefused if the backbone refused the query."""
        if text in self._refused:
            raise self._refused[text]
        if text not in self._parts:
            self._parts = {}  # free the last group's memory first
            self._parts = score_queries(self._texts, self._group_of[text], self._on_progress)
        return runner.rank_by_methods(self._parts[text])


def encode_collection(
    collection: TextCollection,
    backbone: Backbone,
    codec: str,
    on_progress: runner.ProgressCallback = runner.ignore_progress,
    spill_file: TokenSpillFile | None = None,
) -> EncodedPages:
    """Encode every text by the backbone and the codec, except those in which the backbone finds no words.

    spill_file: receives token states that should not stay in memory. Raises InputRefused if no text has words.
    """
    pages, pooled, total = [], [], len(collection.documents)
    tokens: dict[PageId, TokenCodes] = {}
    encodings = _encode_batches(backbone, list(collection.documents.values()))
    for done, (page, encoding) in enumerate(zip(collection.documents, encodings, strict=True), start=1):
        # A text of words that the backbone does not know is encoded as the empty text: a page of them is refused.
        if encoding is not None and TokenKind.CONTENT in encoding.kinds:
            codes = token_file.encode(encoding.tokens, codec)
            pages.append(make_stored_page(page, collection.names[page], encoding, codes, codec))
            pooled.append(encoding.pooled)
            if spill_file is None:
                tokens[page] = codes
            else:
                spill_file.add(page, codes)
        runner.report_tenths(on_progress, "Encoded", done, total, "texts")
    if not pages:
        raise InputRefused(f"{backbone.encoder.name} finds no words in any of the {total:,} texts.")
    return EncodedPages(tuple(pages), np.stack(pooled), tokens if spill_file is None else spill_file)


def score_queries(
    encoded: EncodedPages,
    queries: Sequence[QueryEncoding],
    on_progress: runner.ProgressCallback = runner.ignore_progress,
) -> Mapping[str, Parts]:
    """Return the score parts of every query, by its text.

    A maximum depends on one query token alone, so the tokens of all queries are scored against a text together: one
    large product for each of 1,398 abstracts in place of 300,000 small ones.
    """
    together = np.concatenate([query.tokens for query in queries])
    maxima = np.empty((len(encoded.pages), len(together)), dtype=np.float32)
    for row in range(0, len(encoded.pages), SCORE_BATCH_SIZE):
        batch = encoded.pages[row : row + SCORE_BATCH_SIZE]
        maxima[row : row + len(batch)] = scoring.maxima(together, [encoded.tokens[page.id] for page in batch])
        for done in range(row + 1, row + len(batch) + 1):
            runner.report_tenths(on_progress, "Scored", done, len(encoded.pages), "texts")
    ends = np.cumsum([len(query.tokens) for query in queries])
    everything = np.arange(len(encoded.pages))
    return {
        query.query.text: Parts(query.kinds, encoded.pages, encoded.pooled @ query.pooled, everything, own)
        for query, own in zip(queries, np.split(maxima, ends[:-1], axis=1), strict=True)
    }


def group_queries(
    queries: Sequence[QueryEncoding], texts: int, most: int = MAX_GROUP_MAXIMA
) -> Iterator[list[QueryEncoding]]:
    """Yield groups of queries, in order, with at most `most` maxima over all texts, or a single query."""
    group: list[QueryEncoding] = []
    size = 0
    for query in queries:
        needs = texts * len(query.tokens)
        if group and size + needs > most:
            yield group
            group, size = [], 0
        group.append(query)
        size += needs
    if group:
        yield group


def _encode_batches(backbone: Backbone, texts: Sequence[str]) -> Iterator[QueryEncoding | None]:
    """Yield one encoding for each text, or None if the backbone finds no words in it."""
    for start in range(0, len(texts), ENCODE_BATCH_SIZE):
        batch = texts[start : start + ENCODE_BATCH_SIZE]
        try:
            encoded = list(backbone.encode_texts(batch))
        except QueryRefused:  # does not identify the text without words
            yield from (_encode_alone(backbone, text) for text in batch)
        else:
            yield from encoded


def _encode_alone(backbone: Backbone, text: str) -> QueryEncoding | None:
    try:
        return next(iter(backbone.encode_texts([text])))
    except QueryRefused:
        return None


def encode_queries(
    backbone: Backbone, judgements: Sequence[QueryJudgements]
) -> tuple[dict[str, QueryEncoding], dict[str, QueryRefused]]:
    """Return the encodings of all distinct queries and the refusals, each by the text of the query."""
    queries, refused = {}, {}
    for text in dict.fromkeys(query.query for query in judgements):
        try:
            queries[text] = backbone.encode_query(Query(text.strip()))
        except QueryRefused as refusal:
            refused[text] = refusal
    return queries, refused


def make_stored_page(
    page: PageId, document: str, encoding: QueryEncoding | PageEncoding, codes: TokenCodes, codec: str
) -> StoredPage:
    """Return a page as a library would list it, of which only the encoding exists."""
    return StoredPage(
        scope=LOCAL,
        encoder=encoding.encoder,
        id=page,
        document=document,
        pages=1,
        width=0,
        height=0,
        tokens=len(encoding.tokens),
        bytes=codes.codes.nbytes,
        codec=codec,
        added=0.0,
    )


def _list_wordless(collection: TextCollection, texts: EncodedPages, encoder: str) -> Iterator[str]:
    """Yield a notice if the backbone found no words in some texts, with the queries they answer."""
    lost = collection.documents.keys() - texts.tokens.keys()
    if lost:
        missing = runner.find_unreachable(collection.judgements, set(texts.tokens))
        affected = dict.fromkeys(qid for page in lost for qid in missing.get(page, ()))
        suffix = f" ({', '.join(affected)})" if affected else ""
        yield f"Texts in which {encoder} finds no words: {len(lost):,}; they count as never found{suffix}."


@dataclass(frozen=True, slots=True)
class _Extent:
    """Position, shape and codec values of one page's codes in the file."""

    start: int
    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]
    mean: Floats | None
    scale: float

    @property
    def end(self) -> int:
        return self.start + int(np.prod(self.shape)) * self.dtype.itemsize


class TokenSpillFile(Mapping[PageId, TokenCodes]):
    """Token codes by page, in one temporary file that is read through a memory map.

    The file holds only the codes; shapes, means and scales stay in memory.
    """

    def __init__(self, path: Path) -> None:
        """Create the file at `path`, which must not exist; the caller deletes its folder."""
        self._path = path
        self._extents: dict[PageId, _Extent] = {}
        self._end = 0
        self._map: npt.NDArray[np.uint8] = np.zeros(0, dtype=np.uint8)
        with storage_errors("keep token states"):
            self._file = path.open("xb")

    def add(self, page: PageId, codes: TokenCodes) -> None:
        """Append the codes of one page. Raises StorageFull if the disk is full."""
        extent = _Extent(self._end, codes.codes.shape, codes.codes.dtype, codes.mean, codes.scale)
        with storage_errors("keep token states"):
            self._file.write(codes.codes.tobytes())
        self._extents[page] = extent
        self._end = extent.end

    def close(self) -> None:
        """Close the file; no page can be added or read after this."""
        self._file.close()
        self._map = np.zeros(0, dtype=np.uint8)

    def __getitem__(self, page: PageId) -> TokenCodes:
        extent = self._extents[page]
        if extent.end > len(self._map):
            with storage_errors("read token states"):
                self._file.flush()
                self._map = np.memmap(self._path, dtype=np.uint8, mode="c")
        codes = self._map[extent.start : extent.end].view(extent.dtype).reshape(extent.shape)
        return TokenCodes(codes, extent.mean, extent.scale)

    def __iter__(self) -> Iterator[PageId]:
        return iter(self._extents)

    def __len__(self) -> int:
        return len(self._extents)
