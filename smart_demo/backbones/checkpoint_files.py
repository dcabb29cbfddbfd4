"""Model checkpoints on disk: find or download one, and read its safetensors headers without loading it.

Imports neither torch nor transformers, so it is cheap to check whether a model is on disk.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from smart_demo.backbones.hub_download import download, plan_download
from smart_demo.config import NEWEST_REVISION
from smart_demo.errors import BackboneUnavailable
from smart_demo.safetensors_header import LENGTH_BYTES, header_end, parse_header

log = logging.getLogger(__name__)

HUB_IDS = {
    "qwen3-vl-2b": "Qwen/Qwen3-VL-Embedding-2B",
    "qwen3-vl-8b": "Qwen/Qwen3-VL-Embedding-8B",
    "neomme-260m": "Hcompany/NeoMME-260M-Retriever",
    "neomme-800m": "Hcompany/NeoMME-800M-Retriever",
    "embeddinggemma-2": "google/embeddinggemma-2",
}
"""Hub ids by the short names that SMART_BACKBONE takes."""
PINNED_REVISIONS = {
    "Qwen/Qwen3-VL-Embedding-2B": "9f2f7e710d6d81056aa5c0a4f04764fec6bb7bda",
    "Qwen/Qwen3-VL-Embedding-8B": "2c4565515e0f265c6511776e7193b22c0968ddc7",
    "Hcompany/NeoMME-260M-Retriever": "0dcb6c924435bd0bf5d504dba9ba2bb63acd8595",
    "Hcompany/NeoMME-800M-Retriever": "1a89315b30e2c2fac38b949b35a92ca321e62b24",
    "google/embeddinggemma-2": "914f7f89142e33e77833254d9c9b90c3cef7303b",
}
"""Commits that are fetched unless SMART_REVISION names another. A commit names its content, so the hub cannot serve
another under it. The MTEB benchmark records them for its published results, that of NeoMME-260M two public experiment
logs.
"""
MAX_FULL_HASH_BYTES = 64 * 2**20
"""Up to this many bytes of tensors every byte is hashed; beyond, three blocks of every tensor."""
HASH_BLOCK_BYTES = 4096
HASHED_TEXT_FILES = ("config.json", "preprocessor_config.json", "tokenizer.json")
"""Texts that decide an encoding as much as the weights do."""
MAX_HEADER_BYTES = 10**8
DTYPES = {"F32": "float32", "BF16": "bfloat16", "F16": "float16"}
"""Torch's names of the number formats that are loaded, by those of safetensors."""


@dataclass(frozen=True, slots=True)
class TensorEntry:
    """A tensor as its file's header describes it."""

    file: Path
    dtype: str
    """Number format as safetensors writes it: `F32`, `BF16`, ..."""
    shape: tuple[int, ...]
    start: int
    """Position of the first byte, counted from the file's beginning."""
    end: int
    """Position after the last byte, counted from the file's beginning."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A folder with a complete checkpoint."""

    folder: Path
    name: str
    """A hub id, or the folder's name."""
    revision: str = ""
    """Commit of the hub's snapshot; empty for a plain folder."""

    @property
    def short_name(self) -> str:
        """The short name that SMART_BACKBONE takes, or the name if it has none."""
        return {hub: short for short, hub in HUB_IDS.items()}.get(self.name, self.name)


def resolve_revision(source: str, revision: str) -> str | None:
    """Return the commit to fetch of a hub id, or None for the hub's newest. `revision` is Settings.revision."""
    return None if revision == NEWEST_REVISION else revision or PINNED_REVISIONS.get(source)


def describe_pin(revision: str, requested: str) -> str:
    """Return as a phrase what keeps an encoder's model from changing. `requested` is Settings.revision."""
    if not re.fullmatch(r"[0-9a-f]{40}", revision):
        return "its bytes, which the fingerprint is made of"
    if revision == requested:
        return "the commit that SMART_REVISION names"
    if revision in PINNED_REVISIONS.values():
        return "the commit that this program pins"
    return "nothing: it was the hub's newest when it was fetched"


def is_hub_id(name: str) -> bool:
    """Return whether `name` could be a model's id on the hub.

    >>> is_hub_id("Qwen/Qwen3-VL-Embedding-2B"), is_hub_id("../model"), is_hub_id("model")
    (True, False, False)
    """
    return re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", name, re.ASCII) is not None


def is_on_disk(source: str, revision: str = "") -> bool:
    """Return whether the complete model (short name, hub id or folder) is on this disk. Uses no network, loads nothing.

    `revision` is Settings.revision.
    """
    source = HUB_IDS.get(source, source)
    return find_checkpoint(source, resolve_revision(source, revision)) is not None


def find_checkpoint(source: str, revision: str | None = None) -> Checkpoint | None:
    """Return the checkpoint of `source` (a folder or hub id), or None if it is not complete on disk. No network."""
    folder = Path(source).expanduser()
    if folder.is_dir():
        folder = folder.absolute()  # not resolved: the name shown is the link's, not its target's
        return Checkpoint(folder, folder.name) if _is_complete(folder) else None
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        config = try_to_load_from_cache(source, "config.json", revision=revision)
    except HFValidationError:
        return None
    if not isinstance(config, str) or not _is_complete(Path(config).parent):
        return None
    return Checkpoint(Path(config).parent, source, Path(config).parent.name)


def fetch_checkpoint(source: str, revision: str | None = None) -> Checkpoint:
    """Return the checkpoint of `source` from this disk, or download it. Raises BackboneUnavailable if neither works."""
    if (found := find_checkpoint(source, revision)) is not None:
        return found
    if Path(source).expanduser().is_dir():
        raise BackboneUnavailable(
            f"The folder {source} does not hold a whole model.",
            "It needs config.json and every safetensors file its index names.",
        )
    if not is_hub_id(source):
        raise BackboneUnavailable(
            f"{source!r} is neither a folder here nor a model's id on the hub.", "An id looks like owner/name."
        )
    plan = plan_download(source, revision)
    log.info("%s", plan.describe())
    snapshot = download(plan)
    if not _is_complete(snapshot):
        raise BackboneUnavailable(f"{source} has no complete safetensors weights.", "Other formats are not loaded.")
    return Checkpoint(snapshot, source, snapshot.name)


def _is_complete(folder: Path) -> bool:
    """Return whether the configuration and every indexed weight file are there, at their full length."""
    if not (folder / "config.json").is_file():
        return False
    try:
        return bool(read_tensors(folder))
    except BackboneUnavailable:
        return False


def list_weight_files(folder: Path) -> list[Path]:
    """Return the checkpoint's safetensors files. Raises BackboneUnavailable if the index is damaged."""
    index = folder / "model.safetensors.index.json"
    if not index.is_file():
        single = folder / "model.safetensors"
        return [single] if single.is_file() else []
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
        files = [folder / Path(name).name for name in names]
    except (OSError, ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        raise BackboneUnavailable(f"{index.name} of {folder.name} cannot be read.") from error
    return files


def read_tensors(folder: Path) -> Mapping[str, TensorEntry]:
    """Return every tensor by name, from the headers alone. Raises BackboneUnavailable if a file is missing or torn."""
    found: dict[str, TensorEntry] = {}
    for path in list_weight_files(folder):
        try:
            with path.open("rb") as file:
                found.update(_read_header(path, file))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BackboneUnavailable(
                f"{path.name} of {folder.name} is missing or damaged.", "Fetch the model again."
            ) from error
    return found


def _read_header(path: Path, file: BinaryIO) -> dict[str, TensorEntry]:
    """Return the tensors of one file by name. Raises ValueError if the file is not as long as its header declares."""
    size = path.stat().st_size
    start = header_end(file.read(LENGTH_BYTES))
    if not 2 <= start - LENGTH_BYTES <= min(size - LENGTH_BYTES, MAX_HEADER_BYTES):
        raise ValueError("no safetensors header")
    _, entries = parse_header(file.read(start - LENGTH_BYTES))
    tensors = {
        name: TensorEntry(path, entry["dtype"], tuple(entry["shape"]), *(start + at for at in entry["data_offsets"]))
        for name, entry in entries.items()
    }
    if size != max((tensor.end for tensor in tensors.values()), default=-1):
        raise ValueError("torn")
    return tensors


def read_dtype(folder: Path) -> str:
    """Return the format of most bytes of the weights: `float32`, `bfloat16` or `float16`.

    Raises BackboneUnavailable if they are stored in another format.
    """
    sizes: Counter[str] = Counter()
    for tensor in read_tensors(folder).values():
        sizes[tensor.dtype] += tensor.end - tensor.start
    name = sizes.most_common(1)[0][0]
    if name not in DTYPES:
        raise BackboneUnavailable(
            f"The weights of {folder.name} are stored as {name}.", "Quantised files are not read."
        )
    return DTYPES[name]


def hash_checkpoint(folder: Path, texts: Sequence[str] = ()) -> str:
    """Return 16 hex digits over every tensor's name, format, shape and bytes, HASHED_TEXT_FILES, and the files `texts`.

    The result does not depend on how the tensors are spread over files. Of large checkpoints only the first, middle
    and last block of each tensor are hashed: training changes every block, and 4 GB need not be read at each start.
    """
    tensors = read_tensors(folder)
    full = sum(tensor.end - tensor.start for tensor in tensors.values()) <= MAX_FULL_HASH_BYTES
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(json.dumps([name, tensor.dtype, tensor.shape]).encode())
        for block in _read_blocks(tensor, full=full):
            digest.update(block)
    for name in (*HASHED_TEXT_FILES, *texts):
        text = folder / name
        digest.update(name.encode() + b"\0" + (hashlib.sha256(text.read_bytes()).digest() if text.is_file() else b""))
    return digest.hexdigest()[:16]


def _read_blocks(tensor: TensorEntry, *, full: bool) -> Iterator[bytes]:
    """Yield the bytes of a tensor to hash: all of them if `full` or if it is small, else three blocks."""
    size = tensor.end - tensor.start
    with tensor.file.open("rb") as file:
        if full or size <= 3 * HASH_BLOCK_BYTES:
            file.seek(tensor.start)
            yield file.read(size)
            return
        for at in (0, (size - HASH_BLOCK_BYTES) // 2, size - HASH_BLOCK_BYTES):
            file.seek(tensor.start + at)
            yield file.read(HASH_BLOCK_BYTES)
