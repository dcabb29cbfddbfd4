"""A checkpoint on disk: finding or fetching it, and what its safetensors headers tell without loading it.

Imports neither torch nor transformers, so asking whether a model is there costs nothing.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from smart_demo.config import NEWEST
from smart_demo.errors import BackboneUnavailable
from smart_demo.safetensors_header import LENGTH, header_end, parse_header

FILES = ("*.json", "*.safetensors", "merges.txt", "vocab.txt", "*.jinja")
"""What we fetch from the hub: weights and text. Never code, never pickles."""
HASHED_WHOLE = 64 * 2**20
"""Up to this many bytes of tensors every byte is hashed; beyond, three blocks of every tensor."""
BLOCK = 4096
LONGEST_HEADER = 10**8
DTYPES = {"F32": "float32", "BF16": "bfloat16", "F16": "float16"}
PINNED = {
    "Qwen/Qwen3-VL-Embedding-2B": "9f2f7e710d6d81056aa5c0a4f04764fec6bb7bda",
    "Qwen/Qwen3-VL-Embedding-8B": "2c4565515e0f265c6511776e7193b22c0968ddc7",
}
"""Commits that are fetched unless SMART_REVISION says otherwise. A commit names its content, so the hub cannot serve
another under it. These are the ones that the MTEB benchmark has on record for its published results of both models.
"""
SAY = ("config.json", "preprocessor_config.json", "tokenizer.json")
"""Texts that decide an encoding as much as the weights do."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor as its file's header describes it; `start` and `end` count bytes from the file's beginning."""

    file: Path
    dtype: str
    """As safetensors writes it: `F32`, `BF16`, ..."""
    shape: tuple[int, ...]
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A folder that holds a whole checkpoint."""

    folder: Path
    name: str
    """A hub id or the folder's name."""
    revision: str = ""
    """Commit of the hub's snapshot; empty for a plain folder."""


def wanted_revision(source: str, revision: str) -> str | None:
    """The commit to fetch of a hub id; `revision` is Settings.revision. None is the hub's newest."""
    return None if revision == NEWEST else revision or PINNED.get(source)


def held_to(revision: str, wanted: str) -> str:
    """In words, what keeps the model of an encoder from changing; `wanted` is Settings.revision."""
    if not re.fullmatch(r"[0-9a-f]{40}", revision):
        return "its bytes, which the fingerprint is made of"
    if revision == wanted:
        return "the commit that SMART_REVISION names"
    if revision in PINNED.values():
        return "the commit that this program pins"
    return "nothing: it was the hub's newest when it was fetched"


def find(source: str, revision: str | None = None) -> Checkpoint | None:
    """The checkpoint of `source` (a folder or hub id) where it is on this disk and whole, else None. No network."""
    folder = Path(source).expanduser()
    if folder.is_dir():
        folder = folder.absolute()  # not resolved: a link is called what its owner called it
        return Checkpoint(folder, folder.name) if _whole(folder) else None
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        config = try_to_load_from_cache(source, "config.json", revision=revision)
    except HFValidationError:
        return None
    if not isinstance(config, str) or not _whole(Path(config).parent):
        return None
    return Checkpoint(Path(config).parent, source, Path(config).parent.name)


def fetch(source: str, revision: str | None = None) -> Checkpoint:
    """The checkpoint of `source`, from this disk or else from the hub. BackboneUnavailable in words."""
    if (found := find(source, revision)) is not None:
        return found
    if Path(source).expanduser().is_dir():
        raise BackboneUnavailable(
            f"The folder {source} does not hold a whole model.",
            "It needs config.json and every safetensors file its index names.",
        )
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", source):
        raise BackboneUnavailable(
            f"{source!r} is neither a folder here nor a model's id on the hub.", "An id looks like owner/name."
        )
    snapshot = _download(source, revision)
    if not _whole(snapshot):
        raise BackboneUnavailable(f"{source} has no complete safetensors weights.", "Other formats are not loaded.")
    return Checkpoint(snapshot, source, snapshot.name)


def _download(source: str, revision: str | None) -> Path:
    """Every fault of the hub's client, network ones among them, is an OSError or a ValueError."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, LocalEntryNotFoundError, RepositoryNotFoundError

    try:
        return Path(snapshot_download(source, revision=revision, allow_patterns=list(FILES), etag_timeout=5))
    except GatedRepoError as error:
        raise BackboneUnavailable(
            f"{source} asks for a licence to be accepted.", "Log in with `hf auth login`."
        ) from error
    except RepositoryNotFoundError as error:
        raise BackboneUnavailable(f"The hub knows no model {source}.", "Check SMART_BACKBONE.") from error
    except LocalEntryNotFoundError as error:
        raise BackboneUnavailable(
            f"{source} is not on this disk and the hub cannot be reached.",
            "Connect once, or give SMART_BACKBONE a folder with the model.",
        ) from error
    except (OSError, ValueError) as error:
        raise BackboneUnavailable(f"{source} could not be fetched: {_first_line(error)}", "Try again.") from error


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)


def _whole(folder: Path) -> bool:
    """Whether the configuration and every weight file that the index names are there, at their full length."""
    if not (folder / "config.json").is_file():
        return False
    try:
        return bool(tensors(folder))
    except BackboneUnavailable:
        return False


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files that make up the checkpoint. BackboneUnavailable for a damaged index."""
    index = folder / "model.safetensors.index.json"
    if not index.is_file():
        single = folder / "model.safetensors"
        return [single] if single.is_file() else []
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise BackboneUnavailable(f"{index.name} of {folder.name} cannot be read.") from error
    return [folder / Path(name).name for name in names]


def tensors(folder: Path) -> Mapping[str, Tensor]:
    """Every tensor by name, from the headers alone. BackboneUnavailable for a missing or torn file."""
    found: dict[str, Tensor] = {}
    for path in weight_files(folder):
        try:
            with path.open("rb") as file:
                found.update(_header(path, file))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BackboneUnavailable(
                f"{path.name} of {folder.name} is missing or damaged.", "Fetch the model again."
            ) from error
    return found


def _header(path: Path, file: BinaryIO) -> Iterator[tuple[str, Tensor]]:
    """Name and place of each tensor. ValueError where the file is not as long as its header says."""
    size = path.stat().st_size
    start = header_end(file.read(LENGTH))
    if not 2 <= start - LENGTH <= min(size - LENGTH, LONGEST_HEADER):
        raise ValueError("no safetensors header")
    _, entries = parse_header(file.read(start - LENGTH))
    places = {
        name: Tensor(path, entry["dtype"], tuple(entry["shape"]), *(start + at for at in entry["data_offsets"]))
        for name, entry in entries.items()
    }
    if size != max((tensor.end for tensor in places.values()), default=-1):
        raise ValueError("torn")
    yield from places.items()


def stored_dtype(folder: Path) -> str:
    """The format that most bytes of the weights are in: `float32`, `bfloat16` or `float16`."""
    sizes: Counter[str] = Counter()
    for tensor in tensors(folder).values():
        sizes[tensor.dtype] += tensor.end - tensor.start
    name = sizes.most_common(1)[0][0]
    if name not in DTYPES:
        raise BackboneUnavailable(
            f"The weights of {folder.name} are stored as {name}.", "Quantised files are not read."
        )
    return DTYPES[name]


def content_hash(folder: Path) -> str:
    """16 hex digits over every tensor's name, format, shape and bytes, and over the texts that decide an encoding.

    How the tensors are spread over files does not matter. Of large checkpoints the first, middle and last
    block of each tensor stand for it: training moves every block, and 4 GB need not be read at each start.
    """
    places = tensors(folder)
    whole = sum(tensor.end - tensor.start for tensor in places.values()) <= HASHED_WHOLE
    digest = hashlib.sha256()
    for name in sorted(places):
        tensor = places[name]
        digest.update(json.dumps([name, tensor.dtype, tensor.shape]).encode())
        for block in _blocks(tensor, whole=whole):
            digest.update(block)
    for name in SAY:
        text = folder / name
        digest.update(name.encode() + b"\0" + (hashlib.sha256(text.read_bytes()).digest() if text.is_file() else b""))
    return digest.hexdigest()[:16]


def _blocks(tensor: Tensor, *, whole: bool) -> Iterator[bytes]:
    size = tensor.end - tensor.start
    with tensor.file.open("rb") as file:
        if whole or size <= 3 * BLOCK:
            file.seek(tensor.start)
            yield file.read(size)
            return
        for at in (0, (size - BLOCK) // 2, size - BLOCK):
            file.seek(tensor.start + at)
            yield file.read(BLOCK)
