"""The line that says how often the right ranking is better, in a real browser: its lists, and a search from one."""

from contextlib import contextmanager

import pytest
from playwright.sync_api import expect

from tests.apps import PATIENCE, served_app
from tests.documents import write_pdf
from tests.ui.browser_page import Visit
from tests.ui.test_how_often import QUESTIONS, write_questions
from tests.ui.voting_cases import DOCUMENTS

pytestmark = pytest.mark.browser
ADDRESS = ""


@contextmanager
def open_app(folder):
    samples = folder / "samples"
    samples.mkdir()
    for document, pages in DOCUMENTS.items():
        write_pdf(samples / document, *pages)
    write_questions(samples)
    with served_app("words", samples, folder / "data") as served:
        yield served


@pytest.mark.parametrize(("width", "height", "dark"), [(1280, 720, False), (390, 844, True)])
def test_each_number_opens_its_questions_and_a_question_is_searched(app, browser, width, height, dark):
    visit = Visit(browser, app, width=width, height=height, dark=dark)
    page = visit.open()
    line = page.locator("#how-often")
    better = line.get_by_role("button", name="1 better")
    expect(better).to_be_visible(timeout=PATIENCE)
    expect(line).to_contain_text(f"{len(QUESTIONS)} judged questions")
    top = page.locator("#ask").bounding_box()["y"]

    better.click()
    dialog = page.get_by_role("dialog", name="SMART is better than pooled only")
    expect(dialog.get_by_role("listitem")).to_have_count(1)
    expect(dialog).to_contain_text("bolts.pdf, page 2")
    box = dialog.bounding_box()
    assert 0 <= box["x"] <= width - box["width"]
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(better).to_be_focused()

    better.click()
    before = page.locator(".answer").get_attribute("data-query")
    dialog.get_by_role("listitem").get_by_role("button").click()
    expect(page.locator(f'.answer:not([data-query="{before}"])')).to_be_visible(timeout=PATIENCE)
    expect(page.get_by_role("textbox", name="Search")).to_have_value("tide harbour")
    expect(dialog).to_have_count(0)

    if page.locator("#scope").is_visible():  # a library in which nothing is judged has no line
        page.locator("#scope").get_by_text("My documents").click()
        expect(line.get_by_role("button")).to_have_count(0)
        page.locator("#scope").get_by_text("Samples").click()
        expect(better).to_be_visible(timeout=PATIENCE)
        assert page.locator("#ask").bounding_box()["y"] == top
    visit.close()
