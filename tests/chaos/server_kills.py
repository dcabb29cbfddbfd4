"""The real server, killed during an upload and while it answers, and stopped by a signal, which must end it in time."""

from __future__ import annotations

import random
import re
import signal
import subprocess
import threading
import time
from contextlib import suppress
from functools import partial
from pathlib import Path

from smart_demo.store.library import Library
from smart_demo.types import LOCAL
from tests.apps import App
from tests.chaos import processes
from tests.chaos.processes import Report
from tests.chaos.results import Results
from tests.documents import write_pdf
from tests.ui.browser_page import Visit, chromium, connected

PAGES = 40
STOP_SECONDS = 10
"""Seconds within which a server must end after a stop signal."""
PATIENCE = 90
TEXTS = ("The blue whale eats krill.", "Vinegar descales the coffee machine.", "Ships may not anchor here.")


def kill_server(folder: Path, trials: int, rng: random.Random, results: Results) -> None:
    """Kill the server of one folder again and again, and stop it at the end."""
    ends = [signal.SIGKILL] * (trials - 1) + [signal.SIGTERM]
    for event in processes.run_in_process(partial(_serve, folder, ends, rng)):
        kind, value = next(iter(event.items()))
        if kind == "trial":
            results.trials[str(value)] += 1
            results.counts["kills"] += "killed" in str(value)
        elif kind in ("acknowledged", "stopped"):
            results.counts[kind] += int(str(value))
        else:
            results.record_fault("server", str(value))


def _serve(folder: Path, ends: list[signal.Signals], rng: random.Random, report: Report) -> None:
    samples = folder / "samples"
    samples.mkdir(parents=True)
    write_pdf(samples / "tides.pdf", "tide table")
    shown: dict[str, int] = {}
    app = App(folder / "data", samples, PYTHONFAULTHANDLER="1")
    with chromium() as address, connected(address) as browser:
        for at, end in enumerate(ends):
            app.start()
            document = write_pdf(folder / f"upload-{at}.pdf", *(f"{rng.choice(TEXTS)} {at} {n}" for n in range(PAGES)))
            shown[document.name] = _upload_until(app, browser, document, rng.randint(1, PAGES // 2))
            if not shown[document.name]:
                report({"server": f"no page of {document.name} was shown as stored, so nothing was tried"})
            _stop(app, end, report)
            _check_pages(folder, shown, report)
        app.start()
        app.stop()
    report({"acknowledged": sum(shown.values())})


def _upload_until(app: App, browser: object, document: Path, pages: int) -> int:
    """Upload and search at once until `pages` pages are reported as stored; return the last reported number."""
    visit = Visit(browser, app)  # type: ignore[arg-type]
    visit.page.goto(app.url)
    visit.page.get_by_role("tab", name="Library").click()
    stop = threading.Event()
    searching = threading.Thread(target=_search, args=(app.url, stop), daemon=True)
    searching.start()
    visit.page.locator("#upload input[type=file]").set_input_files([str(document)])
    said, told, end = visit.page.locator(".upload-item .upload-status"), 0, time.monotonic() + PATIENCE
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


def _stop(app: App, how: signal.Signals, report: Report) -> None:
    process = app.process
    assert process is not None
    begun = time.monotonic()
    process.send_signal(how)
    try:
        process.wait(STOP_SECONDS if how == signal.SIGTERM else PATIENCE)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGABRT)  # makes it print the stack of each thread
        process.wait()
        report({"server": f"it still ran {time.monotonic() - begun:.0f} seconds after {how.name}: {app.log[-6_000:]}"})
    app.process = None
    if how == signal.SIGTERM:
        report({"stopped": round(1_000 * (time.monotonic() - begun))})
    report({"trial": "server killed" if how == signal.SIGKILL else "server told to stop"})


def _check_pages(folder: Path, shown: dict[str, int], report: Report) -> None:
    """Check that every page reported as stored exists."""
    with Library.open(folder / "data", folder / "data" / "index") as library:
        encoders = {path.name for path in (folder / "data" / "tokens" / "local").iterdir()}
        pages = [page for encoder in encoders for page in library.pages([LOCAL], encoder)]
        for page in pages:
            library.tokens(page), library.picture(page), library.thumbnail(page)
        for document, count in shown.items():
            found = sum(page.document == document for page in pages)
            if found < count:
                report({"server": f"{document}: {count} pages were shown as stored, {found} are there"})
        if not library.report.index.startswith(("ok", "rebuilt")) or library.report.damaged:
            report({"server": str(library.report)})
