"""Lost, cut, altered and foreign files of Chroma: the library opens, answers from its own files, rebuilds the index."""

from __future__ import annotations

import random
import shutil
import struct
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

from tests.chaos import checks, processes
from tests.chaos.operations import SeedLibrary
from tests.chaos.page_content import POOLED
from tests.chaos.processes import Report
from tests.chaos.results import Results

Damage = Callable[[Path], None]
"""A function that damages the index of a data folder."""
FILES = ("chroma.sqlite3", "header.bin", "data_level0.bin", "length.bin", "link_lists.bin", "index_metadata.pickle")


def kinds_of_damage(rng: random.Random) -> Iterator[tuple[str, Damage]]:
    """Yield every kind of damage with its name."""
    yield from [
        ("vectors altered", alter_vectors),
        ("links to nowhere", break_links),
        ("dangling rows", add_foreign_rows),
    ]
    yield from [
        ("chroma lost", delete_chroma),
        ("index lost", delete_index),
        ("distrusted", mark_distrusted),
        ("torn", tear_files),
    ]
    for name in FILES:
        for how in ("zeroed", "emptied", "cut", "garbage", "removed", "a block of garbage", "a flipped bit"):
            yield f"{name} {how}", partial(alter, name=name, how=how, seed=rng.getrandbits(32))


def damaged_chroma(source: SeedLibrary, folder: Path, rng: random.Random, results: Results, share: float = 1.0) -> None:
    """Try a share of the kinds of damage; always the first three."""
    for at, (name, apply) in enumerate(kinds_of_damage(rng)):
        if at >= 3 and rng.random() >= share:
            continue
        here = folder / f"damage-{at}"
        log = source.copy(here)
        apply(here)
        observation = checks.check_library(here, log, quick=True)
        observation.faults = [(kind, f"{name}: {words}") for kind, words in observation.faults]
        results.record_trial("damaged Chroma", observation, log)
        results.counts["segfaults"] += "crashed with signal 11" in observation.index
        shutil.rmtree(here)


def segment_folders(folder: Path) -> Iterator[Path]:
    """Yield the folders of Chroma's own files under a data folder's index."""
    yield from (path for path in (folder / "index").glob("chroma-*/*") if path.is_dir())


def delete_chroma(folder: Path) -> None:
    """Delete the folder of Chroma."""
    (chroma,) = (folder / "index").glob("chroma-[0-9]")
    shutil.rmtree(chroma)


def delete_index(folder: Path) -> None:
    """Delete the folder of Chroma and the lock beside it."""
    shutil.rmtree(folder / "index")


def mark_distrusted(folder: Path) -> None:
    """Mark Chroma as distrusted, as a process does after an error in it."""
    (folder / "index" / "chroma-1.distrust").touch()


def tear_files(folder: Path) -> None:
    """Damage Chroma's files as a kill during a write does."""
    for segment in segment_folders(folder):
        (segment / "index_metadata.pickle").write_bytes(b"")
    if not any(segment_folders(folder)):
        (folder / "index" / "chroma-1" / "chroma.sqlite3").write_bytes(b"torn" * 5_000)


def break_links(folder: Path) -> None:
    """Write neighbours far beyond the end of the file, which crashes every process that opens it."""
    for segment in segment_folders(folder):
        path = segment / "data_level0.bin"
        data = bytearray(path.read_bytes())
        record, _, vector = struct.unpack_from("<QQQ", (segment / "header.bin").read_bytes(), 28)
        for start in range(0, len(data), record):
            data[start + 4 : start + vector] = b"\x7f" * (vector - 4)
        path.write_bytes(data)


def leave_temporary_files(folder: Path) -> None:
    """Leave the temporary files of killed writes."""
    first = min((folder / "data" / "tokens").rglob("*.safetensors"))
    first.with_name("0000000000000099-0009.webp").write_bytes(b"a picture without a page")
    first.with_name("0000000000000099-0009.thumb.webp").write_bytes(b"a thumbnail without a page")
    first.with_name(f"{first.name}.0a0b0c0d.tmp").write_bytes(b"half a page")


def add_foreign_rows(folder: Path) -> None:
    """Add collections and rows that belong to no page."""

    def act(_: Report) -> None:
        import chromadb

        client = chromadb.PersistentClient(folder / "index" / "chroma-1")
        for name in ("e-" + "c3" * 8, "e-" + "a1" * 8, "other-program"):
            collection = client.get_or_create_collection(name, embedding_function=None)
            rows = [f"local/{number:016x}-0001" for number in (0xDEAD, 0xBEEF)]
            collection.upsert(ids=rows, embeddings=np.eye(2, POOLED), metadatas=[{"scope": "local"}] * 2)

    said = processes.run_in_process(act)
    assert not said, said


def alter_vectors(folder: Path) -> None:
    """Give every row the vector of the next one, which Chroma reads without an error."""
    for segment in segment_folders(folder):
        path = segment / "data_level0.bin"
        data = bytearray(path.read_bytes())
        record, _, vector = struct.unpack_from("<QQQ", (segment / "header.bin").read_bytes(), 28)
        places = [slice(at + vector, at + vector + 4 * POOLED) for at in range(0, len(data), record)]
        vectors = [data[place] for place in places]
        for place, other in zip(places, vectors[1:] + vectors[:1], strict=True):
            data[place] = other
        path.write_bytes(data)


def alter(folder: Path, *, name: str, how: str, seed: int) -> None:
    """Damage one of Chroma's files."""
    rng = random.Random(seed)
    for path in sorted((folder / "index").rglob(name)):
        data = path.read_bytes()
        at = rng.randrange(len(data))
        end = min(len(data), at + 512)
        contents = {
            "zeroed": bytes(len(data)),
            "emptied": b"",
            "cut": data[: len(data) // 2],
            "garbage": rng.randbytes(len(data)),
            "a block of garbage": data[:at] + rng.randbytes(end - at) + data[end:],
            "a flipped bit": data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :],
        }
        if how == "removed":
            path.unlink()
        else:
            path.write_bytes(contents[how])
