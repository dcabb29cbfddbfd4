"""What a visitor's browser gets and shows: bytes over the wire, the first screen, layout shift, and times to evidence.

The page of the sample library is opened in Chromium. Every opening has an empty cache, as a first visit.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Page

from smart_demo.config import REPOSITORY, SAMPLE_DOCUMENTS
from tests.apps import PATIENCE, App
from tests.bench.harness import Figure, Goal
from tests.ui.browser_page import chromium, connected

SCREENS = {"1280x720": (1280, 720), "1440x900": (1440, 900), "390x844": (390, 844)}
RUNS = 5
"""Openings of the page whose times are measured; the first is a warm-up and does not count."""
QUIET_MS = 1_000
"""Milliseconds without a byte after which the page counts as loaded."""
QUERY = "warranty of the petrel in months"
"""A question that no example answers, so that it is encoded, searched and sent."""
MAX_LOAD_BYTES, MAX_SEARCH_BYTES, MAX_SHIFT = 600_000, 40_000, 0.1
MAX_CARD_SECONDS, MAX_CROP_SECONDS = 1.2, 0.6
BUNDLE, PICTURES, HEARTBEAT = "/assets/", "/pictures/", "/gradio_api/heartbeat/"
"""Paths of Gradio's own bundle, of pictures, and of a stream that lasts as long as the page. Fonts, scripts and style
sheets of the page are none of these."""

OBSERVE = """
window.bench = { shift: 0, card: null, crops: null };
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) if (!entry.hadRecentInput) bench.shift += entry.value;
}).observe({ type: "layout-shift", buffered: true });
const look = () => {
  const crops = [...document.querySelectorAll(".crop")];
  const pictures = crops.flatMap((crop) => [...crop.querySelectorAll("img")]);
  if (document.querySelector(".card")) bench.card ??= performance.now();
  const filled = crops.length && !document.querySelector(".evidence[data-page]:empty");
  if (filled && pictures.every((one) => one.complete && one.naturalWidth)) bench.crops ??= performance.now();
  requestAnimationFrame(look);
};
look();
"""
"""Records the layout shift, and when the first card and every crop were on the page, in milliseconds."""
SHARE = """
() => [...document.querySelectorAll(".card")].map((card) => card.getBoundingClientRect()).reduce((area, box) => {
  const width = Math.min(box.right, innerWidth) - Math.max(box.left, 0);
  const height = Math.min(box.bottom, innerHeight) - Math.max(box.top, 0);
  return area + Math.max(width, 0) * Math.max(height, 0);
}, 0) / (innerWidth * innerHeight)
"""
"""Returns the part of the screen that result cards cover."""


def measure_page() -> list[Goal | Figure]:
    """Measure the `page.` goals and figures."""
    with _sample_page() as app, chromium() as address, connected(address) as browser:
        opened = {name: _open(browser, app, *size) for name, size in SCREENS.items()}
        timed = [_open(browser, app, *SCREENS["1280x720"]) for _ in range(RUNS)][1:]
        search = _weigh_search(browser, app)
    load, shift = opened["1280x720"].load_bytes, max(visit.shift for visit in opened.values())
    card, crops = median(visit.card for visit in timed), median(visit.crops - visit.card for visit in timed)
    return [
        Goal("page.load_bytes", "bytes of a first load; without Gradio's bundle, with fonts", load, MAX_LOAD_BYTES),
        Goal("page.search_bytes", "bytes of a search; before images", search, MAX_SEARCH_BYTES),
        Goal("page.layout_shift", "cumulative layout shift; the largest of three screens", shift, MAX_SHIFT),
        Goal("page.first_card", "navigation to the first card", card, MAX_CARD_SECONDS),
        Goal("page.crops", "first card to every crop", crops, MAX_CROP_SECONDS),
        *(
            Figure(f"page.share_{name}", f"part of the first screen, {name}, that result cards cover", visit.share)
            for name, visit in opened.items()
        ),
        Figure("page.bundle_bytes", "bytes of Gradio's bundle in a first load", opened["1280x720"].bundle_bytes),
        Figure("page.picture_bytes", "bytes of pictures in a first load", opened["1280x720"].picture_bytes),
    ]


@dataclass(frozen=True, slots=True)
class Opening:
    """One first visit. Times are seconds since the navigation began."""

    load_bytes: int
    bundle_bytes: int
    picture_bytes: int
    shift: float
    share: float
    card: float
    crops: float


class Wire:
    """The bytes that a page has received since `reset`, as they were sent: compressed, and with headers."""

    def __init__(self, page: Page) -> None:
        self._paths: dict[str, str] = {}
        self._sizes: Counter[str] = Counter()
        """Bytes by request, of those that have ended."""
        self._open: set[str] = set()
        session = page.context.new_cdp_session(page)
        session.send("Network.enable")
        session.on("Network.requestWillBeSent", self._on_sent)
        session.on("Network.loadingFinished", self._on_finished)
        session.on("Network.loadingFailed", lambda event: self._open.discard(event["requestId"]))

    def _on_sent(self, event: dict[str, Any]) -> None:
        self._paths[event["requestId"]] = path = urlsplit(event["request"]["url"]).path
        if not path.startswith(HEARTBEAT):
            self._open.add(event["requestId"])

    def _on_finished(self, event: dict[str, Any]) -> None:
        self._sizes[event["requestId"]] = event["encodedDataLength"]
        self._open.discard(event["requestId"])

    @property
    def is_busy(self) -> bool:
        """Whether a request has not ended. An event's stream ends after its answer; its size is known only then."""
        return bool(self._open)

    def reset(self) -> None:
        """Count from now on."""
        self._sizes.clear()

    def count(self, folder: str) -> int:
        """Return the bytes of the paths that begin with `folder`."""
        return sum(size for request, size in self._sizes.items() if self._path(request).startswith(folder))

    def count_without(self, folder: str) -> int:
        """Return the bytes of all other paths."""
        return self.count("") - self.count(folder)

    def _path(self, request: str) -> str:
        return self._paths.get(request, "")


def _open(browser: Browser, app: App, width: int, height: int) -> Opening:
    with _new_page(browser, width, height) as (page, wire):
        _load(page, wire, app)
        seen = page.evaluate("bench")
        return Opening(
            wire.count_without(BUNDLE),
            wire.count(BUNDLE),
            wire.count(PICTURES),
            seen["shift"],
            page.evaluate(SHARE),
            seen["card"] / 1_000,
            seen["crops"] / 1_000,
        )


def _weigh_search(browser: Browser, app: App) -> int:
    with _new_page(browser, *SCREENS["1280x720"]) as (page, wire):
        _load(page, wire, app)
        before = page.locator(".answer").get_attribute("data-asked")
        wire.reset()
        page.locator("#query textarea").fill(QUERY)
        page.keyboard.press("Enter")
        page.wait_for_function("(before) => document.querySelector('.answer').dataset.asked !== before", arg=before)
        page.evaluate("bench.crops = null")
        _wait_for_rest(page, wire)
        return wire.count_without(PICTURES)


@contextmanager
def _new_page(browser: Browser, width: int, height: int) -> Iterator[tuple[Page, Wire]]:
    context = browser.new_context(viewport={"width": width, "height": height})
    context.add_init_script(OBSERVE)
    page = context.new_page()
    yield page, Wire(page)
    context.close()


def _load(page: Page, wire: Wire, app: App) -> None:
    page.goto(app.url)
    _wait_for_rest(page, wire)


def _wait_for_rest(page: Page, wire: Wire) -> None:
    """Wait until every crop is on the page, then until nothing has arrived for QUIET_MS."""
    page.wait_for_function("bench.crops !== null", timeout=PATIENCE)
    received = -1
    while wire.is_busy or received != (received := wire.count("")):
        page.wait_for_timeout(QUIET_MS)


@contextmanager
def _sample_page() -> Iterator[App]:
    """Run the app over the encoded sample library, and answer one search before anything is measured."""
    with tempfile.TemporaryDirectory(prefix="smart-demo-bench-") as name:
        app = App(Path(name) / "data", SAMPLE_DOCUMENTS, SMART_PUBLIC="0", OMP_NUM_THREADS=str(os.cpu_count()))
        command = [sys.executable, "-m", "smart_demo", "samples"]
        subprocess.run(command, cwd=REPOSITORY, env=app.env, check=True, capture_output=True)
        app.start()
        try:
            yield app
        finally:
            app.stop()
