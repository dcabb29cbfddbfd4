"""Open a file, read it page by page, and read pages ahead in a thread.

`inspect` chooses the reader by the file's content and checks every limit; `render` yields its pages. The two
`decode_image_…` functions read one image for a query or a table's row. `prefetch` runs any generator in a thread.
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
from smart_demo.ingest.files import (
    HEAD_BYTES,
    IMAGE,
    PDF,
    PICTURE_KINDS,
    Upload,
    clean_name,
    detect_kind,
    find_pdf_marks,
    hash_file,
)
from smart_demo.ingest.pdf import PdfUnreadable, inspect_pdf, render_pdf
from smart_demo.ingest.sandbox import decode_image, inspect_image
from smart_demo.types import Page, PageId, Pixels
from smart_demo.wording import limit_in_words, list_in_words, size_in_words

SUPPORTED_TYPES = f"It takes PDF, {list_in_words(PICTURE_KINDS, 'and')}."
MAX_SLOW_PAGES = 10
"""Pages per file that may each take the whole time limit of a page."""
SECONDS_PER_PAGE = 2
"""Time budget of each page of a file, beside that of its slow pages. Once both are used up the rest is not tried."""
T = TypeVar("T")


def describe_limits(limits: Limits) -> str:
    """Return a text of the file types and limits, for the upload box.

    >>> describe_limits(Limits()).partition(". ")[2]
    'Up to 20 files at once, 50 MB and 200 pages a file, 40 megapixels a picture.'
    """
    return (
        f"PDF, {list_in_words(PICTURE_KINDS, 'or')}. Up to {limits.files:,} files at once, "
        f"{limit_in_words(limits.file_bytes)} and {limits.pages:,} pages a file, "
        f"{limits.pixels / 1e6:,.0f} megapixels a picture."
    )


def inspect(path: Path, name: str, limits: Limits) -> Upload:
    """Return what `path` holds, by its content, and check every limit before anything is rendered.

    name: the file's name; cleaned here. Raises FileRefused with the reason and what to do.
    """
    path, name = Path(path).absolute(), clean_name(name)
    digest, head = hash_file(path, name, limits)
    kind = detect_kind(head)
    if kind == IMAGE:
        return Upload(path, name, digest, *inspect_image(path, name, limits))
    marks = find_pdf_marks(path, head)
    try:
        if marks.found:
            return Upload(path, name, digest, PDF, *inspect_pdf(path, name, marks, limits))
    except PdfUnreadable:
        if kind == PDF:
            raise
    raise FileRefused(f"{name} is neither a PDF nor a picture we can read.", SUPPORTED_TYPES)


def render(upload: Upload, limits: Limits, skip: Container[int] = ()) -> Generator[Page | PageRefused]:
    """Yield the pages of an inspected file, one at a time and in order, at full size; leave out numbers in `skip`.

    A page that fails is yielded as a PageRefused that names it, and the other pages continue. Raises FileRefused if the
    file is missing or has changed since it was inspected.
    """
    digest, _ = hash_file(upload.path, upload.name, limits)
    if digest != upload.file:
        raise FileRefused(f"{upload.name} changed while it was being read.", "Add it again.")
    render_pages = render_pdf if upload.kind == PDF else _render_image
    numbers = [number for number in range(1, upload.pages + 1) if number not in skip]
    # A slow file must not hold up the files queued behind it.
    seconds_left: float = MAX_SLOW_PAGES * limits.seconds + SECONDS_PER_PAGE * len(numbers)
    with closing(render_pages(upload, limits, skip)) as pages:
        for number in numbers:
            if seconds_left < 0:
                yield PageRefused(
                    f"Page {number} of {upload.name} was not tried: the pages before it took too long.",
                    "Split or simplify it.",
                )
                continue
            started = time.monotonic()
            page = next(pages)
            seconds_left -= time.monotonic() - started
            yield page


def _render_image(upload: Upload, limits: Limits, skip: Container[int]) -> Generator[Page | PageRefused]:
    """Yield the frames of `upload` that are not in `skip`, in order; yield a PageRefused for a frame that fails."""
    for number in range(1, upload.pages + 1):
        if number in skip:
            continue
        try:
            pixels = decode_image(upload.path, upload.name, limits, number)
        except FileRefused as refusal:
            reason = f"Page {number} of {upload.name} was left out: {refusal}" if upload.pages > 1 else str(refusal)
            yield PageRefused(reason, refusal.hint)
        else:
            yield Page(PageId(upload.file, number), upload.name, upload.pages, pixels)


def decode_image_file(path: Path, limits: Limits, name: str = "") -> Pixels:
    """Return the first frame of the image at `path`, for a query: (height, width, 3) RGB, upright, opaque.

    name: the image's name, for messages, if it is not the path's. Raises FileRefused if it cannot be read or exceeds a
    limit, QueryRefused if it is not an image.
    """
    path = Path(path).absolute()
    name = clean_name(name or path.name)
    _, head = hash_file(path, name, limits)
    if detect_kind(head) != IMAGE:
        raise QueryRefused(f"{name} is not a picture.", f"Ask with a {list_in_words(PICTURE_KINDS, 'or')}.")
    return decode_image(path, name, limits)


def decode_image_bytes(data: bytes, name: str, limits: Limits) -> Pixels:
    """Return the first frame of the image in a file's bytes, as `decode_image_file`.

    name: the image's name, for messages; cleaned here. Raises FileRefused if it is empty, not an image, damaged, or
    exceeds a limit.
    """
    name = clean_name(name)
    if not data:
        raise FileRefused(f"{name} is empty.")
    if len(data) > limits.file_bytes:
        size, limit = size_in_words(len(data)), limit_in_words(limits.file_bytes)
        raise FileRefused(f"{name} has {size}; the limit is {limit}.")
    if detect_kind(data[:HEAD_BYTES]) != IMAGE:
        raise FileRefused(f"{name} is not a picture.", f"It takes {list_in_words(PICTURE_KINDS, 'and')}.")
    return decode_image(data, name, limits)


class _End:
    """End of a prefetched generator, with the error that ended it or None."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


def prefetch(items: Generator[T], max_ahead: int) -> Generator[T]:
    """Yield what `items` yields, in order, computing up to `max_ahead` items ahead in a thread.

    An error of `items` is raised at its place. Closing this waits for the item being computed and closes `items`, so no
    work continues in the background.
    """
    queue, slots, stopped = SimpleQueue[T | _End](), threading.Semaphore(max_ahead), threading.Event()

    def work() -> None:
        try:
            with closing(items):
                # A slot first: it limits the waiting items, and so their memory.
                while slots.acquire() and not stopped.is_set():
                    queue.put(next(items))
        except StopIteration:
            queue.put(_End())
        except BaseException as error:  # noqa: BLE001 (any error is raised again in the consumer)
            queue.put(_End(error))

    worker = threading.Thread(target=work, name="prefetch", daemon=True)
    worker.start()
    try:
        while not isinstance(item := queue.get(), _End):
            slots.release()
            yield item
        if item.error is not None:
            raise item.error
    finally:
        stopped.set()
        slots.release()
        worker.join()
