"""The real server, killed during an upload and while it answers, and stopped by a signal, which must end it in time."""

from __future__ import annotations

import random
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from smart_demo.store.library import Library
from smart_demo.types import LOCAL
from tests.apps import App
from tests.chaos import children
from tests.chaos.children import Tell
from tests.chaos.figures import Figures
from tests.documents import write_pdf
from tests.ui.browser_page import Visit, chromium, connected

PAGES = 40
IN_TIME = 10
"""Seconds within which a server must end after a stop signal."""
PATIENCE = 90
TEXTS = ("The blue whale eats krill.", "Vinegar descales the coffee machine.", "Ships may not anchor here.")


def works(folder: Path, trials: int) -> list[Callable[[random.Random, Figures], None]]:
    """Return one piece of work: the same folder is killed again and again, and stopped at the end."""
    if not trials:
        return []

    def work(rng: random.Random, figures: Figures) -> None:
        ends = [signal.SIGKILL] * (trials - 1) + [signal.SIGTERM]
        for event in children.ask(lambda tell: _serve(folder, ends, rng, tell)):
            _enter(event, figures)

    return [work]


def _enter(event: dict[str, object], figures: Figures) -> None:
    kind, what = next(iter(event.items()))
    if kind == "trial":
        figures.trials[str(what)] += 1
        figures.counts["kills"] += "killed" in str(what)
    elif kind == "told":
        figures.counts["acknowledged"] += int(str(what))
    elif kind == "stopped":
        figures.counts["stopped"] = int(str(what))
    else:
        figures.fault("server", str(what))


def _serve(folder: Path, ends: list[signal.Signals], rng: random.Random, tell: Tell) -> None:
    samples = folder / "samples"
    samples.mkdir(parents=True)
    write_pdf(samples / "tides.pdf", "tide table")
    told: dict[str, int] = {}
    app = App(folder / "data", samples, PYTHONFAULTHANDLER="1")
    with chromium() as address, connected(address) as browser:
        for at, end in enumerate(ends):
            app.start()
            document = write_pdf(folder / f"upload-{at}.pdf", *(f"{rng.choice(TEXTS)} {at} {n}" for n in range(PAGES)))
            told[document.name] = _until(app, browser, document, rng.randint(1, PAGES // 2))
            if not told[document.name]:
                tell({"server": f"no page of {document.name} was told of, so nothing was tried"})
            _end(app, end, tell)
            _look(folder, told, tell)
        app.start()
        app.stop()
    tell({"told": sum(told.values())})


def _until(app: App, browser: object, document: Path, pages: int) -> int:
    """Upload and search at once until `pages` pages are reported as stored; return the last reported number."""
    visit = Visit(browser, app)  # type: ignore[arg-type]
    visit.page.goto(app.url)
    visit.page.get_by_role("tab", name="Library").click()
    stop = threading.Event()
    searching = threading.Thread(target=_search, args=(app.url, stop), daemon=True)
    searching.start()
    visit.page.locator("#upload input[type=file]").set_input_files([str(document)])
    said, told, end = visit.page.locator(".arrival .arrival-said"), 0, time.monotonic() + PATIENCE
    while told < pages and time.monotonic() < end:
        for words in said.all_inner_texts():
            if found := re.search(r"(\d+) of \d+ pages", words):
                told = max(told, int(found[1]))
    stop.set()
    with suppress(AssertionError):  # requests to a killed server fail
        visit.close()
    return told


def _search(url: str, stop: threading.Event) -> None:
    from gradio_client import Client

    with suppress(Exception):  # the server is killed during the request
        client = Client(url, verbose=False)
        while not stop.is_set():
            client.predict(query="whale", api_name="/search")


def _end(app: App, how: signal.Signals, tell: Tell) -> None:
    process = app.process
    assert process is not None
    begun = time.monotonic()
    process.send_signal(how)
    try:
        process.wait(IN_TIME if how == signal.SIGTERM else PATIENCE)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGABRT)  # makes it print the stack of each thread
        process.wait()
        tell({"server": f"it still ran {time.monotonic() - begun:.0f} seconds after {how.name}: {app.log[-6_000:]}"})
    app.process = None
    if how == signal.SIGTERM:
        tell({"stopped": round(1_000 * (time.monotonic() - begun))})
    tell({"trial": "server killed" if how == signal.SIGKILL else "server told to stop"})


def _look(folder: Path, told: dict[str, int], tell: Tell) -> None:
    """Check that every page reported as stored exists."""
    with Library.open(folder / "data", folder / "data" / "index") as library:
        encoders = {path.name for path in (folder / "data" / "tokens" / "local").iterdir()}
        pages = [page for encoder in encoders for page in library.pages([LOCAL], encoder)]
        for page in pages:
            library.tokens(page), library.picture(page), library.thumbnail(page)
        for document, count in told.items():
            there = sum(page.document == document for page in pages)
            if there < count:
                tell({"server": f"{document}: {count} pages were told of, {there} are there"})
        if not library.report.index.startswith(("ok", "rebuilt")) or library.report.damaged:
            tell({"server": str(library.report)})
