"""The real page, started as people start it and driven by Chromium. What every browser test needs."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Locator, Page, Request, expect, sync_playwright

from smart_demo.config import SAMPLE_DOCUMENTS
from tests.sample_library import copy_sample_library

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = "/usr/bin/chromium"
SWITCHES = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
PATIENCE = 40_000
"""Milliseconds for what runs a model on busy cores; everything else is far quicker."""


class App:
    """`python app.py` in a process of its own, on a free port, with its own data folder."""

    def __init__(self, folder: Path, samples: Path, **settings: str) -> None:
        self.folder, self.log_file = folder, folder.with_name(f"{folder.name}.log")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.env = {key: value for key, value in os.environ.items() if not key.startswith(("SMART_", "GRADIO_"))}
        self.env |= {
            "SMART_DATA_DIR": str(folder),
            "SMART_SAMPLE_DOCS": str(samples),
            "SMART_BACKBONE": "minilm",
            "GRADIO_SERVER_PORT": str(self.port),
            "OMP_NUM_THREADS": "1",
        } | settings
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Returns when the page answers."""
        self.process = subprocess.Popen(
            [sys.executable, "app.py"], cwd=ROOT, env=self.env, stdout=subprocess.DEVNULL, stderr=self.log_file.open("ab")
        )
        end = time.monotonic() + PATIENCE / 1000
        while time.monotonic() < end:
            assert self.process.poll() is None, self.log
            try:
                with urllib.request.urlopen(self.url, timeout=5):
                    return
            except (urllib.error.URLError, TimeoutError, ConnectionError):
                time.sleep(0.2)
        raise AssertionError(f"the page never answered:\n{self.log}")

    def stop(self) -> None:
        """As Ctrl-C does it."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(20)
            self.process = None

    @property
    def pid(self) -> int:
        """Of the running process."""
        assert self.process is not None
        return self.process.pid

    @property
    def log(self) -> str:
        """What it said on standard error."""
        return self.log_file.read_text(encoding="utf-8") if self._log.exists() else ""


@contextmanager
def running_app(samples: Path | None = None, **settings: str) -> Iterator[App]:
    """An app with a data folder of its own, gone afterwards: over some documents, which it encodes first, or over the
    shipped sample library, which is encoded already.
    """
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        if samples is None:
            copy_sample_library(data)
        app = App(data, samples or SAMPLE_DOCUMENTS, **settings)
        app.start()
        try:
            yield app
        finally:
            app.stop()


@contextmanager
def chromium() -> Iterator[Browser]:
    """Debian's browser; Playwright's own download is not used."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=SWITCHES)
        yield browser
        browser.close()


CUT_OFF = ("AbortError: signal is aborted", "Connection errored out")
"""What Gradio's script writes to the console if a page is left while it waits for an answer."""


class Visit:
    """One visitor's page, which remembers what should not have happened."""

    def __init__(self, browser: Browser, app: App, *, width: int = 1280, height: int = 900, dark: bool = False) -> None:
        self.context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            reduced_motion="reduce",
        )
        self.app, self.page = app, self.context.new_page()
        self.faults: list[str] = []
        self.left_early = False
        self.page.set_default_timeout(15_000)
        self.page.on("console", lambda said: said.type == "error" and self.faults.append(said.text))
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.faults.append(f"a dialog: {dialog.message}"), dialog.dismiss()))
        self.page.on("request", self.watch)

    def watch(self, request: Request) -> None:
        if not request.url.startswith((self.app.url, "data:", "blob:")):
            self.faults.append(f"asked elsewhere: {request.url}")

    def open(self, address: str = "/") -> Page:
        """The page with its first answer."""
        self.page.goto(self.app.url + address)
        expect(self.page.get_by_role("region", name="Results")).to_be_visible(timeout=PATIENCE)
        return self.page

    def leave(self) -> None:
        """Leave the page while it may be waiting for answers, which Gradio's script then reports as errors."""
        self.page.goto("about:blank")
        self.left_early = True

    def close(self) -> None:
        """Closing asks whether anything happened that should not have."""
        self.context.close()
        faults = [fault for fault in self.faults if not (self.left_early and any(cut in fault for cut in CUT_OFF))]
        assert faults == [], faults

    def cards(self, column: str) -> Locator:
        """Cards of a column, by its heading."""
        return self.page.get_by_role("list", name=column, exact=True).get_by_role("button", name="Open the page")

    def search(self, query: str) -> None:
        """Ask, and wait until this query is the one that is answered."""
        before = self.page.locator(".answer").get_attribute("data-query")
        self.page.get_by_role("textbox", name="Search").fill(query)
        self.page.get_by_role("button", name="Search", exact=True).click()
        expect(self.page.locator(f'.answer:not([data-query="{before}"])')).to_be_visible(timeout=PATIENCE)

    def upload(self, *files: Path, shown: str = "") -> None:
        """Give files to the box of the library, and wait until each has its outcome. `shown` is part of the name
        by which the last one is listed, where that is not its own.
        """
        self.page.get_by_role("tab", name="Library").click()
        self.page.locator("#upload input[type=file]").set_input_files([str(file) for file in files])
        outcomes = self.page.get_by_role("list", name="Uploads")
        expect(outcomes).to_contain_text(shown or files[-1].name, timeout=PATIENCE)
        expect(self.page.locator(".arrival.is-working")).to_have_count(0, timeout=PATIENCE)
