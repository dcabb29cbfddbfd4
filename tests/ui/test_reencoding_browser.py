"""Pages of another model in the Library tab: the line with its button, progress, Stop, and the mark afterwards."""

import threading

import pytest
from playwright.sync_api import expect

from smart_demo.backbones.bag_of_words import WordBackbone
from smart_demo.types import LOCAL
from tests.apps import PATIENCE
from tests.documents import write_pdf
from tests.ui.browser_page import Visit
from tests.ui.costs_cases import served, started

pytestmark = pytest.mark.browser


class Gated(WordBackbone):
    """Encodes a page whenever the test allows one."""

    batch = 1

    def __init__(self):
        super().__init__(["moon"])
        self.allowed = threading.Semaphore(0)

    def encode_pages(self, pages):
        assert self.allowed.acquire(timeout=PATIENCE / 1000)
        return super().encode_pages(pages)


class Address:
    def __init__(self, url):
        self.url = url.rstrip("/")


def test_pages_of_another_model_are_encoded_again_at_a_click(browser, tmp_path):
    before = started(tmp_path)
    list(before.engine.prepare_samples())
    list(before.engine.add(LOCAL, [(write_pdf(tmp_path / "mine.pdf", "tide", "moon", "sun"), "mine.pdf")]))
    before.engine.close()
    gated = Gated()
    after = started(tmp_path, main=gated)
    with after.engine, served(after) as url:
        after.engine.backbone(LOCAL)
        visit = Visit(browser, Address(url))
        page = visit.open()
        page.get_by_role("tab", name="Library").click()
        panel = page.locator("#documents")
        expect(panel).to_contain_text("3 pages were encoded by another model and are not searched.")
        panel.get_by_role("button", name="Encode them again").click()
        expect(panel).to_contain_text("again: 0 of 3 pages", timeout=PATIENCE)
        panel.get_by_role("button", name="Stop").click()
        expect(panel.get_by_role("button", name="Stopping after this page")).to_be_disabled(timeout=PATIENCE)
        gated.allowed.release()
        expect(panel).to_contain_text("2 pages were encoded by another model", timeout=PATIENCE)
        expect(panel).to_contain_text("1 of 3 pages")
        for _ in range(2):
            gated.allowed.release()
        panel.get_by_role("button", name="Encode them again").click()
        expect(panel).to_contain_text("3 pages · ", timeout=PATIENCE)
        expect(panel).to_contain_text(" · from stored pictures")
        expect(panel).not_to_contain_text("another model")
        visit.close()
