"""One visitor's page in Chromium, which remembers what should not have happened."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from playwright.sync_api import Browser, Locator, Page, Request, expect, sync_playwright

from tests.apps import PATIENCE

SWITCHES = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--no-default-browser-check",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-breakpad",
    "--disable-background-timer-throttling", "--disable-backgrounding-occluded-windows", "--disable-popup-blocking",
    "--disable-renderer-backgrounding", "--disable-back-forward-cache", "--disable-dev-shm-usage", "--mute-audio",
    "--disable-hang-monitor", "--disable-ipc-flooding-protection", "--hide-scrollbars", "--force-color-profile=srgb",
    "--blink-settings=primaryHoverType=2,availableHoverTypes=2,primaryPointerType=4,availablePointerTypes=4",
]  # fmt: skip
"""The important ones of those with which Playwright launches Chromium."""


class HasAddress(Protocol):
    """A running page."""

    url: str


@contextmanager
def chromium() -> Iterator[str]:
    """Start Debian's Chromium and yield its address for Playwright, whose own download is not used."""
    folder = Path(tempfile.mkdtemp(prefix="chromium-"))
    command = ["/usr/bin/chromium", *SWITCHES, "--remote-debugging-port=0", f"--user-data-dir={folder}", "about:blank"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        port, end = folder / "DevToolsActivePort", time.monotonic() + PATIENCE / 1000
        while not (port.exists() and "\n" in port.read_text()):
            assert process.poll() is None, "Chromium does not start"
            assert time.monotonic() < end, "Chromium does not answer"
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port.read_text().split()[0]}"
    finally:
        process.terminate()
        process.wait(20)
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def connected(address: str) -> Iterator[Browser]:
    """Connect to a running Chromium and yield it. Leaving closes what was opened in it, and Playwright's event loop."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.connect_over_cdp(address)
        yield browser
        browser.close()


CUT_OFF = ("AbortError: signal is aborted", "Connection errored out")
"""What Gradio's script writes to the console if a page is left while it waits for an answer."""


class Visit:
    """One visitor's page, which remembers what should not have happened."""

    def __init__(
        self, browser: Browser, app: HasAddress, *, width: int = 1280, height: int = 900, dark: bool = False
    ) -> None:
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

    def tune(self) -> None:
        """Unfold the weights."""
        self.page.get_by_role("button", name="Tune").click()

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
        expect(self.page.locator(".upload-item.is-working")).to_have_count(0, timeout=PATIENCE)
