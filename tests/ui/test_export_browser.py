"""Saving a comparison as a visitor does it: the real app, a real browser, and what was saved opened again."""

import re
import subprocess
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from tests.apps import serve_documents
from tests.ui.browser_page import Visit

pytestmark = pytest.mark.browser
HOSTILE = '"><img src=x onerror=alert(1)> ${alert(2)} `harbour` \\n {{x}} </style><script>alert(3)</script>'
COBALT = (47, 70, 216)


def open_app(folder):
    documents = {
        "harbour.pdf": ["Ships anchor outside\nthe harbour master decides", "tide tables\nfor the port"],
        "img src=x onerror=alert(4).pdf": ["A harbour for small boats", "Foxes hunt at dusk", "Owls"],
    }
    return serve_documents(folder, documents)


def save(page: Page, form: str, to: Path) -> Path:
    """Press Save and one of its choices; the file under the name that the browser gives it."""
    if page.locator("#save-choices").is_hidden():
        page.get_by_role("button", name="Save", exact=True).click()
    with page.expect_download() as coming:
        page.get_by_role("group", name="Save this comparison").get_by_role("button", name=form).click()
    kept = to / coming.value.suggested_filename
    coming.value.save_as(kept)
    expect(page.get_by_role("group", name="Save this comparison")).to_contain_text(f"Saved as {kept.name}")
    return kept


def pages_of(pdf: bytes, to: Path) -> int:
    (to / "printed.pdf").write_bytes(pdf)
    told = subprocess.run(["pdfinfo", to / "printed.pdf"], capture_output=True, text=True, check=True).stdout
    wide, high = re.search(r"^Page size:\s+([\d.]+) x ([\d.]+)", told, re.M).groups()
    assert (float(wide), float(high)) == pytest.approx((842, 595), abs=1)  # A4 across
    return int(re.search(r"^Pages:\s+(\d+)", told, re.M)[1])


def test_both_files_show_the_answer_and_stand_alone(visit, browser, tmp_path):
    visit.search(HOSTILE)
    picture, saved = (save(visit.page, form, tmp_path) for form in ("Picture", "Web page"))
    assert {picture.suffix, saved.suffix} == {".png", ".html"}
    assert picture.stem == saved.stem

    context = browser.new_context(viewport={"width": 1280, "height": 720})
    page, happened = context.new_page(), []
    page.on("console", lambda said: happened.append(said.text))
    page.on("pageerror", lambda error: happened.append(str(error)))
    page.on("dialog", lambda dialog: (happened.append(dialog.message), dialog.dismiss()))
    page.on("request", lambda asked: asked.url.startswith("data:") or happened.append(asked.url))
    page.goto(saved.as_uri())
    assert happened == [saved.as_uri()]
    expect(page.get_by_role("heading", level=1)).to_have_text(" ".join(HOSTILE.split()))
    for column in ("Pooled only", "SMART"):
        theirs = visit.cards(column)
        ours = page.get_by_role("list", name=column).get_by_role("listitem")
        expect(ours).to_have_count(theirs.count())
        for at in range(theirs.count()):
            for part in (".rank", ".where", ".of-pooled .part-value", ".of-late .part-value"):
                told = theirs.nth(at).locator(part).text_content()
                expect(ours.nth(at).locator(part.replace(".part-value", "b"))).to_have_text(told)
    expect(page.locator(".evidence .crop")).to_have_count(page.locator(".row").count())
    assert page.locator("img").evaluate_all("all => all.every((one) => one.complete && one.naturalWidth > 100)")
    assert page.evaluate("document.fonts.check('700 20px \"IBM Plex Sans\"')")
    assert page.evaluate("document.scrollingElement.scrollWidth <= innerWidth")
    assert pages_of(page.pdf(prefer_css_page_size=True, print_background=True), tmp_path) == 1
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.scrollingElement.scrollWidth <= innerWidth")
    context.close()

    with Image.open(picture) as drawn:
        assert (drawn.format, drawn.size) == ("PNG", (1920, 1080))
        colours = dict((colour[:3], count) for count, colour in drawn.convert("RGB").getcolors(2**24))
    assert len(colours) > 100  # thumbnails and smooth type
    assert colours[COBALT] > 500  # the line under the right column
    assert colours[(255, 255, 255)] > 50_000  # cards


def test_where_a_browser_refuses_the_picture_it_says_so_and_the_web_page_is_there(visit, tmp_path):
    page = visit.page
    page.evaluate(
        "() => { CanvasRenderingContext2D.prototype.getImageData = () => { throw new DOMException('no'); }; }"
    )
    page.get_by_role("button", name="Save", exact=True).click()
    choices = page.get_by_role("group", name="Save this comparison")
    choices.get_by_role("button", name="Picture").click()
    expect(choices.get_by_role("status")).to_contain_text("Save the web page instead")
    assert save(page, "Web page", tmp_path).stat().st_size > 10_000


def test_the_choices_open_by_keyboard_and_close_by_escape_or_elsewhere(visit):
    page, choices = visit.page, visit.page.locator("#save-choices")
    opener = page.get_by_role("button", name="Save", exact=True)
    opener.focus()
    page.keyboard.press("Enter")
    expect(choices).to_be_visible()
    expect(opener).to_have_attribute("aria-expanded", "true")
    page.keyboard.press("Tab")
    expect(choices.get_by_role("button", name="Picture")).to_be_focused()
    page.keyboard.press("Escape")
    expect(choices).to_be_hidden()
    expect(opener).to_be_focused()
    opener.click()
    page.get_by_role("heading", level=1).first.click()
    expect(choices).to_be_hidden()


def test_a_phone_has_room_for_the_choices_and_paper_gets_the_comparison_alone(app, browser, tmp_path):
    visitor = Visit(browser, app, width=390, height=844, dark=True)
    page = visitor.open()
    page.get_by_role("button", name="Save", exact=True).click()
    box = page.locator("#save-choices").bounding_box()
    assert box
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 390
    assert page.evaluate("document.scrollingElement.scrollWidth <= innerWidth")
    page.emulate_media(media="print")
    for hidden in ("#controls", "#strip", "#footer", "#go", ".masthead", "#save-choices"):
        expect(page.locator(hidden)).to_be_hidden()
    expect(page.get_by_role("textbox", name="Search")).to_be_visible()
    assert page.evaluate("getComputedStyle(document.querySelector('.card')).backgroundColor") == "rgb(255, 255, 255)"
    page.emulate_media(media="null")
    assert pages_of(page.pdf(prefer_css_page_size=True, print_background=True), tmp_path) == 1
    visitor.close()
