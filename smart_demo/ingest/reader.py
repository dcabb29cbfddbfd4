"""The way in: a file is looked at, then rendered page by page by the reader its content asks for.

Steps that are taken ahead, in a thread of their own, so that whoever uses them does not wait for their work.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Container, Generator
from contextlib import closing
from pathlib import Path
from queue import SimpleQueue
from typing import TypeVar

from smart_demo.config import Limits
from smart_demo.errors import FileRefused, PageRefused, QueryRefused
from smart_demo.ingest.files import HEAD, PDF, PICTURE, Upload, clean_name, identify, kind_of
from smart_demo.ingest.pdf import count_pages, render_pdf
from smart_demo.ingest.sandbox import decode, look_at
from smart_demo.types import Page, PageId, Pixels

WRONG_TYPE = "It takes PDF, PNG, JPEG, WebP, TIFF, GIF and BMP."
SLOW_PAGES = 10
"""A file may hold so many pages that take all the time one page may take,"""
SECONDS_A_PAGE = 2
"""while the others take so long each, on a busy machine. Then its other pages are left: others wait behind it."""


def inspect(path: Path, name: str, limits: Limits) -> Upload:
    """What `path` holds, decided by its content and checked against every limit before anything is drawn.

    name: as its owner calls it; cleaned here. FileRefused says what is wrong with the file and what to do.
    """
    path, shown = Path(path).absolute(), clean_name(name)
    digest, head = identify(path, shown, limits)
    match kind_of(head):
        case "pdf":
            return Upload(path, shown, digest, PDF, count_pages(path, shown, limits))
        case "picture":
            kind, pages, notices = look_at(path, shown, limits)
            return Upload(path, shown, digest, kind, pages, notices)
    raise FileRefused(f"{shown} is neither a PDF nor a picture we can read.", WRONG_TYPE)


def render(upload: Upload, limits: Limits, skip: Container[int] = ()) -> Generator[Page | PageRefused]:
    """The pages of an inspected file, one at a time and in order; numbers in `skip` are neither drawn nor yielded.

    A page that cannot be taken comes as a PageRefused that names it, and the others go on. FileRefused where the file
    is gone or no longer what was inspected. The pixels are the whole decoded page, never a reduced copy.
    """
    digest, _ = identify(upload.path, upload.name, limits)
    if digest != upload.file:
        raise FileRefused(f"{upload.name} changed while it was being read.", "Add it again.")
    render_pages = render_pdf if upload.kind == PDF else _render_picture
    wanted = [number for number in range(1, upload.pages + 1) if number not in skip]
    seconds_left: float = SLOW_PAGES * limits.seconds + SECONDS_A_PAGE * len(wanted)
    with closing(render_pages(upload, limits, skip)) as pages:
        for number in wanted:
            if seconds_left < 0:
                which = f"Page {number} of {upload.name}"
                yield PageRefused(f"{which} was not tried: the pages before it took too long.", "Split or simplify it.")
                continue
            begun = time.monotonic()
            page = next(pages)
            seconds_left -= time.monotonic() - begun
            yield page


def _render_picture(upload: Upload, limits: Limits, skip: Container[int]) -> Generator[Page | PageRefused]:
    """The frames of `upload` that are not in `skip`, in order; a frame that cannot be decoded is a PageRefused."""
    for number in range(1, upload.pages + 1):
        if number in skip:
            continue
        try:
            pixels = decode(upload.path, upload.name, limits, number)
        except FileRefused as refusal:
            what = f"Page {number} of {upload.name} was left out: {refusal}" if upload.pages > 1 else str(refusal)
            yield PageRefused(what, refusal.hint)
        else:
            yield Page(PageId(upload.file, number), upload.name, upload.pages, pixels)


def decode_picture(path: Path, limits: Limits) -> Pixels:
    """The picture in `path` (its first frame) for a query: (height, width, 3) RGB, upright, alpha on white.

    FileRefused where it cannot be read or is over a limit, QueryRefused where it is no picture.
    """
    path = Path(path).absolute()
    name = clean_name(path.name)
    _, head = identify(path, name, limits)
    if kind_of(head) != PICTURE:
        raise QueryRefused(f"{name} is not a picture.", "Ask with a PNG, JPEG, WebP, TIFF, GIF or BMP.")
    return decode(path, name, limits)


def decode_bytes(data: bytes, name: str, limits: Limits) -> Pixels:
    """The picture in the bytes of a file (its first frame), as `decode_picture` gives it.

    name: as its owner calls it; cleaned here. FileRefused where it is empty, no picture, damaged or over a limit.
    """
    name = clean_name(name)
    if not data:
        raise FileRefused(f"{name} is empty.")
    if len(data) > limits.file_bytes:
        size, limit = len(data) / 2**20, limits.file_bytes / 2**20
        raise FileRefused(f"{name} has {size:,.1f} MB; the limit is {limit:,.0f} MB.")
    if kind_of(data[:HEAD]) != PICTURE:
        raise FileRefused(f"{name} is not a picture.", "It takes PNG, JPEG, WebP, TIFF, GIF and BMP.")
    return decode(data, name, limits)


def describe(limits: Limits) -> str:
    """The limits in words, for beside the upload box.

    >>> describe(Limits()).partition(". ")[2]
    'Up to 20 files at once, 50 MB and 200 pages a file, 40 megapixels a picture.'
    """
    return (
        f"PDF, PNG, JPEG, WebP, TIFF, GIF or BMP. Up to {limits.files:,} files at once, "
        f"{limits.file_bytes / 2**20:,.0f} MB and {limits.pages:,} pages a file, "
        f"{limits.pixels / 1e6:,.0f} megapixels a picture."
    )


T = TypeVar("T")


class _End:
    """No more steps, and what ended them."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


def ahead(steps: Generator[T], most: int) -> Generator[T]:
    """What `steps` yields, in order, up to `most` of it before it is asked for; its errors come in their place.

    Closing this waits for the step that is being taken and closes `steps`, so nothing goes on behind it.
    """
    done, room, over = SimpleQueue[T | _End](), threading.Semaphore(most), threading.Event()

    def work() -> None:
        try:
            with closing(steps):
                # Room comes first: what waits is bounded, and so is its memory.
                while room.acquire() and not over.is_set():
                    done.put(next(steps))
        except StopIteration:
            done.put(_End())
        except BaseException as error:  # noqa: BLE001 (whatever it is, whoever takes the steps hears of it)
            done.put(_End(error))

    worker = threading.Thread(target=work, name="ahead", daemon=True)
    worker.start()
    try:
        while not isinstance(step := done.get(), _End):
            room.release()
            yield step
        if step.error is not None:
            raise step.error
    finally:
        over.set()
        room.release()
        worker.join()
