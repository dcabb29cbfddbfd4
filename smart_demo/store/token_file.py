"""Token states to the numbers that are stored, and how far each form can be off.

A page is decoded by one rule, `TokenCodes.states`: mean + scale * codes. The worst errors below hold for states of
length 1, which is what backbones give; `late` is a mean of cosines, so a codec's cosine error bounds its error too.

| codec     | bytes                  | worst error of a coordinate x | worst error of a cosine with a unit query  |
|-----------|------------------------|-------------------------------|--------------------------------------------|
| `float32` | 4 D a token            | 0                             | 0                                          |
| `float16` | 2 D a token            | 2^-11 |x| + 2^-25            | 2^-11 + sqrt(D) 2^-25                      |
| `int8`    | D a token, 4 D + 4 a page | scale / 2 + 2^-21          | sqrt(D) (scale / 2 + 2^-21)                |

The scale of an int8 page is its largest distance from the mean token in any coordinate, over 127: at most 2/127, and
small where tokens share a strong common direction, which is why the mean is taken out first.

The form of a token file: a safetensors file that can prove every one of its bytes.

    8 bytes    header length
    header     JSON: `__metadata__` (strings: the page's facts and its digests), then one entry per tensor
    pooled     (P,) float32
    the rest   mean (D,) and scale (1,) float32 (int8 pages only); grid (3,) int32 or boxes (T, 4) uint16;
               codes (T, D) of the codec; kinds (T,) uint8

The header carries a digest of `pooled` and one of the rest, and is sealed by a digest over itself that stands at a
fixed place. So a start proves the facts of all pages, and the pooled column its vectors, without reading the token
states; these are proved when they are first wanted. Tensor order is ours: `pooled` follows the header so that one
short read gets both, and `codes` start at a multiple of 64 bytes so that a mapped page is multiplied where it lies.
"""

from __future__ import annotations

import hashlib
import json
import math
import mmap
import os
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, NoReturn

import numpy as np
import numpy.typing as npt

from smart_demo.errors import TokenFileDamaged
from smart_demo.safetensors_header import LENGTH, header_end, parse_header
from smart_demo.store import atomic_files
from smart_demo.types import Floats, PageEncoding, PageId, Scope, StoredPage, TokenBoxes, TokenCodes, TokenGrid

_STEPS = 127


def encode(tokens: Floats, codec: str) -> TokenCodes:
    """Store form of one page's token states, (T, D) with T >= 1. ValueError for another shape, NaN or infinity.

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
        return _page_centred(states)
    raise ValueError(f"not a codec: {codec!r}")


def _page_centred(states: Floats) -> TokenCodes:
    # The mean is summed in float64: over a thousand near-equal tokens float32 would drift by more than a step.
    mean = states.mean(axis=0, dtype=np.float64).astype(np.float32)
    centred = states - mean
    scale = np.float32(np.abs(centred).max() / _STEPS)
    if scale < np.finfo(np.float32).tiny:  # one token, or all alike: the mean says everything
        return TokenCodes(np.zeros(states.shape, np.int8), mean)
    codes = np.clip(np.rint(centred / scale), -_STEPS, _STEPS).astype(np.int8)
    return TokenCodes(codes, mean, float(scale))


FORMAT = "smart-demo page 1"
_DTYPES = {"F32": np.float32, "F16": np.float16, "I8": np.int8, "U8": np.uint8, "U16": np.uint16, "I32": np.int32}
_CODES = {"float32": "F32", "float16": "F16", "int8": "I8"}
_OPENING = b'{"__metadata__":{"seal":"'
_DIGITS = 32
_NO_SEAL = b"0" * _DIGITS
_SEAL = slice(LENGTH + len(_OPENING), LENGTH + len(_OPENING) + _DIGITS)
_FIRST_READ = 16_384
_LONGEST_HEADER = 65_536
_ALIGNMENT = 64
_FULL_BOX = 65_534
"""uint16 value of 1.0: boxes are kept to 1/65,534 of a side, a quarter of a pixel on the largest page."""
_NO_BOX = 65_535


@dataclass(frozen=True, slots=True)
class TokenFileLayout:
    """Sizes that decide where every tensor of a token file lies."""

    codec: str
    tokens: int
    width: int
    pooled: int
    boxes: bool

    def tensors(self) -> dict[str, tuple[str, tuple[int, ...]]]:
        """Name -> (dtype, shape), in file order."""
        centred = {"mean": ("F32", (self.width,)), "scale": ("F32", (1,))} if self.codec == "int8" else {}
        place = {"boxes": ("U16", (self.tokens, 4))} if self.boxes else {"grid": ("I32", (3,))}
        codes = {"codes": (_CODES[self.codec], (self.tokens, self.width)), "kinds": ("U8", (self.tokens,))}
        return {"pooled": ("F32", (self.pooled,)), **centred, **place, **codes}

    def spans(self) -> dict[str, tuple[int, int]]:
        """Name -> (first byte, byte after the last), counted from the end of the header."""
        spans, end = {}, 0
        for name, (dtype, shape) in self.tensors().items():
            start, end = end, end + np.dtype(_DTYPES[dtype]).itemsize * math.prod(shape)
            spans[name] = (start, end)
        return spans

    @property
    def size(self) -> int:
        """Bytes of all tensors."""
        return self.spans()["kinds"][1]


@dataclass(frozen=True, slots=True)
class TokenFileHeader:
    """What a token file says of itself, sealed: the page's facts, where its tensors lie, the digest of the rest."""

    page: StoredPage
    """Its `bytes` count the token file alone."""
    layout: TokenFileLayout
    start: int
    """Where the tensors begin."""
    rest: str
    pictures: tuple[str, ...]
    """Digests of the picture and the thumbnail; none in files of earlier versions."""
    changed: int
    """When the file was changed, in nanoseconds, as the system said while it was read."""

    @property
    def size(self) -> int:
        """Bytes of the token file."""
        return self.start + self.layout.size


class TokenFileBody(NamedTuple):
    """A page's token states and what is known of each, mapped from the file."""

    codes: TokenCodes
    kinds: npt.NDArray[np.uint8]
    place: TokenGrid | TokenBoxes
    source: mmap.mmap | None = None
    """The map that the codes lie in; None once they lie elsewhere."""

    def ask_for(self) -> None:
        """Have the system read what of the file is not in memory, without waiting for it."""
        if self.source is not None:
            self.source.madvise(mmap.MADV_WILLNEED)


def serialise(page: StoredPage, encoding: PageEncoding, codes: TokenCodes, pictures: tuple[bytes, ...] = ()) -> bytes:
    """The bytes of a page's token file, which also proves these pictures. The same arguments give the same bytes."""
    place = encoding.place
    tokens, width = codes.codes.shape
    layout = TokenFileLayout(page.codec, tokens, width, len(encoding.pooled), isinstance(place, TokenBoxes))
    tensors: dict[str, npt.NDArray[np.generic]] = {
        "pooled": encoding.pooled,
        "codes": codes.codes,
        "kinds": encoding.kinds,
        "scale": np.array([codes.scale]),
    }
    if codes.mean is not None:
        tensors["mean"] = codes.mean
    if isinstance(place, TokenBoxes):
        tensors["boxes"] = _fixed_point(place.boxes)
    else:
        tensors["grid"] = np.array([place.start, place.rows, place.cols])
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
        **({"seconds": repr(page.seconds)} if page.seconds else {}),  # files of earlier versions lack these two
        **({"pictures": " ".join(map(digest, pictures))} if pictures else {}),
    }
    header = json.dumps({"__metadata__": facts, **_table(layout)}, separators=(",", ":")).encode()
    header += b" " * (-(LENGTH + len(header) + layout.spans()["codes"][0]) % _ALIGNMENT)
    head = len(header).to_bytes(LENGTH, "little") + header
    return _with_seal(head, digest(head).encode()) + data


def read_head(path: Path) -> tuple[TokenFileHeader, Floats]:
    """A token file's proven facts and its pooled vector (P,). TokenFileDamaged says what is wrong with it."""
    with atomic_files.opened(path) as (file, size):
        first = os.pread(file, _FIRST_READ, 0)
        start = header_end(first)
        if not _SEAL.stop < start <= min(size, _LONGEST_HEADER):
            damaged(path, "is cut off or no token file")
        head = first[:start] + os.pread(file, max(0, start - len(first)), len(first))
        if digest(_with_seal(head, _NO_SEAL)).encode() != head[_SEAL] or head[LENGTH : _SEAL.start] != _OPENING:
            damaged(path, "has an altered header")
        facts, layout = _parse(path, head[LENGTH:])
        if start + layout.size != size:
            damaged(path, "has the wrong length")
        pooled = os.pread(file, 4 * layout.pooled, start)
        if digest(pooled) != facts["pooled_digest"]:
            damaged(path, "has an altered pooled vector")
        changed = os.fstat(file).st_mtime_ns
    return _head(path, facts, layout, start, changed), np.frombuffer(pooled, np.float32)


def read_body(path: Path, head: TokenFileHeader, *, proven: bool) -> TokenFileBody:
    """Token states mapped from the file, copy-on-write; unless `proven` already, every byte is checked first.

    The map stays valid when the file is removed. Each map holds one file descriptor until its arrays are dropped.
    """
    with atomic_files.opened(path) as (file, size):
        if size != head.start + head.layout.size:
            damaged(path, "has the wrong length")
        mapped = mmap.mmap(file, size, access=mmap.ACCESS_COPY)
    spans = head.layout.spans()
    if not proven and digest(memoryview(mapped)[head.start + spans["pooled"][1] :]) != head.rest:
        damaged(path, "has altered token states")
    mapped.madvise(mmap.MADV_WILLNEED)
    arrays = {
        name: np.frombuffer(mapped, _DTYPES[dtype], math.prod(shape), head.start + spans[name][0]).reshape(shape)
        for name, (dtype, shape) in head.layout.tensors().items()
    }
    scale = float(arrays["scale"][0]) if "scale" in arrays else 1.0
    place = TokenBoxes(_floating(arrays["boxes"])) if head.layout.boxes else TokenGrid(*map(int, arrays["grid"]))
    return TokenFileBody(TokenCodes(arrays["codes"], arrays.get("mean"), scale), arrays["kinds"], place, mapped)


def damaged(path: Path, why: str) -> NoReturn:
    """Raise TokenFileDamaged about the file at `path`."""
    raise TokenFileDamaged(f"The token file of page {path.stem} {why}.", "Add its document again.")


def _parse(path: Path, header: bytes) -> tuple[dict[str, str], TokenFileLayout]:
    try:
        facts, table = parse_header(header)
        tokens, width = table["codes"]["shape"]
        layout = TokenFileLayout(facts["codec"], tokens, width, table["pooled"]["shape"][0], "boxes" in table)
        if facts["format"] != FORMAT or table != _table(layout):
            damaged(path, "is of an unknown form")
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, RecursionError):
        damaged(path, "is of an unknown form")
    return facts, layout


def _head(path: Path, facts: dict[str, str], layout: TokenFileLayout, start: int, changed: int) -> TokenFileHeader:
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
        )
        pictures = tuple(facts.get("pictures", "").split())
        return TokenFileHeader(page, layout, start, facts["rest_digest"], pictures, changed)
    except (KeyError, TypeError, ValueError):
        damaged(path, "is of an unknown form")


def _table(layout: TokenFileLayout) -> dict[str, dict[str, object]]:
    """The tensor entries of the header, as safetensors spells them."""
    spans = layout.spans()
    return {
        name: {"dtype": dtype, "shape": list(shape), "data_offsets": list(spans[name])}
        for name, (dtype, shape) in layout.tensors().items()
    }


def digest(data: bytes | memoryview) -> str:
    """By which a token file proves its parts and the page's pictures."""
    return hashlib.sha256(data).hexdigest()[:_DIGITS]


def _with_seal(head: bytes, seal: bytes) -> bytes:
    return head[: _SEAL.start] + seal + head[_SEAL.stop :]


def _fixed_point(boxes: Floats) -> npt.NDArray[np.uint16]:
    steps = np.rint(np.clip(boxes, 0, 1) * _FULL_BOX)
    return np.where(np.isnan(boxes), _NO_BOX, np.nan_to_num(steps)).astype(np.uint16)


def _floating(boxes: npt.NDArray[np.uint16]) -> Floats:
    return np.where(boxes == _NO_BOX, np.float32(np.nan), boxes.astype(np.float32) / np.float32(_FULL_BOX))
