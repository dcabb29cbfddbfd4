"""Token files: one page's token states and metadata in a safetensors file that can verify every one of its bytes.

Codecs. A page is decoded by one rule, `TokenCodes.states`: mean + scale * codes. The worst errors below hold for states
of length 1, which backbones return; `late` is a mean of cosines, so a codec's cosine error bounds its error too.

| codec     | bytes                  | worst error of a coordinate x | worst error of a cosine with a unit query  |
|-----------|------------------------|-------------------------------|--------------------------------------------|
| `float32` | 4 D a token            | 0                             | 0                                          |
| `float16` | 2 D a token            | 2^-11 |x| + 2^-25            | 2^-11 + sqrt(D) 2^-25                      |
| `int8`    | D a token, 4 D + 4 a page | scale / 2 + 2^-21          | sqrt(D) (scale / 2 + 2^-21)                |

The scale of an int8 page is its largest distance from the mean token in any coordinate, over 127: at most 2/127, and
small if tokens share a strong common direction, which is why the mean is subtracted first.

File format:

    8 bytes    header length
    header     JSON: `__metadata__` (strings: the page's metadata and its digests), then one entry per tensor
    pooled     (P,) float32
    the rest   mean (D,) and scale (1,) float32 (int8 pages only); grid (3,) int32, (5,) for one with padding, or
               boxes (T, 4) uint16; codes (T, D) of the codec; kinds (T,) uint8; words (n,) uint8, the page's words
               (`store.word_codec`), absent from files of earlier versions, whose metadata lack `source` too
    spaces     for each token space beside the raw one, under names that begin with the space's and a dot: padding,
               codes, mean and scale, grid or boxes, kinds; the metadata `spaces` lists them with their codecs

The header contains a digest of `pooled`, one of the rest, and a seal: a digest over the header itself, at a fixed
offset. A start verifies the metadata and the pooled vectors of all pages without reading token states; those are
verified on first use. The tensor order is ours: `pooled` follows the header so that one short read returns both, and
all codes start at a multiple of 64 bytes so that a mapped page is multiplied without a copy.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import mmap
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple, NoReturn

import numpy as np
import numpy.typing as npt

from smart_demo.errors import TokenFileDamaged
from smart_demo.page_text import PageWords, Word, WordSource
from smart_demo.safetensors_header import LENGTH_BYTES, header_end, parse_header
from smart_demo.store import atomic_files, word_codec
from smart_demo.store.word_codec import parse_place, place_tensor
from smart_demo.types import (
    Floats,
    PageEncoding,
    PageId,
    PageTokens,
    Scope,
    StoredPage,
    TokenBoxes,
    TokenCodes,
    TokenGrid,
    TokenSpace,
)

FORMAT = "smart-demo page 1"
_DTYPES = {"F32": np.float32, "F16": np.float16, "I8": np.int8, "U8": np.uint8, "U16": np.uint16, "I32": np.int32}
_ITEM_BYTES = {name: np.dtype(dtype).itemsize for name, dtype in _DTYPES.items()}
_CODES = {"float32": "F32", "float16": "F16", "int8": "I8"}
_OPENING = b'{"__metadata__":{"seal":"'
_DIGEST_DIGITS = 32
_NO_SEAL = b"0" * _DIGEST_DIGITS
_SEAL = slice(LENGTH_BYTES + len(_OPENING), LENGTH_BYTES + len(_OPENING) + _DIGEST_DIGITS)
_FIRST_READ_BYTES = 16_384
_MAX_HEADER_BYTES = 65_536
_ALIGNMENT = 64
_INT8_STEPS = 127

NO_SPACES: Mapping[TokenSpace, TokenCodes] = MappingProxyType({})
StoredKey = tuple[Scope, str, PageId]
"""Scope, encoder fingerprint and page id: what identifies a stored page."""
_Tensors = dict[str, tuple[str, tuple[int, ...]]]
"""Name -> (dtype, shape), in file order."""


class SpaceLayout(NamedTuple):
    """The sizes of one token space; `padded`: the page covers only a part of its grid."""

    space: TokenSpace
    codec: str
    tokens: int
    width: int
    boxes: bool
    padded: bool = False


@dataclass(frozen=True, slots=True)
class TokenFileLayout:
    """The sizes that determine the offset of every tensor in a token file."""

    codec: str
    tokens: int
    width: int
    pooled: int
    boxes: bool
    words: int = 0
    """Bytes of the page's words; 0 if the file has none, as files of earlier versions."""
    spaces: tuple[SpaceLayout, ...] = ()
    padded: bool = False

    def tensors(self) -> dict[str, tuple[str, tuple[int, ...]]]:
        """Return name -> (dtype, shape), in file order."""
        sizes = (self.codec, self.tokens, self.width, self.boxes, self.padded)
        raw = _state_tensors(SpaceLayout(TokenSpace.RAW, *sizes))
        codes = {name: raw.pop(name) for name in ("codes", "kinds")}
        words: _Tensors = {"words": ("U8", (self.words,))} if self.words else {}
        tensors: _Tensors = {"pooled": ("F32", (self.pooled,)), **raw, **codes, **words}
        for space in self.spaces:
            from_codes = sum(_count_bytes(*tensors[name]) for name in tensors if name not in {"pooled", *raw})
            own: _Tensors = {"padding": ("U8", (-from_codes % _ALIGNMENT,)), **_state_tensors(space)}
            tensors |= {f"{space.space}.{name}": entry for name, entry in own.items()}
        return tensors

    def spans(self) -> dict[str, tuple[int, int]]:
        """Return name -> (first byte, byte after the last), counted from the end of the header."""
        spans, end = {}, 0
        for name, (dtype, shape) in self.tensors().items():
            start, end = end, end + _count_bytes(dtype, shape)
            spans[name] = (start, end)
        return spans

    @property
    def size(self) -> int:
        """Size of all tensors in bytes."""
        return sum(itertools.starmap(_count_bytes, self.tensors().values()))

    @property
    def space_tokens(self) -> tuple[tuple[TokenSpace, int], ...]:
        """Each space beside the raw one with the number of its token states, as in `StoredPage`."""
        return tuple((one.space, one.tokens) for one in self.spaces)

    def states_bytes(self, space: TokenSpace) -> int:
        """Return the bytes of the token states of one space: codes, mean and scale, places and kinds."""
        spans, prefix = self.spans(), "" if space is TokenSpace.RAW else f"{space}."
        names = ("codes", "mean", "scale", "grid", "boxes", "kinds")
        return sum(end - start for name in names for start, end in (spans.get(prefix + name, (0, 0)),))


def _state_tensors(space: SpaceLayout) -> _Tensors:
    """Return name -> (dtype, shape) of the token states of a space."""
    codes: _Tensors = {"codes": (_CODES[space.codec], (space.tokens, space.width))}
    centred: _Tensors = {"mean": ("F32", (space.width,)), "scale": ("F32", (1,))} if space.codec == "int8" else {}
    grid: _Tensors = {"grid": ("I32", (5 if space.padded else 3,))}
    place: _Tensors = {"boxes": ("U16", (space.tokens, 4))} if space.boxes else grid
    return {**codes, **centred, **place, "kinds": ("U8", (space.tokens,))}


def _count_bytes(dtype: str, shape: tuple[int, ...]) -> int:
    return _ITEM_BYTES[dtype] * math.prod(shape)


@dataclass(frozen=True, slots=True)
class TokenFileHeader:
    """A verified header: the page's metadata, the tensor layout and the digests of what follows."""

    page: StoredPage
    """The page's metadata; from `read_header` its `bytes` count the token file alone, without pictures."""
    layout: TokenFileLayout
    start: int
    """Offset of the first tensor, in bytes."""
    rest_digest: str
    """Digest of all tensors but `pooled`."""
    picture_digests: tuple[str, ...]
    """Digests of the picture and the thumbnail; empty in files of earlier versions."""
    modified_ns: int
    """Modification time of the file when it was read, in nanoseconds."""

    @property
    def size(self) -> int:
        """Size of the token file in bytes."""
        return self.start + self.layout.size


class TokenFileBody(NamedTuple):
    """A page's token states, with the kind and the place of each, memory-mapped from the file."""

    codes: TokenCodes
    kinds: npt.NDArray[np.uint8]
    place: TokenGrid | TokenBoxes
    source: mmap.mmap | None = None
    """The map that holds the codes; None if they were copied into memory."""

    def prefetch(self) -> None:
        """Ask the system to read the mapped file into memory, without waiting."""
        if self.source is not None:
            self.source.madvise(mmap.MADV_WILLNEED)


def stored_key(page: StoredPage) -> StoredKey:
    """Return what identifies a stored page."""
    return (page.scope, page.encoder, page.id)


def encode(tokens: Floats, codec: str) -> TokenCodes:
    """Return one page's token states (T, D), T >= 1, in a codec's form.

    Raises ValueError for another shape, NaN or infinity.

    >>> encode(np.array([[1.0, 0.0], [0.0, 1.0]], np.float32), "int8").codes.tolist()
    [[127, -127], [-127, 127]]
    """
    if tokens.ndim != 2 or 0 in tokens.shape or not np.isfinite(tokens).all():
        raise ValueError(f"token states must be a finite (T, D) matrix, not {tokens.shape} of {tokens.dtype}")
    states = np.ascontiguousarray(tokens, dtype=np.float32)
    if codec == "float32":
        return TokenCodes(states)
    if codec == "float16":
        return TokenCodes(states.astype(np.float16))
    if codec == "int8":
        return _encode_int8(states)
    raise ValueError(f"not a codec: {codec!r}")


def _encode_int8(states: Floats) -> TokenCodes:
    # The mean is summed in float64: over a thousand near-equal tokens float32 would drift by more than a step.
    mean = states.mean(axis=0, dtype=np.float64).astype(np.float32)
    centred = states - mean
    scale = np.float32(np.abs(centred).max() / _INT8_STEPS)
    if scale < np.finfo(np.float32).tiny:  # one token, or all equal: the mean is enough
        return TokenCodes(np.zeros(states.shape, np.int8), mean)
    codes = np.clip(np.rint(centred / scale), -_INT8_STEPS, _INT8_STEPS).astype(np.int8)
    return TokenCodes(codes, mean, float(scale))


def serialise(
    page: StoredPage,
    encoding: PageEncoding,
    codes: TokenCodes,
    pictures: tuple[bytes, ...] = (),
    words: tuple[Word, ...] = (),
    space_codes: Mapping[TokenSpace, TokenCodes] = NO_SPACES,
) -> bytes:
    """Return the bytes of a page's token file, with digests of its pictures. Equal arguments give equal bytes.

    codes: those of the raw space. words: stored if `page.source` says where they come from. space_codes: those of each
    other space of the encoding.
    """
    written = b"" if page.source is None else word_codec.encode_words(words)
    raw, *others = (_lay_out(encoding, space, one) for space, one in {TokenSpace.RAW: codes, **space_codes}.items())
    layout = TokenFileLayout(
        page.codec, raw.tokens, raw.width, len(encoding.pooled), raw.boxes, len(written), tuple(others), raw.padded
    )
    tensors: dict[str, npt.NDArray[np.generic]] = {
        "pooled": encoding.pooled,
        "words": np.frombuffer(written, np.uint8),
        **_make_tensors(codes, encoding.in_space(TokenSpace.RAW)),
    }
    for space, own in space_codes.items():
        made = _make_tensors(own, encoding.in_space(space))
        made["padding"] = np.zeros(layout.tensors()[f"{space}.padding"][1])
        tensors |= {f"{space}.{name}": values for name, values in made.items()}
    data = b""
    for name, (dtype, shape) in layout.tensors().items():
        data += tensors[name].astype(_DTYPES[dtype]).reshape(shape).tobytes()
    split = layout.spans()["pooled"][1]
    facts = {
        "seal": _NO_SEAL.decode(),
        "format": FORMAT,
        "pooled_digest": digest(data[:split]),
        "rest_digest": digest(data[split:]),
        "scope": str(page.scope),
        "encoder": page.encoder,
        "page": str(page.id),
        "document": page.document,
        "pages": str(page.pages),
        "width": str(page.width),
        "height": str(page.height),
        "codec": page.codec,
        "added": repr(page.added),
        **({"seconds": repr(page.seconds)} if page.seconds else {}),  # files of earlier versions lack all from here on
        **({"pictures": " ".join(map(digest, pictures))} if pictures else {}),
        **({"source": page.source.value} if page.source is not None else {}),
        **{mark: "yes" for mark in ("few_known_words", "reencoded") if getattr(page, mark)},
        **({"spaces": " ".join(f"{one.space}:{one.codec}" for one in others)} if others else {}),
    }
    text = json.dumps({"__metadata__": facts, **_tensor_entries(layout)}, separators=(",", ":")).encode()
    text += b" " * (-(LENGTH_BYTES + len(text) + layout.spans()["codes"][0]) % _ALIGNMENT)
    header = len(text).to_bytes(LENGTH_BYTES, "little") + text
    return _with_seal(header, digest(header).encode()) + data


def read_header(path: Path) -> tuple[TokenFileHeader, Floats]:
    """Return a token file's header and its pooled vector (P,), both verified. Raises TokenFileDamaged if altered."""
    with atomic_files.open_file(path) as (file, size):
        first = os.pread(file, _FIRST_READ_BYTES, 0)
        start = header_end(first)
        if not _SEAL.stop < start <= min(size, _MAX_HEADER_BYTES):
            raise_damaged(path, "is cut off or no token file")
        data = first[:start] + os.pread(file, max(0, start - len(first)), len(first))
        if digest(_with_seal(data, _NO_SEAL)).encode() != data[_SEAL] or data[LENGTH_BYTES : _SEAL.start] != _OPENING:
            raise_damaged(path, "has an altered header")
        facts, layout = _parse_header(path, data[LENGTH_BYTES:])
        if start + layout.size != size:
            raise_damaged(path, "has the wrong length")
        pooled = os.pread(file, 4 * layout.pooled, start)
        if digest(pooled) != facts["pooled_digest"]:
            raise_damaged(path, "has an altered pooled vector")
        modified_ns = os.fstat(file).st_mtime_ns
    return _make_header(path, facts, layout, start, modified_ns), np.frombuffer(pooled, np.float32)


def _lay_out(encoding: PageEncoding, space: TokenSpace, codes: TokenCodes) -> SpaceLayout:
    codec = next(codec for codec, dtype in _CODES.items() if codes.codes.dtype == _DTYPES[dtype])
    (tokens, width), place = codes.codes.shape, encoding.in_space(space).place
    return SpaceLayout(space, codec, tokens, width, isinstance(place, TokenBoxes), getattr(place, "padded", False))


def _make_tensors(codes: TokenCodes, states: PageTokens) -> dict[str, npt.NDArray[np.generic]]:
    """Return the tensors of the token states of one space by name, as `_state_tensors` lists them."""
    tensors: dict[str, npt.NDArray[np.generic]] = {
        "codes": codes.codes,
        "kinds": states.kinds,
        "scale": np.array([codes.scale]),
    }
    if codes.mean is not None:
        tensors["mean"] = codes.mean
    return tensors | place_tensor(states.place)


def read_body(
    path: Path, header: TokenFileHeader, *, verified: bool, space: TokenSpace = TokenSpace.RAW
) -> TokenFileBody:
    """Map the token states of a space, copy-on-write. Unless the file was `verified` before, every byte is checked.

    The map stays valid after the file is deleted. It holds one file descriptor until its arrays are freed.
    Raises TokenFileDamaged if the file has another size or, if it is checked, another digest; KeyError if it lacks the
    space.
    """
    mapped = _map(path, header, verified=verified)
    prefix = "" if space is TokenSpace.RAW else f"{space}."
    spans = header.layout.spans()
    mapped.madvise(mmap.MADV_WILLNEED)
    arrays = {
        name.removeprefix(prefix): np.frombuffer(
            mapped, _DTYPES[dtype], math.prod(shape), header.start + spans[name][0]
        ).reshape(shape)
        for name, (dtype, shape) in header.layout.tensors().items()
        if name.startswith(prefix)
    }
    scale = float(arrays["scale"][0]) if "scale" in arrays else 1.0
    place = parse_place(arrays)
    return TokenFileBody(TokenCodes(arrays["codes"], arrays.get("mean"), scale), arrays["kinds"], place, mapped)


def read_words(path: Path, header: TokenFileHeader, *, verified: bool) -> PageWords | None:
    """Return a page's words; None if its file, of an earlier version, has none. Errors as `read_body`."""
    if header.page.source is None:
        return None
    mapped = _map(path, header, verified=verified)
    start, end = (header.start + position for position in header.layout.spans()["words"])
    try:
        return PageWords(word_codec.decode_words(mapped[start:end]), header.page.source)
    except ValueError:
        raise_damaged(path, "has words of an unknown form")


def _map(path: Path, header: TokenFileHeader, *, verified: bool) -> mmap.mmap:
    """Map a token file, copy-on-write; unless `verified` before, check every byte after the pooled vector."""
    with atomic_files.open_file(path) as (file, size):
        if size != header.size:
            raise_damaged(path, "has the wrong length")
        mapped = mmap.mmap(file, size, access=mmap.ACCESS_COPY)
    rest = header.start + header.layout.spans()["pooled"][1]
    if not verified and digest(memoryview(mapped)[rest:]) != header.rest_digest:
        raise_damaged(path, "has altered token states")
    return mapped


def raise_damaged(path: Path, fault: str) -> NoReturn:
    """Raise TokenFileDamaged for the file at `path`; `fault` completes "The token file of page … "."""
    raise TokenFileDamaged(f"The token file of page {path.stem} {fault}.", "Add its document again.")


def _parse_header(path: Path, header: bytes) -> tuple[dict[str, str], TokenFileLayout]:
    try:
        facts, table = parse_header(header)
        tokens, width = table["codes"]["shape"]
        words = table["words"]["shape"][0] if "words" in table else 0
        listed = [entry.partition(":") for entry in facts.get("spaces", "").split()]
        padded = {name for name, entry in table.items() if entry["shape"] == [5]}
        spaces = tuple(
            SpaceLayout(TokenSpace(name), codec, rows, cols, f"{name}.boxes" in table, f"{name}.grid" in padded)
            for name, _, codec in listed
            for rows, cols in (table[f"{name}.codes"]["shape"],)
        )
        sizes = (tokens, width, table["pooled"]["shape"][0], "boxes" in table, words, spaces, "grid" in padded)
        layout = TokenFileLayout(facts["codec"], *sizes)
        known = facts["format"] == FORMAT and ("source" in facts) == bool(words)
        if not known or table != _tensor_entries(layout):
            raise_damaged(path, "is of an unknown form")
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, RecursionError):
        raise_damaged(path, "is of an unknown form")
    return facts, layout


def _make_header(
    path: Path, facts: dict[str, str], layout: TokenFileLayout, start: int, modified_ns: int
) -> TokenFileHeader:
    try:
        page = StoredPage(
            scope=Scope(facts["scope"]),
            encoder=facts["encoder"],
            id=PageId.parse(facts["page"]),
            document=facts["document"],
            pages=int(facts["pages"]),
            width=int(facts["width"]),
            height=int(facts["height"]),
            tokens=layout.tokens,
            bytes=start + layout.size,
            codec=facts["codec"],
            added=float(facts["added"]),
            seconds=float(facts.get("seconds", "0")),
            source=WordSource(facts["source"]) if "source" in facts else None,
            few_known_words="few_known_words" in facts,
            space_tokens=layout.space_tokens,
            reencoded="reencoded" in facts,
        )
        pictures = tuple(facts.get("pictures", "").split())
        return TokenFileHeader(page, layout, start, facts["rest_digest"], pictures, modified_ns)
    except (KeyError, TypeError, ValueError):
        raise_damaged(path, "is of an unknown form")


def _tensor_entries(layout: TokenFileLayout) -> dict[str, dict[str, object]]:
    """Return the tensor entries of the header, in the form of safetensors."""
    spans = layout.spans()
    return {
        name: {"dtype": dtype, "shape": list(shape), "data_offsets": list(spans[name])}
        for name, (dtype, shape) in layout.tensors().items()
    }


def digest(data: bytes | memoryview) -> str:
    """Return the digest by which a part of a token file or a picture is verified: 32 hex digits of its SHA-256."""
    return hashlib.sha256(data).hexdigest()[:_DIGEST_DIGITS]


def _with_seal(header: bytes, seal: bytes) -> bytes:
    return header[: _SEAL.start] + seal + header[_SEAL.stop :]
