"""Pages and encodings for the store's tests: small, made from a seed, all different."""

import gc
import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, settings

from smart_demo.page_text import Box, Word, WordSource
from smart_demo.store import token_file
from smart_demo.store.library import Library
from smart_demo.store.page_files import PageFiles
from smart_demo.store.prepared_page import Pictures, PreparedPage, encode_pictures, prepare_page
from smart_demo.types import LOCAL, Page, PageEncoding, PageId, StoredPage, TokenBoxes, TokenGrid, TokenKind
from tests.scoring.cases import unit

ENCODER = "a1" * 8
OTHER_ENCODER = "b2" * 8
POOLED, WIDTH = 16, 8
BOX = Box(0.0, 0.0, 1.0, 1.0)


def page_id(file: int, number: int = 1) -> PageId:
    return PageId(f"{file:016x}", number)


def made(file: int, number: int = 1, encoder: str = ENCODER, tokens: int = 6):
    """Return (page, encoding): even files have boxes and words, odd ones a grid and no words.

    The same arguments give the same arrays.
    """
    rng = np.random.default_rng([file, number, int(encoder, 16) % 997])
    pixels = rng.integers(0, 255, (60, 40, 3), dtype=np.uint8)
    words = (
        ()
        if file % 2
        else (Word("tide-", Box(0.5, 0.25, 0.75, 0.5), ((4, Box(0, 0.5, 0.25, 0.75)),)), Word(f"{file}", BOX))
    )
    source = WordSource.LAYER if words else WordSource.NONE
    page = Page(page_id(file, number), f"document {file}.pdf", 3, pixels, words, source)
    boxes = np.concatenate([rng.uniform(size=(tokens - 1, 4)), np.full((1, 4), np.nan)]).astype(np.float32)
    place = TokenGrid(1, 1, tokens - 1) if file % 2 else TokenBoxes(boxes)
    kinds = np.full(tokens, TokenKind.PATCH, np.uint8)
    return page, PageEncoding(page.id, encoder, unit(rng, POOLED), unit(rng, tokens, WIDTH), kinds, place)


def page_of_older_version(file: int, number: int = 1, encoder: str = ENCODER) -> PreparedPage:
    """Return a page as an earlier version stored it: without words, with another picture and other token states."""
    page, encoding = made(file, number)
    encoding = replace(encoding, encoder=encoder)
    now = prepare_page(LOCAL, page, encoding, "int8")
    stored, pictures = replace(now.page, source=None, added=1.0), encode_pictures(255 - page.pixels)
    states = token_file.encode(-encoding.tokens, "int8")
    data = token_file.serialise(stored, replace(encoding, pooled=-encoding.pooled), states, tuple(pictures))
    return PreparedPage(replace(stored, bytes=len(data) + sum(map(len, pictures))), data, pictures)


def forget_words(data_dir: Path, encoder: str = "") -> int:
    """Write every page again as an earlier version stored it, without words; return how many.

    encoder: the fingerprint that it had then, by default the same.
    """
    files, pages = PageFiles(data_dir), 0
    for header in files.scan().headers:
        body, pooled = files.body(header, verified=False), files.pooled(header.page)
        page = replace(header.page, source=None, encoder=encoder or header.page.encoder)
        encoding = PageEncoding(page.id, page.encoder, pooled, body.codes.states(), body.kinds, body.place)
        pictures = Pictures(files.picture(header), files.thumbnail(header))
        data = token_file.serialise(page, encoding, body.codes, tuple(pictures))
        files.delete([header.page])
        files.commit(PreparedPage(page, data, pictures))
        pages += 1
    return pages


def open_library(folder: Path, **options) -> Library:
    return Library.open(folder / "data", folder / "index", **options)


def put(library: Library, *files: int, scope=LOCAL, encoder: str = ENCODER, numbers=(1,)):
    """Add pages and return the stored ones."""
    pages = [library.add(scope, *made(file, number, encoder)) for file in files for number in numbers]
    library.flush()
    return pages


def files_under(folder: Path) -> dict[str, int]:
    """Return relative name -> size of every file except the folder's lock."""
    found = {str(p.relative_to(folder)): p.stat().st_size for p in folder.rglob("*") if p.is_file()}
    return {name: size for name, size in found.items() if name != "lock"}


def path_of(folder: Path, page: StoredPage) -> Path:
    """Return the token file of a page."""
    return PageFiles(folder / "data").path(page)


def rows_in_chroma(folder: Path, encoder: str = ENCODER) -> set[str]:
    """Return the ids of Chroma's rows, read from its database without our code."""
    (database,) = folder.glob("index/chroma-*/chroma.sqlite3")
    query = """select embedding_id from embeddings join segments on segments.id = segment_id
        join collections on collections.id = collection where name = ?"""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        return {row for (row,) in connection.execute(query, [f"e-{encoder}"])}


def copy_as_after_a_kill(folder: Path, to: Path) -> Path:
    """Copy what is on the disk while the library is open: the next start finds the same after a kill."""
    return shutil.copytree(folder, to, ignore=shutil.ignore_patterns("lock"), dirs_exist_ok=True)


def count_mapped(folder: Path) -> int:
    """Return how many token files below `folder` this process has mapped."""
    gc.collect()  # closed libraries hold their maps until then
    lines = Path("/proc/self/maps").read_text().splitlines()
    return len({line.split()[4] for line in lines if str(folder / "data") in line})


def token_files(folder: Path) -> list[Path]:
    return sorted((folder / "data" / "tokens").rglob("*.safetensors"))


def machine_settings(examples: int, steps: int) -> settings:
    """Return the settings of a state machine: the same examples in every run."""
    return settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
