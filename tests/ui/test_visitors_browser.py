"""A public page in real browsers: a visitor's documents are there after a reload, in their browser alone."""

import json
import re

import pytest
from playwright.sync_api import expect

from tests.apps import PATIENCE, running_app
from tests.documents import write_pdf
from tests.ui.browser_page import Visit

pytestmark = pytest.mark.browser
NAME = "ledger-of-alice.pdf"


def open_app(folder):
    samples = folder / "samples"
    samples.mkdir()
    write_pdf(samples / "tides.pdf", "tide tables of the harbour")
    limits = {"SMART_LIBRARY_PAGES": "3", "SMART_MAX_FILES": "3", "SMART_MAX_FILE_MB": "1"}
    return running_app(samples, SMART_PUBLIC="on", SMART_LASTING="off", **limits)


def open_library(visit):
    visit.page.get_by_role("tab", name="Library").click()
    return visit.page.locator("#documents-panel")


def test_a_visitor_s_library_from_the_first_upload_to_delete_everything(app, browser, tmp_path):
    mine = Visit(browser, app)
    page = mine.open()
    mine.upload(write_pdf(tmp_path / NAME, "zanzibar cloves", "nutmeg"), write_pdf(tmp_path / "thick.pdf", *"abcd"))
    expect(page.get_by_role("list", name="Uploads")).to_contain_text("your library has room for 1 more of 3")
    documents = open_library(mine)
    expect(documents).to_contain_text("2 of 3 pages")
    expect(documents).to_contain_text("deleted 24 hours after your last change")
    expect(documents).to_contain_text("This library is temporary")
    expect(page.locator(".storage-warning")).to_be_hidden()

    page.reload()
    expect(open_library(mine)).to_contain_text(NAME, timeout=PATIENCE)
    page.get_by_role("button", name="Search them").click()
    expect(page.get_by_role("region", name="Results")).to_contain_text(NAME, timeout=PATIENCE)
    thumbnail = page.locator(".card img.thumb").first
    expect(thumbnail).to_have_attribute("src", re.compile("^blob:"), timeout=PATIENCE)
    assert thumbnail.evaluate("(image) => image.decode().then(() => image.naturalWidth)") > 0
    page.locator(".card").first.click()
    expect(page.locator("img.viewer-image:not(.is-coarse)")).to_have_attribute("src", re.compile("^blob:"))
    page.keyboard.press("Escape")
    page.locator(".share").get_by_role("button", name="Copy link").click()
    expect(page.locator(".share")).to_contain_text("It shows your documents in this browser only.")

    other = Visit(browser, app)
    other.page.goto(f"{app.url}/?q=zanzibar&in=My+documents")
    expect(other.page.locator("#results")).to_contain_text("No pages here yet", timeout=PATIENCE)
    expect(open_library(other)).to_contain_text("Nothing here yet")
    other.close()

    open_library(mine).get_by_role("button", name="Delete everything of mine").click()
    page.get_by_role("button", name="Keep it").click()
    expect(open_library(mine)).to_contain_text(NAME)
    before = page.evaluate("localStorage.getItem('smart-demo-visitor')")
    open_library(mine).get_by_role("button", name="Delete everything of mine").click()
    page.get_by_role("button", name="Delete everything", exact=True).click()
    expect(page.get_by_role("dialog")).to_contain_text("Everything of yours is deleted", timeout=PATIENCE)
    page.get_by_role("button", name="Close", exact=True).click()
    expect(open_library(mine)).to_contain_text("Nothing here yet", timeout=PATIENCE)
    assert page.evaluate("localStorage.getItem('smart-demo-visitor')") != before
    assert NAME not in json.dumps(page.evaluate("Object.entries(localStorage)"))
    mine.close()
    assert [path for path in app.folder.rglob("*") if "visitor-" in str(path)] == []


def test_a_scope_chosen_before_the_first_answer_is_kept(app, browser):
    visit, held, released = Visit(browser, app), [], []
    page, results = visit.page, visit.page.locator("#results")
    page.route("**/gradio_api/queue/join*", lambda route: route.continue_() if released else held.append(route))
    page.goto(app.url)
    page.locator("#scope").get_by_text("My documents", exact=True).click()
    expect(results).to_contain_text("tides.pdf")  # the answer that the page comes with
    released.append(True)
    for route in held:
        route.continue_()
    expect(results).to_contain_text("No pages here yet", timeout=PATIENCE)
    expect(page.get_by_role("radio", name="My documents", exact=True)).to_be_checked()
    visit.close()


def test_where_the_browser_keeps_nothing_the_page_says_so(app, browser):
    visit = Visit(browser, app)
    visit.page.add_init_script(
        "Object.defineProperty(window, 'localStorage', { get() { throw new DOMException('no', 'SecurityError'); } });"
    )
    visit.open()
    expect(open_library(visit)).to_contain_text("Your browser blocks storage for this page", timeout=PATIENCE)
    expect(visit.page.locator(".storage-warning")).to_be_visible()
    visit.close()


def test_what_is_over_a_limit_is_told_before_it_is_sent_and_the_rest_goes_on(app, browser, tmp_path):
    visit = Visit(browser, app)
    page = visit.open()
    page.locator(".share").get_by_role("button", name="Copy link").click()
    expect(page.locator(".share").get_by_role("button", name="Link copied", exact=True)).to_be_visible()
    sent = []
    page.on("request", lambda request: "/upload?" in request.url and sent.append(request.url))
    heavy = tmp_path / "heavy.pdf"
    heavy.write_bytes(b"%PDF-1.7" + b" " * 2**20)
    expect(open_library(visit)).to_be_visible()
    files = [heavy, *(write_pdf(tmp_path / f"{name}.pdf", name) for name in ("ant", "bee", "cat", "dog", "elk"))]
    page.locator("#upload input[type=file]").set_input_files([str(file) for file in files])
    said, uploads = page.locator(".upload-note"), page.get_by_role("list", name="Uploads")
    expect(said).to_contain_text("Not sent, over 1 MB: heavy.pdf. Split the file or make it smaller")
    expect(said).to_contain_text("Not sent, over 3 files at once: dog.pdf, elk.pdf.")
    expect(uploads.get_by_role("listitem")).to_have_count(3, timeout=PATIENCE)
    expect(page.locator(".upload-item.is-working")).to_have_count(0, timeout=PATIENCE)
    assert len(sent) == 1

    page.locator("#upload button").first.evaluate(
        """(button) => {
            const dataTransfer = new DataTransfer();
            dataTransfer.items.add(new File([new Uint8Array(2 ** 20 + 1)], "dropped.pdf"));
            button.dispatchEvent(new DragEvent("drop", { bubbles: true, cancelable: true, dataTransfer }));
        }"""
    )
    expect(said).to_have_text(re.compile("^Not sent, over 1 MB: dropped.pdf"))
    assert len(sent) == 1
    visit.close()


def test_what_the_demo_itself_refuses_is_told_in_its_words_and_the_box_takes_the_next_file(app, browser, tmp_path):
    visit = Visit(browser, app)
    page = visit.open()
    expect(open_library(visit)).to_be_visible()
    page.locator("[data-most-files]").evaluate("(limits) => limits.removeAttribute('data-most-files')")
    many = [str(write_pdf(tmp_path / f"{number}.pdf", "gnu")) for number in range(4)]
    page.locator("#upload input[type=file]").set_input_files(many)
    expect(page.locator(".upload-note")).to_contain_text("At most 3 files of 1 MB can be uploaded at once")
    expect(page.locator("#upload").get_by_text("Error", exact=True)).to_be_hidden()
    visit.upload(tmp_path / "3.pdf")
    expect(page.locator(".upload-note")).to_have_count(0)
    assert len(visit.faults) == 1
    assert "413" in visit.faults.pop()
    visit.close()
