"""Files dropped on any part of any tab: added, answered in words, and never opened by the browser."""

import re

import pytest
from playwright.sync_api import expect

from tests.apps import PATIENCE, serve_documents
from tests.documents import write_pdf, write_picture
from tests.ui.browser_page import Visit

pytestmark = pytest.mark.browser
DOOR, JUICE, TRAIN = (
    "Every keeper paints his lighthouse door",
    "Descale it with lemon juice",
    "Night trains carry bikes",
)


def open_app(folder):
    documents = {"tides.pdf": ["tide tables of the harbour", "coffee machine"]}
    return serve_documents(folder, documents, "words", SMART_PUBLIC="on", SMART_MAX_FILES="3")


def drag(visit, target, *paths, drop=True):
    """Drag files of the disk over the middle of an element, and drop them there."""
    target.scroll_into_view_if_needed()
    box = target.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + min(box["height"] / 2, 300)
    session = visit.context.new_cdp_session(visit.page)
    data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", *(("drop",) if drop else ())):
        session.send("Input.dispatchDragEvent", {"type": kind, "x": x, "y": y, "data": data})
    session.detach()


def outcome(visit, text):
    """Wait for the outcome of an upload that says something, and close it."""
    said = visit.page.locator("#adding .added")
    expect(said).to_contain_text(text, timeout=PATIENCE)
    said.get_by_role("button", name="Dismiss this message").click()
    expect(said).to_have_count(0, timeout=PATIENCE)


@pytest.mark.long
def test_files_dropped_anywhere_are_added_and_their_own_words_are_asked(app, browser, tmp_path):
    visit = Visit(browser, app, width=1280, height=720)
    page = visit.open()
    address, hint, line = page.url, page.locator(".drop-hint"), page.locator("#adding")
    results = page.locator("#results")

    # On the results: the hint, the outcome of good and damaged files, and the questions.
    broken = tmp_path / "broken.pdf"
    broken.write_bytes(b"%PDF-1.7 and then nothing")
    files = write_pdf(tmp_path / "door.pdf", DOOR), write_pdf(tmp_path / "juice.pdf", JUICE), broken
    drag(visit, results, *files, drop=False)
    expect(hint).to_be_visible()
    expect(hint).to_contain_text("Drop to add to your documents")
    drag(visit, results, *files)
    expect(hint).to_be_hidden()
    expect(line).to_contain_text("2 pages of 2 documents added in", timeout=PATIENCE)
    expect(line).to_contain_text("broken.pdf is damaged")
    chips = line.locator(".chip")
    assert set(chips.all_inner_texts()) == {DOOR, JUICE}

    # Another visitor sees none of it.
    other = Visit(browser, app)
    expect(other.open().locator("#adding")).to_be_empty()
    assert not re.search("door|lighthouse|juice", other.page.content())
    other.close()

    # On the Judge tab, and a question from there searches the visitor's documents.
    page.get_by_role("tab", name="Judge").click()
    drag(visit, page.locator("#tabs [role=tabpanel]:visible").first, write_pdf(tmp_path / "train.pdf", TRAIN))
    expect(line).to_contain_text("1 page of 1 document added in", timeout=PATIENCE)
    line.get_by_role("button", name="Search them").click()
    expect(visit.cards("SMART").first).to_contain_text("train.pdf", timeout=PATIENCE)
    expect(page.locator("#query textarea")).to_have_value(TRAIN)
    expect(page.get_by_role("radio", name="My documents", exact=True)).to_be_checked()
    page.mouse.move(2, 2)  # a line under the pointer stays
    expect(line.locator(".added")).to_have_count(0, timeout=PATIENCE)  # it was seen, and a question was asked

    # In a dialog, on the Library's own box, and by the button.
    visit.cards("SMART").first.click()
    drag(visit, page.get_by_role("dialog"), write_pdf(tmp_path / "dialog.pdf", "Whales sing below frozen seas"))
    page.keyboard.press("Escape")
    outcome(visit, "1 page of 1 document added")
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Add files").click()
    chooser.value.set_files(str(write_pdf(tmp_path / "chosen.pdf", "Foxes cross the valley")))
    outcome(visit, "1 page of 1 document added")
    page.get_by_role("tab", name="Library").click()
    drag(visit, page.locator("#upload"), tmp_path / "chosen.pdf")
    outcome(visit, "1 file was in your documents already.")

    # Over a limit the reason is given at once, and the others go on.
    four = [write_pdf(tmp_path / f"{name}.pdf", name) for name in ("ant", "bee", "cat", "dog")]
    drag(visit, page.locator("#documents-panel"), *four)
    expect(page.locator("#adding-panel .upload-note")).to_contain_text("Not sent, over 3 files at once: dog.pdf")
    outcome(visit, "3 pages of 3 documents added")
    assert page.url.split("?")[0] == address.split("?")[0], "the browser has not opened a file"
    visit.close()


def test_on_the_question_a_picture_is_searched_for_and_a_pdf_is_added(app, browser, tmp_path):
    visit = Visit(browser, app)
    page = visit.open()
    visit.search("coffee machine")
    question, hint = page.locator("#ask"), page.locator(".drop-hint")
    picture = write_picture(tmp_path / "q.png", "coffee\nmachine")
    drag(visit, page.locator("#results"), picture, drop=False)
    expect(hint).to_contain_text("Drop on the question to search with a picture")
    drag(visit, question, picture, drop=False)
    expect(hint.locator("p:visible")).to_have_text("Drop to search with this picture")
    drag(visit, question, picture)
    expect(page.locator("#like")).to_contain_text("This picture", timeout=PATIENCE)
    expect(page.locator("#adding")).to_be_empty()
    folder = tmp_path / "folder" / "inner"
    folder.mkdir(parents=True)
    write_pdf(folder / "owl.pdf", "Owls hunt quietly after dusk")
    (folder / ".hidden").write_text("of the system")
    drag(visit, question, tmp_path / "folder")
    outcome(visit, "1 page of 1 document added")
    drag(visit, question, write_pdf(tmp_path / "fir.pdf", "Firs keep their needles"))
    outcome(visit, "1 page of 1 document added")
    visit.close()


@pytest.mark.long
def test_a_page_of_samples_alone_says_that_it_takes_no_documents(tmp_path, browser):
    documents = {"tides.pdf": ["tide tables of the harbour"]}
    with serve_documents(tmp_path, documents, "words", SMART_PUBLIC="on", SMART_UPLOADS="off") as app:
        visit = Visit(browser, app)
        page = visit.open()
        expect(page.get_by_role("button", name="Add files")).to_have_count(0)
        address = page.url
        for place in (page.locator("#results"), page.locator("#ask")):
            drag(visit, place, write_pdf(tmp_path / "mine.pdf", "mine"))
            note = page.get_by_role("alert").filter(has_text="Uploads are off here. You can search the samples.")
            note.get_by_role("button", name="Dismiss this message").click()
            expect(note).to_have_count(0)
        assert page.url == address
        visit.close()
