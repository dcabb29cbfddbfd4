"""Token states of a large collection in one temporary file, read back through one map."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from smart_demo.store.atomic_files import storage_errors
from smart_demo.types import Floats, PageId, TokenCodes


@dataclass(frozen=True, slots=True)
class _Place:
    start: int
    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]
    mean: Floats | None
    scale: float

    @property
    def end(self) -> int:
        return self.start + int(np.prod(self.shape)) * self.dtype.itemsize


class Spool(Mapping[PageId, TokenCodes]):
    """Token codes by page. The file holds the codes alone: what is small stays in memory."""

    def __init__(self, path: Path) -> None:
        """Path: a file that does not exist yet, in a folder that somebody else removes."""
        self._path = path
        self._places: dict[PageId, _Place] = {}
        self._end = 0
        self._map: npt.NDArray[np.uint8] = np.zeros(0, dtype=np.uint8)
        with storage_errors("keep token states"):
            self._file = path.open("xb")

    def add(self, page: PageId, codes: TokenCodes) -> None:
        """Keep one page. StorageFull where the disk refuses."""
        place = _Place(self._end, codes.codes.shape, codes.codes.dtype, codes.mean, codes.scale)
        with storage_errors("keep token states"):
            self._file.write(codes.codes.tobytes())
        self._places[page] = place
        self._end = place.end

    def close(self) -> None:
        """No page is added or read after this."""
        self._file.close()
        self._map = np.zeros(0, dtype=np.uint8)

    def __getitem__(self, page: PageId) -> TokenCodes:
        place = self._places[page]
        if place.end > len(self._map):
            with storage_errors("read token states"):
                self._file.flush()
                self._map = np.memmap(self._path, dtype=np.uint8, mode="c")
        codes = self._map[place.start : place.end].view(place.dtype).reshape(place.shape)
        return TokenCodes(codes, place.mean, place.scale)

    def __iter__(self) -> Iterator[PageId]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)
