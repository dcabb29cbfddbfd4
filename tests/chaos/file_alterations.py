"""Altered token files and pictures: every alteration is detected, and none returns data."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path

from smart_demo.errors import LibraryError, TokenFileDamaged
from smart_demo.store import prepared_page, token_file
from smart_demo.store.page_files import PICTURE_SUFFIX, THUMBNAIL_SUFFIX, TOKENS_SUFFIX, PageFiles
from smart_demo.types import StoredPage
from tests.chaos.page_content import ENCODERS, SCOPES, Key, make_page
from tests.chaos.results import Results

CODECS = ("int8", "float16", "float32")
SUFFIXES = (TOKENS_SUFFIX, TOKENS_SUFFIX, PICTURE_SUFFIX, THUMBNAIL_SUFFIX)
"""Suffixes of the files to alter; token files twice as often."""
KINDS = ("flip", "flip", "flips", "zero", "noise", "cut", "longer", "swap", "folder", "link", "pipe", "missing")


def altered_files(folder: Path, count: int, rng: random.Random, results: Results) -> None:
    """Alter one file of a small library, check whether anything can be read from it, and restore it."""
    files = PageFiles(folder)
    pages = [_commit(files, file, codec) for file in (1, 2) for codec in CODECS]
    tried = 0
    while tried < count:
        page, ending, kind = rng.choice(pages), rng.choice(SUFFIXES), rng.choice(KINDS)
        other = rng.choice([one for one in pages if one != page])
        path, foreign = (files.path(one).with_suffix(ending) for one in (page, other))
        whole, beside = path.read_bytes(), foreign.read_bytes()
        if not _alter(path, whole, kind, beside, rng):
            continue
        tried += 1
        results.counts["mutations"] += 1
        if _refusal(files, page, ending):
            results.counts["detected"] += 1
        else:
            results.record_fault("undetected", f"{kind} in {path.name}")
        if path.is_dir():
            path.rmdir()
        path.unlink(missing_ok=True)
        path.write_bytes(whole)
    for page in pages:
        assert not _refusal(files, page, TOKENS_SUFFIX)
    results.trials["mutation"] += tried


def _commit(files: PageFiles, file: int, codec: str) -> StoredPage:
    key = Key(str(SCOPES[0]), ENCODERS[0], file + 2 * CODECS.index(codec), 1)
    return files.commit(prepared_page.prepare_page(SCOPES[0], *make_page(key), codec)).page


def _alter(path: Path, whole: bytes, kind: str, beside: bytes, rng: random.Random) -> bool:
    """Alter the file; return False if nothing would change. Write a new file, since a mapped one must not change."""
    at = rng.choice([rng.randrange(len(whole)), rng.randrange(min(1_200, len(whole))), rng.randrange(8)])
    end = min(len(whole), at + rng.choice([1, 16, 512, 4_096]))
    bit = bytes([whole[at] ^ 1 << rng.randrange(8)])
    altered = {
        "flip": whole[:at] + bit + whole[at + 1 :],
        "flips": bytes(byte ^ (rng.random() < 0.05) << rng.randrange(8) for byte in whole),
        "zero": whole[:at] + bytes(end - at) + whole[end:],
        "noise": whole[:at] + rng.randbytes(end - at) + whole[end:],
        "cut": whole[:at],
        "longer": whole + rng.randbytes(rng.randrange(1, 99)),
        "swap": beside,
    }.get(kind)
    if altered == whole:
        return False
    path.unlink()
    if altered is not None:
        path.write_bytes(altered)
    elif kind != "missing":
        target = path.with_name("moved")
        target.write_bytes(whole)
        make: dict[str, Callable[[], None]] = {
            "folder": path.mkdir,
            "link": lambda: path.symlink_to(target),
            "pipe": lambda: os.mkfifo(path),
        }
        make[kind]()
    return True


def _refusal(files: PageFiles, page: StoredPage, ending: str) -> str:
    """Return the message that refuses the file, or an empty string if it was read."""
    path = files.path(page)
    try:
        head, _pooled = token_file.read_header(path)
        if ending != TOKENS_SUFFIX:
            _ = files.picture(head) if ending == PICTURE_SUFFIX else files.thumbnail(head)
            return ""
        if files.path(head.page) != path:
            return "it belongs to another page"
        files.body(head, verified=False)
    except (TokenFileDamaged, LibraryError) as error:
        return error.sentence
    except FileNotFoundError:
        return "it is missing"
    return ""
