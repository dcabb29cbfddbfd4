"""The page as a visitor meets it: the real app, a real browser."""

import os
import re
import signal

import pytest
from playwright.sync_api import expect

from tests.apps import PATIENCE, App, running_app
from tests.documents import write_pdf, write_picture
from tests.ui.browser_page import Visit

pytestmark = pytest.mark.browser
HOSTILE = '"><img src=x onerror=alert(1)>${alert(2)}`.pdf'
WHALES = "The blue whale is the largest animal.\nIt eats krill in cold water."
COFFEE = "To descale the coffee machine,\nfill the tank with vinegar and run it twice."


def open_app(folder):
    samples = folder / "samples"
    samples.mkdir()
    write_pdf(samples / "animals.pdf", WHALES, "Foxes live in dens.\nThey hunt at dusk.", "Owls turn their heads.")
    write_pdf(samples / "kitchen.pdf", COFFEE, "Bread rises in a warm place.\nKnead the dough for ten minutes.")
    write_pdf(samples / "harbour.pdf", "Ships may not anchor here.\nThe restricted area ends at the pier.")
    return running_app(samples)


def test_the_page_opens_with_an_answer_in_both_columns(visit):
    assert visit.page.get_by_role("textbox", name="Search").input_value() != ""
    for column in ("Pooled only", "SMART"):
        expect(visit.cards(column)).to_have_count(5)
    expect(visit.page.locator(".verdict .meta")).to_contain_text("ranked 6 of 6 pages")


def test_a_search_finds_the_page_that_was_meant(visit):
    visit.search("how do I descale the coffee machine")
    for column in ("Pooled only", "SMART"):
        expect(visit.cards(column).first).to_contain_text("kitchen.pdf")
        expect(visit.cards(column).first).to_contain_text("page 1 of 2")


def test_a_card_marks_its_page_in_both_columns(visit):
    visit.search("largest animal")
    visit.cards("SMART").first.focus()
    marked = visit.page.locator(".card.is-marked")
    expect(marked).to_have_count(2)
    assert marked.first.get_attribute("data-page") == marked.last.get_attribute("data-page")


def test_enter_opens_a_page_arrows_turn_it_and_escape_goes_back(visit):
    visit.search("largest animal")
    first = visit.cards("SMART").first
    first.focus()
    visit.page.keyboard.press("Enter")
    viewer = visit.page.get_by_role("dialog", name="Page")
    expect(viewer).to_contain_text("SMART · 1 of 5")
    expect(viewer.get_by_role("heading", level=2)).to_have_text("animals.pdf")
    expect(viewer.locator("img.viewer-image:not(.is-coarse)")).to_have_attribute(
        "src", re.compile("/pictures/samples/")
    )
    visit.page.keyboard.press("ArrowRight")
    expect(viewer).to_contain_text("SMART · 2 of 5")
    visit.page.keyboard.press("ArrowLeft")
    viewer.get_by_role("button", name="Zoom in").click()
    expect(viewer.get_by_label("Zoom", exact=True)).to_have_text("140 %")
    visit.page.keyboard.press("Escape")
    expect(viewer).to_be_hidden()
    expect(first).to_be_focused()


def test_the_sum_in_the_viewer_adds_up(visit):
    visit.cards("SMART").first.click()
    formula = visit.page.locator("dialog .formula").last
    shown = [formula.locator(f".of-{part}").inner_text() for part in ("pooled", "late", "total")]
    pooled, late, total = (float(text.replace("−", "-")) for text in shown)
    assert pooled + late == pytest.approx(total, abs=1e-9)


def test_without_late_weight_the_columns_agree(visit):
    visit.search("animals at dusk and owls")
    visit.tune()
    late = visit.page.get_by_role("spinbutton", name="Late weight")
    late.fill("0")
    late.press("Tab")
    expect(visit.page.get_by_role("heading", name="Same 5 pages in the same order")).to_be_visible()
    expect(visit.page.locator(".column-head.of-right")).to_contain_text("one vector per page")
    left, right = (
        visit.page.locator(f".of-{side} .card").evaluate_all("all => all.map(c => c.dataset.page)")
        for side in ("left", "right")
    )
    assert left == right


def test_an_example_is_one_click(visit):
    chip = visit.page.get_by_role("button", name="restricted area, no anchoring")
    visit.search("bread")
    expect(chip).to_have_attribute("aria-pressed", "false")
    chip.click()
    expect(chip).to_have_attribute("aria-pressed", "true", timeout=PATIENCE)
    expect(visit.cards("SMART").first).to_contain_text("harbour.pdf")


def test_documents_come_stay_and_go(app, browser, tmp_path):
    visitor = Visit(browser, app)
    page = visitor.open()
    pdf = write_pdf(tmp_path / "violin.pdf", "The violin has four strings.", "The bow is strung with horse hair.")
    picture = write_picture(tmp_path / "sign.png", "No parking\nbetween eight and ten")
    broken = tmp_path / "broken.pdf"
    broken.write_bytes(b"%PDF-1.7 and then nothing")
    visitor.upload(pdf, picture, broken)
    outcomes = page.get_by_role("list", name="Uploads")
    expect(outcomes).to_contain_text("Added: 2 pages")
    expect(outcomes).to_contain_text("Refused")
    mine = page.get_by_role("list", name="My documents")
    expect(mine.get_by_role("listitem")).to_have_count(2)

    visitor.leave()
    page.goto(app.url)  # without its first answer: a choice made before it is kept
    page.get_by_role("tab", name="Compare").click()
    page.get_by_text("My documents", exact=True).first.click()
    expect(page.locator(".verdict .meta")).to_contain_text("ranked 3 of 3 pages", timeout=PATIENCE)
    visitor.search("what is a bow made of")
    expect(visitor.cards("SMART").first).to_contain_text("violin.pdf")

    page.get_by_role("tab", name="Library").click()
    page.get_by_role("button", name="Delete violin.pdf").click()
    page.get_by_role("dialog").get_by_role("button", name="Keep it").click()
    expect(mine.get_by_role("listitem")).to_have_count(2)
    page.get_by_role("button", name="Delete violin.pdf").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete", exact=True).click()
    expect(mine.get_by_role("listitem")).to_have_count(1)
    expect(page.get_by_text("freed")).to_be_visible()
    page.get_by_role("tab", name="Compare").click()
    expect(page.locator(".verdict .meta")).to_contain_text("ranked 1 of 1 page")
    visitor.close()


def test_a_hostile_name_is_only_a_name(app, browser, tmp_path):
    visitor = Visit(browser, app)
    page = visitor.open()
    named = tmp_path / HOSTILE.replace("/", "")
    write_pdf(tmp_path / "plain.pdf", "The lighthouse keeper paints the door red.").rename(named)
    visitor.upload(named, shown="img src=x")
    page.get_by_role("tab", name="Compare").click()
    page.get_by_text("My documents", exact=True).first.click()
    visitor.search('<img src=x onerror=alert(3)> ${alert(4)} ` lighthouse "door')
    card = visitor.cards("SMART").filter(has_text="img src=x")
    expect(card).to_have_count(1)
    card.click()
    expect(page.get_by_role("dialog", name="Page").get_by_role("heading", level=2)).to_contain_text("img src=x")
    assert page.locator('img[src="x"]').count() == 0
    visitor.close()


@pytest.mark.parametrize("dark", [False, True])
def test_a_phone_never_scrolls_sideways(app, browser, dark):
    visitor = Visit(browser, app, width=390, height=844, dark=dark)
    page = visitor.open()
    visitor.search("a" * 300 + " whale " + "wordwithoutend" * 40)
    for tab in ("Compare", "Library"):
        page.get_by_role("tab", name=tab).click()
        assert page.evaluate("document.scrollingElement.scrollWidth <= innerWidth")
    page.get_by_role("tab", name="Compare").click()
    visitor.cards("Pooled only").first.click()
    expect(page.get_by_role("dialog", name="Page")).to_be_visible()
    assert page.evaluate("document.scrollingElement.scrollWidth <= innerWidth")
    visitor.close()


@pytest.mark.long
def test_everything_is_kept_over_a_restart(app, browser, tmp_path):
    visitor = Visit(browser, app)
    visitor.open()
    visitor.upload(write_pdf(tmp_path / "tide.pdf", "High water is at noon on Monday."))
    thick = write_pdf(tmp_path / "thick.pdf", *(f"Water stood {number} cm high." for number in range(90)))
    visitor.page.locator("#upload input[type=file]").set_input_files(str(thick))
    expect(visitor.page.locator(".upload-item.is-working")).to_contain_text("thick.pdf", timeout=PATIENCE)
    visitor.leave()
    os.kill(app.pid, signal.SIGKILL)
    app.stop()
    app.start()
    visitor.open()
    expect(visitor.page.locator("#restarted")).to_contain_text("was restarted while it was processing thick.pdf")
    visitor.leave()
    visitor.open()
    expect(visitor.page.locator("#restarted")).to_have_count(0)
    visitor.close()
    again = Visit(browser, app)
    page = again.open()
    page.get_by_role("tab", name="Library").click()
    expect(page.get_by_role("list", name="My documents")).to_contain_text("tide.pdf")
    again.close()
    assert "Traceback" not in app.log


def test_a_second_app_on_the_same_folder_says_one_sentence(app, tmp_path):
    second = App(app.folder, tmp_path)
    with pytest.raises(AssertionError) as refused:
        second.start()
    assert "Traceback" not in str(refused.value)
    second.stop()
